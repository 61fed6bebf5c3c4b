"""Pictures from files of any kind as RGB bytes: the one place where foreign image files are decoded (Pillow)."""

import errno
import io
import os
import stat
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from socialjax.data.errors import DataError
from socialjax.visible import visible

Fit = Literal["pad", "crop", "stretch"]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # no format that starts another program
LARGEST = 50_000_000  # pixels
LARGEST_FILE = 512 << 20  # bytes, before it is decoded
WHITE = (255, 255, 255)


def read_picture(
    source: str | os.PathLike | bytes, size: int | None = None, fit: Fit = "pad", name: str | None = None
) -> np.ndarray:
    """A picture file, or its bytes -> u8[size, size, 3]; without a size u8[H, W, 3] as it is.

    Grey, palette, CMYK, YCbCr and 16-bit pictures become RGB; what is transparent becomes white; a picture that the
    camera held sideways is turned; of an animation the first frame is taken. fit: `pad` keeps the whole picture, on
    white, as catalogues do; `crop` takes the middle of the longer side; `stretch` changes the shape of things. name:
    what errors call the bytes. Raises DataError for files that are missing, empty, damaged, cut off, too large or no
    picture.
    """
    data, name = (source, name or "picture") if isinstance(source, bytes) else (_bytes(Path(source)), str(source))
    if not data:
        raise DataError(f"{name}: wanted a picture, got an empty file; copy or download it again")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > LARGEST:
                raise DataError(
                    f"{name}: wanted at most {LARGEST} pixels, got {opened.width} x {opened.height}; make it smaller"
                )
            picture = _rgb(ImageOps.exif_transpose(opened), name)
    except (DataError, MemoryError):
        raise
    except Exception as problem:  # decoders raise whatever their formats make them
        raise DataError(
            f"{name}: wanted a whole picture ({', '.join(FORMATS)}), got {len(data)} bytes that cannot be decoded "
            f"({type(problem).__name__}: {str(problem)[:80]}); copy or download it again, or leave its row out"
        ) from None
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
    """The content of a plain file that is no larger than a picture's may be. Raises OSError for everything else: a pipe
    would be waited for, and a device has no end."""
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


def _rgb(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    elif picture.mode in ("I", "F"):
        raise DataError(f"{name}: wanted 8 or 16 bits a colour, got mode {picture.mode}; convert it to 8 bits")
    if picture.has_transparency_data:
        over = picture.convert("RGBA")
        white = Image.new("RGBA", over.size, (*WHITE, 255))
        return Image.alpha_composite(white, over).convert("RGB")
    return picture.convert("RGB")
