"""Evaluation protocols, always named in full, and the candidates that they rank."""

import dataclasses
import re
from typing import Literal

import numpy as np

from socialjax.data.schema import PARTS, Dataset
from socialjax.eval.metrics import Rows, rows_of
from socialjax.names import visible

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

    def longest(self, num_items: int) -> int:
        """The length of the list of a user with one positive, which no cut-off may exceed."""
        return num_items if self.num_negatives is None else min(num_items, self.num_negatives + 1)

    def within(self, num_items: int) -> "Protocol":
        """The same with cut-offs for a catalogue of that size: those beyond the longest list are left out.

        Below ten items the longest list is a cut-off itself, in place of K = 10.
        """
        longest = self.longest(num_items)
        kept = tuple(k for k in self.ks if k <= longest)
        return dataclasses.replace(self, ks=kept if max(kept, default=0) >= min(10, longest) else (*kept, longest))


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
      ValueError: for an empty part, a cut-off larger than the number of candidates, and a user with too few items left.
    """
    evaluated, positives, rejected = _counted(data, protocol, part, users)
    chosen = Candidates(protocol, part, data.num_items, evaluated, positives)
    if protocol.num_negatives is None:
        return dataclasses.replace(chosen, masked=rejected)
    seed = protocol.seed + (_VALIDATION if part == "validation" else 0)
    drawn = draw(evaluated, rejected, data.num_items, protocol.num_negatives, seed, replace=not protocol.strict)
    return dataclasses.replace(chosen, negatives=drawn)


def check(data: Dataset, protocol: Protocol, part: Part = "test") -> None:
    """Raises the ValueError of `candidates` for all users, from counts: no list is drawn."""
    _counted(data, protocol, part, None)


def _counted(data: Dataset, protocol: Protocol, part: Part, users) -> tuple[np.ndarray, Rows, Rows]:
    """The evaluated users i32[U], their positives, and the items that are none of their negatives beside these.

    Raises ValueError as `candidates`.
    """
    if part not in ("validation", "test"):
        raise ValueError(f"evaluation runs on 'validation' or 'test', got '{part}'")
    longest = protocol.longest(data.num_items)
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
    positives, number = positives.take(evaluated), protocol.num_negatives
    if number is None:
        return evaluated.astype(np.int32), positives, rows(*protocol.mask).take(evaluated)
    if not protocol.strict and number >= data.num_items:
        raise ValueError(
            f"{protocol.name} draws {number} times from {data.num_items} items with replacement: "
            "every item would stand in the list several times; choose fewer, or 'full' for a catalogue of this size"
        )
    rejected = rows(*(rejecting(part) if protocol.strict else (part,))).take(evaluated)
    _must_be_left(evaluated, rejected, data.num_items, number if protocol.strict else 1, data.user_names)
    return evaluated.astype(np.int32), positives, rejected


def _must_be_left(users, rejected: Rows, num_items: int, wanted: int, names: np.ndarray | None = None) -> None:
    """Raises ValueError when a user has fewer items left than wanted. names: U[.], what users are called."""
    left = num_items - rejected.lengths()
    if not len(left) or left.min() >= wanted:
        return
    user, fewest = users[left.argmin()], int(max(left.min(), 0))
    others = int((left < wanted).sum()) - 1
    also = f" and {others} other user{'s have' if others > 1 else ' has'} too few" if others else ""
    advice = f"choose a protocol with at most {fewest} negatives, or 'full'" if fewest else "choose 'full'"
    raise ValueError(
        f"{wanted} negatives {'without repetition ' if wanted > 1 else ''}were wanted for each user, but user "
        f"{user if names is None else visible(names[user])} has only {fewest} of {num_items} items left{also}; {advice}"
    )


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
    _must_be_left(users, rejected, num_items, 1 if replace else count)
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
