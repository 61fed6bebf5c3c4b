"""Differences between runs and what they are worth: all against the baseline, the best against all others, features
against none."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from socialjax.eval.significance import Paired, Trainings, holm, over_trainings, paired
from socialjax.report.gather import Kept, main_rows
from socialjax.report.overall import best_of, comparable, label
from socialjax.report.paper import Paper

METRICS = ("HR@10", "NDCG@10")
BASELINE = "bpr"
QUESTIONS = ("other users: 95 % interval", "other users: p", "other trainings: 95 % interval", "other trainings: p")
ONCE = "trained once"  # of a run with one seed, which says nothing about other trainings


@dataclasses.dataclass(frozen=True)
class Comparison:
    """a - b in one metric, as two questions see it; the p values of both are after Holm's correction.

    users: would other users agree about these trained models? trainings: would other trainings? None, and no p, where
    one of the two was trained once.
    """

    a: Kept
    b: Kept
    metric: str
    users: Paired
    trainings: Trainings | None
    p_users: float
    p_trainings: float | None


def against(rows: Sequence[tuple[Kept, Kept]]) -> list[Comparison]:
    """Every pair (a, b) in every metric.

    Over users, each counts with the mean over that run's seeds; over trainings, each seed counts with its mean over
    the users. Holm's correction is over all rows and metrics of the table, for each question apart.
    Raises ValueError for two runs that evaluated different users.
    """
    for a, b in rows:
        if not np.array_equal(a.users, b.users):
            raise ValueError(
                f"{a.name} and {b.name} evaluated different users, so there is no pairing them; delete one of the two "
                "and run it again as the other"
            )
    keys = [(place, metric) for place in range(len(rows)) for metric in METRICS]
    users, trainings = {}, {}
    for place, metric in keys:
        a, b = rows[place]
        users[place, metric] = paired(a.user_means(metric), b.user_means(metric))
        trainings[place, metric] = over_trainings(a.seed_means(metric), b.seed_means(metric))
    p_users = holm({key: test.p_t for key, test in users.items()})
    p_trainings = holm({key: test.p for key, test in trainings.items() if test is not None})
    return [
        Comparison(*rows[key[0]], key[1], users[key], trainings[key], p_users[key], p_trainings.get(key))
        for key in keys
    ]


def against_baseline(paper: Paper, runs: Sequence[Kept]) -> list[tuple[Kept, Kept]]:
    """Every comparable run with the baseline; none when the baseline is not among them."""
    mine = comparable(paper, runs)
    base = next((run for run in mine if run.name == BASELINE), None)
    return [(run, base) for run in mine if run is not base] if base else []


def best_against_each(paper: Paper, runs: Sequence[Kept]) -> list[tuple[Kept, Kept]]:
    """The comparable run with the highest NDCG@10 with every other."""
    mine = comparable(paper, runs)
    best = best_of(mine).get("NDCG@10")
    return [(best, run) for run in mine if run is not best] if best else []


def with_and_without_features(runs: Sequence[Kept]) -> list[tuple[Kept, Kept]]:
    """Every run `NAME-features` with `NAME`."""
    mine = {run.name: run for run in main_rows(runs)}
    pairs = [
        (run, mine.get(name.removesuffix("-features"))) for name, run in mine.items() if name.endswith("-features")
    ]
    return [(run, without) for run, without in pairs if without is not None]


def on_cold_items(rows: Sequence[tuple[Kept, Kept]]) -> list[tuple[Kept, Kept]]:
    """The same pairs on items that nobody has in training, where both were measured on them."""
    pairs = [(a.cold, b.cold) for a, b in rows]
    return [(a, b) for a, b in pairs if a and b and a.users.tolist() == b.users.tolist() and len(a.users) > 1]


def comparison(paper: Paper, rows: Sequence[tuple[Kept, Kept]]) -> list[list[str]]:
    """A line for each pair of runs: of each metric the difference, and what both questions say of it."""
    table = [["", *(f"{metric} {head}" for metric in METRICS for head in ("difference", *QUESTIONS))]]
    cells: dict[tuple[str, str], list[str]] = {}
    for one in against(rows):
        cells.setdefault((one.a.name, one.b.name), []).extend([f"{one.users.difference:+.4f}", *questions(one)])
    return table + [[f"{label(paper, a)} - {label(paper, b)}", *cells[a.name, b.name]] for a, b in rows]


def questions(one: Comparison) -> list[str]:
    """Interval and p over users, interval and p over trainings."""
    if one.trainings is None:
        return [interval(one.users), probability(one.p_users), ONCE, ONCE]
    return [interval(one.users), probability(one.p_users), interval(one.trainings), probability(one.p_trainings)]


def interval(test: Paired | Trainings) -> str:
    """`+0.0010 to +0.0090`: the 95 % interval of the mean difference."""
    return f"{test.low:+.4f} to {test.high:+.4f}"


def reading(rows: Sequence[tuple[Kept, Kept]]) -> str:
    """What the columns of `comparison` answer, in words."""
    a, b = rows[0]
    same = len({len(run.seeds) for row in rows for run in row}) == 1
    seeds = f"{len(a.seeds)} + {len(b.seeds)} trainings" if same else "trainings of both"
    return (
        f"*Other users*: would other users agree about these trained models? Paired t-test over {len(a.users):,} test "
        "users, each with the mean over the seeds. *Other trainings*: would the difference stand if both were trained "
        f"anew? Welch's t-test over the {seeds}, each with its mean over these users. Holm's correction is "
        f"over the {len(METRICS) * len(rows)} tests of the table, for each question apart."
    )


def probability(p: float) -> str:
    """Two digits above 0.1, one below: `0.43`, `0.003`, `2e-10`."""
    return f"{p:.2f}" if p >= 0.1 else "below 1e-99" if p < 1e-99 else f"{p:.1g}"
