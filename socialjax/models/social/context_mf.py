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

from socialjax.graph import edges, symmetrise
from socialjax.models.parts import FactorModel, Factors, pair_dot
from socialjax.models.protocol import Model, Ragged, Traits
from socialjax.models.social.similarity import cosine, taken_items
from socialjax.ops import lookup, losses, sample
from socialjax.ops.pairs import candidate_scores

TABLE_UP_TO = 100  # items of the catalogue for each candidate, up to which whole rows are scored and picked from


@struct.dataclass
class ContextMFSide:
    """heard: F = Pi R, f_ai the influence on a of the friends who took i in training; what explanations name: Pi and R.

    Pi and R as sparse rows: friends of a user with their influence, items of a user.
    """

    heard: lookup.SparseRows
    friends: lookup.SparseRows
    taken: lookup.SparseRows


@struct.dataclass
class ContextMFState(Factors):
    """Factors, c f32[] and F."""

    influence: jax.Array
    heard: lookup.SparseRows


@dataclasses.dataclass(frozen=True)
class ContextMF(FactorModel):
    """s = <p_a, q_i> + b_i + c * sum over friends b of pi_ab [b took i in training]; c is learned.

    influence: pi_ab is a softmax over the friends of a, of 0 (`uniform`: the share of friends who took i) or of
    sharpness * cosine of the two users' training items. It is fixed, so that the sums over friends are made once;
    influence learned for each link would make them anew in every step, over all items of all friends, and is left out.
    symmetric: links count in both directions. start_influence: of c.
    A user is no friend of their own, so with `uniform` the pair that is trained on never counts itself. With `cosine`
    its item is among those that make the user like a friend who took it: on Yelp, sharpness 5, friends' influence is a
    quarter higher on training pairs than on test pairs, and c learns to trust it too much.
    """

    traits: ClassVar[Traits] = Traits(needs=("links",))

    influence: Literal["uniform", "cosine"] = "uniform"
    sharpness: float = 5.0
    symmetric: bool = True
    start_influence: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not self.sharpness >= 0:
            raise ValueError(f"sharpness must be at least 0, got {self.sharpness}")

    def prepare(self, columns) -> ContextMFSide:
        self.check(columns)
        n, taken = columns.num_users, taken_items(columns)
        links = edges(columns.links.followee, columns.links.follower, n, n)
        if self.symmetric:
            links = symmetrise(links)
        # Each link once and nobody their own friend, whatever the file holds.
        keys = np.unique(links.receivers.astype(np.int64) * n + links.senders)
        users, friends = keys // n, keys % n
        users, friends = users[users != friends], friends[users != friends]
        logits = self.sharpness * cosine(taken, users, friends) if self.influence == "cosine" else np.zeros(len(users))
        pi = np.exp(logits - np.abs(logits).max(initial=0.0))
        pi = pi / np.bincount(users, pi, n)[users]
        influence = sparse.csr_array((pi.astype(np.float32), (users, friends)), shape=(n, n))
        heard = sparse.csr_array(influence @ taken)
        return ContextMFSide(*(lookup.sparse_rows(rows) for rows in (heard, influence, taken)))

    def _layers(self, side: ContextMFSide) -> "ContextMFLayers":
        return ContextMFLayers(self, len(side.heard.offsets) - 1, side.heard.num_columns)

    def init(self, rng, side):
        return self._layers(side).init(rng, side)["params"]

    def encode(self, params, side) -> ContextMFState:
        return self._layers(side).apply({"params": params}, side)

    def squared_norms(self, params):
        """p_a; q_i and b_i. c is free."""
        return self.table_norms(params["tables"])

    vectors = Model.vectors  # none: what friends took is no dot product of short vectors

    def score(self, state: ContextMFState, users, items):
        users, items = jnp.asarray(users), jnp.asarray(items)
        num_items = state.items.shape[0]
        if num_items > TABLE_UP_TO * items.shape[1]:
            heard = state.influence * lookup.search(state.heard, users, items)
            return candidate_scores(state.users[users], state.items, items) + state.item_bias[items] + heard
        # Full float32: the shortened products of GPUs and TPUs would tie and swap neighbours.
        table = jnp.dot(state.users[users], state.items.T, precision=jax.lax.Precision.HIGHEST)
        table = lookup.add_rows(state.heard, users, state.influence, table + state.item_bias[None, :])
        return jnp.take_along_axis(table, items, axis=1, mode="promise_in_bounds")

    def loss(self, params, side: ContextMFSide, batch, rng):
        """As `FactorModel`'s, with what friends took among the scores."""
        state = self.encode(params, side)
        candidates = jnp.concatenate([batch.items[:, None], batch.negatives], axis=1)
        users = sample.dropout(rng, state.users[batch.users], batch.rows, self.dropout)
        scores = candidate_scores(users, state.items, candidates) + state.item_bias[candidates]
        scores = scores + state.influence * lookup.search(state.heard, batch.users, candidates)
        loss = losses.objective(self.objective, scores[:, 0], scores[:, 1:], self.temperature)
        user_norms, item_norms = self.squared_norms(params)
        norms = user_norms[batch.users] + item_norms[batch.items] + jnp.mean(item_norms[batch.negatives], axis=1)
        total = jnp.sum(batch.weight * (loss + self.l2 * norms))
        return (total, jnp.sum(batch.weight)), {"objective": jnp.sum(batch.weight * loss)}

    def explain(self, state: ContextMFState, side: ContextMFSide, users, items):
        """Parts `own_vector`, `friends` with the share of each friend who took the item, and `item_bias`."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        who = [_friends_who_took(side, user, item) for user, item in zip(users, items)]
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids, _ in who])]).astype(np.int64)
        ids = np.concatenate([np.zeros(0, np.int32), *(ids for ids, _ in who)])
        weight = np.concatenate([np.zeros(0, np.float32), *(weight for _, weight in who)])
        friends = Ragged(offsets, ids, weight, np.asarray(state.influence) * weight)
        pair = np.repeat(np.arange(len(users)), np.diff(offsets))
        parts = {
            "own_vector": pair_dot(np.asarray(state.users)[users], np.asarray(state.items)[items]),
            "friends": np.bincount(pair, friends.contribution, len(users)).astype(np.float32),
        }
        return self.explained(state, users, items, parts, {"friends": friends})


def _friends_who_took(side: ContextMFSide, user: int, item: int) -> tuple[np.ndarray, np.ndarray]:
    """-> (friends i32[N], their influence f32[N])."""
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
        of = self.settings
        tables = of.tables(self.num_users, self.num_items, name="tables")()
        influence = self.param("influence", nn.initializers.constant(of.start_influence), ())
        return ContextMFState(*tables, influence, side.heard)
