"""Reads input files: their bytes, plain or gzip, with the checksum that goes into the provenance, and `.npy` tables."""

import dataclasses
import gzip
import hashlib
import io
import math
import os
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

LARGEST = 4 << 30  # bytes after decompression
ALWAYS_FINE = 256 << 20  # bytes after decompression whose ratio nobody needs to ask about
RATIO = 50  # of a compressed file's bytes to those after decompression; text reaches 20, a bomb 1,000
_CHUNK = 1 << 20


class DataError(ValueError):
    """A file that cannot be used. The message names file and line, what was wanted, what was found and what to do."""


@dataclasses.dataclass(frozen=True)
class FileBytes:
    """A file as read: `data` decompressed, `sha256` of the file as it is on disk."""

    path: Path
    data: bytes
    sha256: str


def find(folder: Path, name: str) -> Path | None:
    """`folder/name`, else `folder/name.gz` or `.zip`, else None.

    Raises DataError for one that is there and no file, which would be passed over in silence: a link that leads
    nowhere, a folder, a pipe.
    """
    for path in (Path(folder) / name, Path(folder) / f"{name}.gz", Path(folder) / f"{name}.zip"):
        if path.is_file():
            return path
        if os.path.lexists(path):
            kind = "a folder" if path.is_dir() else "a pipe or device" if path.exists() else "a link that leads nowhere"
            raise DataError(f"{path}: wanted a file, got {kind}; take it away or put the file in its place")
    return None


def require(folder: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """The path of every name, plain or .gz. Raises DataError that lists the missing names."""
    paths = [find(folder, name) for name in names]
    missing = [name for name, path in zip(names, paths) if path is None]
    if missing:
        state = "is not a folder" if not Path(folder).is_dir() else f"lacks {', '.join(missing)}"
        raise DataError(f"{folder} {state}; wanted {', '.join(names)}, each plain or .gz; check the folder's path")
    return tuple(path for path in paths if path is not None)


def read_bytes(path: Path, largest: int = LARGEST) -> FileBytes:
    """Reads one file. Raises DataError when it cannot be read, is damaged, or is larger than `largest` bytes."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > largest:
            raise DataError(f"{path}: wanted at most {largest} bytes, got {size}; split the file or drop columns")
        raw = path.read_bytes()
        data = raw
        most = min(largest, max(ALWAYS_FINE, RATIO * size))
        if path.suffix == ".gz" or raw[:2] == b"\x1f\x8b":
            data = _decompress(path, gzip.GzipFile(fileobj=io.BytesIO(raw)), most)
        elif path.suffix == ".zip":
            data = _unzip(path, raw, most)
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror or problem}); check path and permissions") from None
    except MemoryError:
        raise DataError(f"{path}: too large for the memory of this machine; split the file or drop columns") from None
    return FileBytes(path, data, hashlib.sha256(raw).hexdigest())


def _decompress(path: Path, stream, most: int) -> bytes:
    """All bytes of a compressed stream, `most` of them. Raises DataError for a damaged one and for more."""
    parts, total = [], 0
    try:
        with stream:
            while part := stream.read(_CHUNK):
                total += len(part)
                if total > most:
                    raise DataError(
                        f"{path}: holds more than {most} bytes, more than {RATIO} times its own size; decompress it by "
                        "hand if you trust it, split the file or drop columns"
                    )
                parts.append(part)
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as problem:
        kind = "zip" if path.suffix == ".zip" else "gzip"
        raise DataError(
            f"{path}: wanted a whole {kind} file, got a damaged one after {total} bytes ({problem}); "
            "copy or download it again"
        ) from None
    return b"".join(parts)


def _unzip(path: Path, raw: bytes, most: int) -> bytes:
    """The bytes of the one file that a zip archive holds. Raises DataError for another number and for a damaged one."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = [member.filename for member in archive.infolist() if not member.is_dir()]
            if len(names) != 1:
                shown = ", ".join(names[:5])
                raise DataError(f"{path}: wanted one file in the archive, got {len(names)} ({shown}); unpack it")
            return _decompress(path, archive.open(names[0]), most)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError) as problem:
        if isinstance(problem, DataError):
            raise
        raise DataError(
            f"{path}: wanted a whole zip file, got a damaged or unusual one ({problem}); unpack it"
        ) from None


def parse_features(file: FileBytes, rows: int | None = None) -> np.ndarray:
    """Reads a table of features. The header is compared with the size of the body, so that a damaged one cannot
    allocate memory.

    Args:
        file: a .npy file as read.
        rows: the number of rows that is expected.

    Returns:
        f32[rows, F].

    Raises:
        DataError: a damaged file, other shapes or types, NaN or infinity.
    """
    shape, fortran, dtype, body = read_header(file)
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise DataError(f"{file.path}: wanted float or integer numbers, got dtype {dtype}; save it as float32")
    if len(shape) != 2 or 0 in shape:
        raise DataError(f"{file.path}: wanted a table [rows, features], got shape {shape}; reshape it before saving")
    if rows is not None and shape[0] != rows:
        raise DataError(
            f"{file.path}: wanted {rows} rows, one for each id, got {shape[0]}; "
            "row r must hold the features of id r, ids that never occur included"
        )
    if math.prod(shape) * dtype.itemsize != len(file.data) - body:
        raise DataError(
            f"{file.path}: wanted {math.prod(shape) * dtype.itemsize} bytes of numbers for shape {shape} {dtype}, "
            f"got {len(file.data) - body}; the file is cut or damaged, copy it again"
        )
    table = np.frombuffer(file.data, dtype, offset=body).reshape(shape, order="F" if fortran else "C")
    with np.errstate(over="ignore", invalid="ignore"):
        table = np.ascontiguousarray(table, np.float32)
    require_finite(table, str(file.path))
    return table


def require_finite(table: np.ndarray, where: str) -> None:
    """Raises DataError that names the first rows with NaN or infinity. table f32[rows, F]."""
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if len(bad):
        shown = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise DataError(
            f"{where}: wanted finite float32 numbers, got NaN or infinity in {len(bad)} of {len(table)} rows "
            f"({shown}); fill or drop them before saving"
        )


def read_header(file: FileBytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """(shape, column major, dtype, where the body begins) of a .npy file. Raises DataError."""
    stream = io.BytesIO(file.data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            version = np.lib.format.read_magic(stream)
            reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran, dtype = reader(stream)
    except Exception as problem:  # NumPy evaluates the header as Python text: damage can raise anything
        raise DataError(
            f"{file.path}: wanted a NumPy .npy file, got a damaged or foreign header ({type(problem).__name__}); "
            "save it again with np.save"
        ) from None
    if not all(type(size) is int and size >= 0 for size in shape):
        raise DataError(f"{file.path}: wanted a shape of whole numbers, got {shape}; save it again with np.save")
    return shape, fortran, dtype, stream.tell()
