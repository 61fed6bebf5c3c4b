"""Runs an experiment: data, one training per seed, evaluation, the table. The only module that sees everything."""

import contextlib
import logging
import sys
import time
from pathlib import Path

import numpy as np

from socialjax import models
from socialjax.data import sources
from socialjax.data.batches import on_device, resident
from socialjax.data.schema import Dataset
from socialjax.eval import groups, ranking
from socialjax.eval.significance import mean_interval
from socialjax.names import KEPT, below, identifier
from socialjax.run import curves, measure, result_types, results, saved, shown, sweep
from socialjax.run.command import exit_code, read_arguments, say, set_up_logging, started, variants
from socialjax.run.definitions import code_digest
from socialjax.run.lock import only_one
from socialjax.run.memory import peak_memory_bytes
from socialjax.run.pictures import attempt
from socialjax.run.settings import Definition, Experiment
from socialjax.train.log import MetricsLog
from socialjax.train.loop import train
from socialjax.train.processes import check_stop, is_first, join_processes, of_first

log = logging.getLogger(__name__)


def main(definition: Definition, arguments=None) -> int:
    """The whole command: settings from the command line, the run, its table on standard output. Returns exit code."""
    set_up_logging()
    began = started()

    def act():
        experiment = read_arguments(definition, sys.argv[1:] if arguments is None else arguments)
        join_processes()
        data = sources.load(experiment.data)
        done = {label: run(definition, each, data, label, began) for label, each in variants(definition, experiment)}
        if experiment.sweep is not None and is_first():
            folder = work_folder(definition, experiment, data, "")
            say(sweep.summary(experiment.sweep, done, folder), flush=True)
            attempt(
                folder / f"sweep_{experiment.sweep}.png", lambda path: sweep.draw(path, experiment.sweep, done), True
            )

    return exit_code(act)


def run(definition: Definition, experiment: Experiment, data: Dataset, label: str = "", began: float | None = None):
    """Trains and evaluates every seed in its folder, or reads what is finished there; returns the result record."""
    began = time.monotonic() if began is None else began
    folder = work_folder(definition, experiment, data, label)
    _tell(f"data: {shown.describe(data, experiment.model)}")
    _tell(f"model: {models.name_of(experiment.model)} {shown.settings_line(experiment.model)}")
    _tell(f"device: {results.device()}   folder: {folder}")
    with contextlib.ExitStack() as held:
        _claim(held, folder, experiment, data)
        return _run_in(folder, definition, experiment, data, began)


def _claim(held: contextlib.ExitStack, folder: Path, experiment: Experiment, data: Dataset) -> None:
    """The first process locks and claims the folder; when it may not, all processes stop."""
    refused = None
    if is_first():
        try:
            held.enter_context(only_one(folder))
            results.claim(folder, experiment, data)
        except (ValueError, OSError) as error:
            refused = error
    if of_first(refused is not None)[0]:
        raise refused or ValueError(f"the first process may not use {folder}; what it says tells why")


def _run_in(folder: Path, definition: Definition, experiment: Experiment, data: Dataset, began: float) -> dict:
    check_stop()
    finished = _finished(folder, experiment)
    if finished is not None:
        _tell("finished before")
        if is_first():
            say(shown.table(finished, folder), flush=True)
            for seed in experiment.seeds:
                _curves(definition, data, folder / f"seed_{seed}")
        return finished
    for name in measure.protocols(experiment):  # an error in the cut-offs must come before the training, not after
        measure.candidates(experiment, data, name, users=data.test.user[:1])
    starts = [began] + [None] * (len(experiment.seeds) - 1)  # the first also waits for imports and data
    records = [_run_seed(definition, experiment, data, folder, *of) for of in zip(experiment.seeds, starts)]
    record = _summarise(definition, experiment, data, records, time.monotonic() - began)
    if is_first():
        results.write_json(folder / "result.json", record)
        say(shown.table(record, folder), flush=True)
    return record


def work_folder(definition: Definition, experiment: Experiment, data: Dataset, label: str) -> Path:
    """--workdir or runs/NAME/DATA[-PRESET]; a stand-in is named as one, each value of a sweep has a folder inside."""
    preset = f"-{experiment.preset}" if experiment.preset else ""
    folder = experiment.workdir
    if folder is None:
        folder = Path("runs") / definition.name / f"{identifier(data.name, 'a data set')}{preset}"
    if data.provenance.kind == "stand-in" and not folder.name.endswith("stand-in"):
        folder = folder.with_name(f"{folder.name}-stand-in")
    # A value of a sweep, `dim=16`, or where a study puts a row: `sweeps/bpr/dim=16`.
    return below(folder, *(identifier(part, "a work folder", KEPT) for part in label.split("/"))) if label else folder


def _finished(folder: Path, experiment: Experiment) -> dict | None:
    """The result of exactly these seeds, if it is there."""
    done = folder / "result.json"
    record = result_types.check(results.read_json(done), done) if done.exists() else None
    return record if record is not None and record["seeds"] == list(experiment.seeds) else None


