"""The trials of a search: a point of the space, trained as far as a rung, judged by validation alone.

What a search has found: one file for each trial and rung, written once, and trials.jsonl that lists them.

Several processes may write at a time: each file has one writer, and is whole or absent.
"""

import contextlib
import dataclasses
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from socialjax import models, stop
from socialjax.atomic_write import atomic_write
from socialjax.data import sources
from socialjax.data.schema import Dataset, no_interactions
from socialjax.run import processes, results
from socialjax.run.command import exit_code, set_up_logging
from socialjax.run.model_code import code_digest, is_same_code
from socialjax.run.processes import Held, only_one
from socialjax.run.settings import Experiment
from socialjax.run.tuning.search import Point, Search
from socialjax.run.workbench import K_CHOOSES, Validation, Workbench
from socialjax.train.log import MetricsLog
from socialjax.train.loop import Diverged, Trained
from socialjax.train.step import METRIC

log = logging.getLogger(__name__)
# What may change between two starts in one folder, beside results.FREE.
FREE = {"trials", "jobs", "quiet", "save_seconds"}


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The folder of a search."""

    folder: Path

    def claim(self, search: Search, data: Dataset) -> None:
        """Writes settings.json, or checks that the one there says the same. Raises ValueError with the difference."""
        settings = results.plain(search)
        settings["model"] = {"name": models.name_of(search.model), **settings["model"]}
        settings["seeds_of_trials"] = settings.pop("seeds")  # seeds of a run are free, these are not
        record = {"settings": settings, "data": data.provenance.as_dict() | {"name": data.name}, **results.made_with()}
        path = self.folder / "settings.json"
        if path.exists() and any(self.folder.glob("trials/*/*")):
            before = results.read_claim(path)
            defaults = Search(type(search.model)())
            old, new = (results.binding(results.complete(r["settings"], defaults), r["data"]) for r in (before, record))
            changed = sorted(k for k in {*old, *new} - FREE if old.get(k) != new.get(k))
            if changed:
                what = "; ".join(f"{k}: {old.get(k)} there, {new.get(k)} now" for k in changed)
                raise ValueError(
                    f"{self.folder} holds a search with other settings ({what}); choose another --workdir, or delete "
                    "the folder to start anew"
                )
            record = before | {"settings": settings}
        results.write_json(path, record)

    def check(self, points: list[Point], code: str) -> None:
        """Raises ValueError when a trial that is there was not made at its point or not by today's code.

        points: those of the space now. code: the digest of the model's code now.
        """
        anew = "choose another --workdir, or delete the folder, to search anew"
        for trial, point in enumerate(points):
            for path in sorted(self.place(trial).glob("rung_*.json")):
                record = results.read_json(path)
                was, now = record["model"] | record["training"], point.model | point.training
                if was != now:
                    raise ValueError(
                        f"trial {trial} in {self.folder} was made with {was}, and the space has {now} now; {anew}"
                    )
                if not is_same_code(record["code"], code):
                    raise ValueError(
                        f"trial {trial} in {self.folder} was made by other code of the model ({record['code']}, today "
                        f"it is {code}), so that its figures do not stand beside new ones; {anew}, or go back to the "
                        "code of then"
                    )

    def place(self, trial: int) -> Path:
        """The folder of a trial."""
        return self.folder / "trials" / f"{trial:03d}"

    def read(self, trial: int, rung: int) -> dict | None:
        """The record of a trial at a rung, if it is there."""
        path = self.place(trial) / f"rung_{rung}.json"
        return results.read_json(path) if path.exists() else None

    def write(self, record: dict) -> None:
        results.write_json(self.place(record["trial"]) / f"rung_{record['rung']}.json", record)

    def records(self, alive: list[int], rung: int) -> list[dict]:
        """Those of the rung that are there, by trial."""
        return [record for trial in alive if (record := self.read(trial, rung)) is not None]

    def list_all(self, rungs: list[list[dict]]) -> None:
        """Writes trials.jsonl: every rung's records, one a line."""
        path, text = (
            self.folder / "trials.jsonl",
            "".join(json.dumps(record) + "\n" for rung in rungs for record in rung),
        )
        if path.is_file() and path.read_text() == text:
            return
        with atomic_write(path) as temporary:
            temporary.write_text(text)

    def curves(self, trial: int) -> list[list[dict]]:
        """The lines of metrics.jsonl of each of its seeds."""
        return [MetricsLog(path).read() for path in sorted(self.place(trial).glob("seed_*/metrics.jsonl"))]

    def seconds(self, trial: int) -> float:
        """Of training and validation since epoch 0: over its seeds, all rungs, and all starts of the command."""
        return sum(lines[-1]["seconds"] for lines in self.curves(trial) if lines)

    def forget_parameters(self, trial: int) -> None:
        """Deletes the checkpoints of a trial that does not go on: two of Yelp's fill 100 MB."""
        for kept in self.place(trial).glob("seed_*/checkpoints"):
            shutil.rmtree(kept, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all trials on a data set share. The workbench's data have no test part, so that nothing made from them can
    see one."""

    work: Workbench
    validation: Validation


def bench(data: Dataset, experiment: Experiment) -> Bench:
    """Takes the test part away and makes the validation lists. Raises ValueError without a validation part.

    A strict list may then hold a test item among its negatives, which a run's own validation leaves out: the figures
    of the two differ a little.
    """
    work = Workbench(dataclasses.replace(data, test=no_interactions()))
    validation = work.validation(experiment.eval)
    if validation is None:
        raise ValueError(
            f"tuning chooses by validation, and data set '{data.name}' has no validation part; "
            "leave --data.validation as it is, or add a validation file"
        )
    if validation.metric != METRIC and data.num_items >= K_CHOOSES:
        raise ValueError(
            f"trials are compared by validation {METRIC}, and {validation.candidates.protocol.name} has shorter lists; "
            "choose more negatives, or 'full', with --protocol"
        )
    return Bench(work, validation)


def run(search: Search, bench: Bench, ledger: Ledger, trial: int, rung: int) -> dict:
    """Trains the trial's seeds on to the rung, from where they are; its record, which is in the ledger then.

    A trial whose loss is not finite has no metric, and ranks last.
    """
    trained, diverged = [], None
    point, experiment = search.experiments()[trial]
    code = code_digest(experiment.model)
    log.info("trial %d, to epoch %d", trial, search.rungs[rung])
    try:
        for seed in search.seeds:
            here = ledger.place(trial) / f"seed_{seed}"
            trained.append(_train(experiment, bench, seed, search.rungs[rung], here))
    except Diverged as error:
        diverged = str(error)
    jax.clear_caches()  # a search would else hold the programs of all its trials
    # Below ten items, what is NDCG of the whole catalogue is NDCG@10 too.
    values = [result.validation[bench.validation.metric] for result in trained]
    record = {
        "trial": trial,
        "rung": rung,
        "epochs": search.rungs[rung],
        "model": point.model,
        "training": point.training,
        "seeds": list(search.seeds),
        METRIC: None if diverged else float(np.mean(values)),
        "values": values,
        "epoch": [result.epoch for result in trained],
        "popularity": bench.validation.floor,
        "diverged": diverged,
        "code": code,
        "seconds": round(ledger.seconds(trial), 2),
    }
    ledger.write(record)
    return record


def _train(experiment: Experiment, bench: Bench, seed: int, epochs: int, here: Path) -> Trained:
    settings, origin = results.settings_of(experiment), bench.work.data.provenance.as_dict()
    fingerprint = results.fingerprint(settings, origin, seed)
    return bench.work.train(
        experiment.model, experiment.train, bench.validation, seed, here, fingerprint, stop_after=epochs
    )


def one_by_one(search: Search, bench: Bench, ledger: Ledger, rung: int, missing: list[int]) -> Iterator[dict]:
    """Runs the missing trials of a rung in this process; their records as they come. One that another process holds is
    waited for."""
    for trial in missing:
        stop.check()
        with only_one(ledger.place(trial), waits_for=f"trial {trial}"):
            record = ledger.read(trial, rung)
            yield run(search, bench, ledger, trial, rung) if record is None else record


def side_by_side(search: Search, ledger: Ledger, rung: int, missing: list[int]) -> Iterator[dict]:
    """Runs the missing trials of a rung in `search.jobs` processes; their records as they come, all of them.

    Each process takes the next trial that nobody has; what a process of another command has is waited for. XLA may add
    up in another order with another number of threads: figures equal those of one process but for rounding. Raises
    ValueError when a process fails.
    """
    left = list(missing)
    while left:
        for record in _by_workers(search, ledger, rung, left):
            left.remove(record["trial"])
            yield record
        for trial in left:  # no worker had it; when it is let go, the next round runs or reads it
            with only_one(ledger.place(trial), waits_for=f"trial {trial}"):
                pass


def _by_workers(search: Search, ledger: Ledger, rung: int, missing: list[int]) -> Iterator[dict]:
    """One round of the workers; trials that other processes hold may be missing afterwards."""
    names = [f"worker_{job}" for job in range(min(search.jobs, len(missing)))]
    tasks = {name: (dataclasses.replace(search, quiet=True), ledger, rung, tuple(missing)) for name in names}
    logs = {name: ledger.folder / f"{name}.log" for name in names}
    waiting = list(missing)
    with contextlib.closing(processes.each(_work, tasks, logs, len(names))) as events:
        for name, code in events:
            for trial in tuple(waiting):
                if (record := ledger.read(trial, rung)) is not None:
                    waiting.remove(trial)
                    yield record
            if code:
                why = processes.last_lines(logs[name])
                raise ValueError(f"{name} ended with exit code {code}; {logs[name]} says why, at its end: {why}")


def _work(search: Search, ledger: Ledger, rung: int, missing: tuple[int, ...]) -> int:
    """What one of the processes does; its exit code."""
    set_up_logging()

    def act():
        made = bench(sources.load(search.data), search.experiments()[0][1])
        for trial in missing:
            stop.check()
            with contextlib.ExitStack() as held:
                try:
                    held.enter_context(only_one(ledger.place(trial)))
                except Held:
                    continue  # another worker has it, or another command, for which the parent waits
                if ledger.read(trial, rung) is None:
                    run(search, made, ledger, trial, rung)

    return exit_code(act)
