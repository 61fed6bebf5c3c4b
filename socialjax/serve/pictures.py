"""Pictures of items and frames as small JPEG files, of which the latest are kept in memory."""

import collections
import io
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from socialjax import json_files
from socialjax.explain.gallery import ItemPictures
from socialjax.explain.liked_frames import faces
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible
from socialjax.recommender import Run

LARGEST = 320  # pixels of the longer side
KEPT = 32 << 20  # bytes of encoded pictures


class NoPicture(LookupError):
    """The item has no picture, or none that can be read."""


class Pictures:
    """Pictures by row number: no name of a file comes from a client.

    Args:
        run: whose items they are.
        source: the folder or tar archive of the files that the data name; by default where the data lie.
        data_dir: where the data lie now.
    """

    def __init__(self, run: Run, source: Path | None = None, data_dir: Path | None = None):
        data = run.data
        self._of_items = None
        if data.item_pictures is not None and (run.folder is not None or source is not None):
            self._of_items = ItemPictures(run, source, data_dir).files
        self._names = data.item_pictures
        self._frames, self._face = data.frames, None
        if data.frames is not None:
            self._face = faces(data.frames, source or data_dir or _data_folder(run))
        self._kept: collections.OrderedDict[tuple, bytes] = collections.OrderedDict()
        self._bytes, self._lock = 0, threading.Lock()

    @property
    def are_there(self) -> bool:
        """Whether any item can have a picture; frames without files are patches in a colour of their features."""
        return self._of_items is not None or self._face is not None

    def item(self, number: int, called: str) -> bytes:
        """JPEG of an item's picture, else of its first frame. Raises NoPicture."""
        if self._of_items is not None and (name := str(self._names[number])):
            return self._encoded(("item", number), lambda: self._read(name, called))
        return self.frame(number, 0, called)

    def frame(self, number: int, place: int, called: str) -> bytes:
        """JPEG of a frame of an item by its place, counted from 0. Raises NoPicture."""
        first, end = (0, 0) if self._frames is None else self._frames.offsets[number : number + 2]
        if not 0 <= place < end - first:
            what = "picture" if place == 0 else f"frame {place}"
            raise NoPicture(f"item '{called}' has no {what}")
        return self._encoded(("frame", number, place), lambda: self._face(int(first) + place))

    def _read(self, name: str, called: str) -> np.ndarray:
        try:
            return self._of_items.read(name)
        except DataError:
            raise NoPicture(f"the picture of item '{called}' cannot be read; the server's data lack it") from None

    def _encoded(self, key: tuple, read: Callable[[], np.ndarray]) -> bytes:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        encoded = _jpeg(read())
        with self._lock:
            if key not in self._kept:
                self._kept[key] = encoded
                self._bytes += len(encoded)
            while self._bytes > KEPT:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return encoded


def _jpeg(pixels: np.ndarray) -> bytes:
    """A picture u8[H, W, 3], or f32 in 0..1, made small."""
    if pixels.dtype != np.uint8:
        pixels = np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
    picture, file = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    picture.thumbnail((LARGEST, LARGEST))
    picture.save(file, "JPEG", quality=88)
    return file.getvalue()


def _data_folder(run: Run) -> Path | None:
    """Where the data lay when the run was trained, if they still do."""
    if run.folder is None or not (settings := run.folder / "settings.json").is_file():
        return None
    place = json_files.read(settings, advice="start the run again")["settings"]["data"].get("dir")
    folder = run.folder / visible(place) if place else None
    return folder if folder is not None and folder.is_dir() else None
