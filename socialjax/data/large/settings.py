"""How pairs and links become a graph folder, and how much memory that may take."""

import dataclasses
from typing import Literal

from socialjax import memory
from socialjax.data.large.layout import MOST
from socialjax.data.split import DIFFNET_RATIOS, check_ratios
from socialjax.formats.file_bytes import DataError

LEAST = 64 << 20  # bytes for buffers, besides what the program itself takes


@dataclasses.dataclass(frozen=True)
class PrepareSettings:
    """How pairs and links become a graph folder.

    Attributes:
        name: of the data set.
        ids: what ids are: integers in 0..2^63 - 1, text, or row numbers already, below `num_users` and `num_items`.
        num_users: U, where ids are row numbers.
        num_items: I, where ids are row numbers.
        k_core: keep the largest set of pairs in which every user and item has so many; 0 keeps all.
        split: by ratio or leave-one-out, as of `data.split`: at random by a hash of (seed, user, item).
        ratios: of validation and test, for the split by ratio.
        seed: of the split.
        memory_bytes: that this process may hold at most. The folder does not depend on it.
        chunk_rows: rows that are read at a time. The folder does not depend on it.
    """

    name: str = "large"
    ids: Literal["integers", "text", "row numbers"] = "integers"
    num_users: int = 0
    num_items: int = 0
    k_core: int = 0
    split: Literal["ratio", "leave-one-out"] = "ratio"
    ratios: tuple[float, float] = DIFFNET_RATIOS
    seed: int = 0
    memory_bytes: int = 4 << 30
    chunk_rows: int = 1 << 18

    def __post_init__(self):
        check_ratios(self.ratios)
        numbered = self.ids == "row numbers"
        for name, size in (("num_users", self.num_users), ("num_items", self.num_items)):
            if numbered != (size > 0) or size > MOST:
                wanted = f"1..{MOST}, since ids are row numbers" if numbered else "0, since ids are no row numbers"
                raise DataError(f"wanted {name} in {wanted}, got {size}")
        if self.k_core < 0 or self.chunk_rows < 1:
            raise DataError(f"wanted k_core from 0 and chunk_rows from 1, got {self.k_core} and {self.chunk_rows}")


class Room:
    """What is left of the memory that a preparation may hold."""

    def __init__(self, limit: int):
        self._limit = limit

    def __call__(self, reserved: int = 0) -> int:
        """Bytes for buffers, when `reserved` ones will be allocated besides. Raises NotEnoughMemory below LEAST."""
        memory.return_freed()
        held = memory.resident_bytes()
        left = self._limit - held - reserved
        if left < LEAST:
            raise memory.NotEnoughMemory(
                f"memory_bytes {self._limit >> 20} MB is too little: {held >> 20} MB are held, {reserved >> 20} MB are "
                f"wanted for users and items, and at least {LEAST >> 20} MB for buffers; allow "
                f"{(held + reserved + LEAST >> 20) + 1} MB or more"
            )
        return left
