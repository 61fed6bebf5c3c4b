"""Fine-grained preferences attention: how much of an item's attributes counts for whom (SAERS, docs/saers.md).

What attribute models are given of the items: one vector for each attribute, and the picture as a whole (NumPy).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.ops.activations import masked_softmax

EXACT = jax.lax.Precision.HIGHEST


@struct.dataclass
class AttributeVectors:
    """Attributes of items in the semantic space. The leading axes are those of the items: [I] for all of them, [B, C]
    for the candidates of a batch.

    vectors h f32[..., K, D]; keys W_a h f32[..., K, A], None unless the attention is additive; valid bool[..., K].
    """

    vectors: jax.Array
    keys: jax.Array | None
    valid: jax.Array

    def at(self, items: jax.Array) -> "AttributeVectors":
        """Those of items i32[B, C], from the looks of all items."""
        return jax.tree.map(lambda table: table[items], self)


class Attended(NamedTuple):
    """Of users and items [B, C]: share a_uik f32[B, C, K], exactly 0 where an attribute is not valid, and product
    t_u . h_ik f32[B, C, K]."""

    share: jax.Array
    product: jax.Array

    def sum(self) -> jax.Array:
        """t_u . s_ui, f32[B, C]."""
        return jnp.sum(self.share * self.product, axis=-1)


def attend_candidates(kind: str, weights: Any, users: jax.Array, looks: AttributeVectors) -> Attended:
    """users t f32[B, D], each with C items of its own."""
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
    """users t f32[R, D] with all I items: [R, I, K]. turned: of additive attention, what `turn` makes of the keys."""
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
    """Keys f32[I, K, A] as one row for each hidden number, f32[A, I * K]."""
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
    """Entropy of shares f32[..., K] by that of shares all alike, f32[...]: 1 is uniform, 0 is all on one attribute.

    Where fewer than two attributes are valid there is nothing to choose and it is 1.
    """
    entropy = -jnp.sum(share * jnp.log(jnp.where(share > 0, share, 1.0)), axis=-1)
    count = jnp.sum(valid, axis=-1)
    return jnp.where(count > 1, entropy / jnp.log(jnp.maximum(count, 2)), 1.0)


_ROWS = 1 << 12  # items held in double precision at once


@struct.dataclass
class AttributeTable:
    """features f32[I, K, F], of mean length 1 where an attribute is valid and 0 where it is not; valid bool[I, K]."""

    features: jax.Array
    valid: jax.Array


def attribute_table(columns, regions: bool) -> AttributeTable:
    """The attributes of a data set, vectors divided by one number.

    regions: the vectors of the regions in the pictures; else each attribute's class alone, a 1 among those of all
    attributes' classes, sum over k of C_k numbers wide.
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
    """f32[..., F] divided by one number, so that the mean length of the vectors that count, bool[...], is 1.

    Vectors of zeros are nothing seen: they stay, and never count.
    """
    lengths = np.zeros(features.shape[:-1])
    for at in range(0, len(features), _ROWS):
        lengths[at : at + _ROWS] = np.linalg.norm(features[at : at + _ROWS].astype(np.float64), axis=-1)
    counts = lengths > 0 if counts is None else counts & (lengths > 0)
    return (features / np.float32(lengths[counts].mean() if counts.any() else 1.0)).astype(np.float32)
