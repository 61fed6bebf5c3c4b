"""What a search has found: one file for each trial and rung, written once, and trials.jsonl that lists them.

Several processes may write at a time: each file has one writer, and is whole or absent.
"""

import dataclasses
import json
import shutil
from pathlib import Path

from socialjax import models
from socialjax.data.schema import Dataset
from socialjax.run import results
from socialjax.run.tuning.search import Search
from socialjax.run.tuning.space import Point
from socialjax.train.log import MetricsLog
from socialjax.whole import whole

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
                there = results.read_json(path)
                was, now = there["model"] | there["training"], point.model | point.training
                if was != now:
                    raise ValueError(
                        f"trial {trial} in {self.folder} was made with {was}, and the space has {now} now; {anew}"
                    )
                if there["code"] != code:
                    raise ValueError(
                        f"trial {trial} in {self.folder} was made by other code of the model ({there['code']}, today "
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
        with whole(path) as temporary:
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
