"""Differences between runs and what they are worth: all against the baseline, the best against all others, features
against none.

One setting varied, all others as in the main run: width, depth.

Full metrics estimated from samples (Krichene and Rendle, KDD 2020), beside the naive reading and the truth.
"""

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np

from socialjax.eval.metrics import cell, escaped, markdown_table
from socialjax.eval.significance import Paired, Trainings, holm, over_trainings, paired
from socialjax.report.figures import FULL, Line, format_tau, number, sets, tau
from socialjax.report.gather import Kept, main_rows, span
from socialjax.report.overall import best_of, comparable, label
from socialjax.report.papers import Paper
from socialjax.run.results import binding, complete


def varied(runs: Sequence[Kept], field: str) -> dict[str, dict]:
    """Main run's name -> value of the field -> the run that has it; only runs of which the field was varied.

    `diffnet-dim=16` varies `diffnet`, whose own width is one more value.
    """
    by_model: dict[str, dict] = {}
    for run in runs:
        if run.swept == field:
            by_model.setdefault(run.base, {})[_value(run, field)] = run
    for run in main_rows(runs):
        if run.name in by_model and field in run.record.settings["model"]:
            by_model[run.name][_value(run, field)] = run
    return by_model


def _value(run: Kept, field: str) -> Hashable:
    """Of the field in the run's settings. Raises ValueError for a run that is named after another."""
    if field not in run.record.settings["model"]:
        raise ValueError(f"{run.name} is named after {field}, which its settings lack; keep it with another --name")
    value = run.record.settings["model"][field]
    return tuple(value) if isinstance(value, list) else value


def _in_order(value: Hashable) -> tuple:
    """Numbers by size, then what is none by its text."""
    is_number = isinstance(value, int | float)
    return not is_number, value if is_number else 0, str(value)


def variation(paper: Paper, runs: Sequence[Kept], field: str, metric: str) -> list[list[str]]:
    """A row for each model and a column for each value of the field; seeds stand in every cell."""
    by_model = varied(runs, field)
    wanted = {value for by in by_model.values() for value in by} | set(paper.swept.get(field, ()))
    values = sorted(wanted, key=_in_order)
    table = [[metric, *(f"{field} {value}" for value in values)]]
    for base, by in by_model.items():
        first = next(iter(by.values()))
        cells = [
            f"{cell(by[value].record.metrics.get(metric))} (seeds {span(by[value].seeds)})"
            if value in by
            else cell(None)
            for value in values
        ]
        table.append([paper.label(base, first.model), *cells])
    return table


def varied_runs(runs: Sequence[Kept], field: str) -> list[Kept]:
    """All runs that stand in the table of that field."""
    return [run for by in varied(runs, field).values() for run in by.values()]


def other_differences(paper: Paper, runs: Sequence[Kept], field: str) -> str:
    """In words, what else differs between the runs of a row; the values of a sweep may have been tuned anew."""
    notes = []
    for base, by in varied(runs, field).items():
        flat = [binding(complete(run.record.settings), run.record.provenance) for run in by.values()]
        names = {name for settings in flat for name in settings} - {f"model.{field}"}
        differ = sorted(name for name in names if any(one.get(name) != flat[0].get(name) for one in flat))
        if differ:
            notes.append(f"{paper.label(base, next(iter(by.values())).model)} also in {escaped(', '.join(differ))}")
    return f"Beside {field}, {'; '.join(notes)}." if notes else f"Nothing but {field} differs within a row."


METRIC = "NDCG@10"
DIRECTION = (
    "The estimate takes all ranks to be equally likely beforehand, but models put positives near the top more often: "
    "it is too low for most. The two metrics differ in scale, so that its small error does not say that it orders "
    "models better."
)


