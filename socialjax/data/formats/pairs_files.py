"""Pairs and links out of text files whose ids are whole numbers, as published sets have them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.formats.file_bytes import read_bytes
from socialjax.data.formats.text_tables import read_table
from socialjax.data.schema import Interactions, Links, interactions


def read_pairs(path: Path, checksums: dict[str, str], lowest: int = 0) -> Interactions:
    """`user item [value]` with ids from `lowest`, which become ids from 0. A value column of ones is left out.

    The file's sha256 is added to `checksums`.
    """
    file = read_bytes(path)
    checksums[file.path.name] = file.sha256
    table = read_table(file, columns=(2, 3))
    user, item = (table.ids(column, kind, lowest) - lowest for column, kind in enumerate(("user", "item")))
    value = table.numbers(2, "a value") if table.num_columns == 3 else None
    if value is not None:
        value = as_float32(value, path)
    return interactions(user, item, None if value is None or (value == 1).all() else value)


def read_links(path: Path, checksums: dict[str, str], lowest: int = 0) -> Links:
    """`follower followee [value]`, ids as in `read_pairs`; the value, always 1 in these files, is not used."""
    file = read_bytes(path)
    checksums[file.path.name] = file.sha256
    table = read_table(file, columns=(2, 3))
    follower, followee = (table.ids(column, "user", lowest) - lowest for column in range(2))
    return Links(follower.astype(np.int32), followee.astype(np.int32))


def as_float32(value: np.ndarray, path: Path) -> np.ndarray:
    """f64[N] -> f32[N]. Raises DataError for values that float32 does not hold."""
    with np.errstate(over="ignore"):
        value = value.astype(np.float32)
    if not np.isfinite(value).all():
        raise DataError(f"{path}: wanted values within float32, got larger ones; rescale the column")
    return value


def table_size(kind: str, ids: list[np.ndarray], folder: Path) -> int:
    """The largest id plus one. Raises DataError when almost none of the ids below it occur: a table full of holes."""
    size = max((int(column.max()) + 1 for column in ids if len(column)), default=0)
    if size > 1_000_000 and size > 100 * sum(map(len, ids)):
        raise DataError(
            f"{folder}: wanted {kind} ids without large gaps, got an id of {size - 1} in {sum(map(len, ids))} rows; "
            f"correct the id, or number the {kind}s 0, 1, 2, ..."
        )
    return size


@contextlib.contextmanager
def memory_named(folder: Path) -> Iterator[None]:
    """Turns a MemoryError into a DataError that names the folder."""
    try:
        yield
    except MemoryError:
        raise DataError(f"{folder}: too large for the memory of this machine; use k_core or fewer rows") from None
