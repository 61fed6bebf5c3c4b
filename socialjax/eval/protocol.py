"""Evaluation protocols, always named in full, and the candidates that they rank."""

import dataclasses
import re
from typing import Literal

import numpy as np

from socialjax.data.schema import PARTS, Dataset
from socialjax.eval import negatives
from socialjax.eval.metrics import Rows, rows_of

Part = Literal["validation", "test"]
KS = (5, 10, 15, 20, 50)
_VALIDATION = 1 << 32  # added to the seed, which is below it: a user has other candidates in each part
_CHUNKS = 16  # processes of DiffNet's evaluation, each with the same whole number of users


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How users are evaluated.

    Attributes:
      name: `full` ranks all items but the masked ones. `sampledN-official` is that of DiffNet's code: N uniform draws
        with replacement, rejected only when they are positives of the evaluated part. `sampledN-strict` draws N
        different items that the user took in no part; for validation, in neither train nor validation (`rejecting`).
      ks: The cut-offs of the metrics.
      seed: Seed of the negatives.
      mask: Parts whose items `full` leaves out; the field's habit is train alone, so that validation items stay in.
      drop_tail: Whether the last users (number mod 16) are left out, as in DiffNet's code.
    """

    name: str
    ks: tuple[int, ...] = KS
    seed: int = 0
    mask: tuple[str, ...] = ("train",)
    drop_tail: bool = False

    def __post_init__(self):
        if self.name != "full" and not re.fullmatch(r"sampled[1-9]\d*-(official|strict)", self.name):
            raise ValueError(
                "a protocol is 'full', 'sampledN-official' or 'sampledN-strict' with a number N, for example "
                f"'sampled1000-strict'; got '{self.name}'"
            )
        if not self.ks or min(self.ks) < 1:
            raise ValueError(f"cut-offs must be positive numbers such as 5 10 20, got {self.ks}")
        if not set(self.mask) <= set(PARTS):
            raise ValueError(f"mask must name some of {', '.join(PARTS)}, got {self.mask}")

    @property
    def num_negatives(self) -> int | None:
        """N of a sampled protocol, None of `full`."""
        return None if self.name == "full" else int(re.findall(r"\d+", self.name)[0])

    @property
    def strict(self) -> bool:
        return self.name.endswith("-strict")


@dataclasses.dataclass(frozen=True)
class Candidates:
    """The candidates of users: their positives, to be ranked among their negatives.

    Attributes:
      protocol: The protocol.
      part: The evaluated part.
      num_items: I.
      users: i32[U].
      positives: U rows.
      negatives: i32[U, N] of a sampled protocol; None for all items but the positives and the masked ones.
      masked: U rows of items that `full` leaves out, or None.
    """

    protocol: Protocol
    part: Part
    num_items: int
    users: np.ndarray
    positives: Rows
    negatives: np.ndarray | None = None
    masked: Rows | None = None

    def __len__(self) -> int:
        return len(self.users)


def parse(name: str, **fields) -> Protocol:
    """The protocol of that name; `fields` replace its defaults (ks, seed, mask, drop_tail)."""
    return Protocol(name.strip(), **fields)


def rejecting(part: Part) -> tuple[str, ...]:
    """The parts whose items are no strict negatives in `part`: that part and those before it.

    Negatives of the validation part do not depend on the test part, whose items may be among them.
    """
    return PARTS[: PARTS.index(part) + 1]


def candidates(data: Dataset, protocol: Protocol, part: Part = "test", users=None) -> Candidates:
    """The candidates of every user with a positive in a part, ascending.

    Args:
      data: The data set.
      protocol: The protocol.
      part: The part to evaluate.
      users: i32[.], the users to choose from; all by default.

    Raises:
      ValueError: for an empty part and for a cut-off larger than the number of candidates.
    """
    if part not in ("validation", "test"):
        raise ValueError(f"evaluation runs on 'validation' or 'test', got '{part}'")
    longest = data.num_items if protocol.num_negatives is None else min(data.num_items, protocol.num_negatives + 1)
    if max(protocol.ks) > longest:
        what = "the catalogue" if longest == data.num_items else "the list that a user with one positive has"
        raise ValueError(
            f"K = {max(protocol.ks)} is larger than {what} ({longest} items, data set '{data.name}', "
            f"protocol {protocol.name}); choose cut-offs up to {longest} with --eval.ks"
        )
    rows = lambda *parts: rows_of([getattr(data, p) for p in parts], data.num_users, data.num_items)  # noqa: E731
    positives = rows(part)
    evaluated = np.flatnonzero(positives.lengths())
    if protocol.drop_tail:
        evaluated = evaluated[: len(evaluated) // _CHUNKS * _CHUNKS]
    if users is not None:
        evaluated = np.intersect1d(evaluated, users)
    if not len(evaluated):
        raise ValueError(f"no user of data set '{data.name}' has a {part} pair to evaluate; split off a {part} part")
    chosen = Candidates(protocol, part, data.num_items, evaluated.astype(np.int32), positives.take(evaluated))
    if protocol.num_negatives is None:
        return dataclasses.replace(chosen, masked=rows(*protocol.mask).take(evaluated))
    if not protocol.strict and protocol.num_negatives >= data.num_items:
        raise ValueError(
            f"{protocol.name} draws {protocol.num_negatives} times from {data.num_items} items with replacement: "
            "every item would stand in the list several times; choose fewer, or 'full' for a catalogue of this size"
        )
    rejected = rows(*(rejecting(part) if protocol.strict else (part,))).take(evaluated)
    seed = protocol.seed + (_VALIDATION if part == "validation" else 0)
    drawn = negatives.draw(
        chosen.users, rejected, data.num_items, protocol.num_negatives, seed, replace=not protocol.strict
    )
    return dataclasses.replace(chosen, negatives=drawn)
