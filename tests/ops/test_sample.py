"""Hashed randomness: exact arithmetic, uniform draws, and no dependence on how rows are sliced."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from socialjax.ops import sample

MASK = 2**32 - 1
ROWS = 6000
jit_mix, jit_fold, jit_below = jax.jit(sample.mix), jax.jit(sample.fold), jax.jit(sample.below)
jit_negatives = jax.jit(sample.negatives, static_argnums=4)
jit_dropout = jax.jit(sample.dropout, static_argnums=3)
jit_shuffled = jax.jit(sample.shuffled, static_argnums=2)


def mixed(x):
    """`mix` in Python's whole numbers."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK
    return x ^ (x >> 16)


def folded(key, counter):
    return mixed(key ^ mixed((counter * 0x9E3779B9 + 1) & MASK))


def some_bits(count, seed=0):
    edge = [0, 1, 2, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, MASK - 1, MASK]
    return np.array([*edge, *np.random.default_rng(seed).integers(2**32, size=count)], np.uint32)


def test_mixing_and_folding_equal_whole_number_arithmetic():
    x = some_bits(200)
    seven = np.full_like(x, 7)
    np.testing.assert_array_equal(jit_mix(x), [mixed(int(v)) for v in x])
    np.testing.assert_array_equal(jit_fold(x, seven), [folded(int(v), 7) for v in x])
    np.testing.assert_array_equal(jit_fold(seven, x), [folded(7, int(v)) for v in x])
    assert int(sample.fold(7, 3)) == folded(7, 3)  # plain numbers will do


def test_mixing_never_merges_two_numbers_and_folding_never_two_counters():
    x = np.arange(2**18, dtype=np.uint32) * np.uint32(16381)
    assert len(np.unique(jit_mix(x))) == len(x)
    assert len(np.unique(jit_fold(np.uint32(123), x))) == len(x)


def test_one_bit_of_the_input_turns_half_the_bits_of_the_output():
    x = np.repeat(some_bits(1000), 32)
    turned = np.asarray(jit_mix(x ^ (1 << np.tile(np.arange(32, dtype=np.uint32), 1009)))) ^ np.asarray(jit_mix(x))
    assert np.unpackbits(turned.view(np.uint8)).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("bound", [1, 2, 3, 7, 1000, 38342, 65535, 65536, 65537, 2**24 + 1, 2**31 - 1])
def test_below_is_exact(bound):
    bits = some_bits(200, seed=bound)
    found = jit_below(bits, np.full(len(bits), bound, np.int32))
    np.testing.assert_array_equal(found, [int(b) * bound >> 32 for b in bits])


# User 0 took nothing, 1 the ends, 2 all but item 4, 3 everything, 4 a run and single items; user 5 is the last, empty.
NUM_ITEMS = 9
TAKEN = [[], [0, 8], [0, 1, 2, 3, 5, 6, 7, 8], list(range(9)), [2, 3, 4, 7], []]
USERS = np.repeat(np.arange(6), [len(items) for items in TAKEN])
ITEMS = np.concatenate([np.array(items, int) for items in TAKEN])
KNOWN = sample.positives(USERS, ITEMS, 6, NUM_ITEMS)


def draw(users, key=11, rows=None, known=KNOWN):
    """Four draws for each of up to ROWS rows; filled up, so that one program serves all tests."""
    filled = np.zeros((2, ROWS), np.int32)
    filled[:, : len(users)] = users, np.arange(len(users)) if rows is None else rows
    return np.asarray(jit_negatives(known, key, filled[0], filled[1].astype(np.uint32), 4))[: len(users)]


@pytest.mark.parametrize("user", range(6))
def test_negatives_are_uniform_over_what_the_user_did_not_take(user):
    drawn = draw(np.full(ROWS, user)).ravel()
    free = np.setdiff1d(np.arange(NUM_ITEMS), TAKEN[user])
    free = free if len(free) else np.arange(NUM_ITEMS)  # who took everything gets any item
    counts = np.bincount(drawn, minlength=NUM_ITEMS)
    assert counts.sum() == counts[free].sum(), f"user {user} took {TAKEN[user]} and was given {np.unique(drawn)}"
    if len(free) > 1:
        assert stats.chisquare(counts[free]).pvalue > 1e-4


def test_negatives_are_never_positives_of_random_data():
    rng = np.random.default_rng(3)
    user, item = rng.integers(40, size=900), rng.integers(35, size=900)  # with repeated pairs
    known = sample.positives(user, item, 40, 35)
    asked = np.repeat(np.arange(40), 150)
    drawn = draw(asked, 5, known=known)
    taken = set(zip(user.tolist(), item.tolist()))
    pairs = set(zip(np.repeat(asked, 4).tolist(), drawn.ravel().tolist()))
    assert not pairs & taken
    assert pairs == set(itertools.product(range(40), range(35))) - taken  # and every other pair comes up


def test_the_order_and_repeats_of_training_pairs_change_no_negative():
    order = np.random.default_rng(0).permutation(np.tile(np.arange(len(USERS)), 2))
    again = sample.positives(USERS[order], ITEMS[order], 6, NUM_ITEMS)
    np.testing.assert_array_equal(again.gaps, KNOWN.gaps)
    np.testing.assert_array_equal(again.offsets, KNOWN.offsets)


