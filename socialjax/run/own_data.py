"""Data sets that no file holds as they are: known by what is in them, and kept in the folder of the run."""

import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from socialjax.data.schema import DataError, Dataset
from socialjax.names import visible

COLUMNS = "columns"  # among the files of a provenance: the sha256 of all columns


def named(data: Dataset) -> Dataset:
    """The same data with the checksum of their columns among the files of their provenance."""
    checksum = hashlib.sha256()
    for name, array in _arrays(data):
        values = (
            "\0".join(map(str, array.ravel())).encode() if array.dtype.kind in "UO" else np.ascontiguousarray(array)
        )
        checksum.update(f"{name} {'text' if array.dtype.kind in 'UO' else array.dtype} {array.shape}\n".encode())
        checksum.update(values)
    provenance = dataclasses.replace(data.provenance, files=data.provenance.files | {COLUMNS: checksum.hexdigest()})
    return dataclasses.replace(data, provenance=provenance)


def _arrays(value, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for field in dataclasses.fields(value):
        part, path = getattr(value, field.name), f"{name}.{field.name}"
        if field.name == "provenance" or part is None:
            continue
        if dataclasses.is_dataclass(part):
            yield from _arrays(part, path)
        else:
            yield path, np.asarray(part, object if isinstance(part, tuple) else None)


def folder_of(run: Path, files: dict[str, str]) -> Path | None:
    """Where the run keeps such data, by the files of their provenance; None for data of files."""
    return run / f"data-{files[COLUMNS][:16]}" if COLUMNS in files else None


def keep(data: Dataset, run: Path) -> None:
    """Writes what `named` gave into the folder of the run, if it is not there."""
    from socialjax.data.builder import ColumnsBuilder  # TensorFlow Datasets takes a second to import

    folder = folder_of(run, data.provenance.files)
    if folder is None or folder.is_dir():
        return
    private = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=run))
    try:
        os.replace(ColumnsBuilder(dataset=data, data_dir=private).prepare(), folder)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def read(folder: Path) -> Dataset:
    """What `keep` wrote. Raises DataError when it is not there, or not as it was written."""
    from socialjax.data.builder import read as read_columns

    try:
        return read_columns(folder)
    except (ValueError, OSError) as error:
        raise DataError(f"{folder}: {visible(error)}; was the folder of the run changed?") from None
