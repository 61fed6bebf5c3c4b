"""Equal tuning: the same trials for every model, cut by successive halving (Jamieson and Talwalkar, AISTATS 2016).

All trials are trained to the first rung, the best one in `keep` of them by validation goes on to the second, and so on.
A search that was stopped, however it was stopped, goes on where it was and ends as if it had not been.
"""

import contextlib
import logging
import time
from pathlib import Path

from socialjax import models
from socialjax.data import sources
from socialjax.data.schema import Dataset
from socialjax.names import identifier
from socialjax.run import results
from socialjax.run.command import exit_code, say, set_up_logging
from socialjax.run.definitions import code_digest
from socialjax.run.display import describe
from socialjax.run.lock import only_one
from socialjax.run.pictures import attempt
from socialjax.run.tuning import display, trials
from socialjax.run.tuning.display import ranked
from socialjax.run.tuning.search import Search
from socialjax.run.tuning.trials import Ledger
from socialjax.train.settings import METRIC

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
        record = display.best(search, data, rungs)
        if not _is_written(ledger.folder / "best.json", record):
            results.write_json(ledger.folder / "best.json", record)
        attempt(
            ledger.folder / "trials.png", lambda path: display.draw(path, ledger, search, data, rungs), anew=trained > 0
        )
        return display.text(search, data, rungs, record, ledger.folder, is_new=trained > 0)


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
