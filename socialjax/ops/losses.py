"""Losses of a positive against its sampled negatives, one number for each row; the caller weighs and sums them.

All take the scores positive f32[B] and negatives f32[B, n] and return f32[B].
"""

from typing import Literal

import jax
import jax.numpy as jnp

Objective = Literal["bpr", "softmax", "bce", "squared"]


def bpr(positive: jax.Array, negatives: jax.Array) -> jax.Array:
    """Mean over negatives of -ln sigmoid(s+ - s-) (Rendle et al., UAI 2009), as softplus, which does not overflow."""
    return jnp.mean(jax.nn.softplus(negatives - positive[:, None]), axis=1)


def softmax(positive: jax.Array, negatives: jax.Array, temperature: float = 1.0) -> jax.Array:
    """logsumexp([s+, s-_1 .. s-_n] / t) - s+ / t: cross entropy among the sampled; uniform draws need no correction."""
    scores = jnp.concatenate([positive[:, None], negatives], axis=1) / temperature
    return jax.nn.logsumexp(scores, axis=1) - scores[:, 0]


def bce(positive: jax.Array, negatives: jax.Array) -> jax.Array:
    """Mean binary cross entropy of the 1 + n scores as logits."""
    total = jax.nn.softplus(-positive) + jnp.sum(jax.nn.softplus(negatives), axis=1)
    return total / (1 + negatives.shape[1])


def squared(positive: jax.Array, negatives: jax.Array) -> jax.Array:
    """0.5 * sum of (y - sigmoid(s))^2 over the 1 + n labels: the released DiffNet code (summed and halved)."""
    missed = jax.nn.sigmoid(-positive)
    return 0.5 * (missed**2 + jnp.sum(jax.nn.sigmoid(negatives) ** 2, axis=1))


def objective(name: Objective, positive: jax.Array, negatives: jax.Array, temperature: float = 1.0) -> jax.Array:
    """The loss of that name.

    Args:
      name: bpr, softmax, bce or squared.
      positive: f32[B], scores of the positives.
      negatives: f32[B, n], scores of their negatives.
      temperature: Divides the scores in softmax; other losses ignore it.

    Returns:
      f32[B].
    """
    if name == "softmax":
        return softmax(positive, negatives, temperature)
    return {"bpr": bpr, "bce": bce, "squared": squared}[name](positive, negatives)
