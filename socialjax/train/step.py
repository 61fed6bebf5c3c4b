"""One pure training step. It knows nothing of devices but the name of an axis.

Optimisers by name, from optax.

What training carries from step to step, and nothing else: stopping and resuming is saving and loading this.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import struct

from socialjax.ops import sample

Optimizer = Literal["adam", "adamw", "sgd", "adagrad"]


def make_optimizer(name: Optimizer, learning_rate: float) -> optax.GradientTransformation:
    """Raises ValueError for a learning rate that is not above 0."""
    if not learning_rate > 0:
        raise ValueError(f"the learning rate must be above 0, got {learning_rate}")
    return {"adam": optax.adam, "adamw": optax.adamw, "sgd": optax.sgd, "adagrad": optax.adagrad}[name](learning_rate)


@struct.dataclass
class TrainState:
    """step i32[]: steps done. seed u32[]: all randomness is a hash of (seed, step). sums: of the epoch so far.

    A model may name metrics of its loss in its traits, `watched`: they are summed beside the loss and logged as means.
    """

    step: jax.Array
    seed: jax.Array
    params: Any
    opt_state: Any
    sums: dict[str, jax.Array]


def new_state(model, side, optimizer, seed: int, start: Callable[[Any], Any] | None = None) -> TrainState:
    """A fresh state; parameters are drawn from `seed`, and `start` may put others in their place."""
    params = jax.jit(model.init)(jax.random.key(seed), side)  # compiled, only the parameters are computed
    if start is not None:
        params = jax.tree.map(jnp.asarray, start(params))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        seed=jnp.asarray(seed, jnp.uint32),
        params=params,
        opt_state=optimizer.init(params),
        sums={name: jnp.zeros(()) for name in ("loss", "objective", "weight", *model.traits.watched)},
    )


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
