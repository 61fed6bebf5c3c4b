"""Splits of interactions: pure functions of (pairs, seed) that do not depend on the order of the rows.

Randomness comes from a hash of (seed, user, item), so adding or moving a row changes no other row's part as long as
its user has the same number of pairs. Pairs must be distinct; `validate.repair` ensures it.
"""

import dataclasses
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from socialjax.data.schema import Dataset, Interactions, stated
from socialjax.formats.file_bytes import DataError
from socialjax.graph import unique_ints

DIFFNET_RATIOS = (0.05, 0.10)  # validation, test: those of the released Yelp and Flickr, for every user


class Parts(NamedTuple):
    """The three parts; rows keep the order they came in."""

    train: Interactions
    validation: Interactions
    test: Interactions


def check_ratios(ratios: tuple[float, float]) -> tuple[Fraction, Fraction]:
    """(v, v + t) as exact fractions. Raises DataError unless 0 <= v, 0 <= t and v + t < 1."""
    if len(ratios) != 2 or not all(np.isfinite(ratios)) or min(ratios) < 0 or sum(ratios) >= 1:
        raise DataError(f"ratios must be two shares, validation and test, that sum to less than 1, got {ratios}")
    validation, test = map(_fraction, ratios)
    return validation, validation + test


def by_ratio(pairs: Interactions, ratios: tuple[float, float] = DIFFNET_RATIOS, seed: int = 0) -> Parts:
    """Per user with n pairs, at random: floor(v n) to validation, floor((v + t) n) - floor(v n) to test.

    ratios: (v, t). With the defaults users of fewer than 7 pairs have no test pair, of fewer than 20 no validation.
    """
    validation, both = check_ratios(ratios)
    rank, n = _rank_within_user(pairs, _chance(pairs, seed))
    first, second = _floor(validation, n), _floor(both, n)
    return _parts(pairs, rank < first, (rank >= first) & (rank < second))


def leave_one_out(pairs: Interactions, seed: int = 0, validation: bool = True, least: int = 0) -> Parts:
    """Each user's last pair (by time if there is time, else at random) to test, the one before it to validation.

    A user keeps at least one pair in train: with fewer than 3 pairs none goes to validation, with fewer than 2 none
    to test. More than one of a user's pairs go to validation where `least` pairs in all want that.
    """
    rank, n = _rank_within_user(pairs, *_latest(pairs, seed))
    held = _last(rank, n, 1, least) if validation else np.zeros(len(pairs), bool)
    return _parts(pairs, held, (rank == 0) & (n >= 2))


def hold_out_last(train: Interactions, seed: int, least: int) -> tuple[Interactions, Interactions]:
    """(train, validation): the last pair of each user with two, and more where `least` pairs in all want that."""
    last = _last(*_rank_within_user(train, *_latest(train, seed)), 0, least)
    return train.take(~last), train.take(last)


def _latest(pairs: Interactions, seed: int) -> tuple[np.ndarray, ...]:
    """Keys by which a user's last pair comes first."""
    chance = _chance(pairs, seed)
    return (chance,) if pairs.time is None else (chance, -pairs.time)


