"""L2 on the weights of layers, which belong to no row of a batch: they count once in its mean, whatever its size."""

import jax
import jax.numpy as jnp

from socialjax.models.protocol import Batch, Params

WEIGHTS = ("kernel", "head")  # not biases, and not the numbers that belong to an edge


def weight_penalty(params: Params, strengths: dict[str, float], batch: Batch) -> jax.Array | None:
    """The sum over modules of strength times the squared norm of their weights, the same in each row.

    Args:
      params: Module name -> parameters, nested or not.
      strengths: Module name -> lambda; modules that `params` lacks are skipped.
      batch: Gives the number of rows.

    Returns:
      f32[B], or None where nothing is penalised.
    """
    terms = [
        strength * squared_norm(params[name]) for name, strength in strengths.items() if strength and name in params
    ]
    return jnp.broadcast_to(sum(terms), batch.users.shape) if terms else None


def squared_norm(params: Params) -> jax.Array:
    """Sum of squares of all weights under `params`."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return sum(jnp.sum(leaf**2) for path, leaf in leaves if path[-1].key in WEIGHTS)
