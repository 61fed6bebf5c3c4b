"""The planted worlds hold what they promise: who reads the links finds the answer, who ignores them cannot."""

import numpy as np
import pytest

from socialjax.data.schema import pair_keys
from socialjax.worlds import planted

SEEDS = (0, 1, 2)


def ndcg10(world, score):
    """Mean NDCG@10 over silent users with test pairs, one user at a time; training items are not ranked."""
    data, values = world.data, []
    for user in np.flatnonzero(world.silent):
        wanted = set(data.test.item[data.test.user == user])
        if not wanted:
            continue
        line = score[user].astype(float).copy()
        line[data.train.item[data.train.user == user]] = -np.inf
        best = np.argsort(-line, kind="stable")[:10]
        gain = sum(1 / np.log2(place + 2) for place, item in enumerate(best) if item in wanted)
        values.append(gain / sum(1 / np.log2(place + 2) for place in range(min(10, len(wanted)))))
    return np.mean(values)


def popularity(world):
    return np.bincount(world.data.train.item, minlength=world.data.num_items) + 0.1


def heard_topics(world, hops):
    """f64[U, T]: how often each topic was taken by those `hops` steps away along the links."""
    data = world.data
    taken = np.zeros((data.num_users, world.topic.max() + 1))
    for user, item in zip(data.train.user, data.train.item):
        taken[user, world.item_topic[item]] += 1
    follows = np.zeros((data.num_users, data.num_users))
    for follower, followee in zip(data.links.follower, data.links.followee):
        follows[follower, followee] = 1
    for _ in range(hops):
        taken = follows @ taken
    return taken


def oracle(world, hops):
    """NDCG@10 of: popularity among the items of the topics heard `hops` steps away."""
    heard = heard_topics(world, hops) + 1e-3
    return ndcg10(world, heard[:, world.item_topic] * popularity(world))


def nobody(world):
    return ndcg10(world, np.tile(popularity(world), (world.data.num_users, 1)))


@pytest.mark.parametrize("seed", SEEDS)
def test_who_listens_one_step_away_finds_what_silent_users_like(seed):
    world = planted.influence(seed)
    assert oracle(world, 1) > 5 * nobody(world)
    assert oracle(world, 1) > 1.3 * oracle(world, 0)  # their own items alone do not tell


@pytest.mark.parametrize("seed", SEEDS)
def test_in_the_two_hop_world_only_two_steps_reach_the_speakers(seed):
    world = planted.influence(seed, two_hop=True)
    assert oracle(world, 2) > 5 * nobody(world)
    assert oracle(world, 1) < 1.3 * nobody(world)
    assert oracle(world, 2) > 1.3 * oracle(world, 0)


@pytest.mark.parametrize("two_hop", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_rewired_links_say_nothing(seed, two_hop):
    world = planted.influence(seed, two_hop, rewired=True)
    assert oracle(world, 1) < 1.3 * nobody(world)
    assert oracle(world, 2) < 1.3 * nobody(world)


@pytest.mark.parametrize("two_hop", [False, True])
def test_rewiring_keeps_interactions_and_degrees_and_moves_the_links(two_hop):
    world, other = planted.influence(3, two_hop), planted.influence(3, two_hop, rewired=True)
    for part, pairs in world.data.parts().items():
        np.testing.assert_array_equal(pairs.user, other.data.parts()[part].user)
        np.testing.assert_array_equal(pairs.item, other.data.parts()[part].item)
    size, links, moved = world.data.num_users, world.data.links, other.data.links
    for column in ("follower", "followee"):
        before, after = (np.bincount(getattr(each, column), minlength=size) for each in (links, moved))
        np.testing.assert_array_equal(before, after)
    key = lambda each: each.follower.astype(np.int64) * size + each.followee  # noqa: E731
    assert len(np.unique(key(moved))) == len(moved) and (moved.follower != moved.followee).all()
    assert np.isin(key(moved), key(links)).mean() < 0.1


@pytest.mark.parametrize("two_hop", [False, True])
def test_two_thirds_are_silent_and_links_join_mostly_one_topic(two_hop):
    world = planted.influence(0, two_hop)
    data = world.data
    taken = np.bincount(data.train.user, minlength=data.num_users)
    assert taken[world.silent].max() <= 2 and taken[~world.silent].min() > 2
    assert world.silent.mean() == pytest.approx(2 / 3, abs=0.01)
    assert (world.topic[data.links.follower] == world.topic[data.links.followee]).mean() > 0.85
    tested = world.silent[data.test.user]
    assert (world.topic[data.test.user] == world.item_topic[data.test.item])[tested].all()


def test_friends_of_judged_users_are_silent_in_the_two_hop_world_and_their_friends_speak():
    world = planted.influence(1, two_hop=True)
    follower, followee = world.data.links.follower, world.data.links.followee
    judged = np.intersect1d(world.data.test.user, np.flatnonzero(world.silent))
    friends = followee[np.isin(follower, judged)]
    assert world.silent[friends].all()
    assert not world.silent[followee[np.isin(follower, friends)]].any()


@pytest.mark.parametrize("data", [planted.influence(5).data, planted.influence(5, True).data, planted.checkerboard()])
def test_no_pair_is_in_two_parts_and_ids_are_in_range(data):
    keys = np.concatenate([pair_keys(pairs, data.num_items) for pairs in data.parts().values()])
    assert len(np.unique(keys)) == len(keys)
    for pairs in data.parts().values():
        assert pairs.user.dtype == pairs.item.dtype == np.int32
        assert 0 <= pairs.user.min() and pairs.user.max() < data.num_users
        assert 0 <= pairs.item.min() and pairs.item.max() < data.num_items
    assert data.provenance.kind == "planted" and len(data.item_titles) == data.num_items


def test_one_seed_gives_one_world_and_another_seed_another():
    first, again, other = (planted.influence(seed).data.train for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.item, again.item)
    assert len(first) != len(other) or (first.item != other.item).any()


def test_the_checkerboard_holds_every_pair_of_equal_parity_once():
    data = planted.checkerboard(20, 30, seed=4, links=3)
    pairs = {(u, i) for part in data.parts().values() for u, i in zip(part.user.tolist(), part.item.tolist())}
    assert pairs == {(u, i) for u in range(20) for i in range(30) if u % 2 == i % 2}
    for part in (data.validation, data.test):
        np.testing.assert_array_equal(np.bincount(part.user), np.ones(20))  # a tenth of 15 items
    assert (data.links.follower % 2 == data.links.followee % 2).all() and len(data.links) == 60
    assert (data.links.follower != data.links.followee).all()
    assert planted.checkerboard().links is None


def test_worlds_that_are_too_small_say_so():
    with pytest.raises(ValueError, match="at least 8 users"):
        planted.checkerboard(6, 40, links=3)
    with pytest.raises(ValueError, match="more than 8 relays"):
        planted.influence(num_users=100)
    with pytest.raises(ValueError, match="too dense"):
        planted.rewire(np.array([[0, 1], [0, 1]]), np.random.default_rng(0))
