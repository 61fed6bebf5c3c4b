"""Metrics by how much is known: of a user, training items and friends; of an item, its users in training."""

from collections.abc import Sequence

from socialjax.eval.significance import mean_interval
from socialjax.eval.tables import cell, escaped
from socialjax.report.gather import Kept, main_rows
from socialjax.report.overall import label
from socialjax.report.paper import Paper

NAMES = {
    "interactions": "training items of a user",
    "social degree": "friends of a user",
    "item interactions": "training users of an item",
}


def kinds(runs: Sequence[Kept]) -> list[str]:
    """By what the users are grouped."""
    return list(dict.fromkeys(kind for run in main_rows(runs) for kind in run.record["groups"][0]))


def group_sizes(runs: Sequence[Kept], kind: str) -> dict[str, int]:
    """Label -> evaluated users of the group, empty groups left out."""
    first = next(run for run in main_rows(runs) if kind in run.record["groups"][0])
    return {group: found["users"] for group, found in first.record["groups"][0][kind].items() if found["users"]}


def group_metric(run: Kept, kind: str, group: str, metric: str) -> dict | None:
    """{"mean", "ci95"} over seeds; None where the run has no such group or metric."""
    found = [seed.get(kind, {}).get(group, {}).get(metric) for seed in run.record["groups"]]
    if any(value is None for value in found):
        return None
    mean, half = mean_interval(found)
    return {"mean": mean, "ci95": half}


def heading(kind: str, metric: str) -> str:
    """What stands above a table of groups."""
    return f"{metric} by {NAMES.get(kind) or escaped(kind)}"


def by_sparsity(paper: Paper, runs: Sequence[Kept], kind: str, metric: str) -> list[list[str]]:
    """A row for each model and a column for each group."""
    sizes = group_sizes(runs, kind)
    table = [["", *(f"{group}, {size:,} users" for group, size in sizes.items())]]
    for run in main_rows(runs):
        table.append([label(paper, run), *(cell(group_metric(run, kind, group, metric)) for group in sizes)])
    return table
