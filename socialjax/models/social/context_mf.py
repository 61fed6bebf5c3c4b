"""ContextMF-style: one's own preference plus the influence of friends who took the item, in a form for implicit data.

After Jiang, Cui, Liu, Yang, Wang, Zhu, Yang: Social Contextual Recommendation, CIKM 2012. Not a faithful ContextMF,
which needs item contents and counts of interactions between friends. That multiplies influence and preference; here
they are added, since no friend took most of the items that are to be ranked and a product would be 0 for all of these.
"""

import dataclasses
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from scipy import sparse

from socialjax.contract import OF_USERS, Choice, Ragged, Traits
from socialjax.graph import distinct
from socialjax.models.history import taken_items
from socialjax.models.parts import EmbeddingModel, Factors, dot_scores, pair_dot
from socialjax.models.social.shared import cosine, link_edges
from socialjax.ops import lookup

TABLE_UP_TO = 100  # items of the catalogue for each candidate, up to which whole rows are scored and picked from


@struct.dataclass
class ContextMFSide:
    """Influence of friends, all as sparse rows.

    Attributes:
      taken_by_friends: F = Pi R, f_ai the influence on a of the friends who took i in training.
      without_target: f_ai of the training pairs that some friend took too, as if a had not taken i; None where that
        changes nothing.
      friends: Pi, the friends of a user with their influence.
      taken: R, the training items of a user.
    """

    taken_by_friends: lookup.SparseRows
    without_target: lookup.SparseRows | None
    friends: lookup.SparseRows
    taken: lookup.SparseRows


@struct.dataclass
class ContextMFState(Factors):
    """Factors, and what friends add to a score.

    Attributes:
      influence: f32[], the weight c.
      taken_by_friends: F of `ContextMFSide`.
    """

    influence: jax.Array
    taken_by_friends: lookup.SparseRows


