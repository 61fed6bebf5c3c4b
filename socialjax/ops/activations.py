"""Activations that models offer by name, vectors at unit length, and the softmax of some entries."""

import flax.linen as nn
import jax
import jax.numpy as jnp

ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,
    "sigmoid": nn.sigmoid,
    "tanh": nn.tanh,
}


def unit(vectors: jax.Array) -> jax.Array:
    """Rows of vectors f32[N, D] at length 1; a row of zeros stays, with a finite gradient."""
    return vectors * jax.lax.rsqrt(jnp.maximum(jnp.sum(vectors**2, axis=1, keepdims=True), 1e-12))


def masked_softmax(logits: jax.Array, valid: jax.Array) -> jax.Array:
    """Softmax over the valid entries of the last axis.

    Bit by bit `jax.nn.softmax(logits, where=valid)` where nothing is compiled; compiled for a CPU, that one differs by
    up to 1.2e-7 in shares and gradients, so that figures of finished runs would change in their last digits.

    Args:
      logits: f32[..., K]; their largest valid one is subtracted first, so that nothing overflows.
      valid: bool[..., K], broadcast against the logits.

    Returns:
      f32[..., K], exactly 0 where not valid, and all 0, with a gradient of 0, where nothing is.
    """
    logits, valid = jnp.broadcast_arrays(logits, valid)
    highest = jnp.max(jnp.where(valid, logits, -jnp.inf), axis=-1, keepdims=True)
    highest = jax.lax.stop_gradient(jnp.where(jnp.isfinite(highest), highest, 0.0))
    # Not exp() times 0: a logit far above the valid ones would make that infinity times 0.
    exponentials = jnp.where(valid, jnp.exp(jnp.where(valid, logits - highest, 0.0)), 0.0)
    total = jnp.sum(exponentials, axis=-1, keepdims=True)
    return exponentials / jnp.where(total > 0, total, 1.0)
