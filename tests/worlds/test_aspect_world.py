"""The world of uploads, hubs and celebrities holds what it promises, and its shuffled twin says nothing."""

import dataclasses

import numpy as np
import pytest

from socialjax.data import validate
from socialjax.data.schema import pair_keys
from socialjax.worlds.aspects import OWNERS, SOCIAL, UPLOADS, aspects

SEEDS = (0, 1, 2)
USERS, ITEMS, TOPICS = 600, 2400, 8


@pytest.fixture(scope="module", params=SEEDS)
def world(request):
    return aspects(request.param)


@pytest.fixture(scope="module")
def pair_of_worlds():
    return aspects(3), aspects(3, shuffled=True)


def every_pair(data):
    return tuple(np.concatenate([getattr(part, c) for part in data.parts().values()]) for c in ("user", "item"))


def test_groups_hubs_and_celebrities_have_their_shares(world):
    assert np.bincount(world.group).tolist() == [200, 200, 200]
    assert (world.hub.sum(), world.celebrity.sum()) == (60, 40)
    assert np.bincount(world.taste[world.hub], minlength=TOPICS).min() == 7
    assert np.bincount(world.data.owners).tolist() == [4] * USERS
    assert world.data.num_items == ITEMS and world.data.provenance.kind == "planted"


def test_half_of_the_uploads_of_each_user_show_the_taste_and_the_others_any_topic(world):
    for user in range(USERS):
        mine = world.data.owners == user
        assert world.informative[mine].sum() == 2
        assert (world.topic[mine & world.informative] == world.taste[user]).all()
    decoys = ~world.informative
    agree = (world.topic == world.taste[world.data.owners])[decoys].mean()
    assert agree == pytest.approx(1 / TOPICS, abs=0.03)


def test_everybody_follows_two_hubs_of_one_topic_and_six_others(world):
    links = world.data.links
    for user in range(USERS):
        followees = links.followee[links.follower == user]
        hubs = followees[world.hub[followees]]
        assert len(set(followees.tolist())) == 8 and user not in followees
        assert len(hubs) == 2 and (world.taste[hubs] == world.hub_topic[user]).all()


def test_nine_in_ten_favourites_follow_the_rule_of_the_group_and_no_other(world):
    user, item = every_pair(world.data)
    claims = {
        UPLOADS: (world.topic[item] == world.taste[user], 1 / TOPICS),
        SOCIAL: (world.topic[item] == world.hub_topic[user], 1 / TOPICS),
        OWNERS: (world.celebrity[world.data.owners[item]], 1 / 15),
    }
    for aspect, (claim, chance) in claims.items():
        for group in claims:
            # Whether taste and heard topic agree is one draw a user, so other groups vary more: 200 draws, not 2,400.
            wanted, off = (0.9 + 0.1 * chance, 0.02) if group == aspect else (chance, 0.08)
            assert claim[world.group[user] == group].mean() == pytest.approx(wanted, abs=off), (aspect, group)


def test_each_user_has_ten_one_and_one_different_images_of_others(world):
    data = world.data
    for part, number in zip(data.parts().values(), (10, 1, 1)):
        assert np.bincount(part.user, minlength=USERS).tolist() == [number] * USERS
    keys = np.concatenate([pair_keys(part, ITEMS) for part in data.parts().values()])
    assert len(np.unique(keys)) == len(keys)
    user, item = every_pair(data)
    assert (data.owners[item] != user).all()
    validate.check(data)


def shown(column, flag):
    """How far apart the flagged and the other rows are in a column whose flag has height 1."""
    return column[flag].mean() - column[~flag].mean()


def test_features_show_what_was_planted_under_noise(world):
    image, user, social = world.data.item_features, world.data.user_features, world.data.social_features
    assert (image.shape, user.shape, social.shape) == ((ITEMS, 16), (USERS, 16), (USERS, 16))
    assert image.dtype == user.dtype == social.dtype == np.float32
    assert shown(image[:, 0], world.informative) == pytest.approx(1, abs=0.06)
    for t in range(TOPICS):
        assert shown(image[:, 1 + t], world.topic == t) == pytest.approx(1, abs=0.08)
    for g in range(3):
        assert shown(user[:, g], world.group == g) == pytest.approx(1, abs=0.12)
    assert shown(social[:, 0], world.hub) == pytest.approx(1, abs=0.15)
    for noise in (image[:, 1 + TOPICS :], user[:, 3:], social[:, 1:]):
        assert noise.std() == pytest.approx(0.3, abs=0.01) and abs(noise.mean()) < 0.01


def test_the_shuffled_world_has_the_same_pairs_links_and_owners(pair_of_worlds):
    true, shuffled = pair_of_worlds
    for one, other in zip(true.data.parts().values(), shuffled.data.parts().values()):
        np.testing.assert_array_equal(one.item, other.item)
    np.testing.assert_array_equal(true.data.links.followee, shuffled.data.links.followee)
    np.testing.assert_array_equal(true.data.owners, shuffled.data.owners)
    np.testing.assert_array_equal(true.data.item_features[:, 1:], shuffled.data.item_features[:, 1:])


def test_shuffled_flags_and_groups_are_as_many_and_agree_with_the_truth_by_chance(pair_of_worlds):
    true, shuffled = pair_of_worlds
    for flag in ("group", "hub", "informative"):
        one, other = getattr(true, flag), getattr(shuffled, flag)
        np.testing.assert_array_equal(np.bincount(one), np.bincount(other))
    assert (true.group == shuffled.group).mean() == pytest.approx(1 / 3, abs=0.06)
    assert (true.informative == shuffled.informative).mean() == pytest.approx(1 / 2, abs=0.04)
    assert (true.hub & shuffled.hub).sum() < 15  # 6 of 60 by chance
    flagged = np.bincount(shuffled.data.owners, shuffled.informative)
    assert (flagged == 2).all()  # so that an even attention has half of its mass on them, as in the true world


def test_the_features_of_the_shuffled_world_show_its_own_flags(pair_of_worlds):
    true, shuffled = pair_of_worlds
    image, user, social = (getattr(shuffled.data, f"{kind}_features") for kind in ("item", "user", "social"))
    assert shown(image[:, 0], shuffled.informative) > 0.9 and abs(shown(image[:, 0], true.informative)) < 0.1
    assert shown(social[:, 0], shuffled.hub) > 0.85 and abs(shown(social[:, 0], true.hub)) < 0.25
    for g in range(3):
        assert shown(user[:, g], shuffled.group == g) > 0.85 and abs(shown(user[:, g], true.group == g)) < 0.2


def test_one_seed_gives_one_world_and_another_seed_another():
    first, again, other = (aspects(seed, num_users=240) for seed in (7, 7, 8))
    for field in dataclasses.fields(first.data):
        if field.name.endswith("features") or field.name == "owners":
            np.testing.assert_array_equal(getattr(first.data, field.name), getattr(again.data, field.name))
    np.testing.assert_array_equal(first.data.test.item, again.data.test.item)
    assert (first.data.test.item != other.data.test.item).any()


@pytest.mark.parametrize("wrong", [{"num_users": 200}, {"follows": 2}, {"uploads": 1}, {"width": 8}])
def test_worlds_that_are_too_small_say_so(wrong):
    with pytest.raises(ValueError, match="wanted 3 hubs a topic"):
        aspects(**wrong)
