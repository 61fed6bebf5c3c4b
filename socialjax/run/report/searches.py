"""Searches for settings that are kept beside the runs they led to, and what they found."""

import json
from pathlib import Path

from socialjax.eval.tables import cell
from socialjax.run import results
from socialjax.run.report.keep import without_places
from socialjax.run.report.paper import Paper
from socialjax.run.tuning.search import Search
from socialjax.train.settings import METRIC

FOLDER = "search"  # beside the kept runs of a data set: search/MODEL.json
TRIALS = Search.trials
NEEDED = ("dataset", "data", "model", "training", "trials", "rungs", "settings", "epoch", METRIC)


def keep(folder: Path, kept: Path) -> Path:
    """Copies what a finished search found, and all its trials, to KEPT/DATASET/search/MODEL.json -> that file.

    Raises ValueError for a folder that holds no finished search and for one on generated data.
    """
    path = folder / "best.json"
    if not path.is_file():
        raise ValueError(f"{path} is missing: name the folder of a search that has finished")
    record = results.read_json(path)
    if missing := [key for key in NEEDED if key not in record]:
        raise ValueError(f"{path} is not what a search leaves, it lacks {', '.join(missing)}")
    if record["data"] != "real":
        raise ValueError(f"{folder} searched on data that are {record['data']}, not real; such a search is not kept")
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    said = ("trial", "rung", "epochs", "model", "training", METRIC, "epoch", "seconds")
    record = without_places(record) | {"all_trials": [{key: line[key] for key in said} for line in lines]}
    place = kept / record["dataset"] / FOLDER / f"{record['settings']['model']['name']}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    results.write_json(place, record)
    return place


def kept_searches(kept: Path, dataset: str) -> dict[str, dict]:
    """Model -> its kept search on the data set."""
    return {path.stem: results.read_json(path) for path in sorted((kept / dataset / FOLDER).glob("*.json"))}


def is_of(search: dict, record: dict) -> bool:
    """Whether a run's model and training have the settings that the search found."""
    return _decided(search["settings"]) == _decided(record["settings"])


def found(paper: Paper, some: dict[str, dict]) -> list[list[str]]:
    """What each search found: validation, when, and the settings that it chose among."""
    heads = ["", f"validation {METRIC}", "epoch", "trials", "loss, negatives", "L2", "dropout", "learning rate"]
    table = [[*heads, "its own settings"]]
    for model in sorted(some, key=lambda name: paper.place(name, name)):
        record = some[model]
        chosen = dict(record["model"])
        shared = [f"{chosen.pop('objective')} {chosen.pop('negatives')}", chosen.pop("l2"), chosen.pop("dropout")]
        own = ", ".join(f"{name} {value}" for name, value in chosen.items())
        epoch = " ".join(map(str, record["epoch"]))
        row = [cell(record[METRIC]), epoch, record["trials"], *shared, record["training"]["learning_rate"], own]
        table.append([paper.models.get(model, model), *map(str, row)])
    return table


def below(some: dict[str, dict]) -> str:
    """The line below the table: by which commits and on which seeds, and whether one was cut by its last epoch."""
    commits = ", ".join(dict.fromkeys(record["commit"][:7] for record in some.values()))
    cut = [name for name, record in some.items() if max(record["epoch"]) >= record["rungs"][-1]]
    said = f" Best at the last epoch allowed, so cut: {', '.join(cut)}." if cut else " No chosen epoch is at its cap."
    return (
        f"Searched on validation alone, seed 0; the shared ranges are the same for all models; commit {commits}.{said}"
    )


def _decided(settings: dict) -> dict:
    parts = {part: settings[part] for part in ("model", "train")}
    return {name: value for name, value in results.flat(parts) if name not in results.FREE}
