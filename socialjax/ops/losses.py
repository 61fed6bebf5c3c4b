"""Losses of a positive against its sampled negatives, one number for each row; the caller weighs and sums them.

All take the scores positive f32[B] and negatives f32[B, n] and return f32[B], pure functions of jax.numpy. Yours are
registered in `LOSSES`, as models are in `MODELS`, or given to `socialjax.fit`.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from socialjax.registry import GIVEN, HOW, Registry

Objective = Literal["bpr", "softmax", "bce", "squared"] | str
Loss = Callable[[jax.Array, jax.Array], jax.Array]


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


LOSSES: Registry[Loss] = Registry(
    "loss", "socialjax.losses", {"bpr": bpr, "softmax": softmax, "bce": bce, "squared": squared}
)


def objective(name: Objective, positive: jax.Array, negatives: jax.Array, temperature: float = 1.0) -> jax.Array:
    """The loss of that name.

    Args:
      name: One of `LOSSES`.
      positive: f32[B], scores of the positives.
      negatives: f32[B, n], scores of their negatives.
      temperature: Divides the scores in softmax; other losses ignore it.

    Returns:
      f32[B].
    """
    if name == "softmax":
        return softmax(positive, negatives, temperature)
    return LOSSES[name](positive, negatives)


def check_name(name: str) -> None:
    """Raises ValueError for the name of no loss. One that was given as a function needs to be there to train alone."""
    if name not in LOSSES and not GIVEN.fullmatch(name):
        raise ValueError(f"objective must be one of {', '.join(LOSSES)}, got {name!r}; {HOW}")
