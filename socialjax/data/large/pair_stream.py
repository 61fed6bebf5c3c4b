"""Batches of training pairs from shards on disk, shuffled anew each epoch; batch k is a pure function of (seed, k).

So a training that goes on at any step gets what it would have got, and every process finds its rows alone.
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from socialjax.data.large.pair_order import PairOrder, Window
from socialjax.data.large.pair_shards import ADVICE, PairShards, open_shards
from socialjax.data.reader_threads import check_room
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible

END = 2**62  # steps of a stream


class PairBatch(NamedTuple):
    """This process's rows of a global batch.

    Attributes:
        users: i32[R].
        items: i32[R].
        weight: f32[R], 0 for padding at the end of an epoch.
        rows: u32[R], numbers within the global batch.
    """

    users: np.ndarray
    items: np.ndarray
    weight: np.ndarray
    rows: np.ndarray


class PairStream:
    """An iterator over the batches of a training, read ahead by threads of Grain.

    The global batch of a step does not depend on the number of processes: each has the rows of its lanes.

    Args:
        folder: of shards, as `pair_shards.write_shards` writes them.
        batch_size: of the global batch; a multiple of `lanes`.
        seed: of the shuffles.
        process_index: of this process.
        process_count: over how many processes a batch is spread; divides `lanes`.
        lanes: parts of an epoch that are read side by side.
        window: pairs that are shuffled together, over all lanes. Memory: about 32 bytes for each.
        threads: that read ahead.
        ahead: batches that are read ahead; 0 reads them when they are asked for.

    Raises:
        DataError: a folder without shards, or damaged ones.
        ImportError: the extra `scale` is not installed.
        ValueError: a batch size, lanes and processes that do not divide.
    """

    def __init__(
        self,
        folder: Path | str,
        batch_size: int,
        seed: int = 0,
        process_index: int = 0,
        process_count: int = 1,
        lanes: int = 8,
        window: int = 1 << 20,
        threads: int = 2,
        ahead: int = 8,
    ):
        if not 0 <= process_index < process_count or lanes % process_count:
            raise ValueError(
                f"wanted a number of processes that divides the {lanes} lanes, got process {process_index} of "
                f"{process_count}; choose other lanes, the same for all processes"
            )
        check_room()
        self._grain = require_grain()
        self._shards: PairShards = open_shards(folder)
        self._order = PairOrder(self._shards.sizes, batch_size, lanes, max(1, window // lanes), seed)
        share = lanes // process_count
        self._lanes = range(process_index * share, (process_index + 1) * share)
        self._blocks = self._grain.sources.ArrayRecordDataSource([str(path) for path in self._shards.paths])
        if len(self._blocks) != len(self._shards.sizes):
            wanted, came = len(self._shards.sizes), len(self._blocks)
            raise DataError(f"{visible(folder)}: wanted {wanted} records, got {came}; {ADVICE}")
        self._windows: OrderedDict[Window, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        self._threads, self._ahead, self._step = threads, ahead, 0
        self._identity = {
            "shards": self._shards.digest,
            "batch_size": batch_size,
            "seed": seed,
            "lanes": lanes,
            "window": max(1, window // lanes),
        }
        self._iterator: Any = None

    @property
    def num_pairs(self) -> int:
        return self._order.num_pairs

    @property
    def steps_per_epoch(self) -> int:
        return self._order.steps_per_epoch

    def batch(self, step: int) -> PairBatch:
        """The rows of a step, 0 or more; any step, in any order, from any thread."""
        if step < 0:
            raise ValueError(f"steps are counted from 0, got {step}")
        each = self._order.rows
        pairs, weight = np.zeros((2, len(self._lanes) * each), np.int32), np.zeros(len(self._lanes) * each, np.float32)
        for place, lane in enumerate(self._lanes):
            at = place * each
            for window, places in self._order.windows(step, lane):
                found = self._window(window)[:, places]
                pairs[:, at : at + found.shape[1]] = found
                weight[at : at + found.shape[1]] = 1
                at += found.shape[1]
        first = self._lanes[0] * each
        rows = np.arange(first, first + len(weight), dtype=np.uint32)
        return PairBatch(pairs[0], pairs[1], weight, rows)

    def __iter__(self) -> Iterator[PairBatch]:
        return self

    def __next__(self) -> PairBatch:
        if self._iterator is None:
            batches = self._grain.MapDataset.range(self._step, END).map(self.batch)
            options = self._grain.ReadOptions(self._threads if self._ahead else 0, self._ahead)
            self._iterator = iter(batches.to_iter_dataset(options))
        batch = next(self._iterator)
        self._step += 1
        return batch

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON: the next step, and what makes up the sequence of batches."""
        return {"step": self._step, **self._identity}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on at the step of a state, which may be of a stream of another number of processes.

        Raises:
            ValueError: a state of other shards, seed, batch size, lanes or window.
        """
        differing = sorted(name for name, value in self._identity.items() if state.get(name) != value)
        if differing or not isinstance(state.get("step"), int) or not 0 <= state["step"] < END:
            raise ValueError(
                f"wanted the state of a stream like this one, got another {', '.join(differing) or 'step'}; open the "
                "stream with the shards and settings of the checkpoint"
            )
        self.close()
        self._step = state["step"]

    def close(self) -> None:
        """Ends the threads that read ahead; the next batch begins them again."""
        if self._iterator is not None:
            with contextlib.suppress(AttributeError):  # without threads there is nothing to close
                self._iterator.close()
            self._iterator = None

    def _window(self, window: Window) -> np.ndarray:
        """The pairs i32[2, n] of a window, shuffled; the last two of each lane are kept."""
        with self._lock:
            if window in self._windows:
                self._windows.move_to_end(window)
                return self._windows[window]
            pieces = self._order.pieces(window)
            blocks = [self._block(piece.block) for piece in pieces]
            parts = [block[:, piece.begin : piece.end] for block, piece in zip(blocks, pieces)]
            pairs = np.concatenate(parts, axis=1)[:, self._order.shuffle(window)]
            self._windows[window] = pairs
            if len(self._windows) > 2 * len(self._lanes):
                self._windows.popitem(last=False)
            return pairs

    def _block(self, number: int) -> np.ndarray:
        try:
            record = self._blocks[number]
        except (RuntimeError, ValueError, IndexError) as problem:  # what array_record says of a damaged file
            folder, why = visible(self._shards.paths[0].parent), visible(problem)[:200]
            raise DataError(f"{folder}: wanted block {number}, got one that cannot be read ({why}); {ADVICE}") from None
        return self._shards.block(number, record)


def require_grain():
    """The module `grain`. Raises ImportError that says how to get it."""
    try:
        import grain
    except ImportError:
        raise ImportError(
            "streams of pairs need the package grain of the extra `scale`, which is not installed; "
            "pip install 'socialjax[scale]'"
        ) from None
    return grain
