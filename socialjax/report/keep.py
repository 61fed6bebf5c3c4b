"""Keeps finished runs, and the searches that led to their settings, without a trace of the machine they ran on."""

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from socialjax import json_files, npz_files
from socialjax.atomic_write import atomic_write
from socialjax.eval.metrics import cell, escaped
from socialjax.names import KEPT as KEPT_NAME
from socialjax.names import below, identifier, visible
from socialjax.names import below as below_root
from socialjax.report.papers import Paper
from socialjax.run import results
from socialjax.run.record import RunRecord, Scalar, check_users
from socialjax.run.tuning.search import Search
from socialjax.train.step import METRIC

# Of the table's protocol; what paired tests over users need, and all they need.
KEPT = tuple(f"{name}@{k}" for name in ("HR", "NDCG") for k in (5, 10, 15))
RESULT, PER_USER = "result.json", "per_user.npz"
# The same of the items that nobody has in training, where a run measured them.
COLD = "cold_per_user.npz"
KEPT_COLD = ("HR@10", "NDCG@10")
# An absolute path anywhere in a text, but no address: its last part may stay.
PATH = re.compile(r"(?<![\w.:/])/(?:[^\s/:,;'\"]+/)*([^\s/:,;'\"]+)")


@dataclasses.dataclass(frozen=True)
class Place:
    """A finished run that may be kept, and the folder where it will be: DATASET/NAME of the kept runs."""

    run: Path
    record: RunRecord
    folder: Path


def place(run: Path, kept: Path, name: str | None = None, *, stand_in: bool = False, dirty_ok: bool = False) -> Place:
    """Where a finished run is to be kept; nothing is written.

    Args:
        run: folder of the run.
        kept: folder of the kept runs.
        name: of the kept run. By default the model, or the folder where it adds to that, with the preset, with
            `features` if it read some, and with the sweep's value, such as `diffnet-dim=16`.
        stand_in: accept a run on generated data.
        dirty_ok: accept a run of code that no commit holds.

    Raises:
        ValueError: the run did not finish or lacks a seed's per-user metrics, its result.json is damaged, the name
            leads elsewhere, or the run is a stand-in or of uncommitted code and that is not accepted.
    """
    record = _finished(run)
    if record.data == "stand-in" and not stand_in:
        raise ValueError(f"{run} ran on the generated stand-in, not on real data; --stand-in keeps it as such")
    commit = record.commit
    if (commit.endswith("-dirty") or commit == "unknown") and not dirty_ok:
        raise ValueError(
            f"{run} was made by code that no commit holds ({commit}); commit and run again, or keep it with --dirty-ok"
        )
    name = identifier(name or default_name(run, record), "a kept run (--name)", KEPT_NAME)
    for seed in record.seeds:
        if not (path := run / f"seed_{seed}" / PER_USER).is_file():
            raise ValueError(f"{path} is missing, without which there are no paired tests; run seed {seed} again")
    return Place(run, record, below(kept, dataset_of(record), name))


def places(runs: Sequence[Path], kept: Path, name: str | None = None, **allowed: bool) -> list[Place]:
    """Of every run, before anything is copied. Raises ValueError for two that would lie in one folder."""
    by_folder: dict[Path, Place] = {}
    for run in runs:
        place_of_run = place(run, kept, name, **allowed)
        if place_of_run.folder in by_folder:
            raise ValueError(
                f"{by_folder[place_of_run.folder].run} and {run} would both be kept as {place_of_run.folder}, "
                "so nothing was kept; keep them one at a time, each with a --name of its own, or only one of them"
            )
        by_folder[place_of_run.folder] = place_of_run
    return list(by_folder.values())


def keep(target: Place) -> bool:
    """Copies the run to its place -> whether it replaced another.

    Raises ValueError for seeds of different users, and for a result.json whose metrics are not the means over them.
    """
    run, record, folder = target.run, target.record, target.folder
    arrays = per_user(run, record.seeds)
    check_all_users(run, record)
    replaces = (folder / "result.json").exists()
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / PER_USER) as temporary:
        with temporary.open("wb") as file:  # closed before its checksum is taken
            np.savez_compressed(file, seeds=np.array(record.seeds, np.int64), **arrays)
        checksum = sha256(temporary)
    # Last: its checksum ties the two files together should this be interrupted between them.
    results.write_json(
        folder / "result.json",
        without_places(record.to_json()) | {"per_user_sha256": checksum},
    )
    return replaces


def per_user(run: Path, seeds: Sequence[int], wanted: tuple[str, ...] = KEPT) -> dict[str, np.ndarray]:
    """What each user of a run got: users i32[U], values f16[U, S, M] and the names of the M metrics; the same as
    cold_users, ... where every seed was measured on items that nobody has in training.

    Raises ValueError for seeds of different users.
    """
    arrays = _of_seeds(run, seeds, PER_USER, wanted)
    if all((run / f"seed_{seed}" / COLD).is_file() for seed in seeds):
        arrays |= {f"cold_{key}": value for key, value in _of_seeds(run, seeds, COLD, KEPT_COLD).items()}
    return arrays


