"""The features of frames as models take them: centred, of mean length 1, wide ones reduced once (NumPy).

Frames grouped by the item they belong to, for some pairs padded or for all items at once, with the same functions.

Arrays that differ by frame have the shape of `Some`, [B, C, K] (rows, candidates, places), or of `All`, [L, R] (frames,
users); what is pooled over the frames of an item has [B, C], or [I, R]. A further axis of vectors may follow.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.ops import sample
from socialjax.ops.lookup import segment_max, segment_softmax

_ROWS = 1 << 12  # converted at once: a table mapped from a file is never whole in memory
_SAMPLE = 1 << 14  # frames in which the leading directions are looked for
_EXTRA = 32  # directions beyond those wanted, which make the wanted ones exact
_ROUNDS = 2


def frame_table(features: np.ndarray, width: int) -> np.ndarray:
    """features f16 or f32 [L, F] -> f32[L, min(F, width)]: less their mean, divided by the mean of their lengths.

    Features wider than `width` are reduced to their `width` leading principal directions, which are orthonormal: inner
    products stay what they are but for what lies in the other directions. They are found in at most 16,384 frames,
    evenly spread, by subspace iteration from a fixed start (Halko, Martinsson, Tropp, 2011), so that the same features
    always give the same table.
    """
    mean = np.zeros(features.shape[1])
    for block in _blocks(features):
        mean += block.sum(axis=0, dtype=np.float64)
    mean = (mean / max(len(features), 1)).astype(np.float32)
    basis = _leading(features, mean, width) if features.shape[1] > width else None
    table = np.empty((len(features), min(features.shape[1], width)), np.float32)
    start = 0
    for block in _blocks(features):
        centred = block - mean
        table[start : start + len(block)] = centred if basis is None else centred @ basis
        start += len(block)
    length = np.sqrt(np.einsum("lf,lf->l", table, table, dtype=np.float64)).mean() if len(table) else 0.0
    table /= np.float32(length or 1.0)
    return table


def _leading(features: np.ndarray, mean: np.ndarray, width: int) -> np.ndarray:
    """f32[F, width], orthonormal: where the features vary most, the largest variance first."""
    step = -(-len(features) // _SAMPLE)
    sample = np.concatenate([block.astype(np.float32) for block in _blocks(features[::step])]) - mean
    start = np.random.default_rng(0).normal(size=(features.shape[1], width + _EXTRA)).astype(np.float32)
    basis = np.linalg.qr(start[:, : features.shape[1]])[0]
    for _ in range(_ROUNDS):
        basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
    projected = sample @ basis
    variance, turn = np.linalg.eigh(projected.T @ projected)
    return basis @ turn[:, np.argsort(-variance, kind="stable")[:width]]


def _blocks(features: np.ndarray):
    for start in range(0, len(features), _ROWS):
        yield np.asarray(features[start : start + _ROWS], np.float32)


@struct.dataclass
class PaddedFrames:
    """Frames places i32[B, C, K] of each row's candidate items; those not there, bool[B, C, K], are padding."""

    rows: jax.Array
    valid: jax.Array

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
        valid = self.valid.reshape(*self.valid.shape, *[1] * (values.ndim - 3))
        return jnp.sum(jnp.where(valid, values, 0.0), axis=2)

    def best(self, values):
        """[B, C, K] -> bool of the same shape, the largest of each item's, ties all."""
        values = jnp.where(self.valid, values, -jnp.inf)
        return self.valid & (values == jnp.max(values, axis=2, keepdims=True))

    def softmax(self, logits):
        """[B, C, K] -> [B, C, K], 0 in padding.

        `ops.activations.masked_softmax` in another form: with that one trained parameters differ in their last bits.
        """
        logits = jnp.where(self.valid, logits, -jnp.inf)
        top = jax.lax.stop_gradient(jnp.max(logits, axis=2, keepdims=True))
        raised = jnp.exp(jnp.where(self.valid, logits - jnp.where(top == -jnp.inf, 0.0, top), -jnp.inf))
        total = jnp.sum(raised, axis=2, keepdims=True)
        return raised / jnp.where(total == 0.0, 1.0, total)

    def has_frames(self):
        """f32[B, C], 1 for items with a frame."""
        return jnp.any(self.valid, axis=2).astype(jnp.float32)


@struct.dataclass
class AllFrames:
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

    def has_frames(self):
        """f32[I, 1], 1 for items with a frame."""
        return (self.sum(jnp.ones((self.item.shape[0], 1))) > 0).astype(jnp.float32)


def padded_frames(offsets: jax.Array, items: jax.Array, width: int, key: jax.Array | None = None) -> PaddedFrames:
    """Up to `width` frames of items i32[B, C]; offsets i32[I + 1].

    Of an item with more, the first ones or, with key u32[B, C], a spread of them at an even distance from a random
    start: each is as likely as any other to be among them, and none comes twice.
    """
    start = offsets[items]
    count = offsets[items + 1] - start
    position = jnp.arange(width)[None, None, :]
    valid = position < count[:, :, None]
    if key is not None:
        shift = sample.below(key, jnp.maximum(count, 1) * width)
        spread = (position * count[:, :, None] + shift[:, :, None]) // width % jnp.maximum(count, 1)[:, :, None]
        position = jnp.where(count[:, :, None] > width, spread, position)
    return PaddedFrames(jnp.where(valid, start[:, :, None] + position, 0), valid)
