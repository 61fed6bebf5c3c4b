"""Runs an experiment: data, one training per seed, evaluation, the table. The only module that sees everything."""

import contextlib
import dataclasses
import logging
import sys
import time
from pathlib import Path

import jax
import numpy as np

from socialjax import models
from socialjax.data import sources
from socialjax.data.batches import on_device, resident
from socialjax.data.schema import Dataset
from socialjax.eval import groups, protocol, ranking
from socialjax.eval.metrics import Result
from socialjax.eval.significance import mean_interval
from socialjax.eval.tables import metric_rows, text_table
from socialjax.run import curves, results, sweep
from socialjax.run.command import exit_code, read_arguments, set_up_logging, started, variants
from socialjax.run.lock import only_one
from socialjax.run.memory import peak_memory_bytes
from socialjax.run.settings import Definition, Experiment
from socialjax.train.log import MetricsLog
from socialjax.train.loop import train
from socialjax.train.processes import is_first, join_processes, of_first
from socialjax.train.settings import METRIC

log = logging.getLogger(__name__)
SHOWN = ("HR@5", "HR@10", "HR@15", "NDCG@5", "NDCG@10", "NDCG@15")


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
            print(sweep.summary(experiment.sweep, done, folder), flush=True)

    return exit_code(act)


def run(definition: Definition, experiment: Experiment, data: Dataset, label: str = "", began: float | None = None):
    """Trains and evaluates every seed in its folder, or reads what is finished there; returns the result record."""
    began = time.monotonic() if began is None else began
    folder = work_folder(definition, experiment, data, label)
    _tell(f"data: {describe(data)}")
    _tell(f"model: {models.name_of(experiment.model)} {_settings_line(experiment.model)}")
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
    finished = _finished(folder, experiment)
    if finished is not None:
        _tell("finished before")
        if is_first():
            print(table(finished, folder), flush=True)
        return finished
    for name in protocols(experiment):  # an error in the cut-offs must come before the training, not after
        candidates(experiment, data, name, users=data.test.user[:1])
    starts = [began] + [None] * (len(experiment.seeds) - 1)  # the first also waits for imports and data
    records = [_run_seed(definition, experiment, data, folder, *of) for of in zip(experiment.seeds, starts)]
    record = _summarise(definition, experiment, data, records, time.monotonic() - began)
    if is_first():
        results.write_json(folder / "result.json", record)
        print(table(record, folder), flush=True)
    return record


def protocols(experiment: Experiment) -> list[str]:
    """All that are evaluated, the one of the table first, each once."""
    return list(dict.fromkeys((experiment.eval.protocol, *experiment.eval.also)))


def candidates(experiment: Experiment, data: Dataset, name: str, part: str = "test", users=None) -> protocol.Candidates:
    """The lists of that protocol, of all users of the part or of some.

    Of the default cut-offs, those above a small catalogue are left out; cut-offs that were asked for stay an error.
    """
    made = experiment.eval.make(name)
    if made.ks == protocol.KS and data.num_items >= 10:
        made = dataclasses.replace(made, ks=tuple(k for k in made.ks if k <= data.num_items))
    return protocol.candidates(data, made, part, users)


def work_folder(definition: Definition, experiment: Experiment, data: Dataset, label: str) -> Path:
    """--workdir or runs/NAME/DATA[-PRESET]; a stand-in is named as one, each value of a sweep has a folder inside."""
    preset = f"-{experiment.preset}" if experiment.preset else ""
    folder = experiment.workdir or Path("runs") / definition.name / f"{data.name}{preset}"
    if data.provenance.kind == "stand-in" and not folder.name.endswith("stand-in"):
        folder = folder.with_name(f"{folder.name}-stand-in")
    return folder / label if label else folder


def describe(data: Dataset) -> str:
    """One line: name, real or stand-in, features, sizes."""
    has_features = data.user_features is not None or data.item_features is not None
    features = "with features" if has_features else "ids only"
    kind = "STAND-IN (generated, not real data)" if data.provenance.kind == "stand-in" else data.provenance.kind
    links = "no links" if data.links is None else f"{len(data.links):,} links"
    pairs = " / ".join(f"{len(part):,}" for part in data.parts().values())
    return (
        f"{data.name}, {kind}, {features}: {data.num_users:,} users, {data.num_items:,} items, {pairs} pairs, {links}"
    )


def _finished(folder: Path, experiment: Experiment) -> dict | None:
    """The result of exactly these seeds, if it is there."""
    done = folder / "result.json"
    record = results.read_json(done) if done.exists() else None
    return record if record is not None and record["seeds"] == list(experiment.seeds) else None


def _run_seed(definition, experiment, data, folder: Path, seed: int, began: float | None) -> dict:
    began = time.monotonic() if began is None else began
    here = folder / f"seed_{seed}"
    done = here / "result.json"
    if done.exists():
        _tell(f"seed {seed}: finished before, {done}")
        return results.read_json(done)
    model, settings = experiment.model, results.settings_of(experiment)
    side = on_device(model.prepare(data))
    if not model.traits.trains:
        raise ValueError(f"{type(model).__name__} does not train; it stands in every table as a reference line")
    validation = (
        candidates(experiment, data, experiment.eval.validation_protocol, "validation")
        if len(data.validation)
        else None
    )
    floor = _popularity(data, validation) if validation else None
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
    )
    start = time.monotonic()
    state = ranking.encode(model, trained.params, side)
    found = {  # lists are drawn one by one and let go: two of Yelp's fill 85 MB
        name: ranking.evaluate_state(model, state, candidates(experiment, data, name)) for name in protocols(experiment)
    }
    main = found[experiment.eval.protocol]
    record = {
        "seed": seed,
        "metrics": main.mean(),
        "also": {name: result.mean() for name, result in found.items() if result is not main},
        "groups": _groups(data, main),
        "validation": trained.validation,
        "epoch": trained.epoch,
        "seconds": trained.seconds | {"test": time.monotonic() - start, "total": time.monotonic() - began},
        "pairs_per_second": trained.pairs_per_second,
        "peak_memory_bytes": peak_memory_bytes(),
        "popularity_validation": floor,
    }
    if is_first():
        title = f"{definition.name} on {data.name} ({data.provenance.kind}), seed {seed}"
        curves.draw(here / "curves.png", MetricsLog(here / "metrics.jsonl").read(), title, trained.epoch, floor)
        results.write_per_user(here / "per_user.npz", main.users, main.per_user)
        results.write_json(done, record)
    return record


