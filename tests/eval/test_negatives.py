"""Evaluation negatives against a slow twin, and what they promise."""

import numpy as np
import pytest

from socialjax.data.schema import interactions
from socialjax.eval.metrics import rows_of
from socialjax.eval.protocol import draw, hashed_items


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def drawn_slowly(user, rejected, num_items, count, seed, replace):
    """One draw at a time, in whole numbers of any size."""
    golden = 0x9E3779B97F4A7C15
    key = mix(mix((seed + golden) % 2**64) ^ user)
    found, j = [], 0
    while len(found) < count:
        j += 1
        item = (mix((key + j * golden) % 2**64) >> 32) * num_items >> 32
        if item not in rejected and (replace or item not in found):
            found.append(item)
    return found


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("seed", [0, 7, -1])
def test_draws_equal_one_at_a_time(replace, seed):
    rng = np.random.default_rng(0)
    pairs = interactions(rng.integers(30, size=200), rng.integers(50, size=200))
    rejected = rows_of([pairs], 30, 50)
    found = draw(np.arange(30), rejected, 50, 20, seed, replace)
    for user in range(30):
        taken = set(pairs.item[pairs.user == user].tolist())
        assert found[user].tolist() == drawn_slowly(user, taken, 50, 20, seed, replace)


def test_strict_draws_are_different_items_that_were_not_rejected():
    rng = np.random.default_rng(1)
    pairs = interactions(rng.integers(300, size=9000), rng.integers(400, size=9000))
    rejected = rows_of([pairs], 300, 400)
    found = draw(np.arange(300), rejected, 400, 300, 0, replace=False)
    for user in range(300):
        assert len(set(found[user].tolist())) == 300
        assert not set(found[user].tolist()) & set(pairs.item[pairs.user == user].tolist())


def test_a_users_draws_do_not_depend_on_the_other_users():
    rng = np.random.default_rng(2)
    pairs = interactions(rng.integers(500, size=4000), rng.integers(90, size=4000))
    rejected = rows_of([pairs], 500, 90)
    everyone = draw(np.arange(500), rejected, 90, 40, 3, replace=False)
    some = np.array([499, 2, 250])
    np.testing.assert_array_equal(draw(some, rejected.take(some), 90, 40, 3, replace=False), everyone[some])


def test_seeds_and_users_give_other_draws_and_every_item_is_as_likely():
    users = np.arange(2000)
    items = hashed_items(0, users, 100, 50)
    assert (items != hashed_items(1, users, 100, 50)).mean() > 0.9
    assert (items[0] != items[1]).mean() > 0.9
    counts = np.bincount(items.ravel(), minlength=50)
    assert len(counts) == 50
    assert np.sum((counts - 4000) ** 2 / 4000) < 94  # chi-squared, 49 degrees of freedom: above it once in 10,000


def test_all_items_that_are_left_can_be_drawn_and_not_one_more():
    rejected = rows_of([interactions([0] * 10, np.arange(10))], 1, 60)
    assert sorted(draw([0], rejected, 60, 50, 0, replace=False)[0]) == list(range(10, 60))
    with pytest.raises(ValueError, match="user 0 has only 50 of 60 items left"):
        draw([0], rejected, 60, 51, 0, replace=False)
    everything = rows_of([interactions([0] * 60, np.arange(60))], 1, 60)
    with pytest.raises(ValueError, match="has only 0 of 60 items left"):
        draw([0], everything, 60, 5, 0, replace=True)