def default_name(run: Path, record: RunRecord) -> str:
    """`bpr`, `diffnet-authors`, `diffnet-features`, `diffnet-dim=16`; a folder `bpr-continued` keeps its name."""
    model = run.name if run.name.startswith(f"{record.model}-") else record.model
    parts = [model, record.settings.get("preset"), "features" if record.features == "given" else None]
    swept = [run.name] if all("=" in part for part in run.name.split(",")) else []
    return "-".join([*filter(None, parts), *swept])


def dataset_of(record: RunRecord) -> str:
    """The folder of a run's data set: a stand-in is never beside real data."""
    return record.dataset + ("-stand-in" if record.data == "stand-in" else "")


def without_places(record: dict) -> dict:
    """The record without folders of the machine: no work folder, no data folder, of other paths only the last part."""
    settings = {
        key: value for key, value in record["settings"].items() if key not in ("workdir", "mirror", "start_from")
    }
    if isinstance(settings.get("data"), dict):
        settings["data"] = {key: value for key, value in settings["data"].items() if key not in ("dir", "features")}
    return _shortened(record | {"settings": settings})


def sha256(path: Path) -> str:
    """Of the file's bytes, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _shortened(value):
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return PATH.sub(r"\1", value) if isinstance(value, str) else value


def check_all_users(run: Path, record: RunRecord) -> None:
    """Compares every metric of the table's protocol with the per-user metrics of its seeds, as `check_users`."""
    for index, seed in enumerate(record.seeds):
        path = run / f"seed_{seed}" / PER_USER
        _, columns = _one_seed(path)
        if missing := sorted(set(record.metrics) - set(columns)):
            raise ValueError(f"{path} lacks {', '.join(missing)}, which {run / RESULT} has; run seed {seed} again")
        alone = {name: {"values": [found["values"][index]]} for name, found in record.metrics.items()}
        values = np.stack([columns[name] for name in alone], axis=1)[:, None]
        check_users([seed], alone, list(alone), values, run / RESULT)


def _finished(run: Path) -> RunRecord:
    path = run / RESULT
    if not path.is_file():
        raise ValueError(f"{path} is missing: name the folder of a finished run, the one with a folder for each seed")
    record = results.read_json(path)
    if isinstance(record, dict) and "seed" in record and "seeds" not in record:
        raise ValueError(f"{path} is the result of one seed; name the run's folder, not a seed's")
    return RunRecord.from_json(record, path)


