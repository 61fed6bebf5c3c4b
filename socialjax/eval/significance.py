"""What a difference is worth: intervals over seeds, tests over users and over trainings, correction for many of them.

Two questions, two tests. *Other users*: would other users agree about these trained models (`paired`)? *Other
trainings*: would the difference stand if both models were trained anew from other seeds (`over_trainings`)? A claim
about a method, and not about the parameters that one training found, needs the second.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from socialjax.eval.metrics import Result

# scipy.stats is imported where it is used: it takes longer to load than the rest of the library.


@dataclasses.dataclass(frozen=True)
class Paired:
    """a - b over the same users: mean difference, its 95 % interval (low, high), p of the t-test and of Wilcoxon's."""

    difference: float
    low: float
    high: float
    p_t: float
    p_wilcoxon: float
    num_users: int


@dataclasses.dataclass(frozen=True)
class Trainings:
    """a - b over independent trainings: difference of the means, its 95 % interval (low, high), p of Welch's t-test."""

    difference: float
    low: float
    high: float
    p: float
    num_a: int
    num_b: int


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float | None]:
    """(mean, half width of Student's t interval) over runs that differ in the seed; one run has no width (None)."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values must be a list of at least one number, got shape {values.shape}")
    if len(values) == 1:
        return float(values[0]), None
    from scipy import stats

    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def paired(a: np.ndarray, b: np.ndarray, confidence: float = 0.95) -> Paired:
    """Two-sided paired tests of two systems on the same users: a, b f32[U].

    Wilcoxon's signed ranks drop the users without a difference (on sparse data most have none). Raises ValueError for
    unequal lengths, fewer than two users, or values that are not finite.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(f"a paired test needs two values for each of at least two users, got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a paired test needs finite values; look for runs that diverged")
    from scipy import stats

    difference = a - b
    mean, half = mean_interval(difference, confidence)
    if difference.std() == 0:  # the tests divide by the spread
        p = 1.0 if mean == 0 else 0.0
        return Paired(mean, mean, mean, p, p, len(a))
    p_t = float(stats.ttest_rel(a, b).pvalue)
    p_wilcoxon = float(stats.wilcoxon(difference[difference != 0]).pvalue)
    return Paired(mean, mean - half, mean + half, p_t, p_wilcoxon, len(a))


def over_trainings(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> Trainings | None:
    """Welch's two-sided t-test (Biometrika, 1947) of one figure for each training of a and each of b.

    Seeds of two models have nothing to do with each other, so they are not paired, and the spreads may differ. None
    when a or b was trained once: one training says nothing about others. Raises ValueError for values that are not
    finite.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a test over trainings needs finite values; look for runs that diverged")
    if min(len(a), len(b)) < 2:
        return None
    from scipy import stats

    mean = float(a.mean() - b.mean())
    if a.std() == 0 and b.std() == 0:  # the test divides by the spread
        return Trainings(mean, mean, mean, 1.0 if mean == 0 else 0.0, len(a), len(b))
    test = stats.ttest_ind(a, b, equal_var=False)
    low, high = test.confidence_interval(confidence)
    return Trainings(mean, float(low), float(high), float(test.pvalue), len(a), len(b))


def compare(a: Result, b: Result, metric: str) -> Paired:
    """`paired` on one metric of two evaluations of the same users under the same protocol."""
    if (a.protocol, a.part) != (b.protocol, b.part) or not np.array_equal(a.users, b.users):
        raise ValueError(
            f"only evaluations of the same users can be paired, got {a.protocol} on {len(a.users)} {a.part} users and "
            f"{b.protocol} on {len(b.users)} {b.part} users; evaluate both with the same candidates"
        )
    for result in (a, b):
        if metric not in result.per_user:
            raise ValueError(f"no metric '{metric}'; there are {', '.join(result.per_user)}")
    return paired(a.per_user[metric], b.per_user[metric])


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction (1979): p values that keep the chance of any false claim, in the order given."""
    names = sorted(p_values, key=p_values.__getitem__)
    adjusted, worst = {}, 0.0
    for rank, name in enumerate(names):
        worst = max(worst, min(1.0, (len(names) - rank) * p_values[name]))
        adjusted[name] = worst
    return {name: adjusted[name] for name in p_values}
