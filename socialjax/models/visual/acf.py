"""ACF: a user's history, pooled by attention (Chen, Zhang, He, Nie, Liu, Chua: Attentive Collaborative Filtering, SIGIR
2017).

Every network over several vectors is taken apart: W [u, v] = W_u u + W_v v, so users, items and components are
projected to a few numbers first and only those are gathered; no array of edges is as wide as an embedding or a feature.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Traits
from socialjax.graph import Edges, distinct, edges
from socialjax.models.history import elements
from socialjax.models.parts import DotProductModel, Factors, pair_dot, require_at_least
from socialjax.models.visual.item_features import scaled
from socialjax.ops import lookup, sample
from socialjax.ops.lookup import row_sums, segment_softmax
from socialjax.ops.propagate import Diffusion, diffusion, propagate


@struct.dataclass
class Components:
    """Features of the components of items, such as frames.

    Attributes:
      offsets: i32[I + 1]; item l has rows offsets[l]..offsets[l + 1] - 1 of the features.
      features: f32[T, F].
      edge: i32[P], the edge of each component of each item of a history, ascending; None until `expanded`.
      row: i32[P], its row of the features; None until `expanded`.
    """

    offsets: jax.Array
    features: jax.Array
    edge: jax.Array | None = None
    row: jax.Array | None = None


def expanded(components: Components, senders: np.ndarray) -> Components:
    """With the components of the items senders i32[E] of all edges (NumPy)."""
    offsets = np.asarray(components.offsets)
    count = np.diff(offsets)[senders]
    edge = np.repeat(np.arange(len(senders)), count)
    row = offsets[:-1][senders][edge] + np.arange(len(edge)) - (np.cumsum(count) - count)[edge]
    return components.replace(edge=edge.astype(np.int32), row=row.astype(np.int32))


class HistoryAttention(nn.Module):
    """The attention networks over items and over components.

    The names of the modules, such as `item_look`, are keys of checkpoints.

    Attributes:
      width: Hidden width H of both networks.
    """

    width: int

    def setup(self):
        dense = lambda bias=False: nn.Dense(self.width, use_bias=bias)  # noqa: E731
        self.item_user, self.item_vector, self.item_auxiliary, self.item_look = dense(True), dense(), dense(), dense()
        self.item_head = self.param("item_head", nn.initializers.lecun_normal(), (self.width, 1))
        self.component_user, self.component_look = dense(True), dense()
        self.component_head = Head(self.width)

    def __call__(self, side, users, items, auxiliary):
        """The logits f32[E] of the items of all histories.

        Args:
          side: An `ACFSide` with E edges.
          users: f32[U, D], u.
          items: f32[I, D], v.
          auxiliary: f32[I, D], p.
        """
        senders, receivers = jnp.asarray(side.past.senders), jnp.asarray(side.past.receivers)
        item_terms = self.item_vector(items) + self.item_auxiliary(auxiliary)
        if side.images is not None:
            item_terms = item_terms + self.item_look(side.images)
        hidden = self.item_user(users)[receivers] + item_terms[senders]
        if side.components is not None:
            hidden = hidden + self.attended_components(side.components, users, receivers)
        return row_sums(nn.relu(hidden) * self.item_head[:, 0][None, :])

    def attended_components(self, components: Components, users, receivers):
        """W1x xbar, the projected sum over components by attention, f32[E, width]; 0 without components."""
        edge, row, num_edges = jnp.asarray(components.edge), jnp.asarray(components.row), receivers.shape[0]
        user_terms, component_terms = self.component_user(users), self.component_look(components.features)
        share = self.component_shares(user_terms, component_terms, receivers, edge, row, num_edges)
        messages = self.item_look(components.features)
        return jax.ops.segment_sum(share[:, None] * messages[row], edge, num_edges, indices_are_sorted=True)

    def component_shares(self, user_terms, component_terms, receivers, edge, row, num_edges):
        """beta f32[P], which sums to 1 over the components of each edge's item."""
        logits = self.component_head(nn.relu(user_terms[receivers[edge]] + component_terms[row]))
        return segment_softmax(logits, edge, num_edges)


class Head(nn.Module):
    """The output f32[N] of hidden f32[N, width], without a bias."""

    width: int

    @nn.compact
    def __call__(self, hidden):
        head = self.param("kernel", nn.initializers.lecun_normal(), (self.width, 1))
        return row_sums(hidden * head[:, 0][None, :])


