"""Arrays that are longer than memory: written piece by piece, whole or absent, and read piece by piece.

Nothing is mapped here: mapped pages count as memory of the process, and a preparation promises a bound.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from socialjax.data.large.layout import HEADER, ArrayFile, header
from socialjax.formats.file_bytes import DataError


class ArrayWriter:
    """Appends to a .npy file that gets its name when everything is on the disk; a context manager.

    Args:
        path: of the file, ending in .npy.
        dtype: as NumPy writes it, such as "<i4".

    Attributes:
        written: an ArrayFile, after the block has ended well.
    """

    written: ArrayFile

    def __init__(self, path: Path, dtype: str):
        self._path, self._dtype = path, np.dtype(dtype)
        self._temporary = path.with_name(f".part.{path.name}")
        self._digest, self._length = hashlib.sha256(), 0

    def __enter__(self) -> "ArrayWriter":
        self._file = open(self._temporary, "wb")
        self._file.write(bytes(HEADER))
        return self

    def append(self, values: np.ndarray) -> None:
        """Adds values[n], which must fit the type."""
        values = np.ascontiguousarray(values, self._dtype)
        self._file.write(values)
        self._digest.update(values)
        self._length += len(values)

    def __exit__(self, kind, error, trace) -> None:
        with self._file as file:
            if kind is None:
                file.seek(0)
                file.write(header(self._dtype.str, self._length))
                file.flush()
                os.fsync(file.fileno())
        if kind is not None:
            return self._temporary.unlink(missing_ok=True)
        os.replace(self._temporary, self._path)
        sync_folder(self._path.parent)
        self.written = ArrayFile(self._dtype.str, self._length, self._digest.hexdigest())


def write_array(path: Path, dtype: str, pieces: Iterator[np.ndarray]) -> ArrayFile:
    """One file of all pieces, in order."""
    with ArrayWriter(path, dtype) as writer:
        for piece in pieces:
            writer.append(piece)
    return writer.written


def read_pieces(path: Path, dtype: str, rows: int) -> Iterator[np.ndarray]:
    """The numbers of such a file, at most `rows` at a time. Raises DataError for another one."""
    with open(path, "rb") as file:
        _skip_header(file, path, dtype)
        while len(piece := np.fromfile(file, dtype, rows)):
            yield piece


def read_array(path: Path, dtype: str) -> np.ndarray:
    """All of them. Raises DataError for another file."""
    with open(path, "rb") as file:
        _skip_header(file, path, dtype)
        return np.fromfile(file, dtype)


def _skip_header(file, path: Path, dtype: str) -> None:
    length = (os.fstat(file.fileno()).st_size - HEADER) // np.dtype(dtype).itemsize
    if file.read(HEADER) != header(np.dtype(dtype).str, length):
        raise DataError(f"{path}: wanted {dtype} as a preparation writes them, got another file; prepare again")


def sync_folder(folder: Path) -> None:
    """Puts the names in a folder on the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def merged_pieces(*paths_and_types: tuple[Path, str], rows: int) -> Iterator[tuple[np.ndarray, ...]]:
    """The pieces of files of one length, side by side."""
    return zip(*(read_pieces(path, dtype, rows) for path, dtype in paths_and_types), strict=True)
