"""How models are ordered by sampled lists and by all items."""

import dataclasses
from collections.abc import Sequence

from socialjax.eval.tables import cell, escaped
from socialjax.report.gather import Kept, main_rows, newest
from socialjax.report.overall import NONE, label
from socialjax.report.paper import Paper

FULL = "full"
METRICS = ("NDCG@10", "HR@10")


@dataclasses.dataclass(frozen=True)
class Line:
    """A model or a reference line: protocol -> its metrics there, and protocol -> the estimates of full ones from it.

    A metric is a number, or {"mean", "ci95"} over seeds.
    """

    label: str
    metrics: dict[str, dict]
    estimates: dict[str, dict]
    is_trained: bool = True


def lines(paper: Paper, runs: Sequence[Kept]) -> list[Line]:
    """The reference lines and the main runs that were measured under every protocol that any was."""
    record = newest(runs).record
    also, guesses = record.get("references_also", {}), record.get("references_corrected", {})
    found = [Line(name, metrics, guesses.get(name, {}), False) for name, metrics in also.items()]
    for run in main_rows(runs):
        metrics = {run.record["protocol"]: run.record["metrics"], **run.record["also"]}
        found.append(Line(label(paper, run), metrics, run.record.get("corrected") or {}))
    return [line for line in found if all(METRICS[0] in line.metrics.get(name, {}) for name in protocols(runs))]


def sets(some: Sequence[Line]) -> dict[str, list[Line]]:
    """All lines, and the trained models apart: reference lines far below make every order look alike."""
    trained = [line for line in some if line.is_trained]
    found = {f"{len(trained)} models": trained} if trained else {}
    return found if len(trained) == len(some) else {f"{len(some)} lines": list(some), **found}


def protocols(runs: Sequence[Kept]) -> list[str]:
    """All that were evaluated, the table's first and `full` last."""
    names = dict.fromkeys(name for run in main_rows(runs) for name in (run.record["protocol"], *run.record["also"]))
    return sorted(names, key=lambda name: name == FULL)


def number(metric: dict | float) -> float:
    """The metric, or its mean over seeds."""
    return metric["mean"] if isinstance(metric, dict) else metric


def means(some: Sequence[Line], protocol: str, metric: str) -> list[float]:
    """One value for each line."""
    return [number(line.metrics[protocol][metric]) for line in some]


def ranks(values: Sequence[float]) -> list[int]:
    """1 for the highest; equal values share the better rank."""
    return [1 + sum(other > value for other in values) for value in values]


def tau(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's tau-b of two orders; None for fewer than two models or for an order in which all are equal."""
    if len(a) < 2 or len(set(a)) == 1 or len(set(b)) == 1:
        return None
    from scipy import stats

    return float(stats.kendalltau(a, b).statistic)


def sampled_and_full(some: Sequence[Line], names: Sequence[str], metric: str) -> list[list[str]]:
    """Each line's metric under every protocol, with its rank there."""
    table = [["", *(head for name in names for head in (f"{metric} {name}", "rank"))]]
    order = {name: ranks(means(some, name, metric)) for name in names}
    for row, line in enumerate(some):
        cells = [text for name in names for text in (cell(line.metrics[name][metric]), str(order[name][row]))]
        table.append([line.label, *cells])
    return table


def taus(some: Sequence[Line], names: Sequence[str]) -> list[str]:
    """A sentence for each sampled protocol: how much its order of the models agrees with that over all items."""
    said = []
    for name in names if FULL in names else ():
        if name != FULL:
            values = []
            for of, those in sets(some).items():
                found = {metric: tau(means(those, name, metric), means(those, FULL, metric)) for metric in METRICS}
                values.append(f"{of}, {', '.join(f'{metric} {said_tau(value)}' for metric, value in found.items())}")
            said.append(f"Kendall's tau between the orders by `{name}` and by `full`: {'; '.join(values)}.")
    return said


def said_tau(value: float | None) -> str:
    """`0.714`, or that there is none."""
    return NONE if value is None else f"{value:.3f}"


def swapped(some: Sequence[Line], names: Sequence[str], metric: str = "NDCG@10") -> str:
    """The pairs that the table's protocol and `full` order differently, in words; empty without `full`."""
    if FULL not in names[1:] or len(some) < 2:
        return ""
    sampled, full = means(some, names[0], metric), means(some, FULL, metric)
    places = range(len(some))
    pairs = [(a, b) for a in places for b in places if sampled[a] > sampled[b] and full[a] < full[b]]
    if not pairs:
        return f"By {metric}, both order all pairs alike."
    said = "; ".join(f"{escaped(some[a].label)} above {escaped(some[b].label)}" for a, b in pairs)
    return f"In the sampled order by {metric}, but the other way round over all items: {said}."
