"""Frames grouped by the item they belong to, for some pairs padded or for all items at once, with the same functions.

Arrays that differ by frame have the shape of `Some`, [B, C, K] (rows, candidates, places), or of `All`, [L, R] (frames,
users); what is pooled over the frames of an item has [B, C], or [I, R]. A further axis of vectors may follow.
"""

import jax
import jax.numpy as jnp
from flax import struct

from socialjax.ops import sample
from socialjax.ops.segment import segment_max, segment_softmax


@struct.dataclass
class Some:
    """Frames places i32[B, C, K] of each row's candidate items; those not there, bool[B, C, K], are padding."""

    places: jax.Array
    there: jax.Array

    def of_user(self, values):
        """[B, ...] -> one that fits beside each frame, [B, 1, 1, ...]."""
        return values[:, None, None]

    def pair_user(self, values):
        """[B, ...] -> one that fits beside each pair, [B, 1, ...]."""
        return values[:, None]

    def of_item(self, values):
        """[B, C, ...] -> [B, C, 1, ...]."""
        return values[:, :, None]

    def sum(self, values):
        """[B, C, K, ...] -> [B, C, ...]; 0 without a frame."""
        there = self.there.reshape(*self.there.shape, *[1] * (values.ndim - 3))
        return jnp.sum(jnp.where(there, values, 0.0), axis=2)

    def best(self, values):
        """[B, C, K] -> bool of the same shape, the largest of each item's, ties all."""
        values = jnp.where(self.there, values, -jnp.inf)
        return self.there & (values == jnp.max(values, axis=2, keepdims=True))

    def softmax(self, logits):
        """[B, C, K] -> [B, C, K], 0 in padding."""
        logits = jnp.where(self.there, logits, -jnp.inf)
        top = jax.lax.stop_gradient(jnp.max(logits, axis=2, keepdims=True))
        raised = jnp.exp(jnp.where(self.there, logits - jnp.where(top == -jnp.inf, 0.0, top), -jnp.inf))
        total = jnp.sum(raised, axis=2, keepdims=True)
        return raised / jnp.where(total == 0.0, 1.0, total)

    def shown(self):
        """f32[B, C], 1 for items with a frame."""
        return jnp.any(self.there, axis=2).astype(jnp.float32)


@struct.dataclass
class All:
    """All frames by item i32[L], ascending."""

    item: jax.Array
    num_items: int = struct.field(pytree_node=False)

    def of_user(self, values):
        """[R, ...] -> [1, R, ...]."""
        return values[None]

    pair_user = of_user

    def of_item(self, values):
        """[I, 1, ...], of all items -> [L, 1, ...]."""
        return values[self.item]

    def sum(self, values):
        """[L, R, ...] -> [I, R, ...]; 0 without a frame."""
        return jax.ops.segment_sum(values, self.item, self.num_items, indices_are_sorted=True)

    def best(self, values):
        """[L, R] -> bool of the same shape, the largest of each item's, ties all."""
        return values == segment_max(values, self.item, self.num_items)[self.item]

    def softmax(self, logits):
        """[L, R] -> [L, R]."""
        return segment_softmax(logits, self.item, self.num_items)

    def shown(self):
        """f32[I, 1], 1 for items with a frame."""
        return (self.sum(jnp.ones((self.item.shape[0], 1))) > 0).astype(jnp.float32)


def some(offsets: jax.Array, items: jax.Array, width: int, key: jax.Array | None = None) -> Some:
    """Up to `width` frames of items i32[B, C]; offsets i32[I + 1].

    Of an item with more, the first ones or, with key u32[B, C], a spread of them at an even distance from a random
    start: each is as likely as any other to be among them, and none comes twice.
    """
    start = offsets[items]
    count = offsets[items + 1] - start
    place = jnp.arange(width)[None, None, :]
    there = place < count[:, :, None]
    if key is not None:
        shift = sample.below(key, jnp.maximum(count, 1) * width)
        spread = (place * count[:, :, None] + shift[:, :, None]) // width % jnp.maximum(count, 1)[:, :, None]
        place = jnp.where(count[:, :, None] > width, spread, place)
    return Some(jnp.where(there, start[:, :, None] + place, 0), there)
