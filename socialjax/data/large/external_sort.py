"""Distinct keys in order, many more than fit in memory: sorted runs on disk, merged range by range.

A run is as many keys as the buffer holds, sorted and each once. Every so many of its keys are kept as a sample. Of the
samples of all runs, ranges are made that hold about half a buffer each, however the keys are spread and however often
one occurs; a range is read from all runs, sorted and given out. Which keys come out, and in which order, does not
depend on the size of the buffer or of what is added.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SAMPLES = 1024  # of a full run
PIECE = 1 << 18  # keys written and given out at a time


class Sorter:
    """Takes keys in any order and gives each once, rising.

    Args:
        folder: for the runs, made anew; it is removed at the end of `merged`.
        capacity: keys in memory, 8 bytes each. The peak is about 1.2 times that.
    """

    def __init__(self, folder: Path, capacity: int):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._folder, self._capacity = folder, max(capacity, 2)
        self._buffer, self._held = np.empty(self._capacity, np.uint64), 0
        self._every = max(1, self._capacity // SAMPLES)
        self._runs: list[tuple[Path, int, np.ndarray]] = []
        self.added = 0

    def add(self, keys: np.ndarray) -> None:
        """keys: u64[n]."""
        self.added += len(keys)
        while len(keys):
            taken = min(len(keys), self._capacity - self._held)
            self._buffer[self._held : self._held + taken] = keys[:taken]
            self._held += taken
            keys = keys[taken:]
            if self._held == self._capacity:
                self._write_run()

    def merged(self) -> Iterator[np.ndarray]:
        """All keys, each once, rising, as u64[n] of at most PIECE; once only."""
        if not self._runs:  # nothing was written: all of them are here
            keys, self._buffer = self._buffer[: self._held], np.empty(0, np.uint64)
            keys.sort()
            yield from _distinct_pieces(keys)
        else:
            self._write_run()
            yield from self._ranges()
            self._buffer = np.empty(0, np.uint64)
        shutil.rmtree(self._folder)

    def _write_run(self) -> None:
        if not self._held:
            return
        keys = self._buffer[: self._held]
        keys.sort()
        path, length, samples = self._folder / f"{len(self._runs)}.run", 0, []
        with open(path, "wb") as file:
            for piece in _distinct_pieces(keys):
                file.write(piece)
                samples.append(piece[-length % self._every :: self._every].copy())  # keys number 0, every, ...; no view
                length += len(piece)
        self._runs.append((path, length, np.concatenate(samples)))
        self._held = 0

    def _ranges(self) -> Iterator[np.ndarray]:
        samples = np.sort(np.concatenate([samples for _, _, samples in self._runs]))
        stride = max(1, self._capacity // 2 // self._every)
        ends = _distinct(samples[stride::stride])
        runs = [_Run(path, length, samples, self._every) for path, length, samples in self._runs]
        for end in [*ends.tolist(), None]:
            held = 0
            for run in runs:
                wanted = run.to_read(end)
                if held + wanted > len(self._buffer):  # of hundreds of runs
                    self._buffer = np.concatenate([self._buffer[:held], np.empty(2 * wanted + held, np.uint64)])
                held += run.read_below(end, self._buffer[held : held + wanted])
            keys = self._buffer[:held]
            keys.sort()
            yield from _distinct_pieces(keys)


class _Run:
    """One run, read from its beginning up to one end after another; opened anew each time, since there may be many."""

    def __init__(self, path: Path, length: int, samples: np.ndarray, every: int):
        self._path, self._length, self._samples, self._every = path, length, samples, every
        self._at, self._rest = 0, np.empty(0, np.uint64)

    def to_read(self, end: int | None) -> int:
        """Keys that `read_below` needs place for."""
        return len(self._rest) + max(self._stop(end) - self._at, 0)

    def read_below(self, end: int | None, out: np.ndarray) -> int:
        """Puts the keys that are left and below `end` (None: all) at the front of out u64[to_read]; how many."""
        out[: len(self._rest)] = self._rest
        more = out[len(self._rest) :]
        if len(more):
            with open(self._path, "rb") as file:
                file.seek(8 * self._at)
                if file.readinto(more.view(np.uint8)) != more.nbytes:
                    raise OSError(f"{self._path} ends early; something else changes the folder")
            self._at += len(more)
        cut = len(out) if end is None else int(np.searchsorted(out, np.uint64(end)))
        self._rest = out[cut:].copy()
        return cut

    def _stop(self, end: int | None) -> int:
        """Of the samples' places, the first that is not before the first key that is not below."""
        if end is None:
            return self._length
        return min(int(np.searchsorted(self._samples, np.uint64(end))) * self._every, self._length)


def _distinct(ordered: np.ndarray) -> np.ndarray:
    """Each of rising keys once."""
    return np.concatenate([*_distinct_pieces(ordered), np.empty(0, ordered.dtype)])


def _distinct_pieces(ordered: np.ndarray) -> Iterator[np.ndarray]:
    """The same in pieces: a copy of all would take as much memory again."""
    for begin in range(0, len(ordered), PIECE):
        piece = ordered[begin : begin + PIECE]
        is_new = np.ones(len(piece), bool)
        np.not_equal(piece[1:], piece[:-1], out=is_new[1:])
        is_new[0] = begin == 0 or piece[0] != ordered[begin - 1]
        if is_new.any():
            yield piece[is_new]


def pack(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Keys u64[n] of two columns of numbers in 0..2^32 - 1, in the order of left, then right."""
    return (left.astype(np.uint64) << np.uint64(32)) | right.astype(np.uint64)


def unpack(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two columns, i64[n]."""
    return (keys >> np.uint64(32)).astype(np.int64), (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
