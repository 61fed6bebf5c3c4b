"""Owners for the items of a stand-in: uploads as the shape says, made for followers, and nobody takes an own item."""

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.schema import Interactions, Links
from socialjax.data.standin_shapes import Shape, degrees

ROUNDS = 12  # of proposals; items that are still without an owner then get any that is left
HEARD = 64  # draws of a taker and a user whom that taker follows; who comes up most often is proposed


def owners(shape: Shape, pairs: Interactions, links: Links, rng: np.random.Generator) -> np.ndarray:
    """i32[I]: users with many followers made more; the share `shape.admired` of the items is made by whom many of those
    who took the item follow, among users with uploads left."""
    left = _uploads(shape, np.bincount(links.followee, minlength=shape.users), rng)
    owner = np.full(shape.items, -1, np.int32)
    takers, follows = _Rows(pairs.item, pairs.user, shape.items), _Rows(links.follower, links.followee, shape.users)
    chosen = rng.random(shape.items) < shape.admired
    for _ in range(ROUNDS):
        waiting = rng.permutation(np.flatnonzero(chosen & (owner < 0) & (takers.number > 0)))
        taker = takers.draw(np.repeat(waiting, HEARD), rng)
        hears = follows.number[taker] > 0
        heard = np.full(len(taker), shape.users)
        heard[hears] = follows.draw(taker[hears], rng)
        heard[np.append(left, 0)[heard] == 0] = shape.users  # nobody, who sorts last and has no uploads
        proposed = _most_frequent(heard.reshape(-1, HEARD), shape.users)
        order = np.argsort(proposed, kind="stable")
        waiting, proposed = waiting[order], proposed[order]
        waiting, proposed = waiting[proposed < shape.users], proposed[proposed < shape.users]
        granted = np.arange(len(proposed)) - np.searchsorted(proposed, proposed) < left[proposed]
        owner[waiting[granted]] = proposed[granted]
        left -= np.bincount(proposed[granted], minlength=shape.users)
    owner[owner < 0] = rng.permutation(np.repeat(np.arange(shape.users), left))
    return _foreign(owner, pairs, rng)


class _Rows:
    """The values of each row of a table, of which one can be drawn: row i[N], value i[N] -> number i64[rows]."""

    def __init__(self, row: np.ndarray, value: np.ndarray, rows: int):
        self.value = value[np.argsort(row, kind="stable")]
        self.number = np.bincount(row, minlength=rows)
        self.first = np.cumsum(self.number) - self.number

    def draw(self, row: np.ndarray, rng) -> np.ndarray:
        """One value of each given row, none of which may be empty."""
        return self.value[self.first[row] + (rng.random(len(row)) * self.number[row]).astype(np.int64)]


def _most_frequent(rows: np.ndarray, nobody: int) -> np.ndarray:
    """The value below `nobody` that each row of i64[n, k] holds most often; `nobody` if it holds none."""
    rows = np.sort(rows, axis=1)
    begins = np.concatenate([np.ones((len(rows), 1), bool), rows[:, 1:] != rows[:, :-1]], axis=1)
    place = np.arange(rows.shape[1])
    length = place - np.maximum.accumulate(np.where(begins, place, 0), axis=1)  # at the end of a run: its length - 1
    return rows[np.arange(len(rows)), np.where(rows < nobody, length, -1).argmax(axis=1)]


def _uploads(shape: Shape, followers: np.ndarray, rng) -> np.ndarray:
    """i64[U], correlated by rank with the numbers of followers as the shape says."""
    number = degrees(shape.uploads, 0, shape.users, shape.items, rng)
    fame = np.argsort(np.argsort(followers + rng.random(shape.users))) / shape.users
    fame = (fame - 0.5) * np.sqrt(12)
    score = shape.famous * fame + np.sqrt(1 - shape.famous**2) * rng.normal(size=shape.users)
    return number[np.argsort(np.argsort(score))]


def _foreign(owner: np.ndarray, pairs: Interactions, rng) -> np.ndarray:
    """The owners with some exchanged between items, until no user took an own item."""
    taken = np.unique(pairs.user.astype(np.int64) * len(owner) + pairs.item)
    items = np.arange(len(owner))
    for _ in range(100):
        keys = owner.astype(np.int64) * len(owner) + items
        own = items[taken[np.minimum(np.searchsorted(taken, keys), len(taken) - 1)] == keys]
        if not len(own):
            return owner
        for item, other in zip(own, rng.integers(len(owner), size=len(own))):
            owner[[item, other]] = owner[[other, item]]
    raise DataError(f"{len(own)} items are still taken by their owners: these degrees leave too little room")
