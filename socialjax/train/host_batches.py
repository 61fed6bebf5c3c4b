"""What a training step reads, drawn on the host from mapped arrays and read ahead: a pure function of (seed, step).

Pairs, negatives and neighbours are those that `step.make_batch` and `ops.forest` draw on a device, to the bit.
"""

import collections
import concurrent.futures
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.contract import Batch, Model, Side, Touched, touched_by
from socialjax.ops import host_sample, sample
from socialjax.ops.mapped import Csr
from socialjax.train.step import steps_per_epoch


class PairBatch(NamedTuple):
    """Rows of a global batch.

    Attributes:
      users: i32[B].
      items: i32[B].
      weight: f32[B], 0 for padding at the end of an epoch.
      rows: u32[B], numbers within the batch.
    """

    users: np.ndarray
    items: np.ndarray
    weight: np.ndarray
    rows: np.ndarray


class Pairs(Protocol):
    """Batches of training pairs; `ShuffledPairs`, or a stream of shards."""

    @property
    def steps_per_epoch(self) -> int: ...

    def batch(self, step: int) -> Any:
        """The users, items, weights and rows of a step, in any order, from any thread."""


class ShuffledPairs:
    """Mapped training pairs in the order of `step.make_batch`: a batch reads as many places of files as it has rows.

    Args:
      users: i32[N].
      items: i32[N].
      batch_size: B.
      seed: Of the shuffles.

    Raises:
      ValueError: for no pairs and for more than an i32 counts.
    """

    def __init__(self, users: np.ndarray, items: np.ndarray, batch_size: int, seed: int):
        if not 0 < len(users) < 2**31 or batch_size < 1:
            raise ValueError(
                f"wanted 1 to 2^31 - 1 training pairs in batches of at least 1, got {len(users)} in batches of "
                f"{batch_size}; beyond, stream them from shards"
            )
        self._users, self._items, self._size, self._seed = users, items, batch_size, seed

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(len(self._users), self._size)

    def batch(self, step: int) -> PairBatch:
        """The rows of a step, 0 or more."""
        epoch, within = divmod(step, self.steps_per_epoch)
        rows, size = np.arange(self._size, dtype=np.uint32), len(self._users)
        position = within * self._size + rows.astype(np.int64)
        order = host_sample.fold(host_sample.fold(self._seed, epoch), sample.SHUFFLE)
        pair = host_sample.shuffled(order, position % size, size)
        return PairBatch(self._users[pair], self._items[pair], (position < size).astype(np.float32), rows)


class Draws:
    """Draws what a step reads.

    Args:
      model: Whose `touched` names it.
      side: Of `prepare` with a `MappedGraph`.
      pairs: The training pairs.
      taken: Each user's training items, which negatives avoid.
      num_items: I.
      seed: Of training.
    """

    def __init__(self, model: Model, side: Side, pairs: Pairs, taken: Csr, num_items: int, seed: int):
        self._model, self._side, self._pairs, self._taken = model, side, pairs, taken
        self._num_items, self._seed = num_items, seed
        self._host = jax.local_devices(backend="cpu")[0]

    def __call__(self, step: int) -> Touched | None:
        """The rows of the step, its batch and its neighbourhoods, in numbers of their own (NumPy); None for a model
        whose loss reads every row."""
        with jax.default_device(self._host):
            users, items, weight, rows = self._pairs.batch(step)
            key = host_sample.fold(self._seed, step)
            avoided = self._taken.offsets, self._taken.columns, self._num_items
            negatives = host_sample.negatives(*avoided, key, users, rows, self._model.negatives)
            batch = Batch(*(jnp.asarray(array) for array in (users, items, negatives, weight, rows)))
            return jax.device_get(touched_by(self._model, self._side, batch, jnp.uint32(key)))


class Ahead:
    """make(first), make(first + 1), ... in order, the next `depth` of them made by a thread; a context manager.

    What `make` raises comes out where its value would.
    """

    def __init__(self, make: Callable[[int], Any], first: int, depth: int = 2):
        self._make, self._next = make, first
        self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="draws")
        self._waiting: collections.deque = collections.deque()
        for _ in range(depth):
            self._ask()

    def _ask(self) -> None:
        self._waiting.append(self._pool.submit(self._make, self._next))
        self._next += 1

    def __next__(self) -> Any:
        self._ask()
        return self._waiting.popleft().result()

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
