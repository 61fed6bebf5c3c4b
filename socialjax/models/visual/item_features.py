"""Features of items for visual models: images, and tables of frames with the draw of some of an item's frames."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.ops import sample
from socialjax.ops.lookup import segment_max, segment_softmax

BLOCK = 1024  # rows that are held in double precision at once: a table of frames may fill gigabytes


def item_images(columns) -> np.ndarray | None:
    """Image features of the items of a data set (NumPy).

    Returns:
      Its item_features f32[I, F]; without them the mean of each item's frames, zeros for an item that has none; None
      without either.
    """
    if columns.item_features is not None or columns.frames is None:
        return columns.item_features
    offsets, features = np.asarray(columns.frames.offsets), columns.frames.features
    means = np.zeros((len(offsets) - 1, features.shape[1]), np.float32)
    filled = np.flatnonzero(np.diff(offsets))  # of the others reduceat would take the next item's first frame
    for block in np.array_split(filled, max(1, len(filled) // 128)):
        if len(block):
            first, last = offsets[block[0]], offsets[block[-1] + 1]
            sums = np.add.reduceat(np.asarray(features[first:last], np.float64), offsets[block] - first, axis=0)
            means[block] = sums / np.diff(offsets)[block, None]
    return means


def mean_length(features: np.ndarray) -> float:
    """Mean length of the rows of features [N, F] that are not all 0; 1 without any (NumPy)."""
    blocks = range(0, len(features), BLOCK)  # half precision overflows in the squares
    lengths = [np.linalg.norm(np.asarray(features[at : at + BLOCK], np.float64), axis=1) for at in blocks]
    length = np.concatenate([np.zeros(0), *lengths])
    return float(length[length > 0].mean()) if length.any() else 1.0


def scaled(features: np.ndarray | None) -> np.ndarray | None:
    """f32[I, F] divided by one number, so that the rows' mean length is 1; None stays None (NumPy).

    One number for all keeps their proportions; raw activations of a network are so long that E would explode at usual
    learning rates. Rows of zeros are items without an image: they stay, and do not count in the mean.
    """
    if features is None:
        return None
    mean, out = mean_length(features), np.empty(features.shape, np.float32)
    for at in range(0, len(features), BLOCK):
        out[at : at + BLOCK] = np.asarray(features[at : at + BLOCK], np.float64) / mean
    return out


@struct.dataclass
class FrameImages:
    """All frames, read as (f - low) / span, as the items' images are, so that both are in one space.

    Attributes:
      features: f16 or f32 [L, F], as in the data.
      low: f32[F].
      span: f32[F].
    """

    features: jax.Array
    low: jax.Array
    span: jax.Array

    def at(self, frames: jax.Array) -> jax.Array:
        """Scaled features f32[..., F] of frames i32[...]."""
        width = (1,) * jnp.ndim(frames) + (-1,)
        rows = jnp.asarray(self.features)[frames].astype(jnp.float32)
        return (rows - jnp.reshape(self.low, width)) / jnp.reshape(self.span, width)


def frame_images(columns, width: int, low: np.ndarray, span: np.ndarray) -> FrameImages | None:
    """The frames of a data set, scaled as the items' images were.

    Args:
      columns: A data set.
      width: Width of the items' features.
      low: f32[F], for the first F of these columns.
      span: f32[F].

    Returns:
      The frames; None without frames, and where their features are of another width than the items', so that parameters
      learned from the one do not fit the other.
    """
    frames = columns.frames
    if frames is None or frames.features.shape[1] != width:
        return None
    return FrameImages(frames.features[:, : len(span)], np.float32(low), np.float32(span))


def needed(frames: FrameImages | None, model: str) -> FrameImages:
    """The frames; raises ValueError where there are none to rank."""
    if frames is None:
        raise ValueError(
            f"{model} ranks frames of the width of the items' features, and was prepared without any; give the data "
            "frames, and no item_features or ones from the same backbone"
        )
    return frames


_ROWS = 1 << 12  # converted at once: a table mapped from a file is never whole in memory
_SAMPLE = 1 << 14  # frames in which the leading directions are looked for
_EXTRA = 32  # directions beyond those wanted, which make the wanted ones exact
_ROUNDS = 2


def frame_table(features: np.ndarray, width: int) -> np.ndarray:
    """Features less their mean, divided by the mean of their lengths (NumPy).

    Features wider than `width` are reduced to their `width` leading principal directions. These are estimated from at
    most 16,384 frames, evenly spread, by subspace iteration from a fixed start (Halko, Martinsson and Tropp, SIAM
    Review 2011), so that the same features always give the same table.

    Args:
      features: f16 or f32 [L, F].
      width: Most columns of the table.

    Returns:
      f32[L, min(F, width)].
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
    """f32[F, width], orthonormal leading principal directions, the largest variance first."""
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
    """Frames of each row's candidate items, padded to K.

    Attributes:
      rows: i32[B, C, K], rows of the table of frames.
      valid: bool[B, C, K], False for padding.
    """

    rows: jax.Array
    valid: jax.Array

    def of_user(self, values):
        """Values of users [B, ...], to broadcast against frames: [B, 1, 1, ...]."""
        return values[:, None, None]

    def pair_user(self, values):
        """Values of users [B, ...], to broadcast against pairs: [B, 1, ...]."""
        return values[:, None]

    def of_item(self, values):
        """Values of items [B, C, ...], to broadcast against frames: [B, C, 1, ...]."""
        return values[:, :, None]

    def sum(self, values):
        """Sum over each item's frames, of [B, C, K, ...]: [B, C, ...]; 0 without a frame."""
        valid = self.valid.reshape(*self.valid.shape, *[1] * (values.ndim - 3))
        return jnp.sum(jnp.where(valid, values, 0.0), axis=2)

    def best(self, values):
        """Whether a value [B, C, K] is the largest of its item's, all of them when tied: bool[B, C, K]."""
        values = jnp.where(self.valid, values, -jnp.inf)
        return self.valid & (values == jnp.max(values, axis=2, keepdims=True))

    def softmax(self, logits):
        """Softmax over each item's frames, of [B, C, K]; 0 in padding.

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
    """The frames of all items.

    Attributes:
      item: i32[L], the item of each frame, ascending.
      num_items: I.
    """

    item: jax.Array
    num_items: int = struct.field(pytree_node=False)

    def of_user(self, values):
        """Values of users [R, ...], to broadcast against frames: [1, R, ...]."""
        return values[None]

    pair_user = of_user

    def of_item(self, values):
        """Values of items [I, 1, ...], for each frame: [L, 1, ...]."""
        return values[self.item]

    def sum(self, values):
        """Sum over each item's frames, of [L, R, ...]: [I, R, ...]; 0 without a frame."""
        return jax.ops.segment_sum(values, self.item, self.num_items, indices_are_sorted=True)

    def best(self, values):
        """Whether a value [L, R] is the largest of its item's, all of them when tied: bool[L, R]."""
        return values == segment_max(values, self.item, self.num_items)[self.item]

    def softmax(self, logits):
        """Softmax over each item's frames, of [L, R]."""
        return segment_softmax(logits, self.item, self.num_items)

    def has_frames(self):
        """f32[I, 1], 1 for items with a frame."""
        return (self.sum(jnp.ones((self.item.shape[0], 1))) > 0).astype(jnp.float32)


def padded_frames(offsets: jax.Array, items: jax.Array, width: int, key: jax.Array | None = None) -> PaddedFrames:
    """Up to `width` frames of each candidate.

    Of an item with more frames, these are the first ones or, with a key, evenly spaced ones from a random start: each
    is equally likely to be among them, and none comes twice.

    Args:
      offsets: i32[I + 1]; item i has rows offsets[i]..offsets[i + 1] - 1 of the table of frames.
      items: i32[B, C].
      width: K, most frames of an item.
      key: u32[B, C] or None.
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
