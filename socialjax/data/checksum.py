"""A checksum of data that came from no file: of all columns of a data set."""

import dataclasses
import hashlib
from collections.abc import Iterator

import numpy as np

from socialjax.data.schema import Dataset

COLUMNS = "columns"  # among the files of a provenance: the sha256 of all columns


def named(data: Dataset) -> Dataset:
    """The same data with the checksum of their columns among the files of their provenance."""
    provenance = dataclasses.replace(data.provenance, files=data.provenance.files | {COLUMNS: checksum(data)})
    return dataclasses.replace(data, provenance=provenance)


def checksum(data: Dataset) -> str:
    """The sha256 of all columns and their names."""
    total = hashlib.sha256()
    for name, array in arrays(data):
        values = (
            "\0".join(map(str, array.ravel())).encode() if array.dtype.kind in "UO" else np.ascontiguousarray(array)
        )
        total.update(f"{name} {'text' if array.dtype.kind in 'UO' else array.dtype} {array.shape}\n".encode())
        total.update(values)
    return total.hexdigest()


def arrays(value, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """All columns of a data set, or of a part of it, each with its path."""
    for field in dataclasses.fields(value):
        part, path = getattr(value, field.name), f"{name}.{field.name}"
        if field.name == "provenance" or part is None:
            continue
        if dataclasses.is_dataclass(part):
            yield from arrays(part, path)
        else:
            yield path, np.asarray(part, object if isinstance(part, tuple) else None)
