"""Picture files by name, from a folder or from inside a tar archive that is never unpacked."""

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.pictures import LARGEST_FILE, Fit, plain_bytes, read_picture
from socialjax.names import BadName, below

PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)  # no links, no devices, no files with holes


class PictureFiles:
    """Reads pictures by the names they have below a folder or in an uncompressed tar archive.

    Raises DataError when there is neither, and for an archive that is compressed or damaged. An archive's table of
    contents is read once; after that any picture is one seek, from any process: only the path and the table are
    pickled.
    """

    def __init__(self, place: str | os.PathLike):
        self.place = Path(place)
        self._contents = None if self.place.is_dir() else _contents(self.place)

    def names(self) -> list[str]:
        """All files, sorted; links that lead out of the folder are left out."""
        if self._contents is not None:
            return sorted(self._contents)
        root = self.place.resolve()
        inside = (path for path in self.place.rglob("*") if path.is_file() and root in path.resolve().parents)
        return sorted(path.relative_to(self.place).as_posix() for path in inside)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of the names that no file has, in their order."""
        if self._contents is not None:
            return [name for name in names if name not in self._contents]
        return [name for name in names if not self._inside(name).is_file()]

    def bytes(self, name: str) -> bytes:
        """The content of one file. Raises DataError when there is none."""
        if self._contents is None:
            try:
                return plain_bytes(self._inside(name))
            except OSError as problem:
                raise self._absent(name, problem.strerror or str(problem)) from None
        if name not in self._contents:
            raise self._absent(name, f"none among its {len(self._contents)} files")
        offset, length = self._contents[name]
        with open(self.place, "rb") as archive:
            archive.seek(offset)
            return archive.read(length)

    def read(self, name: str, size: int | None = None, fit: Fit = "pad") -> np.ndarray:
        """As `pictures.read_picture`, u8[size, size, 3]."""
        return read_picture(self.bytes(name), size, fit, name=f"{self.place}: {name}")

    def _inside(self, name: str) -> Path:
        """A file of the folder: names come from tables of others and links from archives, and must not lead out."""
        try:
            return below(self.place, name)
        except BadName:
            raise DataError(
                f"{self.place}: wanted the name of a file below this folder, got {name!r}; correct the table, or copy "
                "the file that the link names"
            ) from None

    def _absent(self, name: str, found: str) -> DataError:
        return DataError(f"{self.place}: wanted the picture {name!r}, got {found}; add the file or leave its row out")


def _is_inside(member: tarfile.TarInfo, length: int) -> bool:
    return 0 <= member.size <= LARGEST_FILE and 0 <= member.offset_data <= length - member.size


def _contents(archive: Path) -> dict[str, tuple[int, int]]:
    """{name: (offset, length)} of the plain files of a tar archive, as far as they lie in it."""
    try:
        length = archive.stat().st_size
        if not archive.is_file():
            raise tarfile.TarError("it is no plain file")
        with tarfile.open(archive, "r:") as members:
            return {
                member.name.removeprefix("./"): (member.offset_data, member.size)
                for member in members
                if member.type in PLAIN and not member.issparse() and _is_inside(member, length)
            }
    except FileNotFoundError:
        raise DataError(
            f"{archive}: wanted a folder or a tar archive of pictures, got nothing; check the path"
        ) from None
    except (OSError, ValueError, OverflowError, tarfile.TarError) as problem:  # tarfile lets damaged headers through
        raise DataError(
            f"{archive}: wanted a folder or an uncompressed tar archive of pictures, got a file that is neither "
            f"({problem}); unpack it into a folder and name that, or copy it again"
        ) from None
