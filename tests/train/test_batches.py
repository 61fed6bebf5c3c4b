"""The resident path: every pair once an epoch, and any row found from its number alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.data.schema import Dataset, Provenance, interactions, no_interactions
from socialjax.train.step import make_batch, on_device, resident, steps_per_epoch

jit_batch = jax.jit(make_batch, static_argnums=(4, 5))
PAIRS, BATCH = 21, 8  # three steps, the last with three rows of padding


def dataset(user, item, num_users=6, num_items=9):
    nothing = no_interactions()
    return Dataset(
        "small", num_users, num_items, interactions(user, item), nothing, nothing, Provenance("planted", "a test")
    )


KEYS = np.random.default_rng(0).choice(6 * 9, PAIRS, replace=False)
DATA = dataset(KEYS // 9, KEYS % 9)
RESIDENT = on_device(resident(DATA))
ALL = np.arange(BATCH, dtype=np.uint32)


def batch(seed, step, rows=ALL):
    return jax.tree.map(np.asarray, jit_batch(RESIDENT, np.uint32(seed), np.int32(step), rows, BATCH, 2))


def epoch(seed, number):
    """Pairs in the order of training, without padding."""
    batches = [batch(seed, number * 3 + step) for step in range(3)]
    return [(int(u), int(i)) for part in batches for u, i, weight in zip(part.users, part.items, part.weight) if weight]


def test_the_last_step_of_an_epoch_is_filled_up():
    assert [steps_per_epoch(n, 8) for n in (1, 7, 8, 9, 16)] == [1, 1, 1, 2, 2]
    weights = [batch(0, step).weight for step in range(4)]
    np.testing.assert_array_equal(np.concatenate(weights), [*np.ones(21), *np.zeros(3), *np.ones(8)])


def test_every_pair_comes_once_in_every_epoch_in_an_order_of_its_own():
    pairs = sorted(zip(DATA.train.user.tolist(), DATA.train.item.tolist()))
    orders = [epoch(0, 0), epoch(0, 1), epoch(0, 2), epoch(1, 0)]
    assert all(sorted(order) == pairs for order in orders)
    assert len({tuple(order) for order in orders}) == 4


def test_a_row_is_a_function_of_seed_step_and_its_number():
    whole = batch(3, 5)
    order = np.random.default_rng(0).permutation(BATCH).astype(np.uint32)
    for rows in (order, order[:3]):
        part = batch(3, 5, rows)
        for ours, theirs in zip(jax.tree.leaves(part), jax.tree.leaves(whole)):
            np.testing.assert_array_equal(ours, theirs[rows])
    for other in (batch(4, 5), batch(3, 6)):
        assert (other.negatives != whole.negatives).any() and (other.users != whole.users).any()


def test_negatives_are_none_of_the_users_training_items_in_padding_rows_too():
    taken = set(zip(DATA.train.user.tolist(), DATA.train.item.tolist()))
    for step in range(12):
        drawn = batch(0, step)
        assert drawn.negatives.shape == (BATCH, 2) and drawn.negatives.dtype == np.int32
        assert not {(int(u), int(i)) for u, row in zip(drawn.users, drawn.negatives) for i in row} & taken
        assert (drawn.negatives >= 0).all() and (drawn.negatives < 9).all()


def test_negatives_of_a_row_differ_from_step_to_step():
    drawn = np.array([batch(0, step).negatives for step in range(30)])
    assert min(len(np.unique(drawn[:, row])) for row in range(BATCH)) > 5


def test_one_pair_fills_a_batch_with_itself_and_padding():
    one = jit_batch(on_device(resident(dataset([2], [4]))), np.uint32(0), np.int32(7), ALL, BATCH, 2)
    np.testing.assert_array_equal(one.weight, [1, *np.zeros(7)])
    assert (np.asarray(one.users) == 2).all() and (np.asarray(one.items) == 4).all()
    assert not (np.asarray(one.negatives) == 4).any()


def test_nothing_to_train_on_is_an_error_that_names_the_data():
    with pytest.raises(ValueError, match="'small' has no training pairs"):
        resident(dataset([], []))


def test_only_numpy_leaves_move_to_the_device():
    placed = on_device(resident(DATA))
    assert all(isinstance(leaf, jnp.ndarray) for leaf in jax.tree.leaves(placed))
    assert placed.known.num_items == 9
    already = jnp.ones(2)
    assert on_device({"a": already, "b": None})["a"] is already
