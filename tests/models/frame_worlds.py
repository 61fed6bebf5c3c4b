"""Small data sets whose items have frames: several, one or none."""

import dataclasses
import itertools

import numpy as np
import worlds

from socialjax.data.schema import Frames

OFFSETS = np.array([0, 2, 3, 3, 6, 7, 9, 10])  # item 2 has none


def small(width: int = 5, item_width: int | None = None, dtype=np.float32):
    """The small data with ten frames, of a mean and spread that are not 0 and 1."""
    rows = (np.random.default_rng(4).normal(size=(OFFSETS[-1], width)) * 3 + 1).astype(dtype)
    return dataclasses.replace(worlds.small(None, item_width), frames=Frames(OFFSETS, rows))


def means(data) -> np.ndarray:
    """f64[I, F]: each item's frames, one item at a time."""
    rows = data.frames.features.astype(np.float64)
    spans = itertools.pairwise(data.frames.offsets)
    return np.array([rows[s:e].mean(axis=0) if e > s else np.zeros(rows.shape[1]) for s, e in spans])


def mean_length(rows) -> float:
    lengths = np.sqrt((np.asarray(rows, np.float64) ** 2).sum(axis=1))
    return lengths[lengths > 0].mean()
