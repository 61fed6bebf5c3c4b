"""Runs an experiment: data, one training per seed, evaluation, the table. The only module that imports all parts."""

import contextlib
import dataclasses
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from socialjax import models
from socialjax.data import sources
from socialjax.data.schema import Dataset
from socialjax.drawing import attempt
from socialjax.eval import groups, ranking
from socialjax.eval.significance import mean_interval
from socialjax.memory import release_programs
from socialjax.names import KEPT, below, identifier
from socialjax.run import display, kept_data, results, saved, workbench
from socialjax.run.command import exit_code, read_arguments, say, set_up_logging, variants
from socialjax.run.mirror import Mirror, mirrored
from socialjax.run.model_code import code_digest
from socialjax.run.processes import only_one
from socialjax.run.record import (
    RESULT,
    Metrics,
    OverSeeds,
    RunRecord,
    SeedRecord,
    asides,
    described,
    for_evaluation,
)
from socialjax.run.results import peak_memory_bytes
from socialjax.run.settings import Definition, Experiment
from socialjax.run.workbench import Workbench
from socialjax.train import relay, watch, writers
from socialjax.train.checkpoint import CheckpointError
from socialjax.train.log import Callback, MetricsLog
from socialjax.train.loop import Job, Trained
from socialjax.train.parallel import check_stop, is_first, join_processes, of_first, program_start
from socialjax.train.step import METRIC

log = logging.getLogger(__name__)
FEW_STEPS, SMALL_BATCH = 8, 512  # steps of an epoch that are few; pairs of a step that suit small data


def main(definition: Definition, arguments=None) -> int:
    """The whole command: settings from the command line, the run, its table on standard output. Returns exit code."""
    set_up_logging()
    began = program_start()

    def act():
        experiment = read_arguments(definition, sys.argv[1:] if arguments is None else arguments)
        relay.before_joining()
        join_processes()
        with watch.peers():
            act_on(experiment)

    def act_on(experiment: Experiment):
        data = sources.load(experiment.data)
        bench = Workbench(data)
        done = {
            label: run(definition, each, data, label, began, bench) for label, each in variants(definition, experiment)
        }
        folder = work_folder(definition, experiment, data, "")
        if experiment.sweep is None:
            _log_line(display.next_steps(folder, experiment.seeds))  # the table alone is on standard output
        if experiment.sweep is not None and is_first():
            say(display.summary(experiment.sweep, done, folder), flush=True)
            attempt(
                folder / f"sweep_{experiment.sweep}.png",
                lambda path: display.draw_sweep(path, experiment.sweep, done),
                True,
            )

    return exit_code(act)


def run(
    definition: Definition,
    experiment: Experiment,
    data: Dataset,
    label: str = "",
    began: float | None = None,
    bench: Workbench | None = None,
) -> RunRecord:
    """Trains and evaluates every seed in its folder, or reads what is finished there, and prints the table.

    Args:
        definition: what the experiment is called and what is reported of it.
        experiment: its settings.
        data: the data set.
        label: of a value of a sweep or a row of a table, a folder inside.
        began: since when its seconds count (time.monotonic), by default from now on.
        bench: the workbench of these data, to share with other runs what is made of them.

    Returns:
        The result record.
    """
    release_programs()  # of runs before this one: a table or a notebook may have many
    folder, bench = work_folder(definition, experiment, data, label), bench or Workbench(data)
    if label and experiment.mirror is not None:
        experiment = dataclasses.replace(experiment, mirror=f"{experiment.mirror}/{label}")
    introduce(experiment, bench, folder)
    for line in few_steps(experiment, data):
        _log_line(line)
    record = run_in(folder, definition, experiment, bench, began)
    if is_first():
        say(display.table(record, folder), flush=True)
    return record


