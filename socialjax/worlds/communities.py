"""Planted worlds of any size: communities of users who like items of their community and follow one another.

Whatever a user likes is a hash of (seed, user, draw), so that any range of users is made on its own.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from socialjax.data.large.inputs import Piece
from socialjax.data.split import mix

PAIRS, LINKS = 1, 2  # streams of randomness
AT_ONCE = 1 << 14  # users


@dataclasses.dataclass(frozen=True)
class Communities:
    """A world in which user u and item i belong to the communities u % C and i % C.

    With probability `inside` a draw falls into the user's own community, else anywhere. The k-th of its members is
    drawn with the density of k^(1 / skew - 1): some items are popular, some users followed by many.

    The same on every machine whose `pow` and `log1p` round alike.

    Attributes:
        num_users: U.
        num_items: I.
        communities: C, at most U and I.
        pairs_per_user: mean number of draws of an item; a draw that repeats one counts once.
        links_per_user: the same of users who are followed.
        inside: probability of a draw from one's own community.
        skew: from 1, uniform, on: the larger, the more popular the first members.
        seed: of all draws.
    """

    num_users: int
    num_items: int
    communities: int
    pairs_per_user: float = 20.0
    links_per_user: float = 20.0
    inside: float = 0.8
    skew: float = 2.0
    seed: int = 0

    def __post_init__(self):
        if not 1 <= self.communities <= min(self.num_users, self.num_items):
            most = min(self.num_users, self.num_items)
            raise ValueError(f"wanted 1..{most} communities, no more than users or items, got {self.communities}")
        if not (0 <= self.inside <= 1 and self.skew >= 1 and min(self.pairs_per_user, self.links_per_user) >= 1):
            raise ValueError(
                "wanted inside in 0..1, skew from 1, and at least 1 pair and link a user, got "
                f"{self.inside}, {self.skew}, {self.pairs_per_user}, {self.links_per_user}"
            )

    def pairs(self) -> "Draws":
        """Users and items, as input of a preparation whose ids are row numbers."""
        return Draws(self, PAIRS)

    def links(self) -> "Draws":
        """Followers and followees, the same."""
        return Draws(self, LINKS)

    def drawn(self, begin: int, end: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
        """The draws of users begin..end - 1 as columns i64[n]: by user, with repetitions.

        The number of draws of a user is exponential above 1: most have few, some many.
        """
        size, mean = {
            PAIRS: (self.num_items, self.pairs_per_user),
            LINKS: (self.num_users, self.links_per_user),
        }[stream]
        users = np.arange(begin, end)
        key = mix(mix(mix(np.uint64(self.seed % 2**64)) ^ np.uint64(stream)) ^ users.astype(np.uint64))
        count = np.minimum(1 - (mean - 1) * np.log1p(-_uniform(key)), 50 * mean).astype(np.int64)
        user = np.repeat(users, count)
        draw = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
        own = mix(np.repeat(key, count) ^ mix(draw.astype(np.uint64)))
        where, which = _uniform(own), _uniform(mix(own))
        community = user % self.communities
        elsewhere = ((where - self.inside) / max(1 - self.inside, 1e-9) * self.communities).astype(np.int64)
        community = np.where(where < self.inside, community, np.clip(elsewhere, 0, self.communities - 1))
        members = (size - 1 - community) // self.communities + 1
        return user, community + self.communities * (members * which**self.skew).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class Draws:
    """The pairs or links of a world, a range of users at a time: a `data.large.inputs.Source`."""

    world: Communities
    stream: int

    def pieces(self, rows: int, text: bool = False) -> Iterator[Piece]:
        """Columns i64[n] of at most `rows`. Raises ValueError for ids of text."""
        if text:
            raise ValueError("a planted world has row numbers as ids, not text")
        for begin in range(0, self.world.num_users, AT_ONCE):
            left, right = self.world.drawn(begin, min(begin + AT_ONCE, self.world.num_users), self.stream)
            for row in range(0, len(left), rows):
                yield left[row : row + rows], right[row : row + rows]

    def identity(self) -> dict[str, Any]:
        return {"world": dataclasses.asdict(self.world), "stream": self.stream}

    def origin(self) -> str:
        return f"{'pairs' if self.stream == PAIRS else 'links'} of {self.world}"


def _uniform(bits: np.ndarray) -> np.ndarray:
    """u64 -> f64 in [0, 1)."""
    return (bits >> np.uint64(11)) * 2.0**-53