def estimated(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Sampled protocol -> the lines that have an estimate of the full metric from it, and the full metric."""
    by_protocol: dict[str, list[Line]] = {}
    for line in lines:
        for protocol, metrics in line.estimates.items():
            if METRIC in metrics and METRIC in line.metrics.get(FULL, {}):
                by_protocol.setdefault(protocol, []).append(line)
    return by_protocol


def estimates(lines: Sequence[Line], protocol: str) -> list[list[str]]:
    """The sampled metric read as if it were the full one, the estimate, the full metric, and both errors."""
    table = [["", f"{METRIC} {protocol}", "estimate of full", FULL, "error of the naive reading", "of the estimate"]]
    for line in lines:
        naive, estimate, full = three(line, protocol)
        errors = [f"{number(found) - number(full):+.4f}" for found in (naive, estimate)]
        table.append([line.label, cell(naive), cell(estimate), cell(full), *errors])
    return table


def summary(lines: Sequence[Line], protocol: str) -> str:
    """Mean absolute errors, the direction of the estimate's and Kendall's taus, in words; of all lines, and of the
    trained models apart."""
    sentences = []
    for name, subset in sets(lines).items():
        naive, estimate, full = (np.array([*map(number, x)]) for x in zip(*(three(line, protocol) for line in subset)))
        errors = [float(np.abs(found - full).mean()) for found in (naive, estimate)]
        taus = [format_tau(tau(found.tolist(), full.tolist())) for found in (naive, estimate)]
        low, short = int((estimate < full).sum()), (full - estimate).mean() / full.mean()
        sentences.append(
            f"Over {name}: mean absolute error of the naive reading {errors[0]:.4f}, of the estimate {errors[1]:.4f}, "
            f"which is too low on {low} of {len(full)} and in the mean by {short:.0%} of the full metric; Kendall's "
            f"tau with the order by `full` {taus[0]} and {taus[1]}."
        )
    return " ".join(sentences)


def three(line: Line, protocol: str) -> tuple:
    """(naive, estimate, full) of one line."""
    return line.metrics[protocol][METRIC], line.estimates[protocol][METRIC], line.metrics[FULL][METRIC]


def blocks(lines: Sequence[Line], caption: Callable[[str], str]) -> Iterator[str]:
    """A table and its reading for each sampled protocol. below: protocols -> the line below a table."""
    by_protocol = estimated(lines)
    for protocol, subset in by_protocol.items():
        yield markdown_table(estimates(subset, protocol))
        yield f"{caption(f'{protocol}, {FULL}')} {summary(subset, protocol)} {DIRECTION}"
    if not by_protocol:
        yield "No kept run has estimates."


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


Pair = tuple[Kept, Kept]


def family_of(*tables: Sequence[Pair]) -> list[Pair]:
    """The pairs of several tables, each once: as it stands in the first that has it, in either order."""
    found: dict[frozenset[str], Pair] = {}
    for a, b in (pair for rows in tables for pair in rows):
        found.setdefault(frozenset((a.name, b.name)), (a, b))
    return list(found.values())


def against(paper: Paper, rows: Sequence[Pair], family: Sequence[Pair] = ()) -> list[Comparison]:
    """Every pair (a, b) in both metrics of the paper.

    Over users, each counts with the mean over that run's seeds; over trainings, each seed counts with its mean over
    the users. Holm's correction is over all metrics of the family, for each question apart.

    Args:
        paper: with two metrics.
        rows: the pairs.
        family: all pairs that conclusions are drawn from together, these among them; by default these alone.

    Raises:
        ValueError: two runs that evaluated different users.
    """
    wanted, rows = len(rows), family_of(rows, family)
    for a, b in rows:
        if not np.array_equal(a.users, b.users):
            raise ValueError(
                f"{a.name} and {b.name} evaluated different users, so there is no pairing them; delete one of the two "
                "and run it again as the other"
            )
    keys = [(place, metric) for place in range(len(rows)) for metric in paper.metrics]
    users, trainings = {}, {}
    for row, metric in keys:
        a, b = rows[row]
        users[row, metric] = paired(a.user_means(metric), b.user_means(metric))
        trainings[row, metric] = over_trainings(a.seed_means(metric), b.seed_means(metric))
    p_users = holm({key: test.p_t for key, test in users.items()})
    p_trainings = holm({key: test.p for key, test in trainings.items() if test is not None})
    return [
        Comparison(*rows[key[0]], key[1], users[key], trainings[key], p_users[key], p_trainings.get(key))
        for key in keys
        if key[0] < wanted
    ]


def against_baseline(paper: Paper, runs: Sequence[Kept]) -> list[tuple[Kept, Kept]]:
    """Every comparable run with the baseline; none when the baseline is not among them."""
    rivals = comparable(paper, runs)
    base = next((run for run in rivals if run.name == paper.baseline), None)
    return [(run, base) for run in rivals if run is not base] if base else []


def best_against_each(paper: Paper, runs: Sequence[Kept]) -> list[tuple[Kept, Kept]]:
    """The comparable run with the highest NDCG with every other."""
    rivals = comparable(paper, runs)
    best = best_of(rivals, paper.metrics).get(paper.metrics[1])
    return [(best, run) for run in rivals if run is not best] if best else []


def with_and_without_features(runs: Sequence[Kept]) -> list[tuple[Kept, Kept]]:
    """Every run `NAME-features` with `NAME`."""
    by_name = {run.name: run for run in main_rows(runs)}
    pairs = [
        (run, by_name.get(name.removesuffix("-features")))
        for name, run in by_name.items()
        if name.endswith("-features")
    ]
    return [(run, without) for run, without in pairs if without is not None]


def on_cold_items(rows: Sequence[tuple[Kept, Kept]]) -> list[tuple[Kept, Kept]]:
    """The same pairs on items that nobody has in training, where both were measured on them."""
    pairs = [(a.cold, b.cold) for a, b in rows]
    return [(a, b) for a, b in pairs if a and b and a.users.tolist() == b.users.tolist() and len(a.users) > 1]


def comparison(paper: Paper, rows: Sequence[Pair], family: Sequence[Pair] = ()) -> list[list[str]]:
    """A line for each pair of runs: of each metric the difference, and what both questions say of it.

    family: as for `against`.
    """
    table = [["", *(f"{metric} {head}" for metric in paper.metrics for head in ("difference", *QUESTIONS))]]
    cells: dict[tuple[str, str], list[str]] = {}
    for test in against(paper, rows, family):
        cells.setdefault((test.a.name, test.b.name), []).extend([f"{test.users.difference:+.4f}", *questions(test)])
    return table + [[f"{label(paper, a)} - {label(paper, b)}", *cells[a.name, b.name]] for a, b in rows]


def questions(test: Comparison) -> list[str]:
    """Interval and p over users, interval and p over trainings."""
    if test.trainings is None:
        return [interval(test.users), probability(test.p_users), ONCE, ONCE]
    return [interval(test.users), probability(test.p_users), interval(test.trainings), probability(test.p_trainings)]


def interval(test: Paired | Trainings) -> str:
    """`+0.0010 to +0.0090`: the 95 % interval of the mean difference."""
    return f"{test.low:+.4f} to {test.high:+.4f}"


def reading(paper: Paper, rows: Sequence[Pair], family: Sequence[Pair] = ()) -> str:
    """What the columns of `comparison` answer, in words. family: as for `against`."""
    number = len(paper.metrics) * len(family_of(rows, family))
    over = f"the {number} tests of the table" if not family else f"all {number} tests of this section, each pair once"
    a, b = rows[0]
    same = len({len(run.seeds) for row in rows for run in row}) == 1
    seeds = f"{len(a.seeds)} + {len(b.seeds)} trainings" if same else "trainings of both"
    return (
        f"*Other users*: would other users agree about these trained models? Paired t-test over {len(a.users):,} test "
        "users, each with the mean over the seeds. *Other trainings*: would the difference stand if both were trained "
        f"anew? Welch's t-test over the {seeds}, each with its mean over these users. Holm's correction is "
        f"over {over}, for each question apart."
    )


def probability(p: float) -> str:
    """Two digits above 0.1, one below: `0.43`, `0.003`, `2e-10`."""
    return f"{p:.2f}" if p >= 0.1 else "below 1e-99" if p < 1e-99 else f"{p:.1g}"
