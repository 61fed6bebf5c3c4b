"""SAERS's attention over the attributes of an item, and the scores it makes (docs/saers.md)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.ops.activations import masked_softmax
from socialjax.ops.lookup import candidate_scores

EXACT = jax.lax.Precision.HIGHEST


@struct.dataclass
class AttributeVectors:
    """Attributes in the semantic space, of all items, [I], or of the candidates of a batch, [B, C].

    Attributes:
      vectors: f32[..., K, D], h.
      keys: f32[..., K, A], W_a h; None unless the attention is additive.
      valid: bool[..., K].
    """

    vectors: jax.Array
    keys: jax.Array | None
    valid: jax.Array

    def at(self, items: jax.Array) -> "AttributeVectors":
        """The attributes of items i32[B, C], from those of all items."""
        return jax.tree.map(lambda table: table[items], self)


class Attended(NamedTuple):
    """The attention of users to the attributes of items.

    Attributes:
      share: f32[B, C, K], a_uik, exactly 0 where an attribute is not valid.
      product: f32[B, C, K], t_u . h_ik.
    """

    share: jax.Array
    product: jax.Array

    def sum(self) -> jax.Array:
        """t_u . s_ui, f32[B, C]."""
        return jnp.sum(self.share * self.product, axis=-1)


def attend_candidates(kind: str, weights: Any, users: jax.Array, looks: AttributeVectors) -> Attended:
    """The attention of users to the attributes of their candidates.

    Args:
      kind: additive, dot, user or uniform; see `SAERS`.
      weights: Parameters of the attention.
      users: f32[B, D], t.
      looks: Attributes of C candidates for each user.
    """
    product = jnp.einsum("bd,bckd->bck", users, looks.vectors, precision=EXACT)
    if kind == "additive":
        hidden = jnp.tanh(_user_terms(weights, users)[:, None, None, :] + looks.keys)
        energy = jnp.dot(hidden, weights["out"], precision=EXACT)
    else:
        energy = _energy(kind, weights, users, product)
    return Attended(masked_softmax(energy, looks.valid), product)


def attend_all(
    kind: str, weights: Any, users: jax.Array, looks: AttributeVectors, transposed: jax.Array | None
) -> Attended:
    """The attention of users to the attributes of all items, [R, I, K].

    Args:
      kind: additive, dot, user or uniform; see `SAERS`.
      weights: Parameters of the attention.
      users: f32[R, D], t.
      looks: Attributes of all I items.
      transposed: For additive attention the keys as `transpose_keys` gives them, else None.
    """
    product = jnp.einsum("rd,ikd->rik", users, looks.vectors, precision=EXACT)
    if kind == "additive":

        def add(energy, hidden):  # four times as fast as a sum over the last axis, and [R, I, K, A] is never there
            user_number, key_number, out = hidden
            return energy + out * jnp.tanh(user_number[:, None] + key_number[None, :]), None

        nothing = jnp.zeros((users.shape[0], transposed.shape[1]))
        energy = jax.lax.scan(add, nothing, (_user_terms(weights, users).T, transposed, weights["out"]))[0]
        energy = energy.reshape(product.shape)
    else:
        energy = _energy(kind, weights, users, product)
    return Attended(masked_softmax(energy, looks.valid[None]), product)


def transpose_keys(keys: jax.Array | None) -> jax.Array | None:
    """Keys f32[I, K, A] with the hidden axis first, f32[A, I * K]."""
    return None if keys is None else keys.reshape(-1, keys.shape[2]).T


def _user_terms(weights, users) -> jax.Array:
    """W_u t_u + b, f32[B, A]."""
    return jnp.dot(users, weights["users"], precision=EXACT) + weights["bias"][None, :]


def _energy(kind, weights, users, product) -> jax.Array:
    """e_uik, f32[B, C, K] or what broadcasts to it: dot t_u . h_ik; user w_k . t_u, whatever the item; uniform 0."""
    if kind == "dot":
        return product
    if kind == "user":
        return jnp.dot(users, weights["attributes"].T, precision=EXACT)[:, None, :]
    return jnp.zeros_like(product)


def relative_entropy(share: jax.Array, valid: jax.Array) -> jax.Array:
    """Entropy of attention weights, divided by that of uniform ones.

    Args:
      share: f32[..., K].
      valid: bool[..., K].

    Returns:
      f32[...]: 1 for uniform weights and where fewer than two attributes are valid, 0 for all weight on one attribute.
    """
    entropy = -jnp.sum(share * jnp.log(jnp.where(share > 0, share, 1.0)), axis=-1)
    count = jnp.sum(valid, axis=-1)
    return jnp.where(count > 1, entropy / jnp.log(jnp.maximum(count, 2)), 1.0)


_ROWS = 1 << 12  # items held in double precision at once


@struct.dataclass
class AttributeTable:
    """Features of the attributes of items.

    Attributes:
      features: f32[I, K, F], of mean length 1 where an attribute is valid and 0 where it is not.
      valid: bool[I, K].
    """

    features: jax.Array
    valid: jax.Array


def attribute_table(columns, regions: bool) -> AttributeTable:
    """The attributes of a data set (NumPy).

    Args:
      columns: A data set with attributes.
      regions: Whether features are those of the regions in the pictures, scaled to mean length 1; else they are a
        one-hot vector over the classes of all attributes.
    """
    attributes = columns.attributes
    if regions:
        return AttributeTable(
            np.where(attributes.valid[..., None], scaled(attributes.features, attributes.valid), np.float32(0)),
            attributes.valid,
        )
    count = np.array([len(each) for each in attributes.classes])
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    table = np.zeros((*attributes.label.shape, int(count.sum())), np.float32)
    item, attribute = np.nonzero(attributes.valid & (attributes.label >= 0))
    table[item, attribute, start[attribute] + attributes.label[item, attribute]] = 1
    return AttributeTable(table, attributes.valid)


def scaled(features: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Features f32[..., F] divided by one number, so that their mean length is 1.

    Args:
      features: f32[..., F]; vectors of zeros are missing and never count in the mean.
      counts: bool[...], the vectors that count in the mean, or None for all.
    """
    lengths = np.zeros(features.shape[:-1])
    for at in range(0, len(features), _ROWS):
        lengths[at : at + _ROWS] = np.linalg.norm(features[at : at + _ROWS].astype(np.float64), axis=-1)
    counts = lengths > 0 if counts is None else counts & (lengths > 0)
    return (features / np.float32(lengths[counts].mean() if counts.any() else 1.0)).astype(np.float32)


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
