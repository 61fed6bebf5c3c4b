"""Runs a table of models: each in its folder, trained or read, and one table at the end.

One model that fails does not stop the others. Results of a model whose code or settings have changed since are put
aside, and made again.

Results that are older than the code or the settings they stand for are put aside, and never deleted.
"""

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from socialjax import stop
from socialjax.data import sources
from socialjax.data.schema import Dataset
from socialjax.data.sets import published
from socialjax.eval.metrics import legend, metric_rows, text_table
from socialjax.run import processes, results
from socialjax.run.command import EXPECTED, exit_code, say, set_up_logging
from socialjax.run.display import describe, evaluated, shown
from socialjax.run.execute import run, work_folder
from socialjax.run.model_code import code_digest, is_same_code
from socialjax.run.processes import only_one
from socialjax.run.record import RunRecord
from socialjax.run.settings import Experiment
from socialjax.run.study.settings import Arguments, Row, Study, read_arguments, rows
from socialjax.run.workbench import Workbench, check

NOTE = "code.json"  # by which code the run in a folder was begun
OLD = ".old-"  # between the name of a folder and the digest of what was put aside


def make_room(folder: Path, experiment: Experiment, data: Dataset) -> str | None:
    """Makes `folder` fit for the run: what is there and no part of it moves to NAME.old-DIGEST beside it.

    Returns what was moved and why, None when nothing was. Raises ValueError when another run is at work in a folder
    that would have to move.
    """
    why, moved = stale(folder, experiment, data), None
    if why is not None:
        with only_one(folder):
            old = _free_name(folder)
            os.replace(folder, old)
        moved = f"{folder}: {why}; what was there is in {old.name}"
    folder.mkdir(parents=True, exist_ok=True)
    results.write_json(folder / NOTE, {"code": code_digest(experiment.model)})
    return moved


def is_aside(folder: Path) -> bool:
    """Whether the folder is one that `make_room` made."""
    return OLD in folder.name


def stale(folder: Path, experiment: Experiment, data: Dataset) -> str | None:
    """Why what is in the folder cannot be part of the run; None when it can, or when nothing was trained there."""
    if not any(folder.glob("seed_*/*")):
        return None
    files = [folder / NOTE, folder / "result.json", *sorted(folder.glob("seed_*/result.json"))]
    codes = {results.read_code(file) or "unknown" for file in files if file.exists()}
    if not codes or not all(is_same_code(code, code_digest(experiment.model)) for code in codes):
        return "the model's code has changed since"
    path = folder / "settings.json"
    if not path.exists():
        return "settings.json is missing"
    now = {"settings": results.plain(results.settings_of(experiment)), "data": data.provenance.as_dict()}
    changed = results.differences(results.read_claim(path), now)
    return f"other settings ({', '.join(changed)})" if changed else None


def _free_name(folder: Path) -> Path:
    """NAME.old-DIGEST of the notes and settings that are there; a number after it when the name is taken."""
    files = [file for file in (folder / NOTE, folder / "settings.json", folder / "result.json") if file.exists()]
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:8]
    names = (f"{folder.name}{OLD}{digest}{'' if n == 1 else f'-{n}'}" for n in range(1, 1000))
    return next(path for path in map(folder.with_name, names) if not path.exists())


log = logging.getLogger(__name__)
Ended = Iterator[tuple[str, RunRecord | None, str]]  # label, result, and why there is none


def main(study: Study, arguments: list[str] | None = None) -> int:
    """The whole command; 0 when every model has its row."""
    set_up_logging()
    failed: list[str] = []

    def act():
        failed.extend(compare(study, read_arguments(study, arguments)))

    return exit_code(act) or (1 if failed else 0)


def compare(study: Study, arguments: Arguments) -> list[str]:
    """Runs or reads every row and prints the table; the labels of those that failed.

    Raises ValueError and DataError for what concerns all of them, Interrupted after SIGTERM or Ctrl-C.
    """
    return compare_on(study, arguments, sources.load(arguments.data))[1]


def compare_on(study: Study, arguments: Arguments, data: Dataset) -> tuple[dict[str, Row], list[str]]:
    """`compare` on data that are there already: label -> row of those that have finished, and the labels of those that
    failed. Children load the data anew, so `jobs` must be 1 for data that no file holds as they are."""
    log.info("data: %s", describe(data))
    wanted, skipped = rows(study, arguments, data)
    if not wanted:
        return _show_table(study, wanted, skipped, {}, [])
    first = wanted[0]
    check(data, first.experiment.eval)
    with only_one(work_folder(first.definition, first.experiment, data, "")):
        return _show_table(study, wanted, skipped, *_run_all(wanted, data, arguments.jobs))


