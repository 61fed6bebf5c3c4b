"""Arrays over many rows, made a shard at a time, each kept as soon as it is known: what was stopped goes on."""

import json
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from socialjax import stop
from socialjax.whole import whole

log = logging.getLogger(__name__)
Arrays = dict[str, np.ndarray]


def in_shards(
    count: int,
    make: Callable[[np.ndarray], Arrays],
    folder: Path,
    described: dict,
    shard: int = 512,
    label: str = "pictures",
    progress: bool = True,
) -> Arrays:
    """{name: array[count, ...]}: what `make(rows)` gives, {name: array[len(rows), ...]}, for all rows, in order.

    A shard of rows is a file in `folder`, written under a temporary name and renamed; one that is there is read, one
    that is damaged is made anew with a warning. The folder must be named after all that the arrays depend on;
    `described` says it to people, in note.json. Raises ValueError for no rows and for arrays of another length.
    """
    if count < 1 or shard < 1:
        raise ValueError(f"wanted rows and shards of at least 1, got {count} rows in shards of {shard}")
    folder.mkdir(parents=True, exist_ok=True)
    with whole(folder / "note.json") as temporary:
        temporary.write_text(json.dumps(described, sort_keys=True, indent=1))
    found, resumed = [], False
    with tqdm(total=count, desc=label, unit="picture", disable=None if progress else True) as bar:
        for start in range(0, count, shard):
            stop.check()
            rows = np.arange(start, min(start + shard, count))
            at = folder / f"{start:08d}-{rows[-1] + 1:08d}.npz"
            arrays = _load(at, len(rows))
            if arrays is None:
                if found and not resumed:
                    log.info("%s: %d of %d are there already, the others are made", label, start, count)
                arrays, resumed = make(rows), True
                wrong = {name: len(array) for name, array in arrays.items() if len(array) != len(rows)}
                if wrong:
                    raise ValueError(f"wanted arrays of {len(rows)} rows, got {wrong}; make gives a row for each")
                with whole(at) as temporary, open(temporary, "wb") as file:
                    np.savez(file, **arrays)
            found.append(arrays)
            bar.update(len(rows))
    return {name: np.concatenate([arrays[name] for arrays in found]) for name in found[0]}


def _load(at: Path, count: int) -> Arrays | None:
    """The arrays of a shard; None, with a warning where the file is damaged, when they are to be made."""
    if not at.is_file():
        return None
    try:
        with open(at, "rb") as content, np.load(content, allow_pickle=False) as file:
            arrays = dict(file)
        if not arrays or any(len(array) != count for array in arrays.values()):
            raise ValueError(f"wanted arrays of {count} rows")
        return arrays
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as problem:
        log.warning("%s is damaged and is made anew (%s)", at, problem)
        return None
