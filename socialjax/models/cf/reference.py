"""Reference lines that stand in every table: chance, popularity, and what one's friends took. Nothing is trained."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from scipy import sparse

from socialjax.graph import edges, symmetrise
from socialjax.models.cf.bpr import Sizes
from socialjax.models.parts import Factors
from socialjax.models.protocol import Explanation, Model, Ragged, Traits
from socialjax.ops import sample

_LOW24 = 0xFFFFFF  # whole numbers up to 2^24 are exact in float32
_SLICE = 256


@dataclasses.dataclass(frozen=True)
class Reference(Model):
    """A model without parameters."""

    traits: ClassVar[Traits] = Traits(trains=False)

    def init(self, rng, side):
        return {}

    def loss(self, params, side, batch, rng):
        raise NotImplementedError(f"{type(self).__name__} has nothing to train; evaluate it with init's parameters")


@dataclasses.dataclass(frozen=True)
class Random(Reference):
    """Chance: the score is a hash of (seed, user, item), different for any two items of one user."""

    seed: int = 0

    def prepare(self, columns) -> Sizes:
        if columns.num_items > _LOW24 + 1:
            raise ValueError(f"Random keeps up to {_LOW24 + 1} items apart, data set has {columns.num_items}")
        return Sizes(columns.num_users, columns.num_items)

    def encode(self, params, side):
        return {}

    def score(self, state, users, items):
        key = sample.fold(sample.fold(0, self.seed % 2**32), users)[:, None]
        x = items.astype(jnp.uint32)
        for turn in range(4):  # each step is a bijection of 24 bits
            x = (x * jnp.uint32(0x9E3779B1) + sample.fold(key, turn)) & jnp.uint32(_LOW24)
            x = x ^ (x >> 12)
        return x.astype(jnp.float32) / (_LOW24 + 1)

    def explain(self, state, side, users, items) -> Explanation:
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        score = np.asarray(self.score(state, jnp.asarray(users), jnp.asarray(items)[:, None]))[:, 0]
        return Explanation(users, items, score, {"chance": score}, {})


@struct.dataclass
class Popularity:
    """count f32[I]: how many users took each item in training."""

    count: jax.Array
    num_users: int = struct.field(pytree_node=False)


def popularity(columns) -> Popularity:
    """Distinct training pairs per item (NumPy)."""
    return Popularity(np.asarray(_taken(columns).sum(axis=0), np.float32).ravel(), columns.num_users)


@dataclasses.dataclass(frozen=True)
class Popular(Reference):
    """The score of an item is the number of users who took it in training."""

    traits: ClassVar[Traits] = Traits(trains=False, personal=False)

    def prepare(self, columns) -> Popularity:
        return popularity(columns)

    def encode(self, params, side) -> Factors:
        nothing = jnp.zeros((side.num_users, 1)), jnp.zeros((side.count.shape[0], 1))
        return Factors(*nothing, jnp.asarray(side.count))

    def vectors(self, state: Factors):
        return state.users, state.items, state.item_bias

    def score(self, state: Factors, users, items):
        return state.item_bias[items]

    def explain(self, state, side, users, items) -> Explanation:
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        count = np.asarray(side.count)[items]
        return Explanation(users, items, count, {"popularity": count}, {})


@struct.dataclass
class FriendCounts:
    """Places offsets[a]..offsets[a+1] - 1 hold the items that user a's friends took, ascending, and how many did.

    offsets i32[U + 1], items i32[T], count f32[T], popularity f32[I]; search_steps suffice to search the longest row.
    """

    offsets: jax.Array
    items: jax.Array
    count: jax.Array
    popularity: jax.Array
    search_steps: int = struct.field(pytree_node=False)


@struct.dataclass
class FriendsSide:
    """What is looked up for a score, and what an explanation names: ragged friends and their training items."""

    counts: FriendCounts
    friend_offsets: jax.Array
    friends: jax.Array
    taken_offsets: jax.Array
    taken: jax.Array


@dataclasses.dataclass(frozen=True)
class Friends(Reference):
    """Friends who took the item in training + `popularity` x users who did. A link makes friends in both directions.

    The small share of popularity orders the many items that no friend took; 0 leaves them tied.
    """

    traits: ClassVar[Traits] = Traits(trains=False, needs=("links",))
    popularity: float = 0.001

    def prepare(self, columns) -> FriendsSide:
        self.check(columns)
        links = columns.links
        friends = symmetrise(edges(links.follower, links.followee, columns.num_users, columns.num_users))
        ones = np.ones(len(friends), np.float32)
        friends = sparse.csr_array((ones, (friends.receivers, friends.senders)), shape=(columns.num_users,) * 2)
        taken = _taken(columns)
        counts = sparse.csr_array(friends @ taken)
        for rows in (friends, taken, counts):
            rows.sort_indices()
        steps = int(np.diff(counts.indptr).max(initial=0)).bit_length()
        total = popularity(columns).count
        lookup = FriendCounts(_i32(counts.indptr), _i32(counts.indices), counts.data, total, steps)
        return FriendsSide(lookup, _i32(friends.indptr), _i32(friends.indices), _i32(taken.indptr), _i32(taken.indices))

    def encode(self, params, side) -> FriendCounts:
        return jax.tree.map(jnp.asarray, side.counts)

    def score(self, state: FriendCounts, users, items):
        base = self.popularity * state.popularity[items]
        if not state.items.size:
            return base
        # Searching costs a few look-ups a pair, a table one and the catalogue: the table wins in full ranking.
        by_table = items.shape[1] * state.search_steps > state.popularity.shape[0]
        return base + (_spread(state, users, items) if by_table else _searched(state, users, items))

    def explain(self, state, side, users, items) -> Explanation:
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        taken_by = np.repeat(np.arange(len(side.taken_offsets) - 1), np.diff(side.taken_offsets))
        who = []
        for user, item in zip(users, items):
            friends = np.asarray(side.friends)[side.friend_offsets[user] : side.friend_offsets[user + 1]]
            who.append(friends[np.isin(friends, taken_by[np.asarray(side.taken) == item])])
        offsets = np.concatenate([[0], np.cumsum([len(friends) for friends in who])]).astype(np.int64)
        ones = np.ones(offsets[-1], np.float32)
        friends = Ragged(offsets, np.concatenate([np.zeros(0, np.int32), *who]), ones, ones)
        parts = {
            "friends": np.diff(offsets).astype(np.float32),
            "popularity": np.float32(self.popularity) * np.asarray(side.counts.popularity)[items],
        }
        return Explanation(users, items, parts["friends"] + parts["popularity"], parts, {"friends": friends})


def _searched(counts: FriendCounts, users, items):
    """Friends who took the items, by binary search in each user's row: users i32[B], items i32[B, C] -> f32[B, C]."""
    stop = jnp.broadcast_to(counts.offsets[users + 1][:, None], items.shape)

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) // 2
        below = (counts.items.at[middle].get(mode="clip") < items) & (middle < high)
        return jnp.where(below, middle + 1, low), jnp.where(below, high, middle)

    start = jnp.broadcast_to(counts.offsets[users][:, None], items.shape)
    # A loop: written out, XLA's CPU backend recomputes every step within the next and takes half a minute to compile.
    low, _ = jax.lax.fori_loop(0, counts.search_steps, halve, (start, stop))  # the first place whose item is not below
    found = (low < stop) & (counts.items.at[low].get(mode="clip") == items)
    return jnp.where(found, counts.count.at[low].get(mode="clip"), 0.0)


def _spread(counts: FriendCounts, users, items):
    """As `_searched`, from a table [B, I] into which the users' rows are written, _SLICE entries of each at a time."""
    num_items = counts.popularity.shape[0]
    start, stop = counts.offsets[users][:, None], counts.offsets[users + 1][:, None]
    row = jnp.arange(users.shape[0])[:, None]

    def write(part, table):
        place = start + part * _SLICE + jnp.arange(_SLICE)[None, :]
        item = jnp.where(place < stop, counts.items.at[place].get(mode="clip"), num_items)
        return table.at[row, item].set(counts.count.at[place].get(mode="clip"), mode="drop")

    parts = (jnp.max(stop - start) + _SLICE - 1) // _SLICE
    table = jax.lax.fori_loop(0, parts, write, jnp.zeros((users.shape[0], num_items)))
    return jnp.take_along_axis(table, items, axis=1)


def _taken(columns) -> sparse.csr_array:
    """Users x items, 1 where the user took the item in training."""
    pairs = np.unique(np.stack([columns.train.user, columns.train.item], axis=1), axis=0)
    ones = np.ones(len(pairs), np.float32)
    return sparse.csr_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(columns.num_users, columns.num_items))


def _i32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int32)
