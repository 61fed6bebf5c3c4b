"""Reductions over the edges of each receiver."""

import jax
import jax.numpy as jnp


def segment_max(values: jax.Array, receivers: jax.Array, num_receivers: int) -> jax.Array:
    """values f32[E, D], receivers i32[E] sorted -> f32[num_receivers, D]; 0, not -inf, where nothing arrives.

    Tied maxima share the gradient.
    """
    top = jax.ops.segment_max(values, receivers, num_receivers, indices_are_sorted=True)
    return jnp.where(top == -jnp.inf, 0.0, top)  # NaN stays, so that a run that diverged is seen


def segment_softmax(logits: jax.Array, receivers: jax.Array, num_receivers: int) -> jax.Array:
    """logits f32[E], receivers i32[E] sorted -> f32[E], exp(logit) as a share of its receiver's; 1 for a single edge.

    Safe for logits of any size: each receiver's largest is taken off first. Padding, receiver `num_receivers`, gets 0.
    """
    if not logits.size:  # nothing can be gathered from an empty array, not even filling
        return logits
    top = jax.ops.segment_max(jax.lax.stop_gradient(logits), receivers, num_receivers, indices_are_sorted=True)
    raised = jnp.exp(logits - top.at[receivers].get(mode="fill", fill_value=jnp.inf))
    total = jax.ops.segment_sum(raised, receivers, num_receivers, indices_are_sorted=True)
    return raised / total.at[receivers].get(mode="fill", fill_value=1.0)
