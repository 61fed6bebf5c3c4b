"""Accuracies of attributes equal counting by hand, one picture at a time."""

import numpy as np
import pytest

from socialjax.vision.accuracy import accuracies

NAMES, CLASSES = ("neckline", "heel"), (("V", "round", "square"), ("flat", "high"))


def counted(labels, predicted, count):
    """(accuracy, balanced accuracy) of one attribute, picture by picture; -1 is no label."""
    right, shares = [], []
    for of in range(count):
        mine = [p == of for y, p in zip(labels, predicted) if y == of]
        right += mine
        shares += [sum(mine) / len(mine)] if mine else []
    return sum(right) / len(right), sum(shares) / len(shares)


def test_accuracies_of_a_table_worked_by_hand():
    labels = np.array([[0, -1], [0, 1], [0, -1], [1, 0], [-1, 1]])
    predicted = np.array([[0, 0], [0, 1], [1, 1], [2, 0], [2, 0]])
    found = accuracies(labels, predicted, NAMES, CLASSES)
    assert found["neckline"] == {
        "labelled": 4,
        "accuracy": 2 / 4,
        "balanced_accuracy": (2 / 3 + 0) / 2,  # nobody is labelled square
        "majority": 3 / 4,
        "majority_class": "V",
        "classes": {
            "V": {"labelled": 3, "accuracy": 2 / 3},
            "round": {"labelled": 1, "accuracy": 0.0},
            "square": {"labelled": 0, "accuracy": None},
        },
    }
    assert found["heel"]["accuracy"] == 2 / 3 and found["heel"]["balanced_accuracy"] == (1 + 1 / 2) / 2


def test_accuracies_equal_counting_and_the_majority_class_is_that_of_training():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(-1, 2, (200, 2)), rng.integers(0, 2, (200, 2))
    train = np.full((50, 2), 1)
    train[:40, 1] = -1
    found = accuracies(labels, predicted, NAMES, CLASSES, train)
    for k, name in enumerate(NAMES):
        wanted = counted(labels[:, k], predicted[:, k], len(CLASSES[k]))
        assert (found[name]["accuracy"], found[name]["balanced_accuracy"]) == pytest.approx(wanted)
        assert found[name]["majority"] == pytest.approx((labels[labels[:, k] >= 0, k] == 1).mean())
        assert found[name]["majority_class"] == CLASSES[k][1]


def test_unlabelled_pictures_change_nothing_and_an_attribute_without_labels_has_no_figures():
    labels, predicted = np.array([[0, -1], [1, -1]]), np.array([[0, 0], [0, 0]])
    more = np.concatenate([labels, [[-1, -1]] * 3]), np.concatenate([predicted, [[0, 1]] * 3])
    found = accuracies(labels, predicted, NAMES, CLASSES)
    assert found == accuracies(*more, NAMES, CLASSES)
    assert found["heel"] == {"labelled": 0}


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"wanted labels and predicted of shape \(pictures, 2\)"):
        accuracies(np.zeros((3, 2), int), np.zeros((3, 1), int), NAMES, CLASSES)
    with pytest.raises(ValueError, match=r"labels of 'heel' must lie in -1\.\.1, got 2\.\.2"):
        accuracies(np.array([[0, 2]]), np.array([[0, 0]]), NAMES, CLASSES)
    with pytest.raises(ValueError, match=r"predicted of 'neckline' must lie in 0\.\.2, got -1\.\.-1"):
        accuracies(np.array([[0, 0]]), np.array([[-1, 0]]), NAMES, CLASSES)
