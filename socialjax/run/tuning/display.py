"""What a search shows at its end: best.json, the table of trials, their curves, and the lines to paste."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from socialjax import models
from socialjax.data import as_published
from socialjax.data.schema import Dataset
from socialjax.drawing import BLUE, GREEN, GREY, ORANGE, blank, save
from socialjax.eval.tables import text_table
from socialjax.run import results
from socialjax.run.settings import Experiment
from socialjax.run.tuning.search import Search
from socialjax.run.tuning.trials import Ledger
from socialjax.train.settings import METRIC

NO_SETTINGS = ("quiet", "save_seconds")  # what has no bearing on the figures
COLOURS = {"bpr": BLUE, "bce": GREEN, "softmax": ORANGE}  # the rest is grey


def ranked(records: list[dict]) -> list[dict]:
    """The best by validation first; of equals the earlier trial; those that diverged last."""
    value = lambda record: -1.0 if record[METRIC] is None else record[METRIC]  # noqa: E731
    return sorted(records, key=lambda record: (-value(record), record["trial"]))


def best(search: Search, data: Dataset, rungs: list[list[dict]]) -> dict:
    """The best trial of the last rung, with its settings and as Python. Raises ValueError when every trial diverged."""
    record = ranked(rungs[-1])[0]
    if record[METRIC] is None:
        raise ValueError(f"no trial has a finite loss; the last said: {record['diverged']}")
    experiment = search.experiments()[record["trial"]][1]
    return {
        **record,
        "dataset": data.name,
        "data": data.provenance.kind,
        "protocol": search.protocol,
        "trials": search.trials,
        "rungs": list(search.rungs),
        "space_seed": search.space_seed,
        "settings": results.settings_of(experiment),
        "python": [f"model={python(experiment.model)}", f"train={python(experiment.train, NO_SETTINGS)}"],
        "table": table_line(experiment),
        **results.made_with(),
    }


def python(settings, without: tuple[str, ...] = ()) -> str:
    """A settings dataclass as the call that makes it, with what differs from its defaults."""
    kept = [f"{name}={quoted(value)}" for name, value in changed(settings).items() if name not in without]
    return f"{type(settings).__name__}({', '.join(kept)})"


def table_line(experiment: Experiment) -> str:
    """The line of a table's SETTINGS: `"bpr": Setting({"l2": 0.04}, TrainSettings(epochs=200)),`."""
    fields = ", ".join(f'"{name}": {quoted(value)}' for name, value in changed(experiment.model).items())
    return f'"{models.name_of(experiment.model)}": Setting({{{fields}}}, {python(experiment.train, NO_SETTINGS)}),'


def changed(settings) -> dict[str, Any]:
    """The fields of a settings dataclass that differ from its defaults."""
    usual = type(settings)()
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return {name: value for name, value in values.items() if value != getattr(usual, name)}


def quoted(value: Any) -> str:
    """Python's literal of a setting, text in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def text(search: Search, data: Dataset, rungs: list[list[dict]], chosen: dict, folder: Path, is_new: bool) -> str:
    """The table of trials, those that came furthest first, and the lines to paste. is_new: whether any was trained
    in this start of the command."""
    last = {record["trial"]: record for rung in rungs for record in rung}
    rows = [
        ["trial", f"validation {METRIC}", "best epoch", "trained to", "seconds", *chosen["model"], *chosen["training"]]
    ]
    for rung in reversed(range(len(rungs))):
        for record in ranked([record for record in last.values() if record["rung"] == rung]):
            figure = "not finite" if record[METRIC] is None else f"{record[METRIC]:.4f}"
            figures = [figure, "/".join(map(str, record["epoch"])), str(record["epochs"]), f"{record['seconds']:.0f}"]
            drawn = [*record["model"].values(), *record["training"].values()]
            rows.append([str(record["trial"]), *figures, *map(str, drawn)])
    kind = data.provenance.kind + as_published.note(data.provenance.published)
    stand_in = ", STAND-IN: generated, not real data" if data.provenance.kind == "stand-in" else ""
    lines = [
        "",
        f"{models.name_of(search.model)} on {data.name} ({kind}), {search.protocol}, validation"
        f"{stand_in}; popularity {chosen['popularity']:.4f}",
        text_table(rows),
        f"trial {chosen['trial']} is the best:",
        *(f"    {line}" for line in chosen["python"]),
        "the same as a line of SETTINGS in the file of a table, such as experiments/baselines_yelp.py:",
        f"    {chosen['table']}",
        *([] if is_new else [f"finished before, nothing was trained; delete {folder} to search anew"]),
        f"kept in {folder}: best.json, trials.jsonl, trials.png",
    ]
    return "\n".join(lines)


def draw(path: Path, ledger: Ledger, search: Search, data: Dataset, rungs: list[list[dict]]) -> None:
    """Validation against epochs, a line a trial, coloured by its loss; those that were cut end early."""
    from matplotlib.lines import Line2D

    figure = blank(9, 4.5)
    axis = figure.subplots()
    winner, key = ranked(rungs[-1])[0]["trial"], {}
    last = {record["trial"]: record for rung in rungs for record in rung}
    for trial, record in last.items():
        curves = [[line for line in lines if line["epoch"] <= record["epochs"]] for lines in ledger.curves(trial)]
        if not curves or not all(curves):
            continue
        length = min(map(len, curves))  # seeds may end at different epochs
        heights = np.mean([[line["validation"][METRIC] for line in lines[:length]] for lines in curves], axis=0)
        objective = record["model"].get("objective", "other")
        colour, is_best = COLOURS.get(objective, GREY), trial == winner
        key[f"loss: {objective}"] = Line2D([], [], color=colour, marker=".")
        axis.plot(
            [line["epoch"] for line in curves[0][:length]],
            heights,
            marker=".",
            color=colour,
            linewidth=2.2 if is_best else 0.9,
            alpha=1.0 if is_best else 0.7,
        )
        if is_best:
            key[f"the best, trial {trial}"] = Line2D([], [], color=colour, linewidth=2.2)
    key["popularity"] = axis.axhline(rungs[0][0]["popularity"], color=GREY, linestyle=":")
    for rung in search.rungs[:-1]:
        label = f"rung: the best one in {search.keep} goes on"
        key[label] = axis.axvline(rung, color="black", linestyle="--", linewidth=0.8, alpha=0.6)
    figure.legend(key.values(), key.keys(), fontsize=8, loc="outside right upper")
    trials = f"{len(last)} trial" + "s" * (len(last) > 1)
    title = f"{trials} of {models.name_of(search.model)} on {data.name} ({data.provenance.kind})"
    axis.set(xlabel="epoch", ylabel=f"validation {METRIC}", title=title)
    axis.grid(alpha=0.3)
    save(figure, path)
