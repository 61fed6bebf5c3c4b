"""Features of items' images and frames, scaled for visual models."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

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
