"""Reference lines against plain loops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.data.schema import Dataset, Links, Provenance, interactions, no_interactions
from socialjax.models.cf.reference import Friends, Popular, Random, SameOwner

USERS, ITEMS = 12, 700


@pytest.fixture(scope="module")
def data():
    """User 11 has no friend, user 10 follows itself, one pair is given twice."""
    rng = np.random.default_rng(0)
    train = interactions(np.append(rng.integers(USERS, size=3000), 3), np.append(rng.integers(ITEMS, size=3000), 9))
    train = interactions(np.append(train.user, 3), np.append(train.item, 9))
    links = Links(np.append(rng.integers(11, size=20), 10), np.append(rng.integers(11, size=20), 10))
    nothing = no_interactions()
    return Dataset("small", USERS, ITEMS, train, nothing, nothing, Provenance("planted", "test"), links=links)


def expected(data, popularity):
    """Friends who took the item + popularity x everyone who did, one pair at a time."""
    taken = {user: set(data.train.item[data.train.user == user].tolist()) for user in range(USERS)}
    links = set(zip(data.links.follower.tolist(), data.links.followee.tolist()))
    table = np.zeros((USERS, ITEMS))
    for user in range(USERS):
        friends = [f for f in range(USERS) if f != user and ((user, f) in links or (f, user) in links)]
        for item in range(ITEMS):
            table[user, item] = sum(item in taken[f] for f in friends)
            table[user, item] += popularity * sum(item in taken[u] for u in range(USERS))
    return table


def scores(model, data, items):
    """items i32[U, C], for every user."""
    side = model.prepare(data)
    state = model.encode(model.init(jax.random.key(0), side), side)
    return np.asarray(jax.jit(model.score)(state, jnp.arange(USERS), jnp.asarray(items)))


@pytest.mark.parametrize("columns", [1, 3, ITEMS])  # few items are searched for, many looked up in a table
@pytest.mark.parametrize("popularity", [0.001, 0.0])
def test_friends_count_friends_and_a_little_popularity(data, popularity, columns):
    items = np.stack([np.random.default_rng(user).permutation(ITEMS)[:columns] for user in range(USERS)])
    wanted = np.take_along_axis(expected(data, popularity), items, axis=1)
    np.testing.assert_allclose(scores(Friends(popularity=popularity), data, items), wanted, rtol=1e-6)


def test_popular_counts_users_and_its_vectors_say_the_same(data):
    items = np.tile(np.arange(ITEMS), (USERS, 1))
    wanted = [len(set(data.train.user[data.train.item == item].tolist())) for item in range(ITEMS)]
    np.testing.assert_array_equal(scores(Popular(), data, items), np.tile(wanted, (USERS, 1)))
    users, vectors, bias = Popular().vectors(Popular().encode({}, Popular().prepare(data)))
    np.testing.assert_array_equal(users @ vectors.T + bias[None, :], np.tile(wanted, (USERS, 1)))


def test_random_scores_are_untied_seeded_and_uniform(data):
    items = np.tile(np.arange(ITEMS), (USERS, 1))
    first, again, other = (scores(Random(seed=seed), data, items) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert all(len(np.unique(row)) == ITEMS for row in first)
    for a, b in ((first, other), (first[:-1], first[1:]), (first[:, :-1], first[:, 1:])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.05
    assert first.min() >= 0 and first.max() < 1
    np.testing.assert_allclose(np.histogram(first, 10, (0, 1))[0] / first.size, 0.1, atol=0.015)


@pytest.mark.parametrize("model", [Random(), Popular(), Friends()])
def test_explanations_add_up_to_the_score(data, model):
    side = model.prepare(data)
    state = model.encode({}, side)
    users, items = np.arange(USERS), np.arange(USERS) * 7
    why = model.explain(state, side, users, items)
    score = np.asarray(model.score(state, jnp.asarray(users), jnp.asarray(items)[:, None]))[:, 0]
    np.testing.assert_allclose(why.score, score, rtol=1e-6)
    np.testing.assert_allclose(sum(why.parts.values()), score, rtol=1e-6)


def test_friends_are_named_by_the_explanation(data):
    pairs = [(user, item) for user in range(USERS) for item in range(0, ITEMS, 50)]
    users, items = np.array(pairs).T
    model = Friends()
    side = model.prepare(data)
    friends = model.explain(None, side, users, items).elements["friends"]
    links = set(zip(data.links.follower.tolist(), data.links.followee.tolist()))
    taken = set(zip(data.train.user.tolist(), data.train.item.tolist()))
    assert len(friends.ids) > 0
    for row, (user, item) in enumerate(pairs):
        named = friends.ids[friends.offsets[row] : friends.offsets[row + 1]].tolist()
        linked = {f for f in range(USERS) if f != user and ((user, f) in links or (f, user) in links)}
        assert set(named) == {f for f in linked if (f, item) in taken} and len(set(named)) == len(named)


def test_nothing_to_train_and_links_are_needed(data):
    with pytest.raises(NotImplementedError, match="Popular has nothing to train"):
        Popular().loss({}, None, None, None)
    assert Popular().init(None, None) == {} and not Friends().traits.trains
    alone = dataclasses.replace(data, links=None)
    with pytest.raises(ValueError, match="Friends needs links"):
        Friends().prepare(alone)
    nobody = dataclasses.replace(data, links=Links(np.zeros(0, np.int32), np.zeros(0, np.int32)))
    items = np.tile(np.arange(ITEMS), (USERS, 1))
    np.testing.assert_allclose(scores(Friends(), nobody, items), 0.001 * scores(Popular(), data, items), rtol=1e-6)


@pytest.mark.parametrize("columns", [2, ITEMS])
def test_same_owner_counts_the_users_items_of_the_candidates_owner(data, columns):
    """By look-ups for few candidates and by a table for many; a pair that is given twice counts once."""
    owners = np.random.default_rng(1).integers(-1, 4, ITEMS).astype(np.int32)
    data, model = dataclasses.replace(data, owners=owners), SameOwner()
    items = np.stack([np.random.default_rng(user).permutation(ITEMS)[:columns] for user in range(USERS)])
    got = model.score(model.encode({}, model.prepare(data)), jnp.arange(USERS), jnp.asarray(items))
    for user in range(USERS):
        taken = set(data.train.item[data.train.user == user].tolist())
        count = {owner: sum(owners[i] == owner for i in taken) for owner in range(4)} | {-1: 0}
        np.testing.assert_array_equal(got[user], [count[owners[i]] for i in items[user]])
    assert np.asarray(got).max() > 20
