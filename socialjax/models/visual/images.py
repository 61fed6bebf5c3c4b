"""What visual models are given of the items' images."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

BLOCK = 1024  # rows that are held in double precision at once: a table of frames may fill gigabytes


def item_images(columns) -> np.ndarray | None:
    """One vector for each item of a data set: its item_features f32[I, Fi]; without them the mean of the item's frames,
    f32[I, F], zeros for an item that has none; None without both (NumPy)."""
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
    """Of the rows of features [N, F] that are not all 0; 1 when all are (NumPy)."""
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
    """All frames as the data hold them, features f16 or f32 [L, F], read as (f - low) / span: what was done to the
    items' images, so that both lie in one space. low and span f32[F]."""

    features: jax.Array
    low: jax.Array
    span: jax.Array

    def at(self, frames: jax.Array) -> jax.Array:
        """frames i32[...] -> f32[..., F]."""
        width = (1,) * jnp.ndim(frames) + (-1,)
        rows = jnp.asarray(self.features)[frames].astype(jnp.float32)
        return (rows - jnp.reshape(self.low, width)) / jnp.reshape(self.span, width)


def frame_images(columns, width: int, low: np.ndarray, span: np.ndarray) -> FrameImages | None:
    """The frames of a data set whose items' images were read as (f - low) / span, low and span f32[F] of the first F
    of their `width` numbers. None without frames, and where the frames' features are of another width, so that what is
    learned of the one says nothing of the other.
    """
    frames = columns.frames
    if frames is None or frames.features.shape[1] != width:
        return None
    return FrameImages(frames.features[:, : len(span)], np.float32(low), np.float32(span))


def needed(frames: FrameImages | None, model: str) -> FrameImages:
    """The frames, or ValueError when there are none to rank."""
    if frames is None:
        raise ValueError(
            f"{model} ranks frames of the width of the items' features, and was prepared without any; give the data "
            "frames, and no item_features or ones from the same backbone"
        )
    return frames
