import numpy as np
import pytest

from socialjax.data import split
from socialjax.data.schema import interactions
from socialjax.formats.file_bytes import DataError


def some_pairs(seed=0, users=40, items=60, share=0.3, timed=True):
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((users, items)) < share * rng.random((users, 1)) * 2)
    return interactions(user, item, time=rng.integers(200, size=len(user)) if timed else None)


def as_set(pairs):
    return set(zip(pairs.user.tolist(), pairs.item.tolist()))


SPLITS = {
    "ratio": lambda pairs, seed: split.by_ratio(pairs, (0.1, 0.2), seed),
    "leave-one-out": split.leave_one_out,
    "time": lambda pairs, seed: split.by_time(pairs, (0.1, 0.2)),
    "cold": lambda pairs, seed: split.cold_items(split.by_ratio(pairs, (0.1, 0.2), seed), 0.2, seed),
}


@pytest.mark.parametrize(
    ("how", "timed"), [(how, timed) for how in SPLITS for timed in (1, 0) if timed or how != "time"]
)
def test_every_pair_is_in_one_part_and_row_order_changes_nothing(how, timed):
    pairs = some_pairs(timed=timed)
    parts = SPLITS[how](pairs, 3)
    assert sum(map(len, parts)) == len(pairs)
    assert set().union(*map(as_set, parts)) == as_set(pairs)
    shuffled = SPLITS[how](pairs.take(np.random.default_rng(1).permutation(len(pairs))), 3)
    assert [as_set(part) for part in shuffled] == [as_set(part) for part in parts]


@pytest.mark.parametrize("how", ["ratio", "cold"])
def test_another_seed_gives_another_split(how):
    pairs = some_pairs()
    assert as_set(SPLITS[how](pairs, 3).test) != as_set(SPLITS[how](pairs, 4).test)


def test_by_ratio_follows_the_rule_of_diffnet_for_every_user():
    lengths = np.arange(1, 401)
    user = np.repeat(np.arange(400), lengths)
    parts = split.by_ratio(interactions(user, np.arange(len(user))))
    for n in lengths:
        user = n - 1
        # whole-number arithmetic: floats give floor(0.15 * 20) = 3 but other products fall short
        assert np.count_nonzero(parts.validation.user == user) == 5 * n // 100
        assert np.count_nonzero(parts.test.user == user) == 15 * n // 100 - 5 * n // 100


def test_leave_one_out_takes_the_last_in_time():
    pairs = interactions([0, 0, 0, 1, 1, 2], [5, 6, 7, 5, 6, 5], time=[30, 10, 20, 2, 1, 9])
    parts = split.leave_one_out(pairs)
    assert as_set(parts.test) == {(0, 5), (1, 5)}  # user 2 keeps its only pair
    assert as_set(parts.validation) == {(0, 7)}  # user 1 keeps one in train
    assert as_set(parts.train) == {(0, 6), (1, 6), (2, 5)}
    assert not len(split.leave_one_out(pairs, validation=False).validation)


def test_by_time_puts_the_latest_last():
    pairs = some_pairs()
    parts = split.by_time(pairs, (0.1, 0.2))
    assert parts.train.time.max() < parts.validation.time.min() <= parts.validation.time.max() < parts.test.time.min()
    one_second = np.bincount(pairs.time).max()  # pairs of one second stay together
    assert 0 <= len(parts.test) - 0.2 * len(pairs) <= one_second
    assert 0 <= len(parts.test) + len(parts.validation) - 0.3 * len(pairs) + 1 <= one_second + 1


def test_cold_items_occur_in_test_only():
    parts = split.cold_items(split.by_ratio(some_pairs()), 0.25)
    known = set(parts.train.item.tolist()) | set(parts.validation.item.tolist())
    assert len(set(parts.test.item.tolist()) - known) == 15  # a quarter of 60
    np.testing.assert_array_equal(split.cold_items(split.by_ratio(some_pairs()), 0.25).test.item, parts.test.item)


def slow_core(pairs: set, k: int) -> set:
    """Takes away one pair at a time until every user and every item has k."""
    pairs = set(pairs)
    while True:
        poor = next(
            (
                pair
                for pair in pairs
                if sum(p[0] == pair[0] for p in pairs) < k or sum(p[1] == pair[1] for p in pairs) < k
            ),
            None,
        )
        if poor is None:
            return pairs
        pairs.remove(poor)


@pytest.mark.parametrize("k", [1, 3, 5, 60])
def test_k_core_is_what_taking_away_pairs_one_by_one_leaves(k):
    pairs = some_pairs(users=15, items=20, share=0.25)
    assert as_set(split.k_core(pairs, k)) == slow_core(as_set(pairs), k)


def test_hold_out_takes_a_share_of_each_user_or_one_each():
    pairs = some_pairs()
    train, validation = split.hold_out_validation(pairs, 0.2, seed=1)
    assert as_set(train) | as_set(validation) == as_set(pairs) and not as_set(train) & as_set(validation)
    n, held = np.bincount(pairs.user, minlength=40), np.bincount(validation.user, minlength=40)
    np.testing.assert_array_equal(held, n // 5)
    train, validation = split.hold_out_validation(interactions([0, 0, 1], [1, 2, 3]), 0.2)
    assert (len(validation), set(validation.user.tolist())) == (1, {0})  # too few for a share; user 1 keeps its pair


def test_shares_are_the_decimals_that_are_written():
    """0.29 of 100 pairs are 29: as floating-point numbers, 0.29 x 100 is less."""
    pairs = interactions(np.zeros(1000, int), np.arange(1000))
    assert [len(part) for part in split.by_ratio(pairs, (0.29, 0.57))] == [140, 290, 570]
    assert [len(part) for part in split.by_ratio(pairs, (0.005, 0.003))] == [992, 5, 3]
    assert len(split.hold_out_validation(pairs, 0.29)[1]) == 290


@pytest.mark.parametrize("ratios", [(0.5, 0.5), (-0.1, 0.2), (0.1, float("nan")), (0.1, 0.1, 0.1)])
def test_impossible_ratios_are_refused(ratios):
    with pytest.raises(DataError, match="ratios must be"):
        split.by_ratio(some_pairs(), ratios)


def test_a_split_by_time_without_times_says_what_to_do():
    with pytest.raises(DataError, match="needs a time column"):
        split.by_time(some_pairs(timed=False))


def test_empty_pairs_split_into_empty_parts():
    empty = interactions([], [], time=[])
    for how in SPLITS.values():
        assert [len(part) for part in how(empty, 0)] == [0, 0, 0]
    assert not len(split.k_core(empty, 3))
