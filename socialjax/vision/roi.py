"""What a feature map holds inside boxes, in bins of fixed number: largest values, or means of interpolated ones.

Girshick, "Fast R-CNN" (ICCV 2015), section 2.1 (the maximum); He et al., "Mask R-CNN" (ICCV 2017), section 3
(ROIAlign). All shapes are known when compiling: which cells belong to which bin is a table made from the box. No
gradient goes to the boxes.
"""

import jax
import jax.numpy as jnp
import numpy as np


def roi_max(maps, boxes, bins: int):
    """The largest value of each channel in each of bins x bins parts of each box.

    maps f32[B, h, w, D]; boxes i32[B, K, 4] (x0, y0, x1, y1), half-open, in cells, inside the map and not empty ->
    f32[B, K, bins, bins, D]. Of a box with n rows, bin i has the rows floor(i n / bins) to ceil((i + 1) n / bins):
    at least one, and neighbours may share one.
    """
    x0, y0, x1, y1 = jnp.moveaxis(jnp.asarray(boxes, jnp.int32), -1, 0)
    rows = _members(y0, y1, bins, maps.shape[1])  # [B, K, bins, h]
    columns = _members(x0, x1, bins, maps.shape[2])
    # Bins are rectangles: the maximum over rows, then over columns.
    by_row = jnp.where(rows[..., None, None], maps[:, None, None], -jnp.inf).max(axis=3)  # [B, K, bins, w, D]
    return jnp.where(columns[:, :, None, :, :, None], by_row[:, :, :, None], -jnp.inf).max(axis=4)


def roi_align(maps, boxes, bins: int, samples: int = 2):
    """Means of samples x samples interpolated values in each of bins x bins parts of each box.

    maps f32[B, h, w, D]; boxes f32[B, K, 4] in cells, need not lie on their edges -> f32[B, K, bins, bins, D]. The
    centre of cell i is at i + 0.5; between centres values are interpolated, beyond the outer ones they are theirs.
    """
    x0, y0, x1, y1 = jnp.moveaxis(jax.lax.stop_gradient(jnp.asarray(boxes, jnp.float32)), -1, 0)
    rows = _interpolation(y0, y1, bins, samples, maps.shape[1])
    columns = _interpolation(x0, x1, bins, samples, maps.shape[2])
    return jnp.einsum("bkih,bhwd,bkjw->bkijd", rows, maps, columns)


def to_cells(boxes, height: int, width: int):
    """Boxes in parts of the picture as cells of a map that shows all of it: near edges down, far edges up, not empty.

    boxes f32[..., 4] in 0..1 -> i32[..., 4]. An edge within a thousandth of a cell's is that cell's.
    """
    cells = jnp.asarray(boxes) * jnp.asarray(
        np.float32([width, height, width, height]).reshape((1,) * (boxes.ndim - 1) + (4,))
    )
    near = jnp.floor(cells[..., :2] + 1e-3)
    last = jnp.asarray(np.float32([width - 1, height - 1]).reshape((1,) * (boxes.ndim - 1) + (2,)))
    near = jnp.clip(near, 0, last)
    far = jnp.clip(jnp.ceil(cells[..., 2:] - 1e-3), near + 1, last + 1)
    return jnp.concatenate([near, far], axis=-1).astype(jnp.int32)


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
