"""Paired tests over users: all against the baseline, the best against all others, features against none."""

from collections.abc import Sequence

import numpy as np

from socialjax.eval.significance import Paired, holm, paired
from socialjax.run.report.gather import Kept, main_rows
from socialjax.run.report.overall import best_of, label
from socialjax.run.report.paper import Paper

METRICS = ("HR@10", "NDCG@10")
BASELINE = "bpr"


def against(rows: Sequence[tuple[Kept, Kept]]) -> list[tuple[Kept, Kept, str, Paired, float, float]]:
    """(a, b) -> (a, b, metric, a - b over users, p of the t-test and of Wilcoxon's test, both after Holm).

    Each user counts with the mean over that run's seeds. Holm's correction is over all rows and metrics of the table.
    Raises ValueError for two runs that evaluated different users.
    """
    for a, b in rows:
        if not np.array_equal(a.users, b.users):
            raise ValueError(
                f"{a.name} and {b.name} evaluated different users, so there is no pairing them; delete one of the two "
                "and run it again as the other"
            )
    found = {
        (place, metric): paired(a.user_means(metric), b.user_means(metric))
        for place, (a, b) in enumerate(rows)
        for metric in METRICS
    }
    corrected_t = holm({key: test.p_t for key, test in found.items()})
    corrected_w = holm({key: test.p_wilcoxon for key, test in found.items()})
    return [
        (*rows[place], metric, test, corrected_t[place, metric], corrected_w[place, metric])
        for (place, metric), test in found.items()
    ]


def against_baseline(runs: Sequence[Kept]) -> list[tuple[Kept, Kept]]:
    """Every main run with the baseline; none when the baseline is not kept."""
    mine = main_rows(runs)
    base = next((run for run in mine if run.name == BASELINE), None)
    return [(run, base) for run in mine if run is not base] if base else []


def best_against_each(runs: Sequence[Kept]) -> list[tuple[Kept, Kept]]:
    """The main run with the highest NDCG@10 with every other."""
    mine = main_rows(runs)
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
    """A line for each pair of runs: the difference of each metric with its 95 % interval, and corrected p values."""
    heads = ("difference (95 % interval)", "p, t-test, Holm", "p, Wilcoxon, Holm")
    table = [["", *(f"{metric} {head}" for metric in METRICS for head in heads)]]
    cells: dict[tuple[str, str], list[str]] = {}
    for a, b, _, test, *corrected in against(rows):
        cells.setdefault((a.name, b.name), []).extend([difference(test), *map(probability, corrected)])
    return table + [[f"{label(paper, a)} - {label(paper, b)}", *cells[a.name, b.name]] for a, b in rows]


def difference(test: Paired) -> str:
    """`+0.0050 (+0.0010 to +0.0090)`: the mean over users with its 95 % interval."""
    return f"{test.difference:+.4f} ({test.low:+.4f} to {test.high:+.4f})"


def probability(p: float) -> str:
    """Two digits above 0.1, one below: `0.43`, `0.003`, `2e-10`."""
    return f"{p:.2f}" if p >= 0.1 else "below 1e-99" if p < 1e-99 else f"{p:.1g}"
