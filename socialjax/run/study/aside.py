"""Results that are older than the code or the settings they stand for are put aside, and never deleted."""

import hashlib
import os
from pathlib import Path

from socialjax.data.schema import Dataset
from socialjax.run import results
from socialjax.run.code_digest import code_digest
from socialjax.run.lock import only_one
from socialjax.run.settings import Experiment

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
    if codes != {code_digest(experiment.model)}:
        return "the model's code has changed since"
    path = folder / "settings.json"
    if not path.exists():
        return "settings.json is missing"
    before = results.read_claim(path)
    old = results.binding(results.complete(before["settings"]), before["data"])
    new = results.binding(results.plain(results.settings_of(experiment)), data.provenance.as_dict())
    changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return f"other settings ({', '.join(changed)})" if changed else None


def _free_name(folder: Path) -> Path:
    """NAME.old-DIGEST of the notes and settings that are there; a number after it when the name is taken."""
    files = [file for file in (folder / NOTE, folder / "settings.json", folder / "result.json") if file.exists()]
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:8]
    names = (f"{folder.name}{OLD}{digest}{'' if n == 1 else f'-{n}'}" for n in range(1, 1000))
    return next(path for path in map(folder.with_name, names) if not path.exists())
