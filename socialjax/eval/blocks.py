"""Rows of work cut into calls of one fixed shape, so that a ranking function is compiled once.

A call is `BLOCKS_PER_CALL` blocks of users, of which the device runs only those that are filled.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from socialjax.eval.rows import Rows

BLOCK = 256  # users per matrix product
BLOCKS_PER_CALL = 16
TABLE_LIMIT = 1 << 26  # scores held at once: a large catalogue makes the blocks smaller


@dataclasses.dataclass(frozen=True)
class Call:
    """Rows start..stop - 1 of the work in blocks of `block` rows."""

    start: int
    stop: int
    block: int

    @property
    def rows(self) -> slice:
        return slice(self.start, self.stop)

    @property
    def num_blocks(self) -> np.int32:
        """Blocks that hold a row."""
        return np.int32(-(-(self.stop - self.start) // self.block))

    def blocks(self, values: np.ndarray) -> np.ndarray:
        """This call's rows [R, ...] -> [BLOCKS_PER_CALL, block, ...], filled up with zeros."""
        out = np.zeros((BLOCKS_PER_CALL * self.block, *values.shape[1:]), values.dtype)
        out[: len(values)] = values
        return out.reshape(BLOCKS_PER_CALL, self.block, *values.shape[1:])

    def unblocked(self, values: np.ndarray) -> np.ndarray:
        """[BLOCKS_PER_CALL, block, ...] -> this call's rows [R, ...]."""
        return values.reshape(-1, *values.shape[2:])[: self.stop - self.start]

    def cells(self, rows: Rows, num_items: int, width: int) -> np.ndarray:
        """This call's ragged rows as cells `row * num_items + item` of their block's table of scores.

        -> i32[BLOCKS_PER_CALL, width]; what is left over lies outside the table on purpose.
        """
        block, row = np.divmod(rows.owners(), self.block)
        starts = rows.offsets[np.minimum(np.arange(BLOCKS_PER_CALL) * self.block, len(rows))]
        out = np.full((BLOCKS_PER_CALL, width), self.block * num_items, np.int32)
        out[block, np.arange(len(row)) - starts[block]] = row * num_items + rows.items
        return out


def calls(num_rows: int, num_items: int) -> Iterator[Call]:
    """All rows, in order."""
    block = _block(num_items)
    for start in range(0, num_rows, BLOCKS_PER_CALL * block):
        yield Call(start, min(start + BLOCKS_PER_CALL * block, num_rows), block)


def cells_width(lengths: np.ndarray, num_items: int) -> int:
    """Room for the entries of any block, a power of two: lengths i64[R] of the ragged rows in their order."""
    if not len(lengths):
        return 1
    most = int(np.add.reduceat(lengths, np.arange(0, len(lengths), _block(num_items))).max())
    return 1 << max(most - 1, 0).bit_length()


def _block(num_items: int) -> int:
    return max(1, min(BLOCK, TABLE_LIMIT // num_items))
