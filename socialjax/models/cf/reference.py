"""Baselines without parameters: chance, popularity, items that friends took, items of owners the user took before."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from scipy import sparse

from socialjax.contract import OF_USERS, Explanation, Model, Ragged, Traits
from socialjax.graph import edges, symmetrise
from socialjax.models.cf.bpr import Sizes
from socialjax.models.history import taken_items
from socialjax.models.parts import Factors
from socialjax.ops import lookup, sample

_LOW24 = 0xFFFFFF  # whole numbers up to 2^24 are exact in float32


@dataclasses.dataclass(frozen=True)
class Reference(Model):
    """A baseline without parameters; a table's `references` (docs/glossary.md)."""

    traits: ClassVar[Traits] = Traits(trains=False)

    def init(self, rng, side):
        return {}

    def loss(self, params, side, batch, rng):
        raise NotImplementedError(f"{type(self).__name__} has nothing to train; evaluate it with init's parameters")


@dataclasses.dataclass(frozen=True)
class Random(Reference):
    """Chance: the score is a hash of (seed, user, item), different for any two items of one user.

    Attributes:
      seed: Seed of the hash.
    """

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
    """How many users took each item in training.

    Attributes:
      count: f32[I].
      num_users: U.
    """

    count: jax.Array
    num_users: int = struct.field(pytree_node=False)


def popularity(columns) -> Popularity:
    """Distinct training pairs per item (NumPy)."""
    return Popularity(np.asarray(taken_items(columns).sum(axis=0), np.float32).ravel(), columns.num_users)


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
class Counts:
    """Counts that a score looks up.

    Attributes:
      rows: A row of counts for each user.
      item_columns: i32[I], the column of each item in these rows.
      popularity: f32[I], training users of each item.
    """

    rows: lookup.SparseRows
    item_columns: jax.Array
    popularity: jax.Array


def _counted(counts: Counts, share: float, users, items):
    """Each user's count of the items' columns + share x popularity: users i32[B], items i32[B, C] -> f32[B, C]."""
    base = share * counts.popularity[items]
    # Searching costs a few look-ups a pair, a table one and all columns: the table wins in full ranking.
    if items.shape[1] * counts.rows.search_steps <= counts.rows.num_columns:
        return base + lookup.search(counts.rows, users, counts.item_columns[items])
    table = lookup.add_rows(counts.rows, users, jnp.float32(1), jnp.zeros((users.shape[0], counts.rows.num_columns)))
    return base + jnp.take_along_axis(table, counts.item_columns[items], axis=1)


@struct.dataclass
class FriendsSide:
    """Counts for scores; friends and training items of users, in ragged rows, for explanations.

    Attributes:
      counts: Friends of each user who took each item.
      friend_offsets: i32[U + 1].
      friends: i32[E]; those of user a are friend_offsets[a]..friend_offsets[a + 1] - 1.
      taken_offsets: i32[U + 1].
      taken: i32[N], training items, likewise.
    """

    counts: Counts
    friend_offsets: jax.Array
    friends: jax.Array
    taken_offsets: jax.Array
    taken: jax.Array


@dataclasses.dataclass(frozen=True)
class Friends(Reference):
    """Friends who took the item in training + `popularity` x users who did. A link makes friends in both directions.

    Attributes:
      popularity: Weight of an item's count of users. A small share orders the many items that no friend took; 0 leaves
        them tied.
    """

    traits: ClassVar[Traits] = Traits(trains=False, needs=("links",))
    popularity: float = 0.001

    def prepare(self, columns) -> FriendsSide:
        self.check(columns)
        links = columns.links
        friends = symmetrise(edges(links.follower, links.followee, columns.num_users, columns.num_users))
        ones = np.ones(len(friends), np.float32)
        friends = sparse.csr_array((ones, (friends.receivers, friends.senders)), shape=(columns.num_users,) * 2)
        taken = taken_items(columns)
        rows = lookup.sparse_rows(sparse.csr_array(friends @ taken))
        for matrix in (friends, taken):
            matrix.sort_indices()
        counts = Counts(rows, np.arange(columns.num_items, dtype=np.int32), popularity(columns).count)
        return FriendsSide(counts, _i32(friends.indptr), _i32(friends.indices), _i32(taken.indptr), _i32(taken.indices))

    def encode(self, params, side) -> Counts:
        return jax.tree.map(jnp.asarray, side.counts)

    def score(self, state: Counts, users, items):
        return _counted(state, self.popularity, users, items)

    def explain(self, state, side, users, items) -> Explanation:
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        taken_by = np.repeat(np.arange(len(side.taken_offsets) - 1), np.diff(side.taken_offsets))
        takers = []
        for user, item in zip(users, items):
            friends = np.asarray(side.friends)[side.friend_offsets[user] : side.friend_offsets[user + 1]]
            takers.append(friends[np.isin(friends, taken_by[np.asarray(side.taken) == item])])
        offsets = np.concatenate([[0], np.cumsum([len(friends) for friends in takers])]).astype(np.int64)
        ones = np.ones(offsets[-1], np.float32)
        friends = Ragged(offsets, np.concatenate([np.zeros(0, np.int32), *takers]), ones, ones, OF_USERS)
        parts = {
            "friends": np.diff(offsets).astype(np.float32),
            "popularity": np.float32(self.popularity) * np.asarray(side.counts.popularity)[items],
        }
        return Explanation(users, items, parts["friends"] + parts["popularity"], parts, {"friends": friends})


@dataclasses.dataclass(frozen=True)
class SameOwner(Reference):
    """How many of the user's training items are of the candidate's owner; items without an owner have 0."""

    traits: ClassVar[Traits] = Traits(trains=False, needs=("owners",))

    def prepare(self, columns) -> Counts:
        self.check(columns)
        no_owner = columns.num_users  # an empty column of its own
        known = np.flatnonzero(columns.owners >= 0)
        ownership = sparse.csr_array(
            (np.ones(len(known), np.float32), (known, columns.owners[known])), shape=(columns.num_items, no_owner + 1)
        )
        owner = np.where(columns.owners >= 0, columns.owners, no_owner)
        rows = lookup.sparse_rows(sparse.csr_array(taken_items(columns) @ ownership))
        return Counts(rows, _i32(owner), np.zeros(columns.num_items, np.float32))

    def encode(self, params, side) -> Counts:
        return jax.tree.map(jnp.asarray, side)

    def score(self, state: Counts, users, items):
        return _counted(state, 0.0, users, items)

    def explain(self, state, side, users, items) -> Explanation:
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        score = np.asarray(self.score(state, jnp.asarray(users), jnp.asarray(items)[:, None]))[:, 0]
        return Explanation(users, items, score, {"same_owner": score}, {})


def _i32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int32)
