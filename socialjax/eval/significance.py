"""Significance: intervals over seeds, tests over users and over trainings, correction for multiple comparisons.

There are two kinds of tests. `paired` asks whether other users would agree about these trained models,
`over_trainings` whether the difference would remain if both models were trained again from other seeds. A claim about a
method, and not about the parameters of one training, needs the second.
"""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from socialjax.eval.metrics import Result

# scipy.stats is imported where it is used: it takes longer to load than the rest of the library.

SAME = 1e-12  # the spread of trainings that ended alike, but for rounding


@dataclasses.dataclass(frozen=True)
class Paired:
    """a - b over the same users.

    Attributes:
      difference: The mean difference.
      low: Lower end of its 95 % interval.
      high: Upper end of its 95 % interval.
      p_t: p of the paired t-test.
      p_wilcoxon: p of Wilcoxon's signed-rank test.
      num_users: How many users.
    """

    difference: float
    low: float
    high: float
    p_t: float
    p_wilcoxon: float
    num_users: int


@dataclasses.dataclass(frozen=True)
class Trainings:
    """a - b over independent trainings.

    Attributes:
      difference: The difference of the means.
      low: Lower end of its 95 % interval.
      high: Upper end of its 95 % interval.
      p: p of Welch's t-test.
      num_a: Trainings of a.
      num_b: Trainings of b.
    """

    difference: float
    low: float
    high: float
    p: float
    num_a: int
    num_b: int


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float | None]:
    """Mean and half width of Student's t interval over runs that differ in the seed; the width of one run is None."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values must be a list of at least one number, got shape {values.shape}")
    if len(values) == 1:
        return float(values[0]), None
    from scipy import stats

    half = stats.t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def paired(a: np.ndarray, b: np.ndarray, confidence: float = 0.95) -> Paired:
    """Two-sided paired tests of two systems on the same users.

    Wilcoxon's signed-rank test leaves out users without a difference, on sparse data most of them.

    Args:
      a: f32[U], a metric of each user.
      b: f32[U], of the same users.
      confidence: Of the interval.

    Raises:
      ValueError: for unequal lengths, fewer than two users, or values that are not finite.
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
    """Welch's two-sided t-test (Biometrika 1947) of one figure for each training.

    Equal seeds of two models are unrelated, so they are not paired, and variances may differ.

    Args:
      a: The figure of each training of one model.
      b: The figure of each training of the other.
      confidence: Of the interval.

    Returns:
      The test, or None when a or b was trained once.

    Raises:
      ValueError: for values that are not finite.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a test over trainings needs finite values; look for runs that diverged")
    if min(len(a), len(b)) < 2:
        return None
    from scipy import stats

    mean = float(a.mean() - b.mean())
    if max(a.std(), b.std()) < SAME:  # the test divides by the spread
        return Trainings(mean, mean, mean, 1.0 if mean == 0 else 0.0, len(a), len(b))
    with warnings.catch_warnings():  # trainings of one model may end alike, and its spread is next to nothing
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
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
    """Holm's step-down correction (Scandinavian Journal of Statistics 1979): adjusted p values, in the same order."""
    names = sorted(p_values, key=p_values.__getitem__)
    adjusted, worst = {}, 0.0
    for rank, name in enumerate(names):
        worst = max(worst, min(1.0, (len(names) - rank) * p_values[name]))
        adjusted[name] = worst
    return {name: adjusted[name] for name in p_values}
