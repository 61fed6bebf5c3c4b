"""The items of each user as ragged rows."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from socialjax.data.schema import Interactions, pair_keys


@dataclasses.dataclass(frozen=True)
class Rows:
    """Row r is items[offsets[r]:offsets[r+1]], ascending, each item once. offsets i64[R + 1], items i32[T]."""

    offsets: np.ndarray
    items: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> np.ndarray:
        """i64[R]."""
        return np.diff(self.offsets)

    def owners(self) -> np.ndarray:
        """The row of every item, i64[T]."""
        return np.repeat(np.arange(len(self)), self.lengths())

    def take(self, rows: np.ndarray) -> "Rows":
        """The given rows i64[B], in that order; a row may be asked for twice."""
        lengths = self.lengths()[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        where = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Rows(offsets, self.items[where])


def rows_of(parts: Sequence[Interactions], num_users: int, num_items: int) -> Rows:
    """The items that each user took in any of the parts; one row per user 0..num_users - 1."""
    keys = np.concatenate([np.zeros(0, np.int64), *(pair_keys(part, num_items) for part in parts)])
    users, items = np.divmod(np.unique(keys), num_items)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=num_users))])
    return Rows(offsets.astype(np.int64), items.astype(np.int32))


def joined(first: Rows, second: Rows) -> Rows:
    """Row by row the items of either, each once."""
    size = int(max(first.items.max(initial=0), second.items.max(initial=0))) + 1
    keys = np.concatenate([rows.owners() * size + rows.items for rows in (first, second)])
    owners, items = np.divmod(np.unique(keys), size)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(first)))])
    return Rows(offsets.astype(np.int64), items.astype(np.int32))
