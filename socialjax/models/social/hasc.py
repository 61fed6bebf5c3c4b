"""HASC: hierarchical attention over whom a user follows, what a user uploads, and who made the image.

Wu, Chen, Hong, Fu, Xie, Wang: A Hierarchical Attention Model for Social Contextual Image Recommendation, TKDE 2019.
This is the model of the paper's figure. The released script computes another one: in training the social sum repeats
the user's own q_a, bottom weights are no softmax, and all rows of a batch share one gamma.

Explanations are computed on the host. They rest on contributions, not on attention weights: a large gamma on a short
vector adds nothing (docs/hasc.md).
"""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Explanation, Kind, Ragged, Traits
from socialjax.models.history import incoming_edges
from socialjax.models.parts import EmbeddingModel, Factors, pair_dot, require_at_least
from socialjax.models.social import hasc_layers as attention
from socialjax.models.social.hasc_layers import HASCLayers, HASCSide, hasc_side
from socialjax.ops import lookup
from socialjax.ops.lookup import candidate_scores

ASPECTS = ("upload", "social", "owner")
KINDS = {
    "upload": Kind(("item",), "own uploads"),
    "social": Kind(("user",), "users followed"),
    "owner": Kind(("user",), "who made it"),
    "aspects": Kind(("aspect",), "weights of aspects", names=ASPECTS),
}
LABELS = {"interest": "own interest", "past_owner": "own past with who made it"}  # of the parts without elements


def explain(model, state, side, users, items) -> Explanation:
    """Parts: `interest` <p_a, w_i>, `upload`, `social` and `owner` gamma_l <z_l, w_i>, `past_owner`, `item_bias`.

    Elements: `upload` the user's images with alpha, `social` the users followed with beta, `owner` the image's owner
    with gamma_3, each with its share of the part. Under MAX the weight is the share of numbers that are the largest.
    `aspects` is no part but the rows of the attention over aspects, 0, 1, 2 for upload, social, owner, with gamma.
    """
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    towards = np.asarray(state.items, np.float64)[items]
    parts = {"interest": pair_dot(np.asarray(state.users)[users], towards)}
    if model.aspects == "none":
        return _with_past(model, state, users, items, parts, {})
    owner = np.asarray(state.owner)[items]
    gamma = np.asarray(model.gamma(state, users, owner[:, None]))[:, 0].astype(np.float64)
    elements = {}
    pooled = ((side.uploads, state.uploads, state.alpha), (side.follows, state.friends, state.beta))
    for column, (edges, context, weight) in enumerate(pooled):
        if context is None:
            continue
        name = ASPECTS[column]
        parts[name] = (gamma[:, column] * pair_dot(np.asarray(context)[users], towards)).astype(np.float32)
        messages = np.asarray(state.messages[column], np.float64)
        elements[name] = _elements(model, edges, weight, messages, users, towards * gamma[:, column, None], KINDS[name])
    if state.owners is not None:
        parts["owner"] = (gamma[:, 2] * pair_dot(np.asarray(state.owners)[owner], towards)).astype(np.float32)
        known = owner < len(np.asarray(state.users))
        elements["owner"] = _ragged(
            known.astype(int), owner[known], gamma[known, 2], parts["owner"][known], KINDS["owner"]
        )
    names = [name for name in ASPECTS if name in parts]
    of_gamma = gamma[:, [ASPECTS.index(name) for name in names]]
    added = np.stack([parts[name] for name in names], axis=1)
    which = np.tile([ASPECTS.index(name) for name in names], len(users))
    count = np.full(len(users), len(names))
    elements["aspects"] = _ragged(count, which, of_gamma.ravel(), added.ravel(), KINDS["aspects"])
    return _with_past(model, state, users, items, parts, elements)


def _with_past(model, state, users, items, parts, elements) -> Explanation:
    if state.past is not None:
        past = np.asarray(model.past_of(state, users, items[:, None]))[:, 0]
        parts = {**parts, "past_owner": past.astype(np.float32)}
    return model.explained(state, users, items, parts, elements, LABELS)


def _elements(model, edges, weight, messages, users, towards, kind) -> Ragged:
    """What each sender adds to <context of the users, towards>: messages f64[N, D], towards f64[P, D]."""
    positions, pair, offsets = incoming_edges(edges, users)
    ids = np.asarray(edges.senders)[positions]
    if weight is None:  # MAX: whose numbers are the largest; equal ones share
        best = np.full(towards.shape, -np.inf)
        np.maximum.at(best, pair, messages[ids])
        is_max = (messages[ids] == best[pair]).astype(np.float64)
        winners = np.zeros(towards.shape)
        np.add.at(winners, pair, is_max)
        share = is_max / winners[pair]
    else:
        share = np.repeat(np.asarray(weight, np.float64)[positions][:, None], messages.shape[1], axis=1)
    weighted = share * messages[ids]
    if model.normalise_aspects:
        total = np.zeros(towards.shape)
        np.add.at(total, pair, weighted)
        weighted = weighted / np.sqrt(np.maximum((total**2).sum(axis=1), 1e-12))[pair, None]
    return _ragged(np.diff(offsets), ids, share.mean(axis=1), (weighted * towards[pair]).sum(axis=1), kind)


