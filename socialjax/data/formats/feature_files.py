"""Feature tables from `.npy` files: one row of numbers per user or item, never unpickled."""

import io
import math
import warnings

import numpy as np

from socialjax.data.formats.file_bytes import FileBytes
from socialjax.data.schema import DataError


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
