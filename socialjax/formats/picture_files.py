"""Picture files by name, from a folder or from inside a tar archive that is never unpacked, as RGB bytes.

This is the only module that decodes foreign image files (Pillow).
"""

import errno
import io
import os
import re
import stat
import tarfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from socialjax.formats.file_bytes import DataError
from socialjax.names import BadName, below, visible

Fit = Literal["pad", "crop", "stretch"]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # no format that starts another program
LARGEST = 50_000_000  # pixels
LARGEST_FILE = 512 << 20  # bytes, before it is decoded
PASSES = 20  # over as many pixels, of a progressive JPEG; some hundred bytes ask for one more
BAND = 1 << 22  # pixels that are converted at a time
WHITE = (255, 255, 255)
ORIENTATION, BITS, PHOTOMETRIC, TILE_WIDTH, TILE_LENGTH = 274, 258, 262, 322, 323  # tags of EXIF and TIFF
# EXIF orientation, from 2 on -> what puts the picture upright.
WAYS = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90"
UPRIGHT = {orientation: Image.Transpose[way] for orientation, way in enumerate(WAYS.split(), 2)}


def read_picture(
    source: str | os.PathLike | bytes, size: int | None = None, fit: Fit = "pad", name: str | None = None
) -> np.ndarray:
    """Decodes a picture as RGB.

    Grey, palette, CMYK, YCbCr and 16-bit pictures are converted; transparency becomes white; EXIF rotation is applied;
    of several pages and of an animation the first is taken. Decoding takes up to 20 bytes a pixel.

    Args:
        source: a file or its bytes.
        size: pixels along a side of the square; without, the picture keeps its shape.
        fit: `pad` keeps the whole picture, on white, as catalogues do; `crop` takes the middle of the longer side;
            `stretch` changes proportions.
        name: of the bytes, for errors.

    Returns:
        u8[size, size, 3], or u8[H, W, 3] without a size.

    Raises:
        DataError: the file is missing, empty, damaged, truncated, too large or no picture.
    """
    data, name = (source, name or "picture") if isinstance(source, bytes) else (_bytes(Path(source)), source)
    name = visible(name)
    if not data:
        raise DataError(f"{name}: wanted a picture, got an empty file; copy or download it again")
    try:
        with warnings.catch_warnings(action="ignore"):  # on tags that nobody reads
            picture, orientation = _decoded(data, name)
    except (DataError, MemoryError):
        raise
    except Exception as problem:  # decoders raise whatever their formats make them
        is_other = isinstance(problem, UnidentifiedImageError)
        why = "another format" if is_other else f"{type(problem).__name__}: {visible(problem)[:80]}"
        raise DataError(
            f"{name}: wanted a whole picture ({', '.join(FORMATS)}), got {len(data)} bytes that cannot be decoded "
            f"({why}); copy, convert or download it again, or leave its row out"
        ) from None
    picture = picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture
    return np.asarray(picture if size is None else fitted(picture, size, fit))


def fitted(picture: Image.Image, size: int, fit: Fit = "pad") -> Image.Image:
    """An RGB picture as a square. Raises ValueError for another fit, and for a size below 1."""
    if size < 1 or fit not in ("pad", "crop", "stretch"):
        raise ValueError(f"wanted a size of at least 1 and fit pad, crop or stretch, got {size} and {fit!r}")
    if picture.size == (size, size):
        return picture
    if fit == "stretch":
        return picture.resize((size, size), Image.Resampling.BICUBIC)
    if fit == "crop":
        return ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return ImageOps.pad(picture, (size, size), Image.Resampling.BICUBIC, color=WHITE)


def plain_bytes(path: Path) -> bytes:
    """The content of a plain file no larger than a picture may be. Raises OSError for others: a pipe would block, and a
    device has no end."""
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "no plain file")
    if about.st_size > LARGEST_FILE:
        raise OSError(errno.EFBIG, f"{about.st_size} bytes, where a picture has at most {LARGEST_FILE}")
    return path.read_bytes()


def _bytes(path: Path) -> bytes:
    try:
        return plain_bytes(path)
    except (OSError, ValueError) as problem:  # a ValueError for a NUL in the name
        found = getattr(problem, "strerror", None) or problem
        raise DataError(
            f"{visible(path)}: wanted a picture, got {found}; put the file there or leave its row out"
        ) from None