def _ragged(count, ids, weight, contribution, kind) -> Ragged:
    offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    return Ragged(offsets, ids.astype(np.int32), weight.astype(np.float32), contribution.astype(np.float32), kind)


TABLE_UP_TO = 20  # items of the catalogue for each candidate, up to which whole rows are scored and picked from
Mechanism = Literal["avg", "max", "att"]


@struct.dataclass
class HASCState(Factors):
    """Factors p_a, w_i, b_i, and what of the contexts does not depend on the pair.

    Attributes:
      owner: i32[I], the owner of each image, U where it is unknown.
      uploads: f32[U, D], x~; None without the aspect.
      friends: f32[U, D], q~; None without the aspect.
      owners: f32[U + 1, D], q of owners, 0 for U; None without the aspect.
      has_elements: bool[U, 2], who has uploads and who follows somebody.
      top: The attention over aspects.
      alpha: f32[E], weights of the uploads; None for bottom max.
      beta: f32[E'], weights of the followees; None for bottom max.
      messages: x f32[I, D] and q f32[U, D], the tables that were pooled, None without the aspect.
      past: Training items of each user by owner; None without owner_history.
      past_weight: f32[], the weight of ln(1 + past); None without owner_history.
    """

    owner: jax.Array | None
    uploads: jax.Array | None
    friends: jax.Array | None
    owners: jax.Array | None
    has_elements: jax.Array
    top: attention.TopState
    alpha: jax.Array | None
    beta: jax.Array | None
    messages: tuple[jax.Array | None, jax.Array | None]
    past: lookup.SparseRows | None
    past_weight: jax.Array | None


