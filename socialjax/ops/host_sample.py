"""The randomness of `ops.sample` in NumPy, bit for bit, for draws on the host from arrays that no device holds."""

import numpy as np

from socialjax.ops.sample import NEGATIVES

_GOLDEN = np.uint32(0x9E3779B9)


def mix(x: np.ndarray) -> np.ndarray:
    """`sample.mix` of u32."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def fold(key, counter) -> np.ndarray:
    """`sample.fold`: keys u32 of keys u32 and counters, which broadcast against each other."""
    with np.errstate(over="ignore"):  # of numbers; arrays wrap around in silence
        key, counter = np.asarray(key).astype(np.uint32), np.asarray(counter).astype(np.uint32)
        return mix(key ^ mix(counter * _GOLDEN + np.uint32(1)))


def below(bits: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """`sample.below`: floor(bits * bound / 2^32) of u32, as i64."""
    return ((bits.astype(np.uint64) * np.asarray(bound).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def negatives(offsets, columns, num_items: int, key, users: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """`sample.negatives` from the training items of all users as they are, which may be memory-mapped.

    Args:
      offsets: i64[U + 1].
      columns: i32[N]; the items of user a, rising, are columns[offsets[a]:offsets[a + 1]].
      num_items: I.
      key: u32.
      users: i32[B].
      rows: u32[B], numbers of the rows in the global batch.
      count: Negatives for each row.

    Returns:
      i32[B, count].
    """
    users = np.asarray(users)
    start, stop = np.asarray(offsets[users])[:, None], np.asarray(offsets[users + 1])[:, None]
    bits = fold(fold(fold(key, NEGATIVES), rows)[:, None], np.arange(count)[None, :])
    free = num_items - (stop - start)
    rank = below(bits, np.where(free > 0, free, num_items))
    low, high = np.broadcast_to(start, rank.shape).copy(), np.broadcast_to(stop, rank.shape).copy()
    while (active := low < high).any():  # the first place of the row whose gap, item - place, is above the rank
        middle = (low + high) // 2
        gap = columns[np.where(active, middle, 0)].astype(np.int64) - (middle - start)
        passed = active & (gap <= rank)
        low, high = np.where(passed, middle + 1, low), np.where(active & ~passed, middle, high)
    return np.where(free > 0, rank + low - start, rank).astype(np.int32)


def shuffled(key, places: np.ndarray, size: int) -> np.ndarray:
    """`sample.shuffled`: entries i64 of a random permutation of range(size) at places i64[...].

    Raises ValueError for a size of 2^31 or more, whose entries are no i32.
    """
    if size >= 2**31:
        raise ValueError(f"wanted a permutation of fewer than 2^31 numbers, got {size}")
    side = np.uint32(int(np.ceil(np.sqrt(size))))
    x = np.asarray(places).astype(np.uint32)
    outside = np.ones(x.shape, bool)
    while outside.any():
        left, right = x[outside] // side, x[outside] % side
        for turn in range(4):
            left, right = right, (left + fold(fold(key, turn), right) % side) % side
        x[outside] = left * side + right
        outside = x >= size
    return x.astype(np.int64)
