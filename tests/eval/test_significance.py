"""Intervals and tests against tables, formulas and simulation."""

import numpy as np
import pytest
from scipy import stats

from socialjax.eval.metrics import Result
from socialjax.eval.significance import compare, holm, mean_interval, over_trainings, paired


def test_interval_over_seeds_by_hand():
    # Mean 2, standard deviation 1, three runs: t(0.975, 2) = 4.302653, so 4.302653 / sqrt(3).
    mean, half = mean_interval([1.0, 2.0, 3.0])
    assert mean == 2 and half == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    assert mean_interval([0.3]) == (0.3, None)
    with pytest.raises(ValueError, match="at least one number"):
        mean_interval([])


def test_paired_tests_agree_with_flipping_signs():
    rng = np.random.default_rng(0)
    a = rng.normal(size=60)
    b = a - 0.25 + rng.normal(size=60)
    b[:10] = a[:10]
    found = paired(a, b)
    difference = a - b
    flipped = (rng.choice([-1, 1], (20_000, 60)) * difference).mean(axis=1)
    by_permutation = np.mean(np.abs(flipped) >= abs(difference.mean()))
    assert found.difference == pytest.approx(difference.mean()) and found.num_users == 60
    assert found.p_t == pytest.approx(by_permutation, abs=0.02)
    assert found.p_wilcoxon == pytest.approx(by_permutation, abs=0.1)
    assert found.low < found.difference < found.high
    assert (found.p_t < 0.05) == (found.low > 0 or found.high < 0)


def test_without_spread_the_answer_is_plain():
    assert paired(np.ones(4), np.ones(4)).p_t == 1 and paired(np.ones(4), np.zeros(4)).p_wilcoxon == 0
    assert paired(np.ones(4), np.ones(4)).difference == 0


def test_what_cannot_be_paired_is_refused():
    a = Result("full", "test", np.array([0, 1]), {"HR@5": np.array([0.0, 1.0], np.float32)})
    b = Result("full", "test", np.array([0, 2]), a.per_user)
    with pytest.raises(ValueError, match="same candidates"):
        compare(a, b, "HR@5")
    with pytest.raises(ValueError, match="no metric 'HR@10'"):
        compare(a, a, "HR@10")
    assert compare(a, a, "HR@5").p_t == 1
    with pytest.raises(ValueError, match="at least two users"):
        paired([1.0], [2.0])
    with pytest.raises(ValueError, match="finite"):
        paired([1.0, np.nan], [1.0, 2.0])


def test_trainings_are_compared_without_pairing_their_seeds():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.3, 1.0, 5), rng.normal(0.0, 0.2, 4)
    found = over_trainings(a, b)
    squares = a.var(ddof=1) / 5, b.var(ddof=1) / 4
    t = (a.mean() - b.mean()) / np.sqrt(sum(squares))
    freedom = sum(squares) ** 2 / (squares[0] ** 2 / 4 + squares[1] ** 2 / 3)
    assert found.difference == pytest.approx(a.mean() - b.mean()) and (found.num_a, found.num_b) == (5, 4)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), freedom))
    half = stats.t.ppf(0.975, freedom) * np.sqrt(sum(squares))
    assert (found.low, found.high) == pytest.approx((found.difference - half, found.difference + half))
    assert over_trainings(a[::-1], b).p == pytest.approx(found.p), "the order of seeds means nothing"
    assert over_trainings([1.0], b) is None and over_trainings(a, []) is None
    assert over_trainings([1.0, 1.0], [1.0, 1.0]).p == 1 and over_trainings([1.0, 1.0], [0.0, 0.0]).p == 0
    with pytest.raises(ValueError, match="finite"):
        over_trainings([1.0, np.inf], b)


def test_holm_by_hand():
    # Sorted .01 .02 .04: times 3, 2, 1 = .03 .04 .04; in the order given.
    assert holm({"c": 0.04, "a": 0.01, "b": 0.02}) == pytest.approx({"c": 0.04, "a": 0.03, "b": 0.04})
    # .03 x 2 = .06 is not undercut by the larger p's .04 x 1; nothing exceeds 1.
    assert holm({"a": 0.03, "b": 0.04}) == pytest.approx({"a": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0} and holm({}) == {}
