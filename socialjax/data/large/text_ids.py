"""Ids that are text, more of them than fit in memory: each becomes a number, and the texts lie on disk by number.

The number is a hash of the text, 63 bits, so that any piece of a file can be read without the others. Two texts of one
number are found and refused: among 10 million ids that has a chance of 5 in a million.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from socialjax.data.large.array_files import sync_folder
from socialjax.data.split import mix
from socialjax.formats.file_bytes import DataError

PARTS = 64  # of a dictionary; the largest must fit in memory
AT_ONCE = 1 << 15  # texts


def numbers(texts: np.ndarray) -> np.ndarray:
    """A hash of each text S[n], i64[n], 0 or more: SplitMix64 over its length and its words of 8 bytes."""
    return np.concatenate(
        [_hashed(texts[begin : begin + AT_ONCE]) for begin in range(0, len(texts), AT_ONCE)] or [np.empty(0, np.int64)]
    )


def _hashed(texts: np.ndarray) -> np.ndarray:
    length = np.char.str_len(texts)
    words = -(-max(int(length.max()), 1) // 8)
    padded = texts.astype(f"S{8 * words}").view("<u8").reshape(len(texts), words)
    state = mix(length.astype(np.uint64))
    for place in range(words):  # words beyond the text's end change nothing, so that other texts do not matter
        state = np.where(8 * place < length, mix(state ^ padded[:, place]), state)
    return (state >> np.uint64(1)).astype(np.int64)


class Dictionary:
    """Texts by number on disk, in PARTS files by the range of the number.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def begin(self) -> None:
        """Empties it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)

    def add(self, texts: np.ndarray) -> np.ndarray:
        """Adds texts S[n] and returns their numbers i64[n]."""
        number = numbers(texts)
        kept, first = np.unique(number, return_index=True)
        # Texts of one number are compared here, where all but the first of this piece are dropped.
        if (texts[first[np.searchsorted(kept, number)]] != texts).any():
            raise _collision()
        part = kept >> 57
        for each in np.unique(part).tolist():
            chosen = part == each
            with open(self._folder / f"{each}.numbers", "ab") as file:
                file.write(kept[chosen])
            with open(self._folder / f"{each}.texts", "ab") as file:
                file.write(b"\n".join(texts[first[chosen]].tolist()) + b"\n")
        return number

    def end(self) -> None:
        """Puts its files on the disk."""
        for path in self._folder.iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        sync_folder(self._folder)


def texts_of(wanted: np.ndarray, folders: Sequence[Path]) -> Iterator[bytes]:
    """The texts of numbers i64[n], rising, in that order, from the dictionaries in some folders.

    Raises DataError for two texts of one number.
    """
    for part in range(PARTS):
        begin, end = np.searchsorted(wanted, part << 57), np.searchsorted(wanted, ((part + 1) << 57) - 1, "right")
        if begin == end:
            continue
        found: dict[int, bytes] = {}
        for folder in folders:
            if not (folder / f"{part}.texts").exists():
                continue
            with open(folder / f"{part}.numbers", "rb") as file, open(folder / f"{part}.texts", "rb") as texts:
                while len(read := np.fromfile(file, np.int64, AT_ONCE)):
                    for number, line in zip(read.tolist(), texts):
                        if found.setdefault(number, line) != line:
                            raise _collision()
        yield from (found[number][:-1] for number in wanted[begin:end].tolist())


def _collision() -> DataError:
    return DataError("two ids of text have one hash; call one of them otherwise, or number ids as integers")
