"""The generated twins: exact counts, the published shapes, planted taste and influence, and never called real."""

import dataclasses
import time

import numpy as np
import pytest
from scipy import sparse

from socialjax.data import standin, validate
from socialjax.data.facts import facts, owner_facts
from socialjax.data.schema import counts
from socialjax.data.sets import PUBLISHED, SHAPES
from socialjax.data.standin import _most_frequent
from socialjax.data.standin_shapes import Shape, degrees, fit_split
from socialjax.formats.file_bytes import DataError

SMALL = Shape(
    users=600, items=900, train=10000, validation=440, test=1100, links=6000, reciprocated=2400,
    user=(0, 1, 2, 3, 5, 7, 9, 12, 15, 20, 28, 42, 60, 80, 100, 120, 150, 180),
    item=(0, 0, 1, 1, 2, 3, 4, 6, 8, 11, 16, 28, 45, 80, 110, 140, 180, 200),
    out=(0, 0, 0, 1, 2, 3, 5, 7, 9, 12, 16, 23, 32, 45, 55, 60, 80, 90),
    into=(0, 0, 0, 1, 2, 3, 5, 7, 9, 12, 16, 23, 32, 45, 55, 60, 80, 90),
    idle=(12, 50, 60, 60), isolated=0, social=0.4, mutual=0.8, diffnet_split=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def yelp():
    began = time.monotonic()
    data = standin.make("yelp")
    assert time.monotonic() - began < 10
    return data


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_counts_are_the_published_ones(name, yelp, hasc):
    data = {"yelp": yelp, "hasc_fs": hasc}.get(name) or standin.make(name)
    assert counts(data) == PUBLISHED[name].counts
    validate.check(data)
    assert data.provenance.kind == "stand-in" and "generated" in data.provenance.source
    assert (data.train.value is not None) == bool(SHAPES[name].values)


def test_degrees_are_shaped_as_the_published_ones(yelp):
    got, wanted = facts(yelp), PUBLISHED["yelp"].facts
    exact = "users without rating", "items without rating", "users without links", "reciprocated links", "self links"
    for key in (*exact, "undirected links", "users as DiffNet splits, %"):
        assert got[key] == wanted[key], key
    for key in ("train items per user", "train users per item", "social degree", "test items per user"):
        median, mean, largest = zip(got[key], wanted[key])
        assert abs(median[0] - median[1]) <= 1
        assert mean[0] == pytest.approx(mean[1], rel=0.02)
        assert largest[0] == pytest.approx(largest[1], rel=0.2)
    for key in ("users in test", "items in train", "cold test pairs", "users without outgoing"):
        assert got[key] == pytest.approx(wanted[key], rel=0.15), key
    assert got["test pairs friends had, %"] == pytest.approx(wanted["test pairs friends had, %"], abs=5)


@pytest.fixture(scope="module")
def hasc():
    return standin.make("hasc_fs")


def test_owners_have_the_published_numbers_of_uploads_and_take_none_of_their_own_items(hasc):
    got, wanted = owner_facts(hasc), PUBLISHED["hasc_fs"].facts
    for key in ("items without owner", "users without uploads", "pairs on own items"):
        assert got[key] == wanted[key], key
    assert got["uploads per user"][:2] == wanted["uploads per user"][:2]
    assert got["uploads per user"][2] == pytest.approx(wanted["uploads per user"][2], rel=0.1)
    for held in (hasc.validation, hasc.test):
        assert (np.bincount(held.user, minlength=hasc.num_users) == 1).all()


def test_owners_are_followed_by_those_who_take_their_items(hasc):
    owner = np.random.default_rng(0).permutation(hasc.owners)  # as many uploads, of anybody
    share = lambda data: owner_facts(data)["pairs on items of followees, %"]  # noqa: E731
    assert share(hasc) > 1.8 * share(dataclasses.replace(hasc, owners=owner))


def test_the_proposed_owner_is_the_most_frequent_one_who_has_uploads_left():
    rows = np.array([[1, 2, 2, 9, 9, 9], [9, 9, 9, 9, 9, 9], [3, 4, 3, 4, 4, 0], [9, 9, 5, 9, 9, 9]])
    assert _most_frequent(rows, 9).tolist() == [2, 9, 4, 5]


def hit_rate(data, users, scores):
    """HR@10 of the rows of `scores` [users, items] against 1,000 items no part gives the user, ties at random."""
    rng, rates = np.random.default_rng(0), []
    for user, score in zip(users, scores):
        positive = data.test.item[data.test.user == user]
        taken = np.concatenate([pairs.item[pairs.user == user] for pairs in data.parts().values()])
        negative = rng.permutation(np.setdiff1d(rng.integers(data.num_items, size=1100), taken))[:1000]
        candidates = np.concatenate([positive, negative])
        top = np.argsort(-(score[candidates] + 1e-9 * rng.random(len(candidates))))[:10]
        rates.append(np.count_nonzero(top < len(positive)) / min(len(positive), 10))
    return float(np.mean(rates))


def lines(data, number=300):
    """HR@10 of popularity, of what friends have, and of what users with common items have."""
    users = np.random.default_rng(1).permutation(np.unique(data.test.user))[:number]
    ones = np.ones(len(data.train), np.float32)
    train = sparse.csr_matrix((ones, (data.train.user, data.train.item)), (data.num_users, data.num_items))
    ones = np.ones(len(data.links), np.float32)
    links = sparse.csr_matrix((ones, (data.links.follower, data.links.followee)), (data.num_users, data.num_users))
    popular = np.asarray(train.sum(0)).ravel()
    rare = sparse.diags(1 / np.maximum(popular, 1))  # to share a rare item says more
    active = sparse.diags(1 / np.sqrt(np.maximum(np.asarray(train.sum(1)).ravel(), 1)))
    friends = ((links + links.T) > 0).astype(np.float32)[users] @ train
    alike = train[users] @ rare @ train.T @ active @ train
    return {
        "popular": hit_rate(data, users, [popular] * number),
        "friends": hit_rate(data, users, (row.toarray()[0] + 0.001 * popular for row in friends)),
        "alike": hit_rate(data, users, (row.toarray()[0] + 1e-6 * popular for row in alike)),
    }


def test_taste_and_influence_can_be_learned_and_popularity_is_as_in_the_real_set(yelp):
    found = lines(yelp)
    assert 0.08 < found["popular"] < 0.15, found  # 0.114 on the real files
    assert found["friends"] > 1.4 * found["popular"], found
    assert 1.4 * found["popular"] < found["alike"] < 0.6, found


def test_friends_share_taste_and_items_unless_neither_is_planted(yelp):
    def known(data):
        return facts(data)["test pairs friends had, %"]

    def rewired(data):
        followee = np.random.default_rng(0).permutation(data.links.followee)  # degrees stay as they are
        return dataclasses.replace(data, links=dataclasses.replace(data.links, followee=followee))

    blind = standin.make("yelp", 0, standin.Taste(copied=0.0, homophily=0.0))
    assert known(yelp) > 1.8 * known(rewired(yelp))
    assert known(blind) < 1.1 * known(rewired(blind))


def test_one_seed_one_set():
    same, again, other = (standin.generate("small", SMALL, seed) for seed in (0, 0, 1))
    for part, pairs in same.parts().items():
        np.testing.assert_array_equal(pairs.item, again.parts()[part].item)
    np.testing.assert_array_equal(same.links.followee, again.links.followee)
    assert not np.array_equal(same.train.item, other.train.item)


def test_each_user_gives_a_share_where_the_split_is_not_diffnets():
    data = standin.generate("small", SMALL)
    assert counts(data) == {name: getattr(SMALL, name) for name in counts(data)}
    total = sum(np.bincount(pairs.user, minlength=data.num_users) for pairs in data.parts().values())
    held = total - np.bincount(data.train.user, minlength=data.num_users)
    share = (SMALL.validation + SMALL.test) / SMALL.pairs
    assert np.abs(held - share * total).max() <= 1


def test_degrees_have_the_sum_and_stay_in_bounds():
    rng = np.random.default_rng(0)
    n = degrees(SMALL.user, 12, SMALL.users, SMALL.pairs, rng)
    assert n.sum() == SMALL.pairs and (n == 0).sum() == 12 and n.max() <= max(SMALL.user) and (np.diff(n) >= 0).all()
    with pytest.raises(ValueError, match="cannot sum to"):
        degrees((1,) * 18, 0, 10, 11, rng)


def test_fitted_degrees_give_the_parts_their_exact_sizes():
    rng = np.random.default_rng(0)
    shape = SHAPES["yelp"]
    n = fit_split(degrees(shape.user, shape.idle[0], shape.users, shape.pairs, rng), shape, rng)
    assert n.sum() == shape.pairs and (n // 20).sum() == shape.validation
    assert (3 * n // 20).sum() == shape.validation + shape.test


def test_ratings_follow_item_and_user():
    parts = standin.make("filmtrust").parts().values()
    value, item = (np.concatenate([getattr(part, column) for part in parts]) for column in ("value", "item"))
    assert set(value) == {0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4}
    mean = np.bincount(item, value) / np.maximum(np.bincount(item), 1)
    assert np.corrcoef(mean[item], value)[0, 1] > 0.4


def test_a_set_without_shape_is_refused():
    with pytest.raises(DataError, match="only of yelp, flickr, lastfm, filmtrust"):
        standin.make("mine")
