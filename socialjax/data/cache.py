"""The prepared form of a data set on disk: written once, read in milliseconds, made again when the raw files change."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from socialjax.data import records
from socialjax.data.schema import Dataset
from socialjax.formats.file_bytes import DataError
from socialjax.names import below, identifier

log = logging.getLogger(__name__)
MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)  # a file of a prepared set is not there
FORMAT = 3  # raise when the columns of a prepared set change


class ChangedError(DataError):
    """Files whose content has changed since their checksums were taken."""


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
    """A hash of everything that a prepared set depends on, the format included.

    Args:
        name: of the set.
        **what: JSON values.
    """
    described = json.dumps({"format": FORMAT, "name": name, **what}, sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()[:20]


def prepared_key(name: str, **what) -> str:
    """The key of a prepared set, which depends on how it is kept as well."""
    return key_of(name, kept="npz", **what)


def prepared(name: str, key: str, make: Callable[[], Dataset], files: Mapping[str, str] | None = None) -> Dataset:
    """The set prepared under `key`; made by `make`, and kept, when there is none.

    The cache is a convenience: without TFDS, or with a folder that cannot be written or read, `make` alone gives the
    same columns, and a warning is logged for all but the first. Damaged sets are moved aside and made again.

    Args:
        name: of the set.
        key: hash of everything that it depends on.
        make: reads the raw files.
        files: the checksums that are part of the key, by name; a set made from other contents is not accepted.

    Returns:
        The data set.

    Raises:
        ChangedError: `make` reads other contents.
        BadName: name and key would lead outside the cache, whose contents are trusted.
    """
    folder = below(cache_folder() / "prepared", identifier(name, "a prepared data set"), identifier(key, "a key"))
    try:
        if folder.is_dir():
            records.check(folder)
            data = records.read(folder)
            if not _is_of(data, files):
                raise records.DamagedError("it was made of other files than its name says")
            return data
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged file leads to
        if isinstance(error, OSError) and not isinstance(error, MISSING):  # limits, disks, permissions
            log.warning("%s cannot be read (%s): the raw files are read, and it stays as it is", folder, error)
            return _made(make, files)
        _put_aside(folder, error)
    data = _made(make, files)
    try:
        from socialjax.data import builder
    except ImportError as error:
        log.info("tensorflow-datasets is not installed (%s): reading the raw files each time", error)
        return data
    try:
        _keep(builder.ColumnsBuilder, data, folder)
    except Exception as error:  # a full disk comes out of array_record as one of several exceptions
        log.warning(
            "cannot keep the prepared %s in %s (%s: %s): the raw files are read each time; "
            "set SOCIALJAX_CACHE to a folder with room that can be written to",
            name, folder.parent, type(error).__name__, error,
        )  # fmt: skip
    return data


def _made(make: Callable[[], Dataset], files: Mapping[str, str] | None) -> Dataset:
    data = make()
    if not _is_of(data, files):
        raise ChangedError(f"{data.name}: the files have changed since their checksums were taken; start again")
    return data


def _is_of(data: Dataset, files: Mapping[str, str] | None) -> bool:
    """Whether all that `data` was read from has these checksums."""
    return files is None or all(files.get(name) == sha for name, sha in data.provenance.files.items())


def _put_aside(folder: Path, error: Exception) -> None:
    """Moves a damaged folder to `.damaged-KEY` beside it, replacing an earlier one, with a warning."""
    aside = folder.with_name(f".damaged-{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        os.replace(folder, aside)
        where = f"what was there is in {aside.name}"
    except OSError as problem:
        where = f"it cannot be put aside ({problem.strerror})"
    log.warning("%s is damaged and is prepared anew; %s (%s: %s)", folder, where, type(error).__name__, error)


def _keep(builder, data: Dataset, folder: Path) -> None:
    """Prepares in a private folder and renames it; when another process was faster, its folder stays."""
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