def leave_one_out(past: Diffusion, logits: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Each user's item of the largest logit, and the history pooled by attention without it.

    With them any item can be left out exactly. The weight of an item that is not the largest is at most a half, so it
    can be subtracted and the rest divided by 1 - weight; for the largest item that could divide by nearly 0.

    Args:
      past: Edges item -> user.
      logits: f32[E].
      values: f32[I, D], the vectors to pool.

    Returns:
      The item of the largest logit i32[U], -1 without a history, and the pooled others f32[U, D], 0 where there are
      none.
    """
    users, items, n = jnp.asarray(past.receivers), jnp.asarray(past.senders), past.num_receivers
    largest = jax.ops.segment_max(jax.lax.stop_gradient(logits), users, n, indices_are_sorted=True)
    candidate = jnp.where(logits == largest[users], items, -1)  # of ties one
    top = jnp.maximum(jax.ops.segment_max(candidate, users, n, indices_are_sorted=True), -1)
    is_top = items == top[users]
    others = segment_softmax(jnp.where(is_top, -1e30, logits), users, n)
    return top, propagate(past, values, jnp.where(is_top, 0.0, others))


@struct.dataclass
class ACFSide:
    """Histories and the features that attention reads.

    Attributes:
      past: Edges item -> user, capped histories, by user and item.
      offsets: i32[U + 1], the first edge of each user.
      images: f32[I, F] of mean length 1, the only component of each item; None without features or with `components`.
      components: Several components for each item, or None.
      search_steps: Steps of a binary search in the longest history.
    """

    past: Diffusion
    offsets: jax.Array
    images: jax.Array | None
    components: Components | None
    search_steps: int = struct.field(pytree_node=False)


@struct.dataclass
class ACFState(Factors):
    """Factors, and what the users' are computed from.

    Attributes:
      share: f32[E], the attention weight of each edge.
      logits: f32[E], its logit.
      pooled: f32[U, D], the pooled histories.
      auxiliary: f32[I, D], p, which they pool.
      attention: Parameters of the attention, for new users.
    """

    share: jax.Array
    logits: jax.Array
    pooled: jax.Array
    auxiliary: jax.Array
    attention: dict


@dataclasses.dataclass(frozen=True)
class ACF(DotProductModel):
    """s = <u_a + sum over l in R_a of alpha_al p_l, v_i> + b_i; the published form has no b_i.

        beta_alm = softmax over the components m of l of   w2 . relu(W2u u_a + W2x x_lm + b2)
        alpha_al = softmax over the items l in R_a of      w1 . relu(W1u u_a + W1v v_l + W1p p_l + W1x xbar_al + b1)

    with xbar_al = sum over m of beta_alm x_lm (Chen et al., SIGIR 2017, Eq. 5-11). Features act on the attention alone,
    never on the score; without them there is no W1x. The components of an item are its frames where the data has
    frames; else its row of features is the only one, so that beta is 1; `with_components` gives it others. Biases of
    the outputs would fall out of both softmaxes.

    Attributes:
      attention_dim: H, hidden width of both networks, at least 1; 64 in the published code, where a step costs about as
        many numbers for every edge.
      history_cap: Most items in R_a, drawn once by a hash of user and item; 0 takes all training items.
      exclude_target: Whether the training item is left out of the history that scores it, with alpha renormalised over
        the rest; otherwise the model learns to attend to the answer. Evaluation attends to the whole history.
    """

    traits: ClassVar[Traits] = Traits(uses=("item_features", "frames"), new_users=True)

    attention_dim: int = 16
    history_cap: int = 50
    exclude_target: bool = True

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, attention_dim=1)
        if not self.history_cap >= 0:
            raise ValueError(f"history_cap must be at least 0, 0 for whole histories, got {self.history_cap}")

    def prepare(self, columns) -> ACFSide:
        users, items = distinct(columns.train.user, columns.train.item, columns.num_items)
        if self.history_cap:
            users, items = capped(users, items, self.history_cap)
        past, frames = edges(items, users, columns.num_items, columns.num_users), columns.frames
        if frames is None:
            return _side(past, scaled(columns.item_features), None)
        return with_components(_side(past, None, None), frames.offsets, frames.features)

    def _attention(self) -> HistoryAttention:
        return HistoryAttention(self.attention_dim)

    def init(self, rng, side: ACFSide):
        """u, v and b as in BPR, p from `start`, the networks from LeCun's distribution."""
        past = side.past
        tables = self.tables(past.num_receivers, past.num_senders)
        params = {"tables": tables.init(rng)["params"]}
        params["auxiliary"] = self.initializer(jax.random.fold_in(rng, 0), (past.num_senders, self.dim))
        users, items, _ = tables.apply({"params": params["tables"]})
        key = jax.random.fold_in(rng, 1)
        params["attention"] = self._attention().init(key, side, users, items, params["auxiliary"])["params"]
        return params

    def encode(self, params, side: ACFSide) -> ACFState:
        past, auxiliary, weights = side.past, jnp.asarray(params["auxiliary"]), params["attention"]
        tables = self.tables(past.num_receivers, past.num_senders)
        users, items, bias = tables.apply({"params": params["tables"]})
        logits = self._attention().apply({"params": weights}, side, users, items, auxiliary)
        share = segment_softmax(logits, past.receivers, past.num_receivers)
        pooled = propagate(past, auxiliary, share)
        return ACFState(users + pooled, items, bias, share, logits, pooled, auxiliary, weights)

    def squared_norms(self, params):
        """u_a of the user; v_i, b_i and p_i of the item."""
        users, items = self.table_norms(params["tables"])
        return users, items + jnp.sum(params["auxiliary"] ** 2, axis=1)

    def training_users(self, params, side: ACFSide, state: ACFState, batch: Batch):
        users = state.users[batch.users]
        if not self.exclude_target or not side.past.senders.size:
            return users
        top, rest = leave_one_out(side.past, state.logits, state.auxiliary)
        rows = lookup.SparseRows(side.offsets, side.past.senders, state.share, side.past.num_senders, side.search_steps)
        share = lookup.search(rows, batch.users, batch.items[:, None])  # 0 for a target that the cap left out
        is_top = top[batch.users] == batch.items
        share = jnp.where(is_top[:, None], 0.0, share)  # elsewhere at most a half, so that 1 - share is safe
        pooled = state.pooled[batch.users]
        without = (pooled - share * state.auxiliary[batch.items]) / (1.0 - share)
        return users - pooled + jnp.where(is_top[:, None], rest[batch.users], without)

    def explain(self, state: ACFState, side: ACFSide, users, items):
        """Parts `own_vector`, <u_a, v_i>, `history` with attention and contribution of each item, and `item_bias`."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        towards, pooled = np.asarray(state.items)[items], np.asarray(state.pooled)[users]
        parts = {
            "own_vector": pair_dot(np.asarray(state.users)[users] - pooled, towards),
            "history": pair_dot(pooled, towards),
        }
        attended = side.past.replace(weight=np.asarray(state.share))
        return self.explained(
            state, users, items, parts, {"history": elements(attended, np.asarray(state.auxiliary), users, towards)}
        )

    def new_user(self, state: ACFState, side: ACFSide, items, friends):
        """The items pooled by attention, for a user whose u_a is 0."""
        items = np.unique(np.asarray(items, np.int32))
        if not len(items):
            return np.zeros(self.dim, np.float32)
        alone = edges(items, np.zeros_like(items), side.past.num_senders, 1)
        alone = _side(alone, side.images, side.components)
        own = jnp.zeros((1, self.dim))
        logits = self._attention().apply({"params": state.attention}, alone, own, state.items, state.auxiliary)
        share = segment_softmax(logits, jnp.asarray(alone.past.receivers), 1)
        return np.asarray(share @ jnp.asarray(state.auxiliary)[items])


def _side(past: Edges, images, components: Components | None) -> ACFSide:
    graph = diffusion(past)
    degree = np.bincount(graph.receivers, minlength=graph.num_receivers)
    offsets = np.concatenate([[0], np.cumsum(degree)]).astype(np.int32)
    if components is not None:
        components = expanded(components, graph.senders)
    return ACFSide(graph, offsets, images, components, int(degree.max(initial=0)).bit_length())


def with_components(side: ACFSide, offsets, features) -> ACFSide:
    """The side with several components for each item in place of its image (NumPy).

    Args:
      side: As `ACF.prepare` gives it.
      offsets: i64[I + 1]; item l has rows offsets[l]..offsets[l + 1] - 1 of the features, maybe none.
      features: f32[T, F].

    Raises:
      ValueError: for offsets that do not fit the items or the rows.
    """
    offsets, num_items = np.asarray(offsets), side.past.num_senders
    if len(offsets) != num_items + 1 or offsets[0] != 0 or offsets[-1] != len(features) or (np.diff(offsets) < 0).any():
        raise ValueError(
            f"offsets must be {num_items + 1} numbers that rise from 0 to {len(features)}, one more than there are "
            f"items, got {len(offsets)} from {offsets[0]} to {offsets[-1]}; give the first row of each item's, and T"
        )
    components = Components(offsets.astype(np.int32), scaled(features))
    return side.replace(images=None, components=expanded(components, np.asarray(side.past.senders)))


def capped(users: np.ndarray, items: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `most` pairs of each user, those whose hash is smallest, of distinct pairs i[N], i[N] (NumPy)."""
    key = np.asarray(sample.fold(sample.fold(sample.OTHERS, users), items))
    order = np.lexsort((items, key, users))
    first = np.searchsorted(users[order], users[order])
    kept = np.sort(order[np.arange(len(order)) - first < most])
    return users[kept], items[kept]