def _one_seed(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """users i32[U] and {metric: f16[U]} that `results.write_per_user` wrote. Raises ValueError for another file."""
    columns = npz_files.read(path)
    users = columns.pop("users", None)
    if users is None or users.ndim != 1 or users.dtype.kind not in "iu" or not columns:
        raise ValueError(f"{path}: wanted the numbers of users and their metrics, got none; run its seed again")
    if len(users) and (users.min() < 0 or users.max() >= 2**31 or len(np.unique(users)) != len(users)):
        raise ValueError(f"{path}: wanted each user once, by a number of 0 to 2^31 - 1; run its seed again")
    for name, column in columns.items():
        if column.shape != users.shape or column.dtype.kind != "f" or not np.isfinite(column).all():
            raise ValueError(
                f"{path}: wanted a number of each of {len(users)} users, got {visible(name)} {column.dtype}"
                f"{list(column.shape)}, not all of them finite; run its seed again"
            )
    return users.astype(np.int32), {name: column.astype(np.float16) for name, column in columns.items()}


def _of_seeds(run: Path, seeds: Sequence[int], file_name: str, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
    """In the order of `per_user`, which compresses best."""
    before, metrics, values = None, [], []
    for seed in seeds:
        path = run / f"seed_{seed}" / file_name
        users, columns = _one_seed(path)
        if file_name == PER_USER and not len(users):
            raise ValueError(f"{path} has no users, so there is nothing to keep; run seed {seed} again")
        present = [name for name in wanted if name in columns] or [
            name
            for name in columns
            if name.partition("@")[0] in ("HR", "NDCG")  # at cut-offs of one's own
        ]
        if not present or (values and present != metrics):
            raise ValueError(f"{path} has {', '.join(present) or 'none'} of {', '.join(wanted)}; run seed {seed} again")
        if before is not None and not np.array_equal(users, before):
            raise ValueError(f"{path} has other users than the seed before; the seeds ran on other data")
        values.append(np.stack([columns[name] for name in present], axis=1))
        before, metrics = users, present
    return {"users": before, "values": np.stack(values, axis=1), "metrics": np.array(metrics)}


FOLDER = "search"  # beside the kept runs of a data set: search/MODEL.json
TRIALS = Search.trials
AGAIN = "name another, or search again"


class Decided(TypedDict):
    """The settings of the best trial, as far as they decide its figures."""

    model: dict[str, Scalar | list[Scalar]]
    train: dict[str, Scalar | list[Scalar]]


Trial = TypedDict(
    "Trial",
    {
        "trial": int, "rung": int, "epochs": int, "model": dict[str, Scalar | list[Scalar]],
        "training": dict[str, Scalar | list[Scalar]], METRIC: float | None, "epoch": list[int] | None, "seconds": float,
    },
)  # fmt: skip
Best = TypedDict(
    "Best",
    {
        "dataset": str, "data": str, "model": dict[str, Scalar | list[Scalar]],
        "training": dict[str, Scalar | list[Scalar]], "trials": int, "rungs": list[int], "settings": Decided,
        "epoch": list[int], "commit": str, METRIC: float,
    },
)  # fmt: skip


def keep_search(folder: Path, kept: Path) -> Path:
    """Copies what a finished search found, and all its trials, to KEPT/DATASET/search/MODEL.json -> that file.

    Raises ValueError for a folder that holds no finished search and for one on generated data.
    """
    path = folder / "best.json"
    if not path.is_file():
        raise ValueError(f"{path} is missing: name the folder of a search that has finished")
    record = _checked(path)
    if record["data"] != "real":
        raise ValueError(f"{folder} searched on data that are {record['data']}, not real; such a search is not kept")
    listed = folder / "trials.jsonl"
    try:
        lines = json_files.typed(json_files.read_lines(listed, advice=AGAIN), list[Trial], "trials")
    except json_files.WrongType as error:
        raise ValueError(f"{listed} is not what a search leaves: {error}; {AGAIN}") from None
    record = without_places(record) | {
        "all_trials": [{key: line[key] for key in Trial.__annotations__} for line in lines]
    }
    path_kept = below_root(kept, record["dataset"], FOLDER, f"{record['settings']['model']['name']}.json")
    path_kept.parent.mkdir(parents=True, exist_ok=True)
    results.write_json(path_kept, record)
    return path_kept


def kept_searches(kept: Path, dataset: str) -> dict[str, dict]:
    """Model -> its kept search on the data set. Raises ValueError for a file that is none."""
    folder = kept / identifier(dataset, "a data set") / FOLDER
    return {path.stem: _checked(path) for path in sorted(folder.glob("*.json"))}


def _checked(path: Path) -> dict:
    """What a search found, of the types and names that it writes. Raises ValueError that names file and field."""
    record = json_files.read(path, advice=AGAIN)
    try:
        json_files.typed(record, Best)
        identifier(record["dataset"], "a data set")
        identifier(record["settings"]["model"].get("name"), "a model")
        if not record["rungs"] or not record["epoch"]:
            raise ValueError("rungs and epoch want at least one number")
    except ValueError as error:
        raise ValueError(f"{path} is not what a search leaves: {error}; {AGAIN}") from None
    return record


def is_of(search: dict, settings: dict) -> bool:
    """Whether the model and training of a run's settings have the settings that the search found."""
    return _decided(search["settings"]) == _decided(settings)


def settings_table(paper: Paper, searches: dict[str, dict]) -> list[list[str]]:
    """What each search found: validation, when, and the settings that it chose among."""
    heads = ["", f"validation {METRIC}", "epoch", "trials", "loss, negatives", "L2", "dropout", "learning rate"]
    table = [[*heads, "its own settings"]]
    for model in sorted(searches, key=lambda name: paper.place(name, name)):
        record = searches[model]
        chosen = dict(record["model"])
        loss, negatives, *shared = (chosen.pop(name, "none") for name in ("objective", "negatives", "l2", "dropout"))
        shared = [f"{loss} {negatives}", *shared]
        own = ", ".join(f"{name} {value}" for name, value in chosen.items())
        epoch = " ".join(map(str, record["epoch"]))
        rate = record["training"].get("learning_rate", "none")
        row = [cell(record[METRIC]), epoch, record["trials"], *shared, rate, own]
        table.append([paper.models.get(model, model), *map(str, row)])
    return table


def caption(searches: dict[str, dict]) -> str:
    """The line below the table: by which commits and on which seeds, and whether one was cut by its last epoch."""
    commits = ", ".join(dict.fromkeys(escaped(record["commit"][:7]) for record in searches.values()))
    cut = [name for name, record in searches.items() if max(record["epoch"]) >= record["rungs"][-1]]
    cap_note = (
        f" Best at the last epoch allowed, so cut: {', '.join(cut)}." if cut else " No chosen epoch is at its cap."
    )
    return (
        f"Searched on validation alone, seed 0; the shared ranges are the same for all models; "
        f"commit {commits}.{cap_note}"
    )


def _decided(settings: dict) -> dict:
    whole = results.complete(settings)  # those from before a setting was there have its default
    parts = {part: whole[part] for part in ("model", "train")}
    return {name: value for name, value in results.flat(parts) if name not in results.FREE}
