"""Evaluation negatives from a counter: draw j of a user is a hash of (seed, user, j) and of nothing else."""

import numpy as np

from socialjax.eval.metrics import Rows

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_CHUNK = 1 << 16  # draws at a time: the working arrays stay in the second-level cache
_SLOTS = 1 << 24  # (row, item) slots at a time


def draw(users, rejected: Rows, num_items: int, count: int, seed: int, replace: bool) -> np.ndarray:
    """Sampled negatives: the first draws of each user that are not rejected and, without replacement, not repeated.

    A user's negatives do not depend on the other users.

    Args:
      users: i32[U].
      rejected: Row r are the items that users[r] must not get.
      num_items: I.
      count: Negatives of each user.
      seed: Seed of the draws.
      replace: Whether they are drawn with replacement.

    Returns:
      i32[U, count].

    Raises:
      ValueError: when a user has not enough items left.
    """
    users = np.asarray(users)
    left = num_items - rejected.lengths()
    wanted = 1 if replace else count
    if len(users) and left.min() < wanted:
        raise ValueError(
            f"{wanted} negatives {'' if replace else 'without repetition '}were wanted for each user, but user "
            f"{users[left.argmin()]} has only {max(left.min(), 0)} of {num_items} items left; "
            "choose a protocol with fewer negatives, or 'full'"
        )
    out = np.empty((len(users), count), np.int32)
    _fill(out, np.arange(len(users)), users, rejected, num_items, seed, replace, count + count // 16 + 8)
    return out


def _fill(out, rows, users, rejected, num_items, seed, replace, draws):
    """Fills out[rows] from `draws` draws each, and rows for which these were too few from twice as many."""
    count, short = out.shape[1], []
    step = max(1, min(_CHUNK // draws, _SLOTS // num_items))
    # One slot per (row, item). It is never cleared: only slots that were written for this chunk are read.
    slots = np.empty(step * num_items, np.int32)
    counter = np.arange(draws, dtype=np.int32)
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        items = hashed_items(seed, users[chunk], draws, num_items)
        base = np.arange(len(chunk))[:, None] * num_items
        slot = base + items
        # Backwards, so that of equal draws the first one stays; flat and contiguous, else NumPy turns the order round.
        slots[slot[:, ::-1].ravel()] = np.tile(counter[::-1], len(chunk))
        banned = rejected.take(chunk)
        slots[banned.owners() * num_items + banned.items] = -1
        drawn = slots[slot]
        keep = drawn >= 0 if replace else drawn == counter
        position = np.cumsum(keep, axis=1, dtype=np.int32)
        enough = position[:, -1] >= count
        keep &= (position <= count) & enough[:, None]
        out[chunk[enough]] = items[keep].reshape(-1, count)
        short.append(chunk[~enough])
    short = np.concatenate(short) if short else rows
    if len(short):
        _fill(out, short, users, rejected, num_items, seed, replace, 2 * draws)


def hashed_items(seed: int, users: np.ndarray, draws: int, num_items: int) -> np.ndarray:
    """The first draws of each user i32[U], uniform over the items with a bias below I / 2^32: i32[U, draws]."""
    with np.errstate(over="ignore"):
        key = _mix(_mix(np.uint64(seed % 2**64) + _GOLDEN) ^ users.astype(np.uint64))
        z = _mix(key[:, None] + np.arange(1, draws + 1, dtype=np.uint64) * _GOLDEN)
    return ((z >> np.uint64(32)) * np.uint64(num_items) >> np.uint64(32)).astype(np.int32)


def _mix(z: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64 bits."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
