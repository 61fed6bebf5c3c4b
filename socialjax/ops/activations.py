"""Activations that models offer by name.

Vectors made as long as 1.
"""

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
