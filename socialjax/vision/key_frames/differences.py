"""How unlike two frames are, in ways that fail differently: shift-tolerant grey difference and colour histograms."""

import dataclasses

import numpy as np

_COLOURS = 6  # levels of each channel in the histogram


@dataclasses.dataclass(frozen=True)
class Signature:
    """What is compared of n frames. grey f32[n, h, w] in 0..1, small; colour f32[n, 216] sums to 1 in each row."""

    grey: np.ndarray
    colour: np.ndarray

    def __len__(self) -> int:
        return len(self.grey)


def signature(frames: np.ndarray, width: int = 32) -> Signature:
    """frames u8[n, H, W, 3] -> their signature at `width` cells across, the height in proportion."""
    height = max(4, round(frames.shape[1] * width / frames.shape[2]))
    grey = np.empty((len(frames), height, width), np.float32)
    colour = np.empty((len(frames), _COLOURS**3), np.float32)
    weights = np.array([0.299, 0.587, 0.114], np.float32) / 255
    for n, frame in enumerate(frames):  # one by one: the float copy of a whole clip would fill the memory
        grey[n] = _cells(frame @ weights, height, width)
        level = frame.astype(np.uint16) * _COLOURS // 256
        code = (level[..., 0] * _COLOURS + level[..., 1]) * _COLOURS + level[..., 2]
        colour[n] = np.bincount(code.ravel(), minlength=_COLOURS**3) / code.size
    return Signature(grey, colour)


def _cells(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """f32[H, W] -> f32[height, width], the mean of each cell; a picture smaller than the grid repeats its points."""
    for axis, size in ((0, height), (1, width)):
        edges = np.arange(size) * picture.shape[axis] // size
        counts = np.maximum(np.diff(np.append(edges, picture.shape[axis])), 1)
        picture = np.add.reduceat(picture, edges, axis=axis) / np.expand_dims(counts, 1 - axis)
    return picture


def moved_difference(before: np.ndarray, after: np.ndarray, reach: int = 3, block: int = 6) -> np.ndarray:
    """Grey difference that motion does not raise: each block of `after` is compared where it fits best in `before`.

    before, after f32[m, h, w], pair by pair -> f32[m]: the mean over blocks of `block` cells a side (the last ones may
    be smaller) of the least mean absolute difference over all shifts up to `reach` cells along both axes. Cells that a
    shift brings in from outside repeat the border.
    """
    _, height, width = after.shape
    padded = np.pad(before, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    rows, columns = np.arange(0, height, block), np.arange(0, width, block)
    sizes = np.diff(np.append(rows, height))[:, None] * np.diff(np.append(columns, width))[None]
    least = np.full((len(after), len(rows), len(columns)), np.inf, np.float32)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            apart = np.abs(after - padded[:, down : down + height, right : right + width])
            sums = np.add.reduceat(np.add.reduceat(apart, rows, axis=1), columns, axis=2)
            np.minimum(least, sums / sizes.astype(np.float32), out=least)
    return least.reshape(len(after), -1).mean(axis=1)


def colour_distance(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Half the L1 distance of histograms f32[m, C], pair by pair -> f32[m] in 0..1."""
    return np.abs(before - after).sum(axis=1) / 2
