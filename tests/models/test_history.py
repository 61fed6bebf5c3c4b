"""The pooled history of a user."""

import jax.numpy as jnp
import numpy as np
import pytest
import worlds

from socialjax.models.history import history, pool, without_target

ITEMS = np.random.default_rng(0).normal(size=(worlds.NUM_ITEMS, 3)).astype(np.float32)
TAKEN = [[i for u, i in worlds.TRAIN if u == user] for user in range(worlds.NUM_USERS)]


def looped(exponent, leave=None):
    rows = [[i for i in items if leave is None or i != leave[user]] for user, items in enumerate(TAKEN)]
    return np.array([ITEMS[items].sum(axis=0) / max(len(items), 1) ** exponent for items in rows])


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_pooling_equals_the_loop_and_users_without_items_get_zeros(exponent):
    past = history(worlds.small(), exponent)
    pooled = np.asarray(pool(past, ITEMS))
    np.testing.assert_allclose(pooled, looped(exponent), atol=1e-6)
    assert not pooled[[5, 8]].any()
    np.testing.assert_array_equal(past.count, [len(items) for items in TAKEN])


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_leaving_the_target_out_equals_a_history_without_it(exponent):
    past, pooled = history(worlds.small(), exponent), looped(exponent).astype(np.float32)
    for turn in range(4):  # every training item of every user comes up as the target
        users = np.array([u for u in range(worlds.NUM_USERS) if TAKEN[u]])
        target = {u: TAKEN[u][turn % len(TAKEN[u])] for u in users}
        change = without_target(past, jnp.asarray(pooled), ITEMS, users, np.array(list(target.values())))
        left = looped(exponent, {u: target.get(u) for u in range(worlds.NUM_USERS)})
        np.testing.assert_allclose(pooled[users] + change, left[users], atol=1e-6)
    assert not left[2].any()  # a single item leaves nothing


def test_repeated_pairs_count_once_and_order_does_not_matter():
    data = worlds.small()
    twice = worlds.dataset(worlds.NUM_USERS, worlds.NUM_ITEMS, worlds.TRAIN + worlds.TRAIN[::-1])
    once, again, other = (history(d).edges for d in (data, twice, worlds.reordered(data)))
    for field in ("senders", "receivers", "weight"):
        np.testing.assert_array_equal(getattr(once, field), getattr(again, field))
        np.testing.assert_array_equal(getattr(once, field), getattr(other, field))


def test_only_the_published_exponents():
    with pytest.raises(ValueError, match=r"0\.5 or 1"):
        history(worlds.small(), 2.0)
