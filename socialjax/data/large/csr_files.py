"""CSR arrays as files, from pairs that come in order."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from socialjax.data.large.array_files import ArrayWriter, write_array
from socialjax.data.large.external_sort import unpack
from socialjax.data.large.layout import COLUMN, OFFSET, ArrayFile
from socialjax.formats.file_bytes import DataError

PIECE = 1 << 18


def write_csr(folder: Path, name: str, degree_name: str, keys: Iterator[np.ndarray], rows: int) -> dict[str, ArrayFile]:
    """The three arrays of pairs (row, column), packed, rising, each once: offsets, columns, degrees.

    Args:
        folder: of the files.
        name: of offsets and columns.
        degree_name: of degrees.
        keys: u64[n] each.
        rows: R.
    """
    degree = np.zeros(rows, np.int32)
    with ArrayWriter(folder / f"{name}_columns.npy", COLUMN) as columns:
        for piece in keys:
            row, column = unpack(piece)
            count_rows(degree, row)
            columns.append(column)
    return {f"{name}_columns": columns.written, **write_offsets(folder, name, degree_name, degree)}


def count_rows(degree: np.ndarray, rows: np.ndarray) -> None:
    """Adds how often each of rising rows i64[n] occurs to degree i32[R]."""
    if len(rows):
        first = int(rows[0])
        counted = np.bincount(rows - first) if rows[-1] - first <= 8 * len(rows) else None
        if counted is None:
            np.add.at(degree, rows, 1)
        else:
            degree[first : first + len(counted)] += counted.astype(np.int32)


def write_offsets(folder: Path, name: str, degree_name: str, degree: np.ndarray) -> dict[str, ArrayFile]:
    """The arrays of offsets and degrees, from degrees i32[R]."""
    if len(degree) and degree.min() < 0:
        raise DataError(f"{folder}: a row of {name} has more than 2^31 - 1 columns; drop such rows")
    degrees = write_array(folder / f"{degree_name}_degree.npy", COLUMN, iter([degree]))
    offsets = write_array(folder / f"{name}_offsets.npy", OFFSET, _cumulated(degree))
    return {f"{name}_offsets": offsets, f"{degree_name}_degree": degrees}


def _cumulated(degree: np.ndarray) -> Iterator[np.ndarray]:
    total = 0
    yield np.zeros(1, np.int64)
    for begin in range(0, len(degree), PIECE):
        ends = total + np.cumsum(degree[begin : begin + PIECE], dtype=np.int64)
        total = int(ends[-1])
        yield ends
