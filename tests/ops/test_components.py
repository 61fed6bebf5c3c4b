"""Boxes from maps equal those of a flood fill on the host."""

import jax
import numpy as np
import pytest

from socialjax.vision import roi

boxes_of = jax.jit(roi.boxes_of, static_argnums=1)


def flood(mask):
    """Components as lists of cells, first come first; neighbours are the 8 around a cell."""
    height, width = mask.shape
    seen, found = np.zeros_like(mask), []
    for start in zip(*np.nonzero(mask)):
        if seen[start]:
            continue
        seen[start], waiting, cells = True, [start], []
        while waiting:
            y, x = waiting.pop()
            cells.append((y, x))
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if 0 <= near[0] < height and 0 <= near[1] < width and mask[near] and not seen[near]:
                    seen[near] = True
                    waiting.append(near)
        found.append(cells)
    return found


def box_on_host(values, threshold):
    """What `boxes_of` promises of one map."""
    if not values.max() > 0:
        return [0, 0, values.shape[1], values.shape[0]], True
    found = flood((values >= np.float32(threshold) * values.max()) & (values > 0))
    best = max(found, key=lambda cells: (len(cells), max(values[cell] for cell in cells)))  # of equals the first
    ys, xs = zip(*best)
    return [min(xs), min(ys), max(xs) + 1, max(ys) + 1], False


@pytest.mark.parametrize("shape, threshold", [((7, 7), 0.2), ((16, 16), 0.5), ((5, 9), 0.7), ((1, 4), 1.0)])
def test_compiled_boxes_equal_those_of_a_flood_fill(shape, threshold):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(1000, *shape)).astype(np.float32)
    maps[:300] = np.round(maps[:300])  # equal peaks
    maps[::50] = -np.abs(maps[::50])  # nothing above 0
    found = boxes_of(maps.reshape(500, 2, *shape), threshold)
    wanted = [box_on_host(values, threshold) for values in maps]
    np.testing.assert_array_equal(found.cells.reshape(-1, 4), [box for box, _ in wanted])
    np.testing.assert_array_equal(found.fallback.reshape(-1), [fallback for _, fallback in wanted])


def test_the_worst_case_a_snake_is_one_component():
    snake = np.zeros((9, 9), bool)
    snake[::2] = True
    snake[1::4, -1] = snake[3::4, 0] = True
    assert len(np.unique(jax.jit(roi.labels)(snake))) == 2  # it, and outside


def test_cells_that_touch_at_a_corner_belong_together():
    found = boxes_of(np.float32([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]), 0.5)
    assert found.cells.tolist() == [0, 0, 2, 2] and not found.fallback


def test_between_components_of_equal_size_the_higher_peak_wins():
    assert boxes_of(np.float32([[0.6, 0, 0, 0.9]]), 0.5).cells.tolist() == [3, 0, 4, 1]


@pytest.mark.parametrize("change", [lambda a: a[:, ::-1], lambda a: a[::-1], lambda a: a.T])
def test_the_box_follows_a_mirrored_and_a_transposed_map(change):
    blob = np.zeros((8, 8), np.float32)
    blob[1:3, 4:7] = 1
    moved = change(blob)
    ys, xs = np.nonzero(moved)
    assert boxes_of(moved, 0.2).cells.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_a_map_without_anything_gives_the_whole_and_says_so():
    for nothing in (np.zeros((3, 5), np.float32), np.full((3, 5), np.nan, np.float32)):
        found = boxes_of(nothing, 0.2)
        assert found.cells.tolist() == [0, 0, 5, 3] and found.fallback
