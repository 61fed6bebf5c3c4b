"""Draws on the host are those on the device, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.ops import host_sample, sample


def numbers(seed, count=2000):
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.integers(0, 2**32, count), [0, 1, 2**31, 2**32 - 1]]).astype(np.uint32)


def same(found, expected):
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_hashes():
    keys, counters = numbers(0), numbers(1)
    same(host_sample.mix(keys), sample.mix(jnp.asarray(keys)))
    same(host_sample.fold(keys, counters), sample.fold(keys, counters))
    same(host_sample.fold(5, 7), sample.fold(5, 7))
    same(host_sample.fold(keys[:, None], np.arange(3)[None]), sample.fold(keys[:, None], jnp.arange(3)[None]))


@pytest.mark.parametrize("bound", [1, 2, 3, 1000, 2**20 + 1, 2**31 - 1])
def test_numbers_below_a_bound(bound):
    bits = numbers(2)
    same(host_sample.below(bits, np.int64(bound)), sample.below(bits, bound))


@pytest.mark.parametrize("size", [1, 2, 7, 100, 4097])
def test_shuffles(size):
    places = np.arange(size)
    found = host_sample.shuffled(9, places, size)
    same(found, sample.shuffled(jnp.uint32(9), places, size))
    assert sorted(found.tolist()) == list(range(size))


def test_shuffles_of_more_than_an_i32_counts_are_refused():
    assert host_sample.shuffled(1, np.arange(5), 2**31 - 1).max() < 2**31 - 1
    with pytest.raises(ValueError, match="fewer than 2\\^31"):
        host_sample.shuffled(1, np.arange(5), 2**31)


def test_negatives_with_users_who_took_nothing_much_or_everything():
    draw = np.random.default_rng(3)
    taken = [
        [],
        list(range(12)),
        [0],
        [11],
        [0, 1, 2, 3, 5, 8],
        *(np.flatnonzero(draw.random(12) < 0.4) for _ in "abc"),
    ]
    user = np.repeat(np.arange(len(taken)), [len(row) for row in taken])
    item = np.concatenate([np.asarray(row, int) for row in taken])
    offsets = np.cumsum([0, *map(len, taken)])
    users, rows = draw.integers(0, len(taken), 500).astype(np.int32), np.arange(500, dtype=np.uint32)
    found = host_sample.negatives(offsets, item.astype(np.int32), 12, np.uint32(4), users, rows, 3)
    known = jax.tree.map(jnp.asarray, sample.positives(user, item, len(taken), 12))
    same(found, sample.negatives(known, jnp.uint32(4), users, rows, 3))
    assert all(n not in set(taken[u]) for u, row in zip(users, found) for n in row if len(taken[u]) < 12)
