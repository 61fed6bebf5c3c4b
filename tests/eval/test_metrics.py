"""Metrics against every order of the tied scores, and against numbers worked by hand."""

import itertools
import math

import numpy as np
import pytest

from socialjax.eval.metrics import Counts, Result, per_user


def counts_of(lists):
    """lists: (scores of the positives, scores of the negatives) of each user."""
    offsets = np.cumsum([0] + [len(positives) for positives, _ in lists])
    rows = [(p, sum(n > p for n in negatives), sum(n == p for n in negatives)) for ps, negatives in lists for p in ps]
    score, higher, tied = (np.array(column) for column in zip(*rows))
    return Counts(
        offsets, score.astype(np.float32), higher.astype(np.int32), tied.astype(np.int32),
        np.array([len(negatives) for _, negatives in lists]),
    )  # fmt: skip


def of_order(is_positive, k):
    """The metrics of one list in one order, from their definitions."""
    num_positives = sum(is_positive)
    places = [place for place, hit in enumerate(is_positive) if hit]
    hits = [place for place in places if place < k]
    ideal = min(num_positives, k)
    return {
        "HR": len(hits) / ideal,
        "Hit": float(bool(hits)),
        "Recall": len(hits) / num_positives,
        "Precision": len(hits) / k,
        "NDCG": sum(1 / math.log2(p + 2) for p in hits) / sum(1 / math.log2(p + 2) for p in range(ideal)),
        "MRR": 1 / (hits[0] + 1) if hits else 0.0,
        "MAP": sum((n + 1) / (p + 1) for n, p in enumerate(hits)) / ideal,
    }


def expected(positives, negatives, k):
    """The mean of every metric over all orders of the list that sort the scores."""
    everyone = [(score, True) for score in positives] + [(score, False) for score in negatives]
    blocks = [list(block) for _, block in itertools.groupby(sorted(everyone, reverse=True), key=lambda entry: entry[0])]
    orders = itertools.product(*(itertools.permutations(block) for block in blocks))
    values = [of_order([hit for block in order for _, hit in block], k) for order in orders]
    return {name: np.mean([value[name] for value in values]) for name in values[0]}


def test_metrics_are_the_mean_over_all_orders_of_tied_scores():
    rng = np.random.default_rng(0)
    lists = []
    for _ in range(60):
        levels = rng.integers(1, 5)
        positives = rng.integers(levels, size=rng.integers(1, 4))
        lists.append((positives.tolist(), rng.integers(levels, size=rng.integers(0, 5)).tolist()))
    ks = (1, 2, 3, 5, 12)
    got = per_user(counts_of(lists), ks)
    wanted = {}
    for k in ks:
        of_lists = [expected(positives, negatives, k) for positives, negatives in lists]
        wanted.update({f"{name}@{k}": [values[name] for values in of_lists] for name in of_lists[0]})
    assert set(got) == {*wanted, "AUC"}
    for name, values in wanted.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def test_auc_counts_pairs_and_half_of_the_ties():
    rng = np.random.default_rng(1)
    lists = [(rng.integers(6, size=3).tolist(), rng.integers(6, size=7).tolist()) for _ in range(20)]
    wanted = [np.mean([(p > n) + (p == n) / 2 for p in ps for n in ns]) for ps, ns in lists]
    np.testing.assert_allclose(per_user(counts_of(lists), (5,))["AUC"], wanted, rtol=1e-6)
    assert per_user(counts_of([([1.0], [])]), (5,))["AUC"] == 0.5  # nothing to order


def test_metrics_by_hand():
    # Places of the three positives: 0, 2, 4; K = 3 sees the first two.
    found = per_user(counts_of([([9.0, 7.0, 5.0], [8.0, 6.0, 4.0])]), (3, 50))
    discount = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    by_hand = {
        "HR@3": 2 / 3, "Hit@3": 1, "Recall@3": 2 / 3, "Precision@3": 2 / 3, "MRR@3": 1,
        "NDCG@3": (1 + 1 / math.log2(4)) / discount,
        "MAP@3": (1 + 2 / 3) / 3,
        "NDCG@50": (1 + 1 / math.log2(4) + 1 / math.log2(6)) / discount,
        "MAP@50": (1 + 2 / 3 + 3 / 5) / 3, "Precision@50": 3 / 50, "AUC": (3 + 2 + 1) / 9,
    }  # fmt: skip
    for name, value in by_hand.items():
        np.testing.assert_allclose(found[name], [value], rtol=1e-6, err_msg=name)
    # One positive tied with three negatives: a quarter for each of the places 0 to 3.
    tied = per_user(counts_of([([1.0], [1.0, 1.0, 1.0])]), (2,))
    np.testing.assert_allclose([tied["HR@2"][0], tied["MRR@2"][0]], [1 / 2, (1 + 1 / 2) / 4])
    np.testing.assert_allclose(tied["NDCG@2"], [(1 + 1 / math.log2(3)) / 4], rtol=1e-6)


def test_hr_divides_by_the_smaller_of_positives_and_k():
    found = per_user(counts_of([([9.0, 8.0, 7.0], [0.0])]), (2,))
    assert found["HR@2"] == 1 and found["Recall@2"] == np.float32(2 / 3)


def test_values_are_float32_and_the_mean_weighs_users_equally():
    found = per_user(counts_of([([9.0], [0.0]), ([1.0, 0.5], [2.0])]), (1,))
    assert all(values.dtype == np.float32 and values.shape == (2,) for values in found.values())
    assert Result("full", "test", np.array([3, 4]), found).mean()["HR@1"] == 0.5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="1 of 2 are not"):
        per_user(counts_of([([1.0, bad], [0.0])]), (5,))