def _popularity(data, validation) -> float:
    """Popularity's validation metric: the plateau from which patience starts."""
    return _reference(models.REFERENCES["popularity"], data, validation)[METRIC]


def _reference(model, data: Dataset, lists) -> dict[str, float]:
    side = on_device(model.prepare(data))
    return ranking.evaluate(model, model.init(jax.random.key(0), side), side, lists).mean()


def _groups(data: Dataset, result: Result) -> dict:
    """Means by sparsity: training interactions and, with links, social degree."""
    found = {"interactions": groups.by_group(result, groups.interaction_counts(data))}
    if data.links is not None:
        degrees = groups.social_degrees(data.links, data.num_users)
        found["social degree"] = groups.by_group(result, degrees, groups.FINE_BOUNDS)
    return found


def _summarise(definition, experiment, data: Dataset, records: list[dict], seconds: float) -> dict:
    def over_seeds(metrics: list[dict]) -> dict:
        found = {}
        for name in metrics[0]:
            mean, half = mean_interval([m[name] for m in metrics])
            found[name] = {"mean": mean, "ci95": half, "values": [m[name] for m in metrics]}
        return found

    lists = candidates(experiment, data, experiment.eval.protocol)
    references = {
        name: _reference(model, data, lists)
        for name, model in models.REFERENCES.items()
        if all(getattr(data, need) is not None for need in model.traits.needs)
    }
    first = records[0]
    return {
        "experiment": definition.name,
        "dataset": data.name,
        "data": data.provenance.kind,
        "features": "given" if _takes_features(experiment.model, data) else "none",
        "model": models.name_of(experiment.model),
        "protocol": experiment.eval.protocol,
        "seeds": list(experiment.seeds),
        "metrics": over_seeds([r["metrics"] for r in records]),
        "also": {name: over_seeds([r["also"][name] for r in records]) for name in first["also"]},
        "groups": [r["groups"] for r in records],
        "validation": over_seeds([r["validation"] for r in records]) if first["validation"] else {},
        "epoch": [r["epoch"] for r in records],
        "references": references,
        "seconds": {k: sum(r["seconds"][k] for r in records) for k in ("train", "eval", "test")} | {"total": seconds},
        "pairs_per_second": float(np.mean([r["pairs_per_second"] for r in records])),
        "peak_memory_bytes": max(r["peak_memory_bytes"] for r in records),
        "reported": [dict(row) for row in definition.reported] or None,
        "settings": results.settings_of(experiment),
        "provenance": data.provenance.as_dict(),
        **results.made_with(),
    }


def table(record: dict, folder: Path) -> str:
    """What the screen shows at the end: reference lines, the result, what is reported; stand-ins say so last."""
    seeds = " ".join(map(str, record["seeds"]))
    stand_in = record["data"] == "stand-in"
    rows = [(name, found) for name, found in record["references"].items()]
    rows.append((f"{record['model']} (seeds {seeds})" + (", STAND-IN" if stand_in else ""), record["metrics"]))
    metrics = [name for name in SHOWN if name in record["metrics"]]
    features = "ids only" if record["features"] == "none" else "with features"
    chosen = "chosen on validation" if record["validation"] else "the last, without validation"
    lines = [
        "",
        f"{record['experiment']} on {record['dataset']} ({record['data']}, {features}), {record['protocol']}, test, "
        f"epoch {', '.join(map(str, record['epoch']))} {chosen}",
        text_table(metric_rows(rows, metrics)),
    ]
    for name, found in record["also"].items():
        lines.append(
            f"{name}: "
            + "  ".join(f"{m} {found[m]['mean']:.4f}" for m in ("HR@10", "Recall@20", "NDCG@10") if m in found)
        )
    if record["reported"] and not stand_in:
        lines.append("reported elsewhere (settings differ, see the notes):")
        rows = [(f"{row['name']}: {row['note']}", row["metrics"]) for row in record["reported"]]
        lines.append(text_table(metric_rows(rows, ("HR@10", "NDCG@10"))))
    seconds = record["seconds"]
    lines.append(
        f"{seconds['total']:.0f} s in all, {record['pairs_per_second']:,.0f} pairs/s in training, "
        f"peak memory {record['peak_memory_bytes'] / 2**30:.2f} GiB; kept in {folder}"
    )
    if stand_in:
        lines.append(f"STAND-IN: {record['dataset']} was generated; these figures say nothing about the real data")
    return "\n".join(lines)


def _settings_line(model) -> str:
    return " ".join(f"{field.name}={getattr(model, field.name)}" for field in dataclasses.fields(model))


def _takes_features(model, data: Dataset) -> bool:
    """Whether the model reads features that the data has."""
    given = any(
        getattr(data, part) is not None for part in ("user_features", "item_features") if part in model.traits.uses
    )
    return given and getattr(model, "use_features", True)


def _tell(line: str) -> None:
    if is_first():
        log.info("%s", line)
