"""The prepared form of a data set on disk: written once, read in milliseconds, made anew when the raw files change."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from socialjax.data.schema import Dataset

log = logging.getLogger(__name__)
FORMAT = 2  # raise when the columns of a prepared set change


def cache_folder() -> Path:
    """$SOCIALJAX_CACHE, or ~/.cache/socialjax."""
    return Path(os.environ.get("SOCIALJAX_CACHE") or Path.home() / ".cache" / "socialjax").expanduser()


def file_checksums(files: list[Path]) -> dict[str, str]:
    """{name: sha256} of the files' contents."""
    sums = {}
    for file in files:
        with open(file, "rb") as content:
            sums[file.name] = hashlib.file_digest(content, "sha256").hexdigest()
    return sums


def key_of(name: str, **what) -> str:
    """A short name for everything a prepared set depends on (JSON values), the format among it."""
    described = json.dumps({"format": FORMAT, "name": name, **what}, sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()[:20]


def prepared(name: str, key: str, make: Callable[[], Dataset]) -> Dataset:
    """The set prepared under `key`; made by `make`, and kept, when there is none.

    The cache is a convenience: without TFDS, or with a folder that cannot be written or read, `make` alone feeds the
    same columns, and a warning is logged for all but the first.
    """
    try:
        from socialjax.data.builders import columns, sets
    except ImportError as error:
        log.info("tensorflow-datasets is not installed (%s): reading the raw files each time", error)
        return make()
    folder = cache_folder() / "prepared" / name / key
    try:
        if folder.is_dir():
            return columns.read(folder)
    except Exception as error:  # whatever TFDS, protobuf or array_record make of a damaged file
        log.warning("%s is damaged and is prepared anew (%s: %s)", folder, type(error).__name__, error)
        shutil.rmtree(folder, ignore_errors=True)
    data = make()
    try:
        _keep(sets.BUILDERS.get(name, sets.Folder), data, folder)
    except Exception as error:  # a full disk comes out of array_record as one of several exceptions
        log.warning(
            "cannot keep the prepared %s in %s (%s: %s): the raw files are read each time; "
            "set SOCIALJAX_CACHE to a folder with room that can be written to",
            name, folder.parent, type(error).__name__, error,
        )  # fmt: skip
    return data


def _keep(builder, data: Dataset, folder: Path) -> None:
    """Prepares in a private folder and renames it; when another process was faster, theirs stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(".preparing-*"):  # of a process that was killed
        if time.time() - left.stat().st_mtime > 3600:
            shutil.rmtree(left, ignore_errors=True)
    private = Path(tempfile.mkdtemp(prefix=".preparing-", dir=folder.parent))
    try:
        written = builder(dataset=data, data_dir=private).prepare()
        try:
            os.rename(written, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(private, ignore_errors=True)
