"""Scores of each row's candidates, <u_b, v_i>, forward and backward in blocks that stay in the cache.

A batch of 8,192 pairs with 8 negatives gathers 73,728 item vectors; as one array, and again in the gradient, they cost
more in page faults than in arithmetic. On GPU and TPU the plain product is right.
"""

import jax
import jax.numpy as jnp

from socialjax.ops.lookup import row_sums

BLOCK = 256  # rows


@jax.custom_vjp
def candidate_scores(users: jax.Array, items: jax.Array, candidates: jax.Array) -> jax.Array:
    """The dot products of each row's user with the row's candidates.

    Args:
      users: f32[B, D], one vector for each row.
      items: f32[I, D].
      candidates: i32[B, C], rows of items.

    Returns:
      f32[B, C].
    """
    items = jnp.asarray(items)
    return jax.lax.platform_dependent(users, items, candidates, cpu=_blocked_scores, default=_scores)


def _forward(users, items, candidates):
    items = jnp.asarray(items)
    return candidate_scores(users, items, candidates), (users, items, candidates)


def _backward(saved, g):
    users, items, candidates = saved
    to_users, to_items = jax.lax.platform_dependent(
        users, items, candidates, g, cpu=_blocked_gradients, default=_gradients
    )
    return to_users, to_items, None


candidate_scores.defvjp(_forward, _backward)


def _scores(users, items, candidates):
    vectors = items.at[candidates].get(mode="promise_in_bounds")
    return row_sums(users[:, None, :] * vectors)


def _gradients(users, items, candidates, g):
    vectors = items.at[candidates].get(mode="promise_in_bounds")
    to_users = jnp.sum(g[:, :, None] * vectors, axis=1)
    to_items = jnp.zeros_like(items).at[candidates].add(g[:, :, None] * users[:, None, :])
    return to_users, to_items


def _in_blocks(*arrays):
    """Splits rows into blocks of BLOCK, the last filled with zeros."""
    rows = arrays[0].shape[0]
    block = max(1, min(BLOCK, rows))
    filled = [jnp.pad(a, [(0, -rows % block)] + [(0, 0)] * (a.ndim - 1)) for a in arrays]
    return [a.reshape(-1, block, *a.shape[1:]) for a in filled]


def _blocked_scores(users, items, candidates):
    parts = _in_blocks(users, candidates)
    scores = jax.lax.map(lambda part: _scores(part[0], items, part[1]), parts)
    return scores.reshape(-1, candidates.shape[1])[: users.shape[0]]


def _blocked_gradients(users, items, candidates, g):
    def add(to_items, part):
        users, candidates, g = part
        to_users = jnp.zeros_like(users)
        for c in range(candidates.shape[1]):  # one candidate at a time, so that the gathers fuse into the sum
            to_users += g[:, c, None] * items.at[candidates[:, c]].get(mode="promise_in_bounds")
            to_items = to_items.at[candidates[:, c]].add(g[:, c, None] * users)
        return to_items, to_users

    to_items, to_users = jax.lax.scan(add, jnp.zeros_like(items), _in_blocks(users, candidates, g))
    return to_users.reshape(-1, users.shape[1])[: users.shape[0]], to_items
