"""One setting varied, all others as in the main run: width, depth."""

from collections.abc import Hashable, Sequence

from socialjax.eval.tables import cell, escaped
from socialjax.report.gather import Kept, main_rows, span
from socialjax.report.paper import Paper
from socialjax.run.results import binding, complete


def varied(runs: Sequence[Kept], field: str) -> dict[str, dict]:
    """Main run's name -> value of the field -> the run that has it; only runs of which the field was varied.

    `diffnet-dim=16` varies `diffnet`, whose own width is one more value.
    """
    found: dict[str, dict] = {}
    for run in runs:
        if run.swept == field:
            found.setdefault(run.base, {})[_value(run, field)] = run
    for run in main_rows(runs):
        if run.name in found and field in run.record["settings"]["model"]:
            found[run.name][_value(run, field)] = run
    return found


def _value(run: Kept, field: str) -> Hashable:
    """Of the field in the run's settings. Raises ValueError for a run that is named after another."""
    if field not in run.record["settings"]["model"]:
        raise ValueError(f"{run.name} is named after {field}, which its settings lack; keep it with another --name")
    value = run.record["settings"]["model"][field]
    return tuple(value) if isinstance(value, list) else value


def _in_order(value: Hashable) -> tuple:
    """Numbers by size, then what is none by its text."""
    is_number = isinstance(value, int | float)
    return not is_number, value if is_number else 0, str(value)


def variation(paper: Paper, runs: Sequence[Kept], field: str, metric: str) -> list[list[str]]:
    """A row for each model and a column for each value of the field; seeds stand in every cell."""
    found = varied(runs, field)
    wanted = {value for by in found.values() for value in by} | set(paper.swept.get(field, ()))
    values = sorted(wanted, key=_in_order)
    table = [[metric, *(f"{field} {value}" for value in values)]]
    for base, by in found.items():
        first = next(iter(by.values()))
        cells = [
            f"{cell(by[value].record['metrics'].get(metric))} (seeds {span(by[value].seeds)})"
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
    said = []
    for base, by in varied(runs, field).items():
        flat = [binding(complete(run.record["settings"]), run.record["provenance"]) for run in by.values()]
        names = {name for one in flat for name in one} - {f"model.{field}"}
        differ = sorted(name for name in names if any(one.get(name) != flat[0].get(name) for one in flat))
        if differ:
            said.append(f"{paper.label(base, next(iter(by.values())).model)} also in {escaped(', '.join(differ))}")
    return f"Beside {field}, {'; '.join(said)}." if said else f"Nothing but {field} differs within a row."