@dataclasses.dataclass(frozen=True)
class ContextMF(EmbeddingModel):
    """s = <p_a, q_i> + b_i + c * sum over friends b of pi_ab [b took i in training]; c is learned.

    After Jiang et al., CIKM 2012, and no faithful form of it: the module's docstring and docs/tables.md say why.

    The influence pi_ab is a softmax over the friends of a. It is fixed, so that the sums over friends are made once;
    one learned for each link would make them anew in every step, over all items of all friends. A user is no friend of
    their own, so a training pair never counts itself. With `cosine` its item would still make the user like the friends
    who took it: in training pi is that of a user without this one item.

    Attributes:
      influence: Logits of the softmax: uniform for 0, so that the sum is the share of friends who took the item, or
        cosine for sharpness times the cosine of the two users' training items.
      sharpness: Factor of the cosine in the logits, 0..100.
      symmetric: Whether links count in both directions.
      start_influence: Initial value of c.
    """

    traits: ClassVar[Traits] = Traits(needs=("links",))
    search_space: ClassVar = {"influence": Choice(("uniform", "cosine"))}

    influence: Literal["uniform", "cosine"] = "uniform"
    sharpness: float = 5.0
    symmetric: bool = True
    start_influence: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.sharpness <= 100:
            raise ValueError(f"sharpness must be in 0..100, got {self.sharpness}")

    def prepare(self, columns) -> ContextMFSide:
        self.check(columns)
        n, taken = columns.num_users, taken_items(columns)
        links = link_edges(columns, self.symmetric)
        users, friends = distinct(links.receivers, links.senders, n)  # distinct links,
        users, friends = users[users != friends], friends[users != friends]  # without self links
        by_taste = self.influence == "cosine"
        logits = self.sharpness * cosine(taken, users, friends) if by_taste else np.zeros(len(users))
        pi = np.exp(logits)
        pi = pi / np.bincount(users, pi, n)[users]
        influence = sparse.csr_array((pi.astype(np.float32), (users, friends)), shape=(n, n))
        taken_by_friends = lookup.sparse_rows(sparse.csr_array(influence @ taken))
        without = lookup.sparse_rows(self._without_target(taken, users, friends)) if by_taste else None
        return ContextMFSide(taken_by_friends, without, *(lookup.sparse_rows(rows) for rows in (influence, taken)))

    def _without_target(self, taken: sparse.csr_array, users, friends) -> sparse.csr_array:
        """f_ai of the training pairs (a, i), with pi of a user a who took all of R_a but i.

        Without i, a friend who did not take it has |R_a and R_b| items in common, one who did has one less; so two
        sums over the friends who did, and one over all, make every f_ai of a user.
        """
        n, count = taken.shape[0], np.diff(taken.indptr).astype(np.float64)
        common = cosine(taken, users, friends) * np.sqrt(count[users] * count[friends])
        length = np.sqrt(np.maximum(count[users] - 1, 1) * np.maximum(count[friends], 1))
        among_others, among_takers = (np.exp(self.sharpness * (common - one) / length) for one in (0, 1))
        of_all = np.bincount(users, among_others, n)
        pairs = taken.astype(np.float64)
        others, takers = (
            (sparse.csr_array((raised, (users, friends)), shape=(n, n)) @ pairs).multiply(pairs).tocoo()
            for raised in (among_others, among_takers)
        )
        shares = takers.data / (of_all[takers.row] - others.data + takers.data)
        return sparse.csr_array((shares, (takers.row, takers.col)), shape=taken.shape)

    def _layers(self, side: ContextMFSide) -> "ContextMFLayers":
        return ContextMFLayers(self, len(side.taken_by_friends.offsets) - 1, side.taken_by_friends.num_columns)

    def init(self, rng, side):
        return self._layers(side).init(rng, side)["params"]

    def encode(self, params, side) -> ContextMFState:
        return self._layers(side).apply({"params": params}, side)

    def squared_norms(self, params):
        """p_a; q_i and b_i. c is free."""
        return self.table_norms(params["tables"])

    def score(self, state: ContextMFState, users, items):
        users, items = jnp.asarray(users), jnp.asarray(items)
        num_items = state.items.shape[0]
        if num_items > TABLE_UP_TO * items.shape[1]:
            from_friends = state.influence * lookup.search(state.taken_by_friends, users, items)
            return dot_scores(state, users, items) + from_friends
        # Full float32: the shortened products of GPUs and TPUs would tie and swap neighbours.
        table = jnp.dot(state.users[users], state.items.T, precision=jax.lax.Precision.HIGHEST)
        table = lookup.add_rows(state.taken_by_friends, users, state.influence, table + state.item_bias[None, :])
        return jnp.take_along_axis(table, items, axis=1, mode="promise_in_bounds")

    def extra_scores(self, state: ContextMFState, side: ContextMFSide, batch, candidates):
        """c * f of the candidates: what friends took."""
        shares = lookup.search(state.taken_by_friends, batch.users, candidates)
        if side.without_target is not None:
            shares = shares.at[:, :1].set(lookup.search(side.without_target, batch.users, batch.items[:, None]))
        return state.influence * shares

    def explain(self, state: ContextMFState, side: ContextMFSide, users, items):
        """Parts `own_vector`, `friends` with the share of each friend who took the item, and `item_bias`."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        friends_of_pairs = [_friends_who_took(side, user, item) for user, item in zip(users, items)]
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids, _ in friends_of_pairs])]).astype(np.int64)
        ids = np.concatenate([np.zeros(0, np.int32), *(ids for ids, _ in friends_of_pairs)])
        weight = np.concatenate([np.zeros(0, np.float32), *(weight for _, weight in friends_of_pairs)])
        friends = Ragged(offsets, ids, weight, np.asarray(state.influence) * weight, OF_USERS)
        pair = np.repeat(np.arange(len(users)), np.diff(offsets))
        parts = {
            "own_vector": pair_dot(np.asarray(state.users)[users], np.asarray(state.items)[items]),
            "friends": np.bincount(pair, friends.contribution, len(users)).astype(np.float32),
        }
        return self.explained(state, users, items, parts, {"friends": friends})


def _friends_who_took(side: ContextMFSide, user: int, item: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the user's friends who took the item, i32[N], and their influence, f32[N]."""
    own = slice(side.friends.offsets[user], side.friends.offsets[user + 1])
    friends, weight = np.asarray(side.friends.columns)[own], np.asarray(side.friends.values)[own]
    offsets, taken = np.asarray(side.taken.offsets), np.asarray(side.taken.columns)
    took = np.array([item in taken[offsets[b] : offsets[b + 1]] for b in friends], bool)
    return friends[took], weight[took]


class ContextMFLayers(nn.Module):
    """The free embeddings and c."""

    settings: ContextMF
    num_users: int
    num_items: int

    @nn.compact
    def __call__(self, side: ContextMFSide) -> ContextMFState:
        settings = self.settings
        tables = settings.tables(self.num_users, self.num_items, name="tables")()
        influence = self.param("influence", nn.initializers.constant(settings.start_influence), ())
        return ContextMFState(*tables, influence, side.taken_by_friends)