def _last(rank: np.ndarray, n: np.ndarray, begin: int, least: int) -> np.ndarray:
    """bool[N]: of each user the pairs of rank `begin` and on, as few of each as make `least` of all; one at least, and
    at most half of those from `begin` on."""
    room = np.where(n >= begin + 2, np.maximum(1, (n - begin) // 2), 0)
    room_of_user, each = room[rank == 0], 1
    while each < room_of_user.max(initial=0) and np.minimum(each, room_of_user).sum() < least:
        each += 1
    return (rank >= begin) & (rank < begin + np.minimum(each, room))


def by_time(pairs: Interactions, ratios: tuple[float, float] = DIFFNET_RATIOS) -> Parts:
    """Two global cut points in time: the latest share t to test, the share v before it to validation.

    Pairs of one second stay together, in the later part, so shares are reached as closely from above as that allows.
    """
    if pairs.time is None:
        raise DataError("a split by time needs a time column, got none; add one or split by ratio or leave-one-out")
    validation, both = check_ratios(ratios)
    n = np.int64(len(pairs))
    ordered = np.sort(pairs.time)
    after = lambda share: ordered[n - share] if share else np.iinfo(np.int64).max  # noqa: E731
    begin = after(_floor(both, n))
    begin_test = after(_floor(both - validation, n))
    is_test = pairs.time >= begin_test
    return _parts(pairs, (pairs.time >= begin) & ~is_test, is_test)


def cold_items(parts: Parts, share: float, seed: int = 0) -> Parts:
    """All pairs of a random share of the items moved to test, so that these items occur in test only."""
    if not 0 <= share < 1:
        raise DataError(f"the share of cold items must be in 0..1, got {share}; 0.1 holds out every tenth item")
    items = unique_ints(np.concatenate([part.item for part in parts]))
    chance = mix(mix(np.uint64(seed % 2**64)) ^ items.astype(np.uint64))
    cold = items[np.argsort(chance, kind="stable")[: _floor(_fraction(share), np.int64(len(items)))]]
    moved = [np.isin(part.item, cold) for part in parts]
    test = [parts.test, *(part.take(mask) for part, mask in zip(parts[:2], moved))]
    return Parts(parts.train.take(~moved[0]), parts.validation.take(~moved[1]), concatenate(test))


def k_core(pairs: Interactions, k: int) -> Interactions:
    """The largest subset in which every user and every item has at least k pairs."""
    while len(pairs):
        enough = (np.bincount(pairs.user)[pairs.user] >= k) & (np.bincount(pairs.item)[pairs.item] >= k)
        if enough.all():
            break
        pairs = pairs.take(enough)
    return pairs


def hold_out_validation(train: Interactions, ratio: float = 0.1, seed: int = 0) -> tuple[Interactions, Interactions]:
    """(train, validation): per user floor(ratio n) pairs at random; if that is none, one of each with two."""
    rank, n = _rank_within_user(train, _chance(train, seed))
    held = rank < _floor(_fraction(ratio), n)
    if not held.any():
        held = (rank == 0) & (n >= 2)
    return train.take(~held), train.take(held)


def concatenate(parts: list[Interactions]) -> Interactions:
    """All rows; a column that one non-empty part lacks is dropped."""
    parts = [part for part in parts if len(part)] or parts[:1]
    columns = zip(*(part.columns() for part in parts))
    return Interactions(*(None if any(c is None for c in column) else np.concatenate(column) for column in columns))


def _parts(pairs: Interactions, is_validation: np.ndarray, is_test: np.ndarray) -> Parts:
    return Parts(pairs.take(~(is_validation | is_test)), pairs.take(is_validation), pairs.take(is_test))


def _rank_within_user(pairs: Interactions, *keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pair's place among its user's by the last key first, and that user's number of pairs; i64[N] both."""
    order = np.lexsort((pairs.item, *keys, pairs.user))
    first, n = np.unique(pairs.user[order], return_index=True, return_counts=True)[1:]
    rank, size = np.empty(len(pairs), np.int64), np.empty(len(pairs), np.int64)
    rank[order] = np.arange(len(pairs)) - np.repeat(first, n)
    size[order] = np.repeat(n, n)
    return rank, size


def _chance(pairs: Interactions, seed: int) -> np.ndarray:
    """u64[N], a hash of (seed, user, item)."""
    user = mix(mix(np.uint64(seed % 2**64)) ^ pairs.user.astype(np.uint64))
    return mix(user ^ pairs.item.astype(np.uint64))


def mix(x):
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014) on u64."""
    with np.errstate(over="ignore"):
        x = np.asarray(x, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _fraction(ratio: float) -> Fraction:
    """The decimal as written: floor(0.15 n) must not fall short where 0.15 n is a whole number."""
    return Fraction(str(ratio)).limit_denominator(10**6)


def _floor(ratio: Fraction, n):
    return n * ratio.numerator // ratio.denominator


def with_validation(data: Dataset, ratio: float, seed: int) -> Dataset:
    """`data` with a share of each user's training pairs as validation, stated in the provenance."""
    train, validation = hold_out_validation(data.train, ratio, seed)
    note = f"no validation given: {len(validation)} pairs taken from train, {ratio:g} of each user's, seed {seed}"
    return stated(dataclasses.replace(data, train=train, validation=validation), note)
