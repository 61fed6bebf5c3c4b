"""Full metrics estimated from sampled ones: the sampling, the least squares, ties, and what comes out."""

import itertools

import numpy as np
import pytest

from socialjax.eval import corrected
from socialjax.eval.metrics import Counts, per_user


def enumerated(rank, population, m, replace):
    """P(seen | rank) by drawing every sample there is."""
    draws = itertools.product(range(population), repeat=m) if replace else itertools.combinations(range(population), m)
    seen = [sum(item < rank for item in drawn) for drawn in draws]
    return np.bincount(seen, minlength=m + 1) / len(seen)


@pytest.mark.parametrize("replace", [False, True])
def test_the_sampling_matrix_is_what_enumeration_gives(replace):
    ranks = np.arange(7)
    got = corrected.sampling(ranks, 6, 3, 4, replace)
    np.testing.assert_allclose(got, [enumerated(rank, 6, 3, replace) for rank in ranks], atol=1e-12)
    np.testing.assert_allclose(corrected.sampling(ranks, 6, 3, 2, replace), got[:, :2])


def test_the_sampling_matrix_by_hand():
    # two of four negatives are above, two are drawn: both 1/6, one 4/6, none 1/6
    np.testing.assert_allclose(corrected.sampling(np.array([2]), 4, 2, 3), [[1 / 6, 4 / 6, 1 / 6]])
    # with replacement: 1/4, 2/4, 1/4
    np.testing.assert_allclose(corrected.sampling(np.array([2]), 4, 2, 3, replace=True), [[0.25, 0.5, 0.25]])


def objective(g, wanted, gamma, population, m):
    """What the estimator minimises, one rank at a time."""
    total = 0.0
    for rank in range(population + 1):
        p = enumerated(rank, population, m, replace=False)
        mean = p @ g
        total += (mean - (rank == wanted)) ** 2 + gamma * (p @ g**2 - mean**2)
    return total


@pytest.mark.parametrize("gamma", [0.01, 0.5])
def test_the_solution_minimises_bias_and_variance(gamma):
    g = corrected.solution(9, 4, 3, gamma=gamma)
    assert g.shape == (5, 3)
    rng = np.random.default_rng(0)
    for wanted in range(3):
        least = objective(g[:, wanted], wanted, gamma, 9, 4)
        for _ in range(30):
            other = g[:, wanted] + 0.05 * rng.normal(size=5)
            assert objective(other, wanted, gamma, 9, 4) > least


def test_leaving_out_low_sampled_ranks_changes_nothing(monkeypatch):
    short = corrected.solution(3000, 300, 10)
    monkeypatch.setattr(corrected, "_LONGEST", 1000)
    corrected.solution.cache_clear()
    np.testing.assert_allclose(corrected.solution(3000, 300, 10)[:50], short[:50], atol=1e-3)
    corrected.solution.cache_clear()


def counted(scores, negatives, positives):
    """Counts of users with scores [U, I], their negatives (row of items each) and positives."""
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in positives])])
    rows = [(u, item) for u, row in enumerate(positives) for item in row]
    score = np.array([scores[u, item] for u, item in rows], np.float32)
    against = [scores[u][negatives[u]] for u, _ in rows]
    higher = np.array([(row > mine).sum() for row, mine in zip(against, score)])
    tied = np.array([(row == mine).sum() for row, mine in zip(against, score)])
    return Counts(offsets, score, higher, tied, np.array([len(row) for row in negatives]))


def world(strength, seed, levels=None, num_users=500, num_items=1500, drawn=200):
    """A model that knows the positives by `strength` -> (sampled counts, full counts, population)."""
    rng = np.random.default_rng(seed)
    positives = [rng.choice(num_items, rng.integers(1, 5), replace=False) for _ in range(num_users)]
    scores = rng.normal(size=(num_users, num_items)).astype(np.float32)
    for user, row in enumerate(positives):
        scores[user, row] += strength * rng.exponential(size=len(row))
    if levels:
        scores = np.round(scores * levels) / levels
    others = [np.setdiff1d(np.arange(num_items), row) for row in positives]
    some = [rng.choice(row, drawn, replace=False) for row in others]
    return counted(scores, some, positives), counted(scores, others, positives), np.array([len(r) for r in others])


