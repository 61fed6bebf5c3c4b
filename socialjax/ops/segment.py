"""Reductions over the edges of each receiver."""

import jax
import jax.numpy as jnp


def segment_max(values: jax.Array, receivers: jax.Array, num_receivers: int) -> jax.Array:
    """values f32[E, D], receivers i32[E] sorted -> f32[num_receivers, D]; 0, not -inf, where nothing arrives.

    Tied maxima share the gradient.
    """
    top = jax.ops.segment_max(values, receivers, num_receivers, indices_are_sorted=True)
    return jnp.where(top == -jnp.inf, 0.0, top)  # NaN stays, so that a run that diverged is seen