def _run_seed(definition, experiment, data, folder: Path, seed: int, began: float | None) -> dict:
    check_stop()
    began = time.monotonic() if began is None else began
    here = below(folder, f"seed_{seed}")
    done = here / "result.json"
    if done.exists():
        _tell(f"seed {seed}: finished before, {done}")
        if is_first():
            _curves(definition, data, here)
        return result_types.check_seed(results.read_json(done), done)
    model, code = experiment.model, code_digest(experiment.model)
    settings = results.read_claim(folder / "settings.json")["settings"]  # as they were when the run began
    side = on_device(model.prepare(data))
    if not model.traits.trains:
        raise ValueError(f"{type(model).__name__} does not train; it stands in every table as a reference line")
    validation = (
        measure.candidates(experiment, data, experiment.eval.validation_protocol, "validation")
        if len(data.validation)
        else None
    )
    floor = measure.popularity(data, validation) if validation else None
    here.mkdir(parents=True, exist_ok=True)
    trained = train(
        model,
        side,
        resident(data),
        experiment.train,
        seed,
        here,
        results.fingerprint(settings, data.provenance.as_dict(), seed),
        validate=None
        if validation is None
        else lambda params: ranking.evaluate(model, params, side, validation).mean(),
        floor=floor or 0.0,
        label=f"seed {seed}",
        began=began,
        is_first_process=is_first(),
        start=None if experiment.start_from is None else saved.from_run(experiment.start_from, seed),
    )
    start = time.monotonic()
    state = ranking.encode(model, trained.params, side)
    found, estimates = {}, {}
    for name in measure.protocols(experiment):
        check_stop()
        # Lists are drawn one by one and let go: two of Yelp's fill 85 MB.
        found[name], estimate = measure.measured(model, state, data, measure.candidates(experiment, data, name))
        estimates |= {name: estimate} if estimate else {}
    main = found[experiment.eval.protocol]
    frames = measure.key_frames(model, state, side, data)
    record = {
        "seed": seed,
        "metrics": main.mean(),
        "also": {name: result.mean() for name, result in found.items() if result is not main},
        "corrected": estimates,
        "groups": measure.by_sparsity(data, main),
        "validation": trained.validation,
        "epoch": trained.epoch,
        "seconds": trained.seconds | {"test": time.monotonic() - start, "total": time.monotonic() - began},
        "pairs_per_second": trained.pairs_per_second,
        "peak_memory_bytes": peak_memory_bytes(),
        "popularity_validation": floor,
        "chosen_on": measure.chosen_on(validation),
        "code": code,
        **({"key_frames": frames[0]} if frames else {}),
    }
    if is_first():
        results.write_per_user(here / "per_user.npz", main.users, main.per_user)
        cold = groups.cold_items(data, main)
        results.write_per_user(here / "cold_per_user.npz", cold.users, cold.per_user)
        if frames:
            results.write_per_user(here / "key_frames.npz", frames[1].users, frames[1].values)
        results.write_json(done, record)
        _curves(definition, data, here)
    return record


def _curves(definition: Definition, data: Dataset, here: Path) -> None:
    """Draws the curves of a finished seed if they are missing."""

    def draw(path: Path) -> None:
        seed = results.read_json(here / "result.json")
        title = f"{definition.name} on {data.name} ({data.provenance.kind}), seed {seed['seed']}"
        lines = MetricsLog(here / "metrics.jsonl").read()
        curves.draw(path, lines, title, seed["epoch"], seed["popularity_validation"])

    attempt(here / "curves.png", draw)


def _summarise(definition, experiment, data: Dataset, records: list[dict], seconds: float) -> dict:
    def over_seeds(metrics: list[dict]) -> dict:
        found = {}
        for name in metrics[0]:
            mean, half = mean_interval([m[name] for m in metrics])
            found[name] = {"mean": mean, "ci95": half, "values": [m[name] for m in metrics]}
        return found

    references = measure.references(experiment, data)
    first = records[0]
    return {
        "experiment": definition.name,
        "dataset": data.name,
        "data": data.provenance.kind,
        "features": "given" if shown.takes_features(experiment.model, data) else "none",
        "model": models.name_of(experiment.model),
        "protocol": experiment.eval.protocol,
        "seeds": list(experiment.seeds),
        "metrics": over_seeds([r["metrics"] for r in records]),
        "also": {name: over_seeds([r["also"][name] for r in records]) for name in first["also"]},
        "corrected": {name: over_seeds([r["corrected"][name] for r in records]) for name in first.get("corrected", {})},
        "groups": [r["groups"] for r in records],
        "validation": over_seeds([r["validation"] for r in records]) if first["validation"] else {},
        "epoch": [r["epoch"] for r in records],
        "chosen_on": first.get("chosen_on"),
        **({"key_frames": measure.key_frames_over_seeds(records)} if "key_frames" in first else {}),
        "references": {name: found[experiment.eval.protocol] for name, found in references["metrics"].items()},
        "references_also": references["metrics"],
        "references_corrected": references["corrected"],
        "seconds": {k: sum(r["seconds"][k] for r in records) for k in ("train", "eval", "test")} | {"total": seconds},
        "pairs_per_second": float(np.mean([r["pairs_per_second"] for r in records])),
        "peak_memory_bytes": max(r["peak_memory_bytes"] for r in records),
        "reported": [dict(row) for row in definition.reported] or None,
        "settings": results.settings_of(experiment),
        "provenance": data.provenance.as_dict(),
        "code": " ".join(sorted({r.get("code", "unknown") for r in records})),
        **results.made_with(),
    }


def _tell(line: str) -> None:
    if is_first():
        log.info("%s", line)
