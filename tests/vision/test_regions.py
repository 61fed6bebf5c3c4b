"""Pointing, overlap and mass equal what counting pixels says; chance is what ignorance gets."""

import numpy as np
import pytest

from socialjax.vision import accuracy

SIDE = 32  # boxes lie on this grid, so that counting its pixels is exact
NONE = (np.nan,) * 4


def some_boxes(rng, count, most):
    """f64[count, most, 4] on the grid; the last ones of a row may be missing, the first never is."""
    corners = np.sort(rng.integers(0, SIDE + 1, (count, most, 2, 2)), axis=2)
    corners[..., 1, :] = np.maximum(corners[..., 1, :], corners[..., 0, :] + 1)
    boxes = np.minimum(corners, SIDE + 1).reshape(count, most, 4) / SIDE
    boxes[rng.random((count, most)) < 0.3] = np.nan
    boxes[:, 0] = np.where(np.isnan(boxes[:, 0]), [0, 0, 0.5, 0.25], boxes[:, 0])
    return boxes


def pixels(box):
    """bool[SIDE, SIDE] of one box, pixel by pixel."""
    found = np.zeros((SIDE, SIDE), bool)
    for y in range(SIDE):
        for x in range(SIDE):
            found[y, x] = box[0] <= (x + 0.5) / SIDE < box[2] and box[1] <= (y + 0.5) / SIDE < box[3]
    return found


def test_points_inside_equals_looking_at_each_cell():
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 4, (40, 4, 6)).astype(np.float32)  # many ties
    maps[3] = 0
    boxes = some_boxes(rng, 40, 2)
    wanted = []
    for values, truth in zip(maps, boxes):
        best = [(y, x) for y in range(4) for x in range(6) if values[y, x] == values.max() and values.max() > 0]
        hits = [
            any(b[0] <= (x + 0.5) / 6 < b[2] and b[1] <= (y + 0.5) / 4 < b[3] for b in truth if not np.isnan(b[0]))
            for y, x in best
        ]
        wanted.append(np.mean(hits) if hits else 0.0)
    np.testing.assert_allclose(accuracy.points_inside(maps, boxes), wanted)
    assert wanted[3] == 0 and 0 < np.mean(wanted) < 1


def test_transposed_axes_miss():
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, 1, 6] = 1  # row 1, column 6: above, right
    box = np.array([[[0.7, 0.1, 0.9, 0.3]]])
    assert accuracy.points_inside(maps, box) == 1
    assert accuracy.points_inside(maps.transpose(0, 2, 1), box) == 0


def test_chance_is_the_share_of_pixels_in_any_box():
    boxes = some_boxes(np.random.default_rng(1), 30, 3)
    wanted = [np.any([pixels(b) for b in truth], axis=0).mean() for truth in boxes]
    np.testing.assert_allclose(accuracy.covered(boxes), wanted, atol=1e-12)
    # Two boxes of a quarter that share half of each; one outside of the picture counts for its part inside.
    two = [[0, 0, 0.5, 0.5], [0.25, 0, 0.75, 0.5]], [[-1, 0, 0.5, 2], NONE]
    np.testing.assert_allclose(accuracy.covered(np.array(two)), [0.375, 0.5])


def test_best_overlap_equals_counting_pixels():
    rng = np.random.default_rng(2)
    found, boxes = some_boxes(rng, 30, 1)[:, 0], some_boxes(rng, 30, 3)
    wanted = []
    for mine, truth in zip(found, boxes):
        a = pixels(mine)
        wanted.append(max((a & pixels(b)).sum() / (a | pixels(b)).sum() for b in truth if not np.isnan(b[0])))
    np.testing.assert_allclose(accuracy.best_overlap(found, boxes), wanted, atol=1e-12)