def test_a_negative_depends_on_key_row_and_draw_alone():
    users = np.random.default_rng(1).integers(6, size=50)
    whole = draw(users)
    rows = np.random.default_rng(2).permutation(50)
    np.testing.assert_array_equal(draw(users[rows], rows=rows), whole[rows])
    np.testing.assert_array_equal(draw(users[30:40], rows=np.arange(30, 40)), whole[30:40])
    fewer = jit_negatives(KNOWN, 11, users.astype(np.int32), np.arange(50, dtype=np.uint32), 2)
    np.testing.assert_array_equal(fewer, whole[:, :2])
    assert (draw(users, key=12) != whole).mean() > 0.4


def test_draws_of_neighbouring_rows_steps_and_draws_are_independent():
    free = np.zeros(ROWS, np.int32)  # user 0: all nine items
    first, second = draw(free, key=1), draw(free, key=2)
    for a, b in ((first[:, 0], first[:, 1]), (first[:, 0], second[:, 0]), (first[:-1, 0], first[1:, 0])):
        table = np.zeros((NUM_ITEMS, NUM_ITEMS))
        np.add.at(table, (a, b), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-4


def test_without_training_pairs_every_item_is_a_negative():
    known = sample.positives(np.zeros(0, int), np.zeros(0, int), 2, 3)
    np.testing.assert_array_equal(np.unique(draw(np.zeros(60), known=known)), [0, 1, 2])


def test_one_user_one_item_one_pair():
    known = sample.positives(np.array([0]), np.array([0]), 1, 1)
    np.testing.assert_array_equal(draw(np.zeros(3), known=known), 0)


def drop(rows, rate=0.5, key=9, vectors=None):
    vectors = np.full((len(rows), 16), 3.0, np.float32) if vectors is None else vectors
    return np.asarray(jit_dropout(key, vectors, rows.astype(np.uint32), rate))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_zeroes_its_share_and_scales_the_rest(rate):
    out = drop(np.arange(2000), rate)
    np.testing.assert_allclose(np.unique(out), [0.0, 3.0 / (1 - rate)], rtol=1e-6)
    deviation = np.sqrt(rate * (1 - rate) / out.size)
    assert abs((out == 0).mean() - rate) < 4 * deviation
    assert abs((out == 0).mean(axis=0) - rate).max() < 5 * deviation * 4  # and in every one of the 16 columns


def test_dropout_depends_on_key_row_and_column_alone():
    whole = drop(np.arange(2000))
    rows = np.random.default_rng(0).permutation(2000)
    np.testing.assert_array_equal(drop(rows), whole[rows])
    np.testing.assert_array_equal(drop(rows[:7]), whole[rows[:7]])
    assert 0.4 < (drop(rows, key=10) != whole[rows]).mean() < 0.6


def test_no_dropout_is_no_change_and_dropped_numbers_get_no_gradient():
    vectors, rows = jnp.ones((3, 4)), jnp.arange(3, dtype=jnp.uint32)
    assert sample.dropout(0, vectors, rows, 0.0) is vectors
    kept, back = jax.vjp(lambda v: jit_dropout(0, v, rows, 0.5), vectors)
    np.testing.assert_array_equal(back(vectors)[0], kept)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 17, 101, 1024, 10007])
def test_shuffling_is_a_permutation_for_every_key(size):
    places = np.arange(size)
    for key in range(5):
        np.testing.assert_array_equal(np.sort(jit_shuffled(key, places, size)), np.arange(size))


def test_every_order_of_three_comes_up_about_equally_often():
    orders = np.array([jit_shuffled(key, np.arange(3), 3) for key in range(600)])
    seen, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(seen) == 6
    assert stats.chisquare(counts).pvalue > 1e-4


def test_keys_give_different_orders_without_pattern():
    first, second = (np.asarray(jit_shuffled(key, np.arange(1024), 1024)) for key in (1, 2))
    assert (first == second).mean() < 0.01
    assert abs(np.corrcoef(first, np.arange(1024))[0, 1]) < 0.15
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.15


def test_any_device_finds_its_places_alone():
    whole = np.asarray(jit_shuffled(3, np.arange(101), 101))
    places = np.random.default_rng(0).permutation(101)
    np.testing.assert_array_equal(jit_shuffled(3, places, 101), whole[places])
    np.testing.assert_array_equal(jit_shuffled(3, np.array([77]), 101), whole[[77]])


def test_sizes_near_the_limit_of_int32_stay_in_range():
    size = 2**31 - 1
    found = np.asarray(jit_shuffled(0, np.array([0, 1, size - 1]), size))
    assert (found >= 0).all() and (found < size).all() and len(set(found.tolist())) == 3


def test_node_dropout_differs_by_layer_and_shares_no_number_with_negatives():
    """Of one step's key: layers fall silent apart, and no layer has the bits of another stream's row."""
    ones = np.ones((4000, 1), np.float32)
    kept = [np.asarray(sample.node_dropout(7, layer, ones, 0.5))[:, 0] > 0 for layer in range(3)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert abs((kept[a] == kept[b]).mean() - 0.5) < 0.05
    assert all(abs(k.mean() - 0.5) < 0.05 for k in kept)
    for layer in range(3):
        mine = sample.fold(sample.fold(sample.fold(7, sample.NODES), layer), np.arange(8))
        for stream in (sample.NEGATIVES, sample.DROPOUT, sample.OTHERS, sample.NOISE):
            for row in range(8):
                theirs = sample.fold(sample.fold(sample.fold(7, stream), row), np.arange(8))
                assert not (np.asarray(mine) == np.asarray(theirs)).any()
