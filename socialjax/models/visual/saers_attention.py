"""Fine-grained preferences attention: how much each attribute of an item counts for a user (SAERS, docs/saers.md)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.ops.activations import masked_softmax

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
