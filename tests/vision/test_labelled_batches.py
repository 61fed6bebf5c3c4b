"""Every picture once an epoch, the same again when asked again, changed as promised."""

import numpy as np
import pytest

from socialjax.vision.labelled.photos import Resident


def numbered(count=10, size=6):
    """Picture n is n in its middle column, so that it can be told after being moved; n + 100 to the left, 0 beyond."""
    found = np.zeros((count, size, size, 3), np.uint8)
    found[:, :, : size // 2] = np.arange(count)[:, None, None, None] + 100
    return found, np.stack([np.arange(count), -np.ones(count, int)], axis=1)


def test_every_picture_comes_once_an_epoch_with_its_label_and_the_rest_is_unlabelled():
    batches = Resident(*numbered(), batch_size=4, seed=3)
    epochs = [list(batches.epoch(n)) for n in (0, 1, 0)]
    assert batches.steps == len(epochs[0]) == 3 and {len(inputs) for inputs, _ in epochs[0]} == {4}
    seen = [np.concatenate([labels for _, labels in epoch]) for epoch in epochs]
    for labels in seen:
        assert sorted(labels[:, 0]) == [-1, -1, *range(10)]
    assert (seen[0] == seen[2]).all() and (seen[0] != seen[1]).any()
    for inputs, labels in epochs[0]:
        known = labels[:, 0] >= 0
        assert (inputs[known, 0, 0, 0] == labels[known, 0] + 100).all()


def test_about_half_are_mirrored():
    batches = Resident(*numbered(100), batch_size=100, mirror=True)
    ((inputs, _),) = batches.epoch(0)
    turned = (inputs[:, 0, -1, 0] >= 100).mean()
    assert 0.3 < turned < 0.7 and ((inputs[:, 0, 0, 0] >= 100) != (inputs[:, 0, -1, 0] >= 100)).all()


def test_pictures_move_by_up_to_so_many_pixels_and_keep_their_edges():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (50, 8, 8, 3)).astype(np.uint8)
    ((inputs, labels),) = Resident(pictures, np.arange(50)[:, None], 50, shift=2).epoch(0)
    moves = set()
    for picture, (label,) in zip(inputs, labels):
        padded = np.pad(pictures[label], ((2, 2), (2, 2), (0, 0)), mode="edge")
        fits = [(y, x) for y in range(5) for x in range(5) if (padded[y : y + 8, x : x + 8] == picture).all()]
        assert fits
        moves.update(fits)
    assert len(moves) > 10


def test_what_cannot_be_trained_from_is_refused():
    pictures, labels = numbered()
    with pytest.raises(ValueError, match="as many labels as pictures"):
        Resident(pictures, labels[:5])
    with pytest.raises(ValueError, match="leave feature maps alone"):
        Resident(pictures.astype(np.float32), labels, mirror=True)


def test_patches_hide_parts_of_pictures_the_same_whenever_asked_and_never_those_that_are_kept():
    pictures = np.full((6, 64, 64, 3), 77, np.uint8)
    batches = Resident(pictures, np.zeros((6, 1), np.int16), 6, hidden=2)
    (first, _), (again, _), (other, _) = (next(batches.epoch(number)) for number in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (pictures == 77).all()
    share = (first != 77).any(axis=3).mean(axis=(1, 2))
    assert 0 < share.max() <= 2 * 23 * 23 / 64**2
