"""What training carries from step to step, and nothing else: stopping and resuming is saving and loading this."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class TrainState:
    """step i32[]: steps done. seed u32[]: all randomness is a hash of (seed, step). sums: of the epoch so far.

    A model may name metrics of its loss in `watched`: they are summed beside the loss and logged as means.
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
        sums={name: jnp.zeros(()) for name in ("loss", "objective", "weight", *getattr(model, "watched", ()))},
    )
