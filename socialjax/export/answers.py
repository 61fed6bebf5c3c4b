"""What an exported program answers: users' row numbers in, their best items and scores out."""

import dataclasses

import numpy as np

SOON = 100  # items for each user, unless told; a caller takes as many of the first as it wants
LARGEST = 1 << 31  # bytes of a program: protobuf and flatbuffers hold no more


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """Users, items and what is not recommended again.

    Attributes:
        offsets: i32[U + 1]; user a has entries offsets[a]..offsets[a + 1] - 1 of `seen`.
        seen: i32[T], items that users took in training.
        user_ids: of the rows, as one types them, [U].
        item_ids: the same, [I].
        k: items in an answer.
    """

    offsets: np.ndarray
    seen: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray
    k: int

    def __post_init__(self):
        if not 1 <= self.k <= self.num_items:
            raise ValueError(f"k must be in 1..{self.num_items}, the size of the catalogue, got {self.k}")

    @property
    def num_items(self) -> int:
        return len(self.item_ids)

    def beside(self) -> dict:
        """What the file of ids says of the program, beside the ids."""
        return {"k": self.k, "inputs": "user i32[b], row numbers", "outputs": "item i32[b, k], score f32[b, k]"}


def check_size(size: int, what: str) -> None:
    """Raises ValueError for more bytes than a program may have."""
    if size >= LARGEST:
        raise ValueError(
            f"{what} would have {size:,} bytes, and at most {LARGEST - 1:,} fit into its file; write the vectors with "
            "`run.vectors().write(folder)`, or answer from the run itself"
        )
