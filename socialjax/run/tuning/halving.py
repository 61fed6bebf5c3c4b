"""Equal tuning: the same trials for every model, cut by successive halving (Jamieson and Talwalkar, AISTATS 2016).

All trials are trained to the first rung, the best one in `keep` of them by validation goes on to the second, and so on.
A search that was stopped, however it was stopped, goes on where it was and ends as if it had not been.
"""

import contextlib
import dataclasses
import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from socialjax import models
from socialjax.data import sources
from socialjax.data.schema import Dataset
from socialjax.data.sets import published
from socialjax.drawing import BLUE, GREEN, GREY, ORANGE, attempt, blank, save
from socialjax.eval import protocol
from socialjax.eval.metrics import legend, text_table
from socialjax.names import identifier
from socialjax.run import results
from socialjax.run.command import exit_code, say, set_up_logging
from socialjax.run.display import describe
from socialjax.run.model_code import code_digest
from socialjax.run.processes import only_one
from socialjax.run.settings import Experiment
from socialjax.run.tuning import trials
from socialjax.run.tuning.search import Search
from socialjax.run.tuning.trials import Ledger
from socialjax.run.workbench import chosen_by
from socialjax.train.step import METRIC

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
        raise ValueError(f"no trial has a finite loss; the last: {record['diverged']}")
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
    kind = data.provenance.kind + published.note(data.provenance.published)
    stand_in = ", STAND-IN: generated, not real data" if data.provenance.kind == "stand-in" else ""
    lines = [
        "",
        f"{models.name_of(search.model)} on {data.name} ({kind}), {search.protocol}, validation"
        f"{stand_in}; popularity {chosen['popularity']:.4f}",
        f"{len(np.unique(data.validation.user)):,} of {data.num_users:,} users are evaluated",
        text_table(rows),
        *legend([METRIC]),
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
    metric = chosen_by(protocol.parse(search.protocol), data)
    last = {record["trial"]: record for rung in rungs for record in rung}
    for trial, record in last.items():
        curves = [[line for line in lines if line["epoch"] <= record["epochs"]] for lines in ledger.curves(trial)]
        if not curves or not all(curves):
            continue
        length = min(map(len, curves))  # seeds may end at different epochs
        heights = np.mean([[line["validation"][metric] for line in lines[:length]] for lines in curves], axis=0)
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


log = logging.getLogger(__name__)
MADE_WITH = ("commit", "versions", "device")


def main(search: Search) -> int:
    """The whole command: the search, its table on standard output. Returns the exit code."""
    set_up_logging()
    return exit_code(lambda: say(tune(search), flush=True))


def tune(search: Search) -> str:
    """Runs the search in its folder, or goes on with what is there; leaves trials.jsonl, best.json and trials.png.

    Returns the report. Raises ValueError for a folder that holds another search or trials of other code, DataError,
    CheckpointError, and Interrupted after SIGTERM or Ctrl-C.
    """
    data = sources.load(search.data)
    ledger = Ledger(work_folder(search, data))
    with only_one(ledger.folder):
        ledger.claim(search, data)
        ledger.check([point for point, _ in search.experiments()], code_digest(search.model))
        log.info("data: %s", describe(data, search.model))
        log.info("model: %s   folder: %s", models.name_of(search.model), ledger.folder)
        rungs, trained = halving(search, data, ledger)
        record = best(search, data, rungs)
        if not _is_written(ledger.folder / "best.json", record):
            results.write_json(ledger.folder / "best.json", record)
        attempt(ledger.folder / "trials.png", lambda path: draw(path, ledger, search, data, rungs), anew=trained > 0)
        return text(search, data, rungs, record, ledger.folder, is_new=trained > 0)


def _is_written(path: Path, record: dict) -> bool:
    """Whether the file says the same, by whichever commit on whichever device it was written."""
    if not path.is_file():
        return False
    existing, expected = (
        {k: v for k, v in each.items() if k not in MADE_WITH} for each in (results.read_json(path), record)
    )
    return existing == results.plain(expected)


def work_folder(search: Search, data: Dataset) -> Path:
    """--workdir or runs/tune/MODEL/DATA; a stand-in is named as one."""
    folder = search.workdir or Path("runs") / "tune" / models.name_of(search.model) / identifier(
        data.name, "a data set"
    )
    if data.provenance.kind == "stand-in" and not folder.name.endswith("stand-in"):
        folder = folder.with_name(f"{folder.name}-stand-in")
    return folder


def promoted(records: list[dict], keep: int) -> list[int]:
    """The trials that go on from a rung: the best one in `keep`, one at least."""
    return sorted(record["trial"] for record in ranked(records)[: max(1, len(records) // keep)])


def halving(search: Search, data: Dataset, ledger: Ledger) -> tuple[list[list[dict]], int]:
    """(the records of every rung, by trial; how many of them were not there before)."""
    rungs: list[list[dict]] = []
    trained = 0
    alive, clock, made = list(range(search.trials)), _Clock(search), None
    for rung in range(len(search.rungs)):
        missing = [trial for trial in alive if ledger.read(trial, rung) is None]
        trained += len(missing)
        clock.enter(rung, len(missing))
        if missing and search.jobs > 1:
            ended = trials.side_by_side(search, ledger, rung, missing)
        else:
            made = made or (trials.bench(data, search.experiments()[0][1]) if missing else None)
            ended = trials.one_by_one(search, made, ledger, rung, missing)
        with contextlib.closing(ended):
            for record in ended:
                clock.add(record)
                ledger.list_all([*rungs, ledger.records(alive, rung)])
        rungs.append(complete(ledger, alive, rung))
        _warn(search, rungs)
        goes_on = promoted(rungs[-1], search.keep) if rung + 1 < len(search.rungs) else []
        for trial in set(alive) - set(goes_on):
            ledger.forget_parameters(trial)
        alive = goes_on
    ledger.list_all(rungs)
    return rungs, trained


def complete(ledger: Ledger, alive: list[int], rung: int) -> list[dict]:
    """The records of a rung. Raises ValueError when a trial is missing: the best of the others is not the best."""
    records = ledger.records(alive, rung)
    if missing := sorted(set(alive) - {record["trial"] for record in records}):
        raise ValueError(
            f"rung {rung + 1} has no figures of trial {', '.join(map(str, missing))} in {ledger.folder}, so no trial "
            "can be called the best; start the same command again"
        )
    return records


def _warn(search: Search, rungs: list[list[dict]]) -> None:
    flat = [record for record in rungs[-1] if (record[METRIC] or 0.0) <= 1.05 * record["popularity"]]
    if 2 * len(flat) > len(rungs[-1]):
        log.warning(
            "%d of %d trials still rank by popularity after %d epochs; a longer rung would tell more of them",
            *(len(flat), len(rungs[-1]), search.rungs[len(rungs) - 1]),
        )
    if len({record["code"] for rung in rungs for record in rung}) > 1:
        log.warning("the model's code has changed while this search ran; choose another --workdir to search anew")


class _Clock:
    """A line for each trial and rung: its figure, the best so far, and the time left at most (patience may cut it)."""

    def __init__(self, search: Search):
        self._search, self._steps = search, [b - a for a, b in zip((0, *search.rungs), search.rungs)]
        self._rung, self._missing, self._ended, self._best = 0, 0, 0, (-1.0, 0)
        self._epochs, self._began = 0, time.monotonic()

    def enter(self, rung: int, missing: int) -> None:
        self._rung, self._missing, self._ended = rung, missing, 0

    def add(self, record: dict) -> None:
        metric, search, rung = record[METRIC], self._search, self._rung
        self._ended += 1
        self._epochs += self._steps[rung]
        self._best = max(self._best, (metric or 0.0, -record["trial"]))
        left = (self._missing - self._ended) * self._steps[rung]
        left += sum(n * e for n, e in zip(search.planned()[rung + 1 :], self._steps[rung + 1 :]))
        minutes = (time.monotonic() - self._began) / self._epochs * left / 60
        changed = " ".join(f"{name}={value}" for name, value in {**record["model"], **record["training"]}.items())
        log.info(
            "rung %d of %d (%d epochs), %d of %d: trial %d %s, %s %s at epoch %s in %.0f s; best %.4f (trial %d); "
            "%.0f minutes left",
            *(rung + 1, len(search.rungs), search.rungs[rung], self._ended, self._missing, record["trial"], changed),
            *(METRIC, "not finite" if metric is None else f"{metric:.4f}", "/".join(map(str, record["epoch"]))),
            *(record["seconds"], self._best[0], -self._best[1], minutes),
        )
