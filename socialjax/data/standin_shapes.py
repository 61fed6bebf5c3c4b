"""Counts and degree distributions of a set: all that a stand-in copies of it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

# Shares of users or items, from the least to the most active, at which the tables below give a degree.
SHARES = (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1)
STEP = 20  # DiffNet's rule works on n modulo 20: floor(n / 20) to validation, floor(3 n / 20) to both
UP, DOWN = {"validation": (19,), "both": (6, 13)}, {"validation": (0,), "both": (7, 14)}  # remainders that cross


@dataclasses.dataclass(frozen=True)
class Shape:
    """Counts as `schema.counts` gives them, degrees at `SHARES`, and correlations between the degrees of a user.

    Attributes:
        users: U.
        items: I.
        train: pairs.
        validation: pairs.
        test: pairs.
        links: lines of the link file.
        reciprocated: lines of the link file whose reverse is there too.
        user: pairs of a user, at `SHARES`.
        item: pairs of an item.
        out: users that a user follows.
        into: followers of a user.
        idle: numbers of zeros among the degrees user, item, out, into.
        isolated: users without any link.
        social: rank correlation of a user's numbers of pairs and links.
        mutual: rank correlation of a user's numbers of links out and in.
        diffnet_split: the parts follow DiffNet's rule.
        values: the rating or count of a pair, at equal steps from least to most; () for none.
        one_held_out: the parts follow leave-one-out instead.
        uploads: items made by a user, at `SHARES`; () without owners.
        famous: rank correlation of uploads and followers.
        admired: share of the items whose owner is followed by a user who took the item.
    """

    users: int
    items: int
    train: int
    validation: int
    test: int
    links: int
    reciprocated: int
    user: tuple[int, ...]
    item: tuple[int, ...]
    out: tuple[int, ...]
    into: tuple[int, ...]
    idle: tuple[int, int, int, int]
    isolated: int
    social: float
    mutual: float
    diffnet_split: bool
    values: tuple[float, ...] = ()
    one_held_out: bool = False
    uploads: tuple[int, ...] = ()
    famous: float = 0.0
    admired: float = 0.0

    @classmethod
    def of(cls, facts: Mapping[str, Any], **spread: Any) -> "Shape":
        """The shape of a set: counts from its facts (`facts.facts`), and how degrees are spread."""
        without = ("users without rating", "items without rating", "users without outgoing", "users without incoming")
        return cls(
            **{name: facts[name] for name in ("users", "items", "train", "validation", "test", "links")},
            reciprocated=facts["reciprocated links"],
            idle=tuple(facts[name] for name in without),
            isolated=facts["users without links"],
            **spread,
        )

    @property
    def pairs(self) -> int:
        return self.train + self.validation + self.test


def degrees(table: tuple[int, ...], idle: int, number: int, total: int, rng: np.random.Generator) -> np.ndarray:
    """i64[number], ascending, spread as `table` says at `SHARES`, `idle` of them 0, with exactly this sum."""
    smooth = np.expm1(np.interp((np.arange(number) + 0.5) / number, SHARES, np.log1p(table)))[idle:]
    top, low, high = table[-1], 0.25, 4.0
    scaled = lambda scale: np.clip(np.rint(smooth * scale), 1, top).astype(np.int64)  # noqa: E731
    for _ in range(40):  # the table is coarse, so its mean is off by some per cent
        scale = (low + high) / 2
        low, high = (scale, high) if scaled(scale).sum() < total else (low, scale)
    n = scaled(low)
    while (missing := total - int(n.sum())) != 0:
        step = 1 if missing > 0 else -1
        able = np.flatnonzero((n + step >= 1) & (n + step <= top))
        if not len(able):
            raise ValueError(f"{len(n)} degrees between 1 and {top} cannot sum to {total}")
        n[rng.permutation(able)[: abs(missing)]] += step
    return np.concatenate([np.zeros(idle, np.int64), np.sort(n)])


def fit_split(n: np.ndarray, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """`n` moved by as little as gives DiffNet's rule the exact sizes of `shape`'s parts; the sum stays."""
    n, top = n.copy(), max(shape.user)
    for part, share, wanted in (("validation", 1, shape.validation), ("both", 3, shape.validation + shape.test)):
        for _ in range(200):
            missing = wanted - int((share * n // STEP).sum())
            if missing == 0:
                break
            crossing, step = (UP[part], 1) if missing > 0 else (DOWN[part], -1)
            done = _nudge(n, crossing, step, abs(missing), top, rng)
            feeding = [(r - step) % STEP for r in crossing]  # those who come next to cross
            _nudge(n, feeding, step, 2 * (abs(missing) - done), top, rng)
    for _ in range(200):
        missing = shape.pairs - int(n.sum())
        step = 1 if missing > 0 else -1
        crossing = {r for remainders in (UP if step > 0 else DOWN).values() for r in remainders}
        _nudge(n, [r for r in range(STEP) if r not in crossing], step, abs(missing), top, rng)
    return n


def _nudge(n, remainders, step: int, number: int, top: int, rng) -> int:
    """Moves at most `number` entries with one of these remainders by `step`, in place -> how many."""
    able = np.flatnonzero(np.isin(n % STEP, remainders) & (n + step >= 1) & (n + step <= top) & (n > 0))
    chosen = rng.permutation(able)[:number]
    n[chosen] += step
    return len(chosen)
