"""Groups of users by hand; groups of items against lists made without the other positives."""

import dataclasses

import numpy as np
import pytest

from socialjax.data.schema import Dataset, Links, Provenance, interactions, no_interactions
from socialjax.eval import groups, ranking
from socialjax.eval.metrics import Result, Rows
from socialjax.eval.protocol import candidates, parse
from socialjax.models.cf.bpr import BPR
from socialjax.models.parts import Factors


def result():
    return Result("full", "test", np.array([1, 2, 4]), {"HR@5": np.array([0.2, 0.4, 1.0], np.float32)})


def test_groups_average_their_evaluated_users():
    # Users 1 and 2 are in [0, 8), user 4 exactly at 8 is in [8, 16); users 0 and 3 are not evaluated.
    found = groups.by_group(result(), np.array([100, 0, 7, 100, 8]))
    assert list(found) == ["[0, 8)", "[8, 16)", "[16, 32)", "[32, 64)", "[64, inf)"]
    assert found["[0, 8)"] == {"users": 2, "HR@5": pytest.approx(0.3)}
    assert found["[8, 16)"] == {"users": 1, "HR@5": 1.0}
    assert found["[64, inf)"] == {"users": 0}


def test_counts_are_distinct_items_and_friends_in_either_direction():
    train = interactions([0, 0, 0, 2], [1, 1, 3, 0])
    data = Dataset("small", 4, 5, train, no_interactions(), no_interactions(), Provenance("planted", "test"))
    assert groups.interaction_counts(data).tolist() == [2, 0, 1, 0]
    links = Links(np.array([0, 1, 2, 2]), np.array([1, 0, 0, 2]))  # 0 and 1 follow each other; 2 follows itself too
    assert groups.social_degrees(links, 4).tolist() == [2, 1, 1, 0]


def test_wrong_bounds_and_counts_are_refused():
    with pytest.raises(ValueError, match="must cover user 4, got 3"):
        groups.by_group(result(), np.zeros(3))
    with pytest.raises(ValueError, match="bounds must ascend"):
        groups.by_group(result(), np.zeros(5), (0, 8, 8))
    with pytest.raises(ValueError, match="below the first bound 4"):
        groups.by_group(result(), np.full(5, 3), (4, 8))


def restricted_slowly(model, state, found, chosen):
    """As if the other positives had never been in the lists: not a positive, not a candidate."""
    others = found.positives.items[~chosen[found.positives.items]]
    owners = found.positives.owners()[~chosen[found.positives.items]]
    rows = [r for r in range(len(found)) if chosen[row_items(found.positives, r)].any()]
    kept = [row_items(found.positives, r)[chosen[row_items(found.positives, r)]] for r in rows]
    positives = Rows(np.cumsum([0] + [len(items) for items in kept]), np.concatenate(kept))
    few = dataclasses.replace(found, users=found.users[rows], positives=positives)
    if found.negatives is not None:
        few = dataclasses.replace(few, negatives=found.negatives[rows])
    else:
        out = [np.union1d(row_items(found.masked, r), others[owners == r]).astype(np.int32) for r in rows]
        few = dataclasses.replace(few, masked=Rows(np.cumsum([0] + [len(i) for i in out]), np.concatenate(out)))
    return ranking.evaluate_state(model, state, few)


def row_items(rows, row):
    return rows.items[rows.offsets[row] : rows.offsets[row + 1]]


@pytest.fixture(scope="module")
def ranked():
    """A random model on random pairs of 30 users and 60 items, of which the last 20 occur in test only."""
    rng = np.random.default_rng(0)
    users, items = np.divmod(rng.permutation(30 * 60)[:700], 60)
    is_train = (np.arange(700) < 500) & (items < 40)
    train, test = (interactions(users[rows], items[rows]) for rows in (is_train, ~is_train))
    data = Dataset("small", 30, 60, train, no_interactions(), test, Provenance("planted", "test"))
    state = Factors(*(rng.normal(size=shape).astype(np.float32) for shape in ((30, 4), (60, 4), 60)))
    return data, BPR(dim=4), state


@pytest.mark.parametrize("name", ["sampled15-strict", "full"])
def test_metrics_of_some_items_are_those_of_lists_without_the_other_positives(ranked, name):
    data, model, state = ranked
    found = candidates(data, parse(name, ks=(3, 5)))
    result = ranking.evaluate_state(model, state, found)
    chosen = groups.item_counts(data) == 0
    assert chosen[40:].all() and 20 <= chosen.sum() < 60
    mine, slow = result.among(chosen), restricted_slowly(model, state, found, chosen)
    np.testing.assert_array_equal(mine.users, slow.users)
    for metric, values in slow.per_user.items():
        np.testing.assert_allclose(mine.per_user[metric], values, atol=1e-6, err_msg=metric)
    assert not np.array_equal(slow.per_user["NDCG@5"], result.per_user["NDCG@5"][np.isin(result.users, slow.users)])
    np.testing.assert_array_equal(groups.cold_items(data, result).per_user["HR@5"], mine.per_user["HR@5"])


def test_item_groups_hold_every_positive_once_and_all_together_are_the_whole(ranked):
    data, model, state = ranked
    result = ranking.evaluate_state(model, state, candidates(data, parse("full", ks=(5,))))
    found = groups.by_item_group(result, groups.item_counts(data))
    assert list(found) == ["[0, 1)", "[1, 4)", "[4, 16)", "[16, inf)"]
    assert sum(group["pairs"] for group in found.values()) == len(data.test)
    assert found["[0, 1)"]["users"] == len(np.unique(data.test.user[groups.item_counts(data)[data.test.item] == 0]))
    whole = groups.by_item_group(result, groups.item_counts(data), (0,))["[0, inf)"]
    assert whole == {"users": len(result.users), "pairs": len(data.test), **result.mean()}
    assert groups.by_item_group(result, np.zeros(60), (0, 1))["[1, inf)"] == {"users": 0, "pairs": 0}


def test_a_cold_item_is_one_that_nobody_took_in_train():
    train, test = interactions([0, 0, 1], [1, 3, 3]), interactions([0, 1], [0, 1])
    data = Dataset("small", 2, 5, train, no_interactions(), test, Provenance("planted", "test"))
    assert groups.item_counts(data).tolist() == [0, 1, 0, 2, 0]


def test_results_without_positives_and_short_masks_are_refused(ranked):
    data, model, state = ranked
    with pytest.raises(ValueError, match="no positives to choose from"):
        result().among(np.ones(5, bool))
    found = ranking.evaluate_state(model, state, candidates(data, parse("full", ks=(5,))))
    with pytest.raises(ValueError, match="must cover item 59, got 10 entries"):
        found.among(np.ones(10, bool))