@pytest.mark.parametrize("levels", [None, 4])
def test_a_sample_of_everything_gives_the_full_metrics(levels):
    _, full, population = world(2.0, 0, levels, num_users=60, num_items=120, drawn=5)
    got, wanted = corrected.estimate(full, population), per_user(full, (10,))
    for name in ("HR@10", "NDCG@10"):
        assert got[name] == pytest.approx(wanted[name].mean(), abs=1e-6)
        assert 0.05 < got[name] < 0.95


def test_estimates_are_near_the_full_metrics_and_naive_readings_are_not():
    errors = []
    for seed, strength in enumerate([0.0, 1.0, 2.0, 2.5]):
        sampled, full, population = world(strength, seed)
        truth = per_user(full, (10,))["NDCG@10"].mean()
        errors.append(
            (abs(per_user(sampled, (10,))["NDCG@10"].mean() - truth),
             abs(corrected.estimate(sampled, population)["NDCG@10"] - truth))
        )  # fmt: skip
    naive, estimated = np.mean(errors, axis=0)
    assert estimated < naive / 4, errors
    assert naive > 0.05


def test_samples_with_replacement_are_read_as_such():
    rng = np.random.default_rng(3)
    ranks, m, population = rng.geometric(0.02, size=20_000) - 1, 100, 1000
    counts = Counts(
        np.arange(len(ranks) + 1), np.zeros(len(ranks), np.float32), rng.binomial(m, ranks.clip(0, 999) / population),
        np.zeros(len(ranks), np.int32), np.full(len(ranks), m),
    )  # fmt: skip
    got = corrected.estimate(counts, np.full(len(ranks), population), replace=True)
    truth = np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean()
    assert got["NDCG@10"] == pytest.approx(truth, rel=0.25)
    assert got["HR@10"] == pytest.approx((ranks < 10).mean(), rel=0.25)


def test_tied_scores_stand_in_every_order():
    # three positives; two of them tie with two negatives, and one negative is above all
    score = np.array([5.0, 5.0, 1.0], np.float32)
    counts = Counts(np.array([0, 3]), score, np.array([1, 1, 3]), np.array([2, 2, 0]), np.array([4]))
    got = corrected._histogram(counts, np.ones(1, bool), np.ones(1), 3, 5)
    wanted = np.zeros((3, 5))
    orders = list(itertools.permutations("PPnn"))
    for order in orders:
        for place in (place for place, kind in enumerate(order) if kind == "P"):
            before = order[:place]
            wanted[before.count("P"), 1 + before.count("n")] += 1 / len(orders)
    wanted[2, 3] += 1  # the third positive: two positives ahead, three negatives above
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_users_with_other_populations_are_read_with_their_own():
    sampled = world(2.0, 1, num_users=80)[0]
    one = Counts(sampled.offsets[:2], *(c[: sampled.offsets[1]] for c in (sampled.score, sampled.higher, sampled.tied)),
                 sampled.num_negatives[:1])  # fmt: skip
    small, large = (corrected.estimate(one, np.array([n]))["NDCG@10"] for n in (250, 5000))
    assert small != large
    assert corrected.populations(100, np.array([10, 0]), np.array([2, 3])).tolist() == [88, 97]


def test_a_population_below_the_sample_and_a_wrong_number_of_them_are_refused():
    sampled, _, population = world(1.0, 0, num_users=20)
    with pytest.raises(ValueError, match="needs a population of that size, got 199"):
        corrected.estimate(sampled, np.full(20, 199))
    with pytest.raises(ValueError, match="one entry for each of 20 users"):
        corrected.estimate(sampled, population[:3])