def _decoded(data: bytes, name: str) -> tuple[Image.Image, int | None]:
    """RGB, and its EXIF orientation."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        tags = opened.tag_v2 if opened.format == "TIFF" else {}
        pixels, tile = opened.width * opened.height, tags.get(TILE_WIDTH, 1) * tags.get(TILE_LENGTH, 1)
        passes = data.count(b"\xff\xda") if data[:2] == b"\xff\xd8" else 1
        if max(pixels, tile, pixels * passes / PASSES) > LARGEST:
            found = f"{opened.width} x {opened.height}" + f" in {passes} passes" * (passes > 1)
            found += f" in tiles of {tile}" * (tile > 1)
            raise DataError(f"{name}: wanted at most {LARGEST} pixels, got {found}; make it smaller")
        opened.load()
        picture = opened
        if opened.mode != "RGB" or opened.has_transparency_data:
            picture, rows = Image.new("RGB", opened.size), max(1, BAND // opened.width)
            for top in range(0, opened.height, rows):  # in bands: copies of all of it would fill the memory
                band = opened.crop((0, top, opened.width, min(top + rows, opened.height)))
                picture.paste(_rgb(band, opened.format, tags, name), (0, top))
        try:
            orientation = opened.getexif().get(ORIENTATION)
        except Exception:  # of damaged tags; the picture itself is whole
            orientation = None
    return picture, orientation


def _rgb(band: Image.Image, kind: str, tags: Mapping, name: str) -> Image.Image:
    """A part of a picture of a format, with its TIFF tags."""
    if band.mode.startswith("I;16") or (band.mode == "I" and kind == "PPM"):
        values = np.asarray(band)
        grey = (values >> (tags.get(BITS, (16,))[0] - 8)).astype(np.uint8)
        grey = 255 - grey if tags.get(PHOTOMETRIC) == 0 else grey  # 0 is white
        grey[values == band.info.get("transparency", -1)] = 255
        return Image.fromarray(grey).convert("RGB")
    if band.mode in ("I", "F"):
        raise DataError(f"{name}: wanted 8 or 16 bits a colour, got mode {band.mode}; convert it to 8 bits")
    if band.has_transparency_data:
        over = band.convert("RGBA")
        band = Image.alpha_composite(Image.new("RGBA", over.size, (*WHITE, 255)), over)
    return band.convert("RGB")


LONGEST_HEADER = 64 << 10  # bytes of an extended header of a tar archive: paths and attributes
MOST_GLOBAL = 100  # values that hold for all members; `git archive` writes one
LONG_NUMBER = re.compile(rb"\d{256}")
PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)  # no links, no devices, no files with holes


class PictureFiles:
    """Reads pictures by the names they have below a folder or in an uncompressed tar archive.

    Raises DataError when there is neither, and for an archive that is compressed or damaged. An archive's table of
    contents is read once; after that any picture is one seek, from any process: only the path and the table are
    pickled.
    """

    def __init__(self, source: str | os.PathLike):
        self.place = Path(source)
        self._contents = None if self.place.is_dir() else _contents(self.place)

    def names(self) -> list[str]:
        """All files, sorted; links that lead out of the folder are left out."""
        if self._contents is not None:
            return sorted(self._contents)
        root = self.place.resolve()
        inside = (path for path in self.place.rglob("*") if path.is_file() and root in path.resolve().parents)
        return sorted(path.relative_to(self.place).as_posix() for path in inside)

    def missing(self, names: Iterable[str]) -> list[str]:
        """The names without a file, in their order."""
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
        """As `read_picture`, u8[size, size, 3]."""
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

    def _absent(self, name: str, reason: str) -> DataError:
        return DataError(f"{self.place}: wanted the picture {name!r}, got {reason}; add the file or leave its row out")


class _Member(tarfile.TarInfo):
    """A header. Of extended ones, tarfile searches long numbers in the square of their length, and copies all that are
    global for each member."""

    def _proc_pax(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        place = archive.fileobj.tell()
        if self.size > LONGEST_HEADER or LONG_NUMBER.search(archive.fileobj.read(self.size)):
            raise tarfile.ReadError("a header of implausible length")
        archive.fileobj.seek(place)
        member = super()._proc_pax(archive)
        if len(archive.pax_headers) > MOST_GLOBAL:
            raise tarfile.ReadError("too many global headers")
        return member


def _contents(archive: Path) -> dict[str, tuple[int, int]]:
    """{name: (offset, length)} of the plain files of a tar archive, as far as they lie in it."""
    found = {}
    try:
        length = archive.stat().st_size
        if not archive.is_file():
            raise tarfile.TarError("it is no plain file")
        with tarfile.open(archive, "r:", tarinfo=_Member) as members:
            while (member := members.next()) is not None:
                members.members.clear()  # headers may be large, and nobody asks for them again
                is_whole = 0 <= member.size <= LARGEST_FILE and 0 <= member.offset_data <= length - member.size
                if member.type in PLAIN and not member.issparse() and is_whole:
                    found[member.name.removeprefix("./")] = (member.offset_data, member.size)
        return found
    except FileNotFoundError:
        raise DataError(
            f"{archive}: wanted a folder or a tar archive of pictures, got nothing; check the path"
        ) from None
    except (OSError, ValueError, LookupError, ArithmeticError, RecursionError, tarfile.TarError) as problem:
        raise DataError(
            f"{archive}: wanted a folder or an uncompressed tar archive of pictures, got a file that is neither "
            f"({problem}); unpack it into a folder and name that, or copy it again"
        ) from None
