"""SAERS's scores: of the batch in training, and of any pairs afterwards."""

import jax
import jax.numpy as jnp

from socialjax.models.visual.saers_attention import (
    EXACT,
    Attended,
    AttributeVectors,
    attend_all,
    attend_candidates,
    transpose_keys,
)
from socialjax.ops.pairs import candidate_scores

NUMBERS_AT_ONCE = 1 << 23  # of the largest array in scoring: 32 MiB
CACHED = 1 << 19  # of energies that are added up in many passes


def project(table: jax.Array, weights: jax.Array, rows: jax.Array | None = None) -> jax.Array:
    """A table of features times weights, whole or some rows of it, whichever are fewer.

    Args:
      table: f32[I, ..., F].
      weights: f32[F, D], or f32[K, F, D] for a table f32[I, K, F].
      rows: i32[B, C], or None for all rows.

    Returns:
      f32[I, ..., D], or f32[B, C, ..., D] for given rows.
    """
    table = jnp.asarray(table)
    letters = "...kf,kfd->...kd" if jnp.ndim(weights) == 3 else "...f,fd->...d"
    times = lambda rows: jnp.einsum(letters, rows, weights, precision=EXACT)  # noqa: E731
    if rows is None:
        return times(table)
    return times(table[rows]) if rows.size < table.shape[0] else times(table)[rows]


def project_attributes(model, params, side, rows: jax.Array | None = None) -> AttributeVectors:
    """The attributes of all items, or of items i32[B, C], in the semantic space."""
    vectors = project(side.attributes.features, params["attribute_projection"], rows)
    keys = project(vectors, params["attention"]["looks"]) if model.attention == "additive" else None
    valid = jnp.asarray(side.attributes.valid)
    return AttributeVectors(vectors, keys, valid if rows is None else valid[rows])


def training(
    model, params, side, users: dict, candidates: jax.Array
) -> tuple[jax.Array, Attended | None, AttributeVectors | None]:
    """Scores in training.

    Args:
      model: A `SAERS`.
      params: Its parameters.
      side: A `SAERSSide`.
      users: Name of the table -> vectors f32[B, D] of the rows' users.
      candidates: i32[B, C].

    Returns:
      Scores f32[B, C], and of models with the semantic term the attention and the candidates' attributes, else None.
    """
    known = jnp.asarray(side.known)[candidates]
    total, attended, looks = jnp.zeros(candidates.shape), None, None
    if "users" in users:
        seen = project(side.images, params["projection"], candidates)
        total = total + jnp.einsum("bd,bcd->bc", users["users"], seen)
    if "free_users" in users:
        total = total + known * candidate_scores(users["free_users"], params["items"], candidates)
    if "item_bias" in params:
        total = total + known * params["item_bias"][candidates]
    if "attribute_users" in users:
        looks = project_attributes(model, params, side, candidates)
        attended = attend_candidates(model.attention, params.get("attention"), users["attribute_users"], looks)
        total = total + attended.sum()
    return total, attended, looks


def semantic(model, state, users: jax.Array, items: jax.Array) -> jax.Array:
    """t_u . s_ui, f32[B, C], of users i32[B] with items i32[B, C], in blocks of users.

    Where as many candidates are asked for as there are items, all items are scored and the candidates are picked.
    """
    num_items, num_attributes = state.attribute_vectors.valid.shape
    by_pair, tables = items.shape[1] < num_items, (state.attribute_vectors.vectors, state.attribute_vectors.keys)
    transposed, at_once, numbers_per_user = None, NUMBERS_AT_ONCE, num_items * num_attributes
    if by_pair:
        numbers_per_user = (
            items.shape[1] * num_attributes * max(table.shape[2] for table in tables if table is not None)
        )
    elif state.attribute_vectors.keys is not None:
        transposed, at_once = transpose_keys(state.attribute_vectors.keys), CACHED
    height = max(1, min(users.shape[0], at_once // numbers_per_user))

    def block(part):
        users, items = part
        t = state.attribute_users[users]
        if by_pair:
            return attend_candidates(model.attention, state.attention, t, state.attribute_vectors.at(items)).sum()
        total = attend_all(model.attention, state.attention, t, state.attribute_vectors, transposed).sum()
        return jnp.take_along_axis(total, items, axis=1)

    parts = [jnp.pad(a, [(0, -users.shape[0] % height), *[(0, 0)] * (a.ndim - 1)]) for a in (users, items)]
    parts = [a.reshape(-1, height, *a.shape[1:]) for a in parts]
    return jax.lax.map(block, tuple(parts)).reshape(-1, items.shape[1])[: users.shape[0]]


def attended(model, state, users: jax.Array, items: jax.Array) -> Attended:
    """The attention of users i32[B] to the attributes of items i32[B, C]."""
    t = state.attribute_users[jnp.asarray(users)]
    return attend_candidates(model.attention, state.attention, t, state.attribute_vectors.at(jnp.asarray(items)))