@dataclasses.dataclass(frozen=True)
class HASC(EmbeddingModel):
    """s = <w_i, p_a + gamma_1 x~_a + gamma_2 q~_a + gamma_3 q_owner(i)> + b_i, gamma = gamma(a, owner(i)).

    x~_a is the alpha-weighted sum of x_j over a's uploads, q~_a the beta-weighted sum of q_b over those a follows;
    alpha, beta and gamma are attention weights, which depend on the image's owner, so the score is no product of two
    vectors. Wu et al., TKDE 2019; docs/hasc.md has the equations and what is not the paper's.

    Attributes:
      dim: Embedding size D, at least 1; 15 in the released script.
      hidden: H, hidden width of the attention networks, at least 1.
      aspects: Which aspects the score has, of Uploads, Social and Creator (owner); none is BPR.
      bottom: Pooling of a user's uploads and followees: avg, uniform weights; max, the largest of each number; or att,
        attention.
      top: Pooling of the aspects: avg, uniform weights; max, the aspect with the largest score, straight-through; or
        att, attention. An aspect without elements is left out of the softmax; without any, p_a stands alone.
      activation: Of the hidden layer of the attention networks.
      visual_inputs: Whether attention reads image features and each user's profile (given, or the mean over their
        training items) beside the ids; absent where the data has none.
      social_inputs: Whether attention reads each user's social features (given, or spectral ones of the follow graph)
        beside the ids.
      per_aspect_head: Whether each aspect has an output vector of its own in the top attention.
      normalise_aspects: Whether x~, q~ and q have length 1, so that gamma alone says how much an aspect counts.
      content_map: Whether one linear map of image features is added to w_i and x_i; needs item features.
      owner_history: Not in the paper: whether the score has past_weight * ln(1 + how many of a's training items are of
        owner(i)), the target left out in training.
      l2: Lambda on the squared norms of p, q, w, b and x in a batch's rows. Networks and maps are not regularised.
      dropout: Share of the numbers of p_a set to zero in training, in [0, 1).
    """

    traits: ClassVar[Traits] = Traits(
        needs=("links", "owners"), uses=("user_features", "item_features", "social_features")
    )

    dim: int = 15
    hidden: int = 20
    aspects: Literal["USC", "US", "UC", "SC", "U", "S", "C", "none"] = "USC"
    bottom: Mechanism = "att"
    top: Mechanism = "att"
    activation: Literal["relu", "elu"] = "relu"
    visual_inputs: bool = True
    social_inputs: bool = True
    per_aspect_head: bool = False
    normalise_aspects: bool = False
    content_map: bool = False
    owner_history: bool = False
    l2: float = 1e-3

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, hidden=1)

    def has(self, aspect: Literal["U", "S", "C"]) -> bool:
        """Whether the aspect is among `aspects`."""
        return self.aspects != "none" and aspect in self.aspects

    def prepare(self, columns) -> HASCSide:
        self.check(columns)
        return hasc_side(self, columns)

    def _layers(self, side: HASCSide) -> HASCLayers:
        return HASCLayers(self, side.num_users, side.num_items)

    def init(self, rng, side):
        return self._layers(side).init(rng, side)["params"]

    def encode(self, params, side) -> HASCState:
        return HASCState(**self._layers(side).apply({"params": params}, side))

    def squared_norms(self, params):
        """p_a and q_a of the user; w_i, b_i and x_i of the item. Networks, maps and the past's weight are free."""
        users, items = self.table_norms(params["tables"])
        if "followees" in params:
            users = users + jnp.sum(params["followees"] ** 2, axis=1)
        return users, items + jnp.sum(params["uploads"] ** 2, axis=1) if "uploads" in params else items

    def gamma(self, state: HASCState, users: jax.Array, owners: jax.Array) -> jax.Array:
        """Weights of the three aspects.

        Args:
          state: As `encode` gives it.
          users: i32[B].
          owners: i32[B, C], or i32[C] for all users alike; U is an unknown owner.

        Returns:
          f32[B, C, 3], 0 for an aspect without elements.
        """
        last = attention.owner_logits(self.activation, state.top, users, owners)
        own = jnp.broadcast_to(state.top.own[users][:, None, :], (*last.shape, 2))
        known = jnp.broadcast_to((owners < state.users.shape[0]) & self.has("C"), last.shape)
        has_elements = jnp.broadcast_to(state.has_elements[users][:, None, :], (*last.shape, 2))
        stacked = jnp.concatenate([own, last[..., None]], axis=2)
        soft = attention.masked_softmax(stacked, jnp.concatenate([has_elements, known[..., None]], axis=2))
        return attention.hard(soft) if self.top == "max" else soft

    def score(self, state: HASCState, users, items):
        users, items = jnp.asarray(users), jnp.asarray(items)
        if state.items.shape[0] > TABLE_UP_TO * items.shape[1]:
            taste = candidate_scores(state.users[users], state.items, items) + state.item_bias[items]
            return taste + self._contexts(state, users, items) + self.past_of(state, users, items)
        return jnp.take_along_axis(self._table(state, users), items, axis=1, mode="promise_in_bounds")

    def extra_scores(self, state: HASCState, side: HASCSide, batch: Batch, candidates):
        """The terms of the contexts and of the past, from which the batch's item itself is left out."""
        added = self._contexts(state, batch.users, candidates)
        return added + self.past_of(state, batch.users, candidates, left_out=batch.items)

    def _contexts(self, state: HASCState, users, items):
        """sum over aspects of gamma_l <z_l, w_i>, for users i32[B] and items i32[B, C]: f32[B, C]."""
        if self.aspects == "none":
            return jnp.zeros(items.shape)
        towards, owners = state.items[items], state.owner[items]
        weight, added = self.gamma(state, users, owners), jnp.zeros(items.shape)
        for column, context in enumerate((state.uploads, state.friends)):
            if context is not None:
                added += weight[:, :, column] * jnp.sum(context[users][:, None, :] * towards, axis=2)
        if state.owners is not None:
            added += weight[:, :, 2] * jnp.sum(state.owners[owners] * towards, axis=2)
        return added

    def past_of(self, state: HASCState, users, items, left_out: jax.Array | None = None):
        """The term of a user's past with the images' owners.

        Args:
          state: As `encode` gives it.
          users: i32[B].
          items: i32[B, C].
          left_out: i32[B], a training item of each user that does not count, or None.

        Returns:
          f32[B, C], or 0 without owner_history.
        """
        if state.past is None:
            return 0.0
        owners = state.owner[items]
        count = lookup.search(state.past, users, owners)
        if left_out is not None:
            count = jnp.maximum(count - (owners == state.owner[left_out][:, None]), 0.0)
        return state.past_weight * jnp.log1p(count)

    def _table(self, state: HASCState, users):
        """All scores f32[B, I] of users i32[B], by products of users x images and users x owners."""

        def product(vectors):  # full float32: the shortened products of GPUs and TPUs would tie and swap neighbours
            return jnp.dot(vectors, state.items.T, precision=jax.lax.Precision.HIGHEST)

        table = product(state.users[users]) + state.item_bias[None, :]
        if state.owner is None:
            return table
        num_owners = state.users.shape[0] + 1
        if self.aspects != "none":
            weight = self.gamma(state, users, jnp.arange(num_owners))
            for column, context in enumerate((state.uploads, state.friends)):
                if context is not None:
                    table += _gather_owners(weight[:, :, column], state.owner) * product(context[users])
            if state.owners is not None:
                quality = jnp.sum(state.owners[state.owner] * state.items, axis=1)
                table += _gather_owners(weight[:, :, 2], state.owner) * quality[None, :]
        if state.past is not None:
            count = lookup.add_rows(state.past, users, jnp.float32(1.0), jnp.zeros((users.shape[0], num_owners)))
            table += state.past_weight * _gather_owners(jnp.log1p(count), state.owner)
        return table

    def explain(self, state: HASCState, side: HASCSide, users, items):
        """Parts `interest`, `upload`, `social`, `owner`, `past_owner` and `item_bias`; see `explain`."""
        return explain(self, state, side, users, items)


def _gather_owners(table: jax.Array, owner: jax.Array) -> jax.Array:
    """Columns owner i32[I] of a table f32[B, O]: f32[B, I]; transposed, so that whole rows are gathered."""
    return table.T[owner].T
