"""Boxes from maps, and pooling of feature maps inside boxes, both compiled.

Boxes: the rectangle around the largest connected component of the cells above a threshold (Zhou et al., "Learning Deep
Features for Discriminative Localization", CVPR 2016, section 3.2). For maps of 7 x 7 to 16 x 16 cells, on which a few
rounds of propagation between neighbouring cells are cheap.

Pooling, in a fixed number of bins: the maximum (Girshick, "Fast R-CNN", ICCV 2015, section 2.1) or means of
interpolated values (ROIAlign; He et al., "Mask R-CNN", ICCV 2017, section 3). All shapes are static: a table made from
the box maps cells to bins. Boxes have no gradient.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Boxes(NamedTuple):
    """Boxes of maps.

    Attributes:
        cells: i32[..., 4], (x0, y0, x1, y1), half-open, in cells of the map.
        fallback: bool[...], the map is empty and the box is all of it.
    """

    cells: jax.Array
    fallback: jax.Array


def boxes_of(maps, threshold: float) -> Boxes:
    """The box of each map, around the largest component of cells of at least `threshold` times its maximum.

    Of components of equal size the one with the higher peak is taken, then the first one, row by row.

    Args:
        maps: f32[..., h, w], of which only positive values count.
        threshold: in (0, 1].

    Returns:
        The boxes.
    """
    maps = jnp.asarray(maps)
    height, width = maps.shape[-2:]
    peak = maps.max(axis=(-2, -1), keepdims=True)
    fallback = ~(peak[..., 0, 0] > 0)
    chosen = largest_component((maps >= threshold * peak) & (maps > 0), maps)
    rows, columns = chosen.any(axis=-1), chosen.any(axis=-2)
    x0, x1 = _ends(columns)
    y0, y1 = _ends(rows)
    whole = jnp.array([0, 0, width, height], jnp.int32)
    cells = jnp.where(
        fallback[..., None], jnp.expand_dims(whole, range(fallback.ndim)), jnp.stack([x0, y0, x1, y1], -1)
    )
    return Boxes(cells, fallback)


def largest_component(mask, values):
    """The component with most cells of each mask, by 8-connectivity.

    Args:
        mask: bool[..., h, w].
        values: f32[..., h, w], whose maximum decides between components of equal size.

    Returns:
        bool[..., h, w].
    """
    shape, cells = mask.shape, mask.shape[-2] * mask.shape[-1]
    label = labels(mask).reshape(-1, cells)
    mask, values = mask.reshape(-1, cells), values.reshape(-1, cells)
    same = (label[:, :, None] == label[:, None, :]) & mask[:, None, :]  # cell, and cells of its component
    size = jnp.where(mask, same.sum(axis=2), 0)
    peak = jnp.where(same, values[:, None, :], -jnp.inf).max(axis=2)
    peak = jnp.where(mask & (size == size.max(axis=1, keepdims=True)), peak, -jnp.inf)
    first = jnp.argmax(peak, axis=1)  # of equal numbers the first: label by label, row by row
    return ((label == jnp.take_along_axis(label, first[:, None], axis=1)) & mask).reshape(shape)


def labels(mask):
    """Numbers of connected components: each cell starts with its own number and takes the largest of its neighbours'
    until nothing changes.

    Args:
        mask: bool[..., h, w].

    Returns:
        i32[..., h, w], a positive number for each component, 0 outside the mask.
    """
    height, width = mask.shape[-2:]
    flat = mask.reshape(-1, height, width)
    own = jnp.where(flat, jnp.asarray(1 + np.arange(height * width, dtype=np.int32).reshape(1, height, width)), 0)

    def spread(carry):
        label, _ = carry
        around = lax.reduce_window(label, jnp.int32(0), lax.max, (1, 3, 3), (1, 1, 1), "SAME")
        largest = jnp.where(flat, around, 0)
        return largest, (largest != label).any()

    label, _ = lax.while_loop(lambda carry: carry[1], spread, (own, jnp.array(True)))
    return label.reshape(mask.shape)


def _ends(line):
    """First and last + 1 position that is true. line bool[..., n] -> i32[...], i32[...]."""
    length = line.shape[-1]
    return jnp.argmax(line, axis=-1).astype(jnp.int32), (length - jnp.argmax(line[..., ::-1], axis=-1)).astype(
        jnp.int32
    )


def roi_max(maps, boxes, bins: int):
    """The largest value of each channel in each of bins x bins parts of each box.

    Of a box with n rows, bin i has the rows floor(i n / bins) to ceil((i + 1) n / bins): at least one, and neighbours
    may share one.

    Args:
        maps: f32[B, h, w, D].
        boxes: i32[B, K, 4], (x0, y0, x1, y1), half-open, in cells, inside the map and not empty.
        bins: along each side.

    Returns:
        f32[B, K, bins, bins, D].
    """
    x0, y0, x1, y1 = jnp.moveaxis(jnp.asarray(boxes, jnp.int32), -1, 0)
    rows = _members(y0, y1, bins, maps.shape[1])  # [B, K, bins, h]
    columns = _members(x0, x1, bins, maps.shape[2])
    # Bins are rectangles: the maximum over rows, then over columns.
    by_row = jnp.where(rows[..., None, None], maps[:, None, None], -jnp.inf).max(axis=3)  # [B, K, bins, w, D]
    return jnp.where(columns[:, :, None, :, :, None], by_row[:, :, :, None], -jnp.inf).max(axis=4)


def roi_align(maps, boxes, bins: int, samples: int = 2):
    """Means of samples x samples interpolated values in each of bins x bins parts of each box.

    The centre of cell i is at i + 0.5; between centres values are interpolated, beyond the outer ones repeated.

    Args:
        maps: f32[B, h, w, D].
        boxes: f32[B, K, 4], in cells, not necessarily on their edges.
        bins: along each side.
        samples: along each side of a bin.

    Returns:
        f32[B, K, bins, bins, D].
    """
    x0, y0, x1, y1 = jnp.moveaxis(jax.lax.stop_gradient(jnp.asarray(boxes, jnp.float32)), -1, 0)
    rows = _interpolation(y0, y1, bins, samples, maps.shape[1])
    columns = _interpolation(x0, x1, bins, samples, maps.shape[2])
    return jnp.einsum("bkih,bhwd,bkjw->bkijd", rows, maps, columns)


def _members(start, end, bins: int, length: int):
    """start, end i32[B, K] -> bool[B, K, bins, length]: whether a line is in a bin."""
    number = jnp.arange(bins, dtype=jnp.int32)[None, None]
    start, lines = start[..., None], (end - start)[..., None]
    first = start + number * lines // bins
    last = start - (-(number + 1) * lines) // bins
    place = jnp.arange(length, dtype=jnp.int32)[None, None, None]
    return (place >= first[..., None]) & (place < last[..., None])


def _interpolation(start, end, bins: int, samples: int, length: int):
    """start, end f32[B, K] -> f32[B, K, bins, length]: the share of each line in the mean of a bin."""
    parts = (jnp.arange(bins * samples, dtype=jnp.float32) + 0.5) / (bins * samples)
    centre = start[..., None] + (end - start)[..., None] * parts[None, None] - 0.5
    centre = jnp.clip(centre, 0, length - 1)
    share = jnp.maximum(1 - jnp.abs(centre[..., None] - jnp.arange(length, dtype=jnp.float32)[None, None, None]), 0)
    return share.reshape(*start.shape, bins, samples, length).mean(axis=3)
