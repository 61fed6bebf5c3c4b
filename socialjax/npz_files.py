"""Arrays in .npz files from untrusted sources: sizes are compared before anything is unpacked."""

import math
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from socialjax.names import visible

LARGEST = 256 << 20  # bytes of all arrays together
MOST = 200  # arrays
ALWAYS_FINE = 16 << 20  # bytes of arrays whose compression nobody needs to ask about
RATIO = 200  # of their bytes to those of the file; a file of zeros has a thousand
KINDS = "biufU"  # numbers, true or false, and texts; no objects, which would be unpickled
HEADER = 10_000  # bytes; the description of an array's type and shape
# What zipfile, zlib and NumPy raise for damaged and for hostile files.
DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    OverflowError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


class NpzError(ValueError):
    """A .npz file that cannot be used. The message names the file, and says what was wanted and what came."""


def read(path: Path, largest: int = LARGEST, ratio: float = RATIO) -> dict[str, np.ndarray]:
    """All arrays of the file by name, of the KINDS alone.

    Raises NpzError for a file that is damaged, holds anything else, or would unpack to more than `largest` bytes or to
    more than `ratio` times its own; OSError when it is not there.
    """
    path = Path(path)
    about = os.stat(path)
    try:
        if not stat.S_ISREG(about.st_mode):  # a pipe would be waited for
            raise ValueError("it is no plain file")
        if about.st_size > 2 * largest:
            raise ValueError(f"a file of {about.st_size} bytes")
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_sizes(members, about.st_size, largest, ratio)
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except DAMAGE as error:
        why = visible(str(error) or type(error).__name__)[:200]
        raise NpzError(f"{visible(path)}: wanted arrays as a run writes them, got a file that is not ({why})") from None


def _check_sizes(members: list[zipfile.ZipInfo], on_disk: int, largest: int, ratio: float) -> None:
    names = [member.filename for member in members]
    total = sum(member.file_size for member in members)
    if len(names) > MOST:
        raise ValueError(f"at most {MOST} arrays, got {len(names)}")
    if len(set(names)) != len(names) or not all(name.endswith(".npy") for name in names):
        raise ValueError("its members are no arrays, each of its own name")
    if total > largest:
        raise ValueError(f"at most {largest} bytes of arrays, got {total}")
    if total > max(ALWAYS_FINE, ratio * on_disk):
        raise ValueError(f"{total} bytes of arrays from a file of {on_disk}")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array; its header is compared with the size that the archive's directory gives before more is read."""
    with archive.open(member) as content:
        version = np.lib.format.read_magic(content)
        if version not in READERS:
            raise ValueError(f"{member.filename} has version {version}")
        shape, fortran, dtype = READERS[version](content, max_header_size=HEADER)
        if dtype.kind not in KINDS or dtype.itemsize == 0:
            raise ValueError(f"{member.filename} holds {dtype}")
        size = dtype.itemsize * math.prod(shape)
        if size != member.file_size - content.tell():
            raise ValueError(f"{member.filename} should have {size} bytes")
        values = np.frombuffer(content.read(size), dtype)  # as many as there are: a directory that lies is noticed
    return np.array(values.reshape(shape, order="F" if fortran else "C"))


READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