def _run_all(wanted: list[Row], data: Dataset, jobs: int) -> tuple[dict[str, RunRecord], list[str]]:
    """(label -> result of those that have finished, labels of those that failed), with a line after each."""
    began, records, failed = time.monotonic(), {}, []
    with contextlib.closing(_in_waves(wanted, data, jobs)) as ended:
        for label, record, why in ended:
            if record is None:
                failed.append(label)
                log.error("%s failed: %s", label, why)
            else:
                records[label] = record
            number = len(records) + len(failed)
            left = (time.monotonic() - began) / number * (len(wanted) - number) / 60
            log.info("== %d of %d models: %s; about %.0f minutes left", number, len(wanted), label, left)
    return records, failed


def _show_table(
    study: Study, wanted: list[Row], skipped: dict[str, str], records: dict[str, RunRecord], failed: list[str]
) -> tuple[dict[str, Row], list[str]]:
    """Prints the table and what is missing in it."""
    say(table(study, {row.label: records[row.label] for row in wanted if row.label in records}), flush=True)
    for label, why in skipped.items():
        say(f"no row for {label}: {why}", flush=True)
    if failed:
        say(f"failed: {', '.join(failed)}; the same command tries them again", flush=True)
    return {row.label: row for row in wanted if row.label in records}, failed


def _in_waves(wanted: list[Row], data: Dataset, jobs: int) -> Ended:
    """First the rows that start afresh, then those that start from one of them, and so on."""
    folders = {row.label: work_folder(row.definition, row.experiment, data, row.place) for row in wanted}
    bench = Workbench(data)
    done: set[str] = {""}
    waiting = wanted
    while waiting:
        wave = [row for row in waiting if row.start in done]
        if not wave:
            for row in waiting:
                yield row.label, None, f"{row.start}, from which it starts, has failed"
            return
        for row in wave:
            if (moved := make_room(folders[row.label], row.experiment, data)) is not None:
                log.info("%s", moved)
        waiting = [row for row in waiting if row not in wave]
        with contextlib.closing(_one_by_one(wave, bench) if jobs == 1 else _side_by_side(wave, folders, jobs)) as ended:
            for label, record, why in ended:
                if record is not None:
                    done.add(label)
                yield label, record, why


def _one_by_one(wanted: list[Row], bench: Workbench) -> Ended:
    for row in wanted:
        stop.check()
        record, why = None, ""
        try:
            record = run(row.definition, row.experiment, bench.data, row.place, bench=bench)
        except EXPECTED as error:
            why = str(error) or type(error).__name__
        yield row.label, record, why


def _side_by_side(wanted: list[Row], folders: dict[str, Path], jobs: int) -> Ended:
    """The same, `jobs` models at a time, each in a process of its own that writes into log.txt of its folder."""
    logs = {label: folder / "log.txt" for label, folder in folders.items()}
    with contextlib.closing(processes.each(_child, {row.label: (row,) for row in wanted}, logs, jobs)) as events:
        for label, code in events:
            if code == 0:
                yield label, RunRecord.read(folders[label] / "result.json"), ""
            elif code is not None:
                why = processes.last_lines(logs[label])
                yield label, None, f"exit code {code}; {logs[label]} says why, at its end: {why}"


def _child(row: Row) -> int:
    set_up_logging()

    def act():
        run(row.definition, row.experiment, sources.load(row.experiment.data), row.place)

    return exit_code(act)


def table(study: Study, records: dict[str, RunRecord]) -> str:
    """Baselines without parameters, then a row for each label, with 95 % intervals over seeds and total seconds.

    Beside the usual metrics it shows those that are reported.
    """
    if not records:
        return "\nno model has finished"
    first = next(iter(records.values()))
    lines = [(name, metrics) for name, metrics in first.references.items()]
    lines += [(label, record.metrics) for label, record in records.items()]
    reported = [name for row in study.reported for name in row["metrics"]]
    metrics = shown(first, reported)
    seconds = [sum(record.seconds[part] for part in ("train", "eval", "test")) for record in records.values()]
    last = [["seconds", *[""] * len(first.references), *(f"{each:.0f}" for each in seconds)]]
    if study.over in records:
        base = records[study.over].metrics["NDCG@10"]["mean"]
        gains = [f"{record.metrics['NDCG@10']['mean'] / base - 1:+.1%}" for record in records.values()]
        last.insert(0, [f"NDCG@10 over {study.over}", *[""] * len(first.references), *gains])
    cells = [[*row, *ends] for row, *ends in zip(metric_rows(lines, metrics), *last)]
    stand_in = " STAND-IN: generated, these figures say nothing about the real data" * (first.data == "stand-in")
    seeds = " ".join(map(str, first.seeds))
    altered = published.note(first.provenance.get("published", ""))
    data = f"{first.dataset} ({first.data}{altered})"
    head = f"{study.name} on {data}, {first.protocol}, test, seeds {seeds}{stand_in}"
    return "\n".join(["", head, evaluated(first), text_table(cells), *legend(metrics)])