def introduce(experiment: Experiment, bench: Workbench, folder: Path) -> None:
    """Logs what is about to run: the data and what was done to them, the model, the device, who is evaluated."""
    _log_line(f"data: {display.describe(bench.data, experiment.model)}")
    _log_line(f"model: {models.name_of(experiment.model)} {display.settings_line(experiment.model)}")
    _log_line(f"device: {results.device()}   folder: {folder}")
    users = display.users_line(workbench.evaluated_users(bench.data))
    for line in (users, *workbench.shortened(bench.data, experiment.eval)):
        _log_line(line)


def few_steps(experiment: Experiment, data: Dataset) -> list[str]:
    """A line where an epoch has so few steps that models with several layers hardly move.

    On 5,400 training pairs LightGCN stopped after epoch 8 at an NDCG@10 of .087 with the default batch; with 512 pairs
    a step it reached .118 (docs/choose_a_model.md).
    """
    pairs, batch = len(data.train), experiment.train.batch_size
    if not experiment.model.traits.trains or pairs >= FEW_STEPS * batch or batch <= SMALL_BATCH:
        return []
    steps, more = -(-pairs // batch), -(-pairs // SMALL_BATCH)
    number = "one step" if steps == 1 else f"{steps} steps"
    return [f"{number} an epoch, of {batch:,} pairs: --train.batch-size {SMALL_BATCH} would make {more}"]


def run_in(
    folder: Path,
    definition: Definition,
    experiment: Experiment,
    bench: Workbench,
    began: float | None = None,
    callbacks: Sequence[Callback] = (),
) -> RunRecord:
    """`run` in that folder, without output on standard output.

    callbacks: each gets every line of metrics.jsonl as it is written, with the seed.
    """
    began = time.monotonic() if began is None else began
    workbench.check_parts(experiment.model, bench.data)
    workbench.check(bench.data, experiment.eval)
    writers.check(experiment.train.writers)
    with contextlib.ExitStack() as held:
        _claim(held, folder, experiment, bench.data)
        check_stop()
        finished = _finished(folder, experiment)
        if finished is not None:
            _log_line("finished before")
            if is_first():
                for seed in experiment.seeds:
                    _curves(definition, bench.data, folder / f"seed_{seed}")
            return finished
        for seed in experiment.seeds if experiment.start_from else ():  # the last one too, before the first trains
            saved.find_seed(experiment.start_from, seed)
        before = time.monotonic()
        trained = _train_together(experiment, bench, folder, callbacks)
        began_alone = began + time.monotonic() - before  # the first seed also waits for imports and data
        starts = [began_alone] + [None] * (len(experiment.seeds) - 1)
        records = [
            _run_seed(definition, experiment, bench, folder, seed, start, callbacks, trained.get(seed))
            for seed, start in zip(experiment.seeds, starts)
        ]
        record = _summarise(definition, experiment, bench, records, time.monotonic() - began)
        if is_first():
            record = dataclasses.replace(record, settings=results.inside(folder, record.settings))
            results.write_json(folder / "result.json", record.to_json())
        return record


def _claim(held: contextlib.ExitStack, folder: Path, experiment: Experiment, data: Dataset) -> None:
    """The first process locks and claims the folder; when it may not, all processes stop."""
    refused = None
    if is_first():
        try:
            held.enter_context(only_one(folder))
            if experiment.mirror is not None and Mirror(folder, experiment.mirror).restore():
                _log_line(f"{folder} was brought back from {experiment.mirror}")
            results.claim(folder, experiment, data)
            kept_data.keep(data, folder)
            if experiment.carry:
                kept_data.carry(data, experiment.model, folder)
            for line in for_evaluation(folder, results.evaluation_of(results.plain(experiment))):
                _log_line(line)
            held.enter_context(mirrored(folder, experiment.mirror))
        except (ValueError, OSError, CheckpointError) as error:
            refused = error
    if of_first(refused is not None)[0]:
        raise refused or ValueError(f"the first process may not use {folder}; its message gives the reason")


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


def _finished(folder: Path, experiment: Experiment) -> RunRecord | None:
    """The result of exactly these seeds, if it is there."""
    done = folder / "result.json"
    record = RunRecord.read(done) if done.exists() else None
    return record if record is not None and record.seeds == list(experiment.seeds) else None


def _run_seed(
    definition,
    experiment,
    bench: Workbench,
    folder: Path,
    seed: int,
    began: float | None,
    callbacks: Sequence[Callback],
    trained: Trained | None,
) -> SeedRecord:
    """trained: what became of its training, where that was done together with those of other seeds."""
    check_stop()
    began = time.monotonic() if began is None else began
    here, data = below(folder, f"seed_{seed}"), bench.data
    done = here / "result.json"
    if done.exists():
        _log_line(f"seed {seed}: finished before, {done}")
        if is_first():
            _curves(definition, data, here)
        return SeedRecord.read(done)
    model, before = experiment.model, _evaluated_before(folder, seed)
    code = code_digest(model) if before is None or before.code is None else before.code  # by which it was trained
    validation = _validation(experiment, bench, folder)
    together = 0.0
    if trained is None:
        (trained,) = bench.train_seeds(model, experiment.train, validation, [_job(experiment, folder, seed, callbacks)])
    else:
        together = trained.seconds["train"] + trained.seconds["eval"]
    evaluation = results.evaluation_of(results.plain(experiment))
    if before is not None:
        _log_line(
            f"seed {seed}: the parameters of epoch {trained.epoch} are kept, nothing was trained; evaluated anew by "
            f"{described(evaluation)}"
        )
    start, side = time.monotonic(), bench.side(model)
    state = ranking.encode(model, trained.params, side)
    results_by_protocol, estimates = {}, {}
    for name in experiment.eval.protocols():
        check_stop()
        results_by_protocol[name], estimate = workbench.measured(
            model, state, data, bench.candidates(experiment.eval, name)
        )
        estimates |= {name: estimate} if estimate else {}
    main = results_by_protocol[experiment.eval.protocol]
    frames, lists = workbench.key_frames(model, state, side, data), bench.beyond(model, state, experiment.eval)
    total = time.monotonic() - began + together
    record = SeedRecord(
        seed=seed,
        metrics=main.mean(),
        also={name: result.mean() for name, result in results_by_protocol.items() if result is not main},
        corrected=estimates,
        groups=workbench.by_sparsity(data, main, lists),
        beyond=lists.figures,
        validation=trained.validation,
        epoch=trained.epoch,
        seconds=trained.seconds | {"test": time.monotonic() - start, "total": total},
        pairs_per_second=trained.pairs_per_second,
        peak_memory_bytes=peak_memory_bytes(),
        popularity_validation=validation and validation.floor,
        chosen_on=validation and validation.chosen_on(),
        code=code,
        key_frames=frames[0] if frames else None,
        evaluation=evaluation,
    )
    if is_first():
        results.write_per_user(here / "per_user.npz", main.users, main.per_user)
        cold = groups.cold_items(data, main)
        results.write_per_user(here / "cold_per_user.npz", cold.users, cold.per_user)
        if frames:
            results.write_per_user(here / "key_frames.npz", frames[1].users, frames[1].values)
        results.write_json(done, record.to_json())
        _curves(definition, data, here)
    return record


def _train_together(
    experiment: Experiment, bench: Workbench, folder: Path, callbacks: Sequence[Callback]
) -> dict[int, Trained]:
    """Seed -> what became of its training, of all that are not finished, where the settings say so; else nothing."""
    missing = [seed for seed in experiment.seeds if not (below(folder, f"seed_{seed}") / RESULT).exists()]
    if experiment.train.together == "off" or len(missing) < 2:
        return {}
    validation = _validation(experiment, bench, folder)
    jobs = [_job(experiment, folder, seed, callbacks) for seed in missing]
    return dict(zip(missing, bench.train_seeds(experiment.model, experiment.train, validation, jobs)))


def _validation(experiment: Experiment, bench: Workbench, folder: Path) -> workbench.Validation | None:
    """Lines of a run have the metrics with which it began, whatever the test part is evaluated by."""
    settings = results.read_claim(folder / "settings.json")["settings"]
    return bench.validation(dataclasses.replace(experiment.eval, ks=tuple(results.evaluation_of(settings)["ks"])))


def _job(experiment: Experiment, folder: Path, seed: int, callbacks: Sequence[Callback]) -> Job:
    """The training of a seed, with settings and data as they were when the run began."""
    claimed = results.read_claim(folder / "settings.json")
    return Job(
        seed,
        below(folder, f"seed_{seed}"),
        results.fingerprint(claimed["settings"], claimed["data"], seed),
        start=None if experiment.start_from is None else saved.from_run(experiment.start_from, seed),
        callbacks=[lambda line, call=call: call({"seed": seed, **line}) for call in callbacks],
        described=dict(results.flat(claimed["settings"])) | {"seed": seed},
    )


def _evaluated_before(folder: Path, seed: int) -> SeedRecord | None:
    """A result of that seed by another evaluation, if there is one: then its training has ended."""
    paths = (aside / f"seed_{seed}" / RESULT for aside in asides(folder))
    return next((SeedRecord.read(path) for path in paths if path.is_file()), None)


def _curves(definition: Definition, data: Dataset, here: Path) -> None:
    """Draws the curves of a finished seed if they are missing."""

    def draw(path: Path) -> None:
        record = SeedRecord.read(here / "result.json")
        title = f"{definition.name} on {data.name} ({data.provenance.kind}), seed {record.seed}"
        lines = MetricsLog(here / "metrics.jsonl").read()
        metric = (record.chosen_on or {}).get("metric", METRIC)
        display.draw_curves(path, lines, title, record.epoch, record.popularity_validation, metric)

    attempt(here / "curves.png", draw)


def _summarise(
    definition: Definition, experiment: Experiment, bench: Workbench, records: list[SeedRecord], seconds: float
) -> RunRecord:
    def over_seeds(metrics: list[Metrics]) -> dict[str, OverSeeds]:
        summaries = {}
        for name in (name for name in metrics[0] if all(name in of_seed for of_seed in metrics)):
            mean, half = mean_interval([m[name] for m in metrics])
            summaries[name] = {"mean": mean, "ci95": half, "values": [m[name] for m in metrics]}
        return summaries

    references, data, first = bench.references(experiment.eval), bench.data, records[0]
    return RunRecord(
        experiment=definition.name,
        dataset=data.name,
        data=data.provenance.kind,
        features="given" if display.takes_features(experiment.model, data) else "none",
        model=models.name_of(experiment.model),
        protocol=experiment.eval.protocol,
        seeds=list(experiment.seeds),
        metrics=over_seeds([r.metrics for r in records]),
        also={name: over_seeds([r.also[name] for r in records]) for name in first.also},
        corrected={name: over_seeds([r.corrected[name] for r in records]) for name in first.corrected},
        groups=[r.groups for r in records],
        # A seed that ended before these metrics came has none.
        beyond=over_seeds([r.beyond for r in records]) if all(r.beyond for r in records) else None,
        validation=over_seeds([r.validation for r in records]) if first.validation else {},
        epoch=[r.epoch for r in records],
        chosen_on=first.chosen_on,
        key_frames=workbench.key_frames_over_seeds([r.key_frames for r in records]) if first.key_frames else None,
        references={name: found[experiment.eval.protocol] for name, found in references["metrics"].items()},
        references_also=references["metrics"],
        references_corrected=references["corrected"],
        references_beyond=references["beyond"],
        seconds={k: sum(r.seconds[k] for r in records) for k in ("train", "eval", "test")} | {"total": seconds},
        pairs_per_second=float(np.mean([r.pairs_per_second for r in records])),
        peak_memory_bytes=max(r.peak_memory_bytes for r in records),
        reported=[dict(row) for row in definition.reported] or None,
        users=workbench.evaluated_users(data),
        settings=results.settings_of(experiment),
        provenance=data.provenance.as_dict(),
        code=" ".join(sorted({r.code or "unknown" for r in records})),
        **results.made_with(),
    )


def _log_line(line: str) -> None:
    if is_first():
        log.info("%s", line)
