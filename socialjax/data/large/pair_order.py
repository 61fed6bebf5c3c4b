"""The order in which blocks of pairs become batches: a pure function of (seed, step), whatever was read before.

An epoch shuffles the blocks and lays them end to end. The sequence of pairs is cut into `lanes` of one length (but one
pair), each lane into windows, and the pairs of a window are shuffled. Each lane gives the same number of rows of every
global batch, so that a process which has some of the lanes reads theirs alone, and batches do not depend on the number
of processes.
"""

import dataclasses
import functools

import numpy as np

from socialjax.data.split import mix

BLOCKS, WINDOWS = 1, 2  # streams of randomness


@dataclasses.dataclass(frozen=True)
class Piece:
    """Consecutive pairs of one block.

    Attributes:
        block: its number.
        begin: the first pair.
        end: behind the last one.
    """

    block: int
    begin: int
    end: int


@dataclasses.dataclass(frozen=True)
class Window:
    """Part of a lane in one epoch: positions begin..end - 1 of the epoch's sequence of pairs."""

    epoch: int
    begin: int
    end: int


class PairOrder:
    """Which pairs the batch of a step holds.

    Args:
        sizes: i64[n], pairs of each block.
        batch_size: B, of the global batch, a multiple of `lanes`.
        lanes: L.
        window: pairs that are shuffled together in one lane.
        seed: of the shuffles.

    Attributes:
        num_pairs: N.
        steps_per_epoch: ceil(ceil(N / L) / (B / L)).
        rows: of each lane in a batch, B / L.
    """

    def __init__(self, sizes: np.ndarray, batch_size: int, lanes: int, window: int, seed: int):
        if lanes < 1 or window < 1 or batch_size < 1 or batch_size % lanes:
            raise ValueError(
                f"wanted a batch size that is a multiple of the {lanes} lanes, and a window from 1, got {batch_size} "
                f"and {window}; choose another batch size, or fewer lanes"
            )
        self._sizes, self._lanes, self._window, self._seed = np.asarray(sizes, np.int64), lanes, window, seed
        self.num_pairs, self.rows = int(self._sizes.sum()), batch_size // lanes
        longest = -(-self.num_pairs // lanes)
        self.steps_per_epoch = -(-longest // self.rows)
        self._layout = functools.lru_cache(2)(self._layout_of)

    def windows(self, step: int, lane: int) -> list[tuple[Window, slice]]:
        """From where a lane's rows of a step come, in order: windows, and places in them once they are shuffled.

        Rows beyond the end of the lane's epoch are in none of them: they are padding.
        """
        epoch, within = divmod(step, self.steps_per_epoch)
        begin, end = (lane_ * self.num_pairs // self._lanes for lane_ in (lane, lane + 1))
        at, stop = begin + within * self.rows, min(begin + (within + 1) * self.rows, end)
        found = []
        while at < stop:
            first = begin + (at - begin) // self._window * self._window
            last = min(first + self._window, end)
            found.append((Window(epoch, first, last), slice(at - first, min(stop, last) - first)))
            at = min(stop, last)
        return found

    def pieces(self, window: Window) -> list[Piece]:
        """The pairs of a window before they are shuffled."""
        order, starts = self._layout(window.epoch)
        first = int(np.searchsorted(starts, window.begin, "right")) - 1
        last = int(np.searchsorted(starts, window.end, "left"))
        found = []
        for place in range(first, last):
            begin, end = max(window.begin - int(starts[place]), 0), min(window.end, int(starts[place + 1]))
            if begin < end - int(starts[place]):
                found.append(Piece(int(order[place]), begin, end - int(starts[place])))
        return found

    def shuffle(self, window: Window) -> np.ndarray:
        """The permutation of a window's pairs, i64[n]."""
        key = self._key(window.epoch, WINDOWS, window.begin)
        # Distinct numbers stay distinct when they are mixed, so the order has no ties.
        return np.argsort(mix(key + np.arange(window.end - window.begin, dtype=np.uint64)))

    def _layout_of(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The blocks of an epoch in order, and where each begins in its sequence of pairs, i64[n + 1]."""
        order = np.argsort(mix(self._key(epoch, BLOCKS, 0) + np.arange(len(self._sizes), dtype=np.uint64)))
        return order, np.concatenate([[0], np.cumsum(self._sizes[order])])

    def _key(self, epoch: int, stream: int, place: int) -> np.ndarray:
        key = mix(np.array([self._seed % 2**64], np.uint64))
        for number in (epoch, stream, place):
            key = mix(key ^ mix(np.uint64(number)))
        return key
