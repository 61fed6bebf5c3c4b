"""Pooling inside boxes equals loops over boxes, bins and cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.vision import roi

roi_max = jax.jit(roi.roi_max, static_argnums=2)
roi_align = jax.jit(roi.roi_align, static_argnums=(2, 3))


def random_boxes(rng, count, height, width):
    """i32[..., 4], none empty."""
    x0, y0 = rng.integers(0, width, count), rng.integers(0, height, count)
    return np.stack([x0, y0, rng.integers(x0 + 1, width + 1), rng.integers(y0 + 1, height + 1)], -1).astype(np.int32)


def max_by_loop(image, box, bins):
    """image [h, w, D] -> [bins, bins, D]."""
    x0, y0, x1, y1 = box
    found = np.zeros((bins, bins, image.shape[-1]), np.float32)
    for i in range(bins):
        for j in range(bins):
            top, bottom = np.floor(y0 + i * (y1 - y0) / bins), np.ceil(y0 + (i + 1) * (y1 - y0) / bins)
            left, right = np.floor(x0 + j * (x1 - x0) / bins), np.ceil(x0 + (j + 1) * (x1 - x0) / bins)
            found[i, j] = image[int(top) : int(bottom), int(left) : int(right)].max(axis=(0, 1))
    return found


def at(image, y, x):
    """Interpolated between centres of cells; coordinates in cells."""
    y, x = np.clip(y - 0.5, 0, image.shape[0] - 1), np.clip(x - 0.5, 0, image.shape[1] - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, image.shape[0] - 1), min(x0 + 1, image.shape[1] - 1)
    upper = image[y0, x0] * (1 - (x - x0)) + image[y0, x1] * (x - x0)
    lower = image[y1, x0] * (1 - (x - x0)) + image[y1, x1] * (x - x0)
    return upper * (1 - (y - y0)) + lower * (y - y0)


def align_by_loop(image, box, bins, samples):
    x0, y0, x1, y1 = box
    found = np.zeros((bins, bins, image.shape[-1]), np.float32)
    for i in range(bins):
        for j in range(bins):
            for a in range(samples):
                for b in range(samples):
                    y = y0 + (y1 - y0) * (i + (a + 0.5) / samples) / bins
                    x = x0 + (x1 - x0) * (j + (b + 0.5) / samples) / bins
                    found[i, j] += at(image, y, x) / samples**2
    return found


@pytest.mark.parametrize("bins", [1, 2, 3])
@pytest.mark.parametrize("shape", [(7, 7), (4, 9)])
def test_the_maximum_of_each_bin_equals_a_loop(shape, bins):
    rng = np.random.default_rng(bins)
    maps = rng.normal(size=(6, *shape, 3)).astype(np.float32)
    boxes = random_boxes(rng, (6, 20), *shape)
    found = roi_max(maps, boxes, bins)
    wanted = [[max_by_loop(image, box, bins) for box in some] for image, some in zip(maps, boxes)]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("bins, samples", [(1, 1), (2, 2), (3, 1)])
def test_aligned_bins_equal_a_loop(bins, samples):
    rng = np.random.default_rng(bins)
    maps = rng.normal(size=(5, 4, 6, 3)).astype(np.float32)
    edges = np.sort(rng.uniform(size=(5, 10, 2, 2)), axis=2) * [6, 4]  # [.., near or far, x or y]
    boxes = edges.reshape(5, 10, 4).astype(np.float32)
    found = roi_align(maps, boxes, bins, samples)
    wanted = [[align_by_loop(image, box, bins, samples) for box in some] for image, some in zip(maps, boxes)]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_of_boxes_of_one_cell_both_give_that_cell():
    maps = np.random.default_rng(0).normal(size=(1, 5, 5, 2)).astype(np.float32)
    box = np.int32([[[3, 1, 4, 2]]])
    np.testing.assert_array_equal(roi_max(maps, box, 2)[0, 0], np.broadcast_to(maps[0, 1, 3], (2, 2, 2)))
    np.testing.assert_allclose(roi_align(maps, box, 1, 1)[0, 0, 0, 0], maps[0, 1, 3], rtol=1e-6)


def test_gradients_go_to_the_cells_that_won_and_to_no_box():
    maps = jnp.arange(16.0).reshape(1, 4, 4, 1)
    grad = jax.grad(lambda maps: roi_max(maps, np.int32([[[0, 0, 4, 4]]]), 2).sum())(maps)
    assert np.argwhere(np.asarray(grad)[0, ..., 0]).tolist() == [[1, 1], [1, 3], [3, 1], [3, 3]]
    moved = jax.grad(lambda box: roi_align(maps, box, 2, 2).sum())(jnp.array([[[0.2, 0.3, 3.1, 3.9]]]))
    assert not moved.any()
