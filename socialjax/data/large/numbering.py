"""Row numbers for ids, and the k-core, by arrays with one number for each user and item."""

from collections.abc import Callable, Iterator

import numpy as np

from socialjax.data.large.external_sort import unpack

SPARSE = 4  # a table of rows is made where it has at most so many times as many places as there are ids


class Rows:
    """The row of each of distinct ids i64[n], rising; -1 for others.

    A table where the ids are dense, else binary search.

    Attributes:
        size: n.
        are_row_numbers: whether every id is its row.
    """

    def __init__(self, ids: np.ndarray):
        self.size = len(ids)
        self.are_row_numbers = self.size > 0 and ids[0] == 0 and ids[-1] == self.size - 1
        self._ids, self._table = ids, None
        if not self.are_row_numbers and self.size and ids[-1] < SPARSE * self.size:
            self._table = np.full(int(ids[-1]) + 1, -1, np.int32)
            self._table[ids] = np.arange(self.size, dtype=np.int32)

    @classmethod
    def upto(cls, size: int) -> "Rows":
        """The rows of ids that are row numbers below `size`."""
        rows = cls(np.empty(0, np.int64))
        rows.size, rows.are_row_numbers = size, True
        return rows

    def of(self, ids: np.ndarray) -> np.ndarray:
        """Rows i64[m] of ids i64[m]."""
        if self.are_row_numbers:
            return np.where(ids < self.size, ids, -1)
        if not self.size:
            return np.full(len(ids), -1)
        if self._table is not None:
            inside = ids < len(self._table)
            return np.where(inside, self._table[np.where(inside, ids, 0)], -1).astype(np.int64)
        place = np.minimum(np.searchsorted(self._ids, ids), self.size - 1)
        return np.where(self._ids[place] == ids, place, -1)


def k_core(
    keys: Callable[[], Iterator[np.ndarray]], num_users: int, num_items: int, k: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Users and items of the largest set of pairs in which each has at least k of them, as `split.k_core`.

    Args:
        keys: reads the pairs, packed, from their beginning.
        num_users: U.
        num_items: I.
        k: at least 1.

    Returns:
        (bool[U], bool[I], pairs in the core).
    """
    users, items = np.ones(num_users, bool), np.ones(num_items, bool)
    while True:
        of_user, of_item, kept = np.zeros(num_users, np.int64), np.zeros(num_items, np.int64), 0
        for piece in keys():
            user, item = unpack(piece)
            inside = users[user] & items[item]
            np.add.at(of_user, user[inside], 1)
            np.add.at(of_item, item[inside], 1)
            kept += int(inside.sum())
        enough = of_user >= k, of_item >= k
        if np.array_equal(enough[0], users) and np.array_equal(enough[1], items):
            return users, items, kept
        users, items = enough
