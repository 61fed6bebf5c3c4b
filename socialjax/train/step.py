"""One pure training step. It knows nothing of devices but the name of an axis."""

import jax
import jax.numpy as jnp
import optax

from socialjax.ops import sample
from socialjax.train.state import TrainState


def make_step(model, optimizer, axis_name: str | None = None):
    """Returns step(state, side, batch) -> state.

    The model's loss is a sum and a weight; both, and the gradients, are summed over `axis_name` and divided once. A
    step whose weight is 0 (a batch of padding) changes no parameter.
    """

    def step(state: TrainState, side, batch) -> TrainState:
        rng = sample.fold(state.seed, state.step)

        def total(params):
            (loss, weight), metrics = model.loss(params, side, batch, rng)
            return loss, (weight, metrics)

        (loss, (weight, metrics)), gradients = jax.value_and_grad(total, has_aux=True)(state.params)
        if axis_name is not None:
            loss, weight, gradients, metrics = jax.lax.psum((loss, weight, gradients, metrics), axis_name)
        gradients = jax.tree.map(lambda g: g / jnp.maximum(weight, 1e-12), gradients)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        new = {"loss": loss, "weight": weight, **metrics}
        return state.replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            sums={name: state.sums[name] + new[name] for name in state.sums},
        )

    return step