def test_a_box_put_anywhere_overlaps_as_the_mean_over_places_says():
    found = np.array([[0.0, 0.0, 0.25, 0.5], [0, 0, 1, 1]])
    truth = np.array([[[0.5, 0.5, 1.0, 1.0]], [[0.0, 0.0, 0.5, 0.5]]])
    rng, wanted = np.random.default_rng(3), []
    for _ in range(20000):
        x, y = rng.random(2) * [0.75, 0.5]
        width, height = min(x + 0.25, 1) - max(x, 0.5), min(y + 0.5, 1) - max(y, 0.5)
        both = max(width, 0) * max(height, 0)
        wanted.append(both / (0.125 + 0.25 - both))
    got = accuracy.overlap_anywhere(found, truth)
    assert got[0] == pytest.approx(np.mean(wanted), rel=0.1)
    assert got[1] == pytest.approx(0.25)  # the whole picture has one place


def test_mass_inside_equals_summing_pixels_and_an_even_map_gets_chance():
    rng = np.random.default_rng(4)
    maps, masks = rng.random((5, 4, 6)), rng.random((5, 8, 12)) < 0.4
    wanted = []
    for values, mask in zip(maps, masks):
        large = np.repeat(np.repeat(values, 2, axis=0), 2, axis=1)
        wanted.append((large * mask).sum() / large.sum())
    mass, chance = accuracy.mass_inside(maps, masks)
    np.testing.assert_allclose(mass, wanted)
    np.testing.assert_allclose(chance, [mask.mean() for mask in masks])
    # Sizes that do not divide each other: pixels are shared among cells.
    even, chance = accuracy.mass_inside(np.ones((5, 5, 7)), masks)
    np.testing.assert_allclose(even, chance)
    assert np.isnan(accuracy.mass_inside(np.zeros((1, 4, 6)), masks[:1])[0])


def test_regions_pools_the_classes_that_are_there_and_leaves_out_what_has_no_box():
    corner, middle = [0, 0, 0.5, 0.5], [0.25, 0.25, 0.75, 0.75]
    boxes = np.array([[[corner, NONE]], [[corner, middle]], [[corner, NONE]], [[NONE, NONE]], [[corner, NONE]]])
    labels = np.array([[1], [2], [0], [1], [-1]])  # the fourth has no box, the fifth no label
    maps = np.zeros((5, 1, 4, 4), np.float32)
    maps[0, 0, 0, 0] = maps[1, 0, 0, 3] = 1  # inside; outside; the third is empty
    found = np.array([[corner], [[0.5, 0.5, 0.75, 1]], [[0, 0, 1, 1]], [corner], [corner]], np.float32)
    result = accuracy.regions(
        labels, maps, found, boxes, ["sleeve"], [("none", "short", "long")], absent={"sleeve": ["none"]}
    )["sleeve"]
    pooled = result["pooled"]
    assert (pooled["pictures"], pooled["empty"], pooled["pointing"]) == (2, 0, 0.5)
    assert pooled["chance"] == pytest.approx((0.25 + 0.25 + 0.25 - 0.0625) / 2)
    assert pooled["iou"] == pytest.approx((1 + 0.0625 / (0.125 + 0.25 - 0.0625)) / 2) and pooled["iou_half"] == 0.5
    assert pooled["iou_whole"] == pytest.approx(0.25)
    assert result["absent"] == ["none"] and result["classes"]["none"]["empty"] == 1
    assert result["classes"]["none"]["pointing"] == 0 and result["classes"]["short"]["pointing"] == 1
    # A box that is always the whole picture earns its own line and no more.
    whole = np.broadcast_to(np.array([0.0, 0, 1, 1]), found.shape)
    lazy = accuracy.regions(labels, maps, whole, boxes, ["sleeve"], [("none", "short", "long")])["sleeve"]["pooled"]
    assert lazy["iou"] == lazy["iou_whole"] == lazy["iou_anywhere"] and lazy["iou_half"] == 0


def test_regions_without_pictures_gives_counts_alone_and_an_unknown_class_is_refused():
    empty = np.zeros((2, 1, 4, 4)), np.zeros((2, 1, 4)), np.full((2, 1, 1, 4), np.nan)
    found = accuracy.regions(np.zeros((2, 1), int), *empty, ["toe"], [("round", "open")])
    assert found["toe"]["pooled"] == {"pictures": 0, "empty": 0}
    with pytest.raises(ValueError, match=r"'toe' has no class \['none'\]; it has round, open"):
        accuracy.regions(np.zeros((2, 1), int), *empty, ["toe"], [("round", "open")], absent={"toe": ["none"]})
