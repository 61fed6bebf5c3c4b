"""Searches for settings that are kept beside the runs they led to, and what they found."""

from pathlib import Path
from typing import TypedDict

from socialjax import json_files
from socialjax.eval.metrics import cell, escaped
from socialjax.names import below as below_root
from socialjax.names import identifier
from socialjax.report.keep import without_places
from socialjax.report.papers import Paper
from socialjax.run import results
from socialjax.run.record import Scalar
from socialjax.run.tuning.search import Search
from socialjax.train.step import METRIC

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


def keep(folder: Path, kept: Path) -> Path:
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
