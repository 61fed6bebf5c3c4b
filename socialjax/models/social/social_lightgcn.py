"""LightGCN whose users also aggregate their friends; a contrastive loss of two noised views is an option.

Not a published model: LightGCN (He et al., SIGIR 2020) with the social mean of DiffNet in every layer, the strongest
prototype on DiffNet's Yelp. The contrast is SimGCL's (Yu et al., SIGIR 2022, Eq. 3 and 7) with sampled other nodes: two
views of an embedding under small uniform noise are closer to each other than to views of other users or items.
"""

import dataclasses
import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import OF_USERS, Batch, Choice, LogUniform, Touched, Traits, Uniform
from socialjax.models.history import HISTORY, Bipartite, aggregate, bipartite, elements
from socialjax.models.neighbourhoods import Growth, drawn_graph
from socialjax.models.parts import (
    DotProductModel,
    Factors,
    named_rows,
    pair_dot,
    require_at_least,
    require_depth,
    require_share,
)
from socialjax.models.social.shared import friends
from socialjax.ops import losses, sample
from socialjax.ops.activations import unit
from socialjax.ops.forest import Neighbours
from socialjax.ops.lookup import candidate_scores
from socialjax.ops.propagate import Diffusion, propagate
from socialjax.ops.ring import SpreadEdges


def contrast(key, table, ids, rows, noise: float, temperature: float, num_others: int) -> jax.Array:
    """InfoNCE of a node's two views against the views of sampled other nodes.

    Similarity is cosine / temperature; other nodes are drawn uniformly. A view depends on node and key alone, so the
    whole table is noised once, not each row's candidates. The paper adds noise in every layer, before the mean, and
    contrasts with the other nodes of the batch; here the final embedding is noised once, and rows do not depend on each
    other.

    Args:
      key: u32.
      table: f32[N, D], embeddings.
      ids: i32[B], the node of each row.
      rows: u32[B], numbers of the rows in the global batch.
      noise: Length of the noise.
      temperature: Divides the cosines.
      num_others: Other nodes for each row.

    Returns:
      f32[B], -log of the softmax share of the node's own second view.
    """
    size = table.shape[0]
    if size == 1:  # no other node to contrast with
        return jnp.zeros(ids.shape[0])
    drawn = sample.fold(sample.fold(key, sample.OTHERS), rows)[:, None]
    others = sample.below(sample.fold(drawn, jnp.arange(num_others)[None, :]), size - 1)
    others = others + (others >= ids[:, None])
    noises = sample.fold(key, sample.NOISE)
    first = unit(noised(sample.fold(noises, 0), table[ids], ids, noise))
    second = unit(noised(sample.fold(noises, 1), table, jnp.arange(size), noise))
    similarity = candidate_scores(first, second, jnp.concatenate([ids[:, None], others], axis=1))
    return losses.softmax(similarity[:, 0], similarity[:, 1:], temperature)


def noised(key, vectors: jax.Array, nodes: jax.Array, length: float) -> jax.Array:
    """Embeddings with random noise of a given length, which keeps all signs (Eq. 3).

    Args:
      key: u32; the noise is a hash of key, node and column.
      vectors: f32[N, D].
      nodes: i32[N], their ids.
      length: Length of the noise.

    Returns:
      f32[N, D].
    """
    bits = sample.fold(sample.fold(key, nodes)[:, None], jnp.arange(vectors.shape[1])[None, :])
    return vectors + length * jnp.sign(vectors) * unit((bits >> 8).astype(jnp.float32) * 2.0**-24)


USERS, ITEMS = 0, 1  # keys: the contrast of users and that of items share no random numbers


@struct.dataclass
class SocialLightGCNSide:
    """Both graphs.

    Attributes:
      graph: Users and items, symmetric weights.
      social: Edges friend -> user, mean-weighted.
    """

    graph: Bipartite
    social: Diffusion


@struct.dataclass
class SocialLightGCNState(Factors):
    """Factors, and the messages of all layers; propagation is linear, so sums suffice to explain and for new users.

    Attributes:
      user_messages: f32[U, D], the sum of the users' layers 0..K-1.
      item_messages: f32[I, D], the sum of the items' layers 0..K-1.
    """

    user_messages: jax.Array
    item_messages: jax.Array


@dataclasses.dataclass(frozen=True)
class SocialLightGCN(DotProductModel):
    """u^{k+1} = A v^k + social_weight * mean of u^k over friends; v^{k+1} = A' u^k; the mean of layers 0..K is scored.

    Not published: LightGCN (He et al., SIGIR 2020, Eq. 3) with DiffNet's mean of friends and, as an option, the
    contrast of SimGCL (Yu et al., SIGIR 2022, Eq. 3 and 7); docs/tables.md has its results.

    Attributes:
      depth: K, the number of layers, 0..8.
      social_weight: Weight of the friends' mean against the messages of the user's items; 0 is LightGCN.
      symmetric: Whether links count in both directions.
      node_dropout: Share of users and items whose messages are dropped in one layer of a training step, in [0, 1).
      contrast: Weight of the contrastive term of each row, its user's and its item's; 0 for none.
      contrast_noise: Length of the noise that makes the two views of a vector (SimGCL, Eq. 3).
      contrast_temperature: Divides the cosines of the contrastive term, above 0.
      contrast_negatives: Other nodes, drawn uniformly, that each is contrasted with; at least 1.
    """

    traits: ClassVar[Traits] = Traits(needs=("links",), new_users=True)
    search_space: ClassVar = {
        "depth": Choice((1, 2, 3)),
        "social_weight": LogUniform(0.3, 3.0),
        "node_dropout": Uniform(0.0, 0.4),
    }

    depth: int = 2
    social_weight: float = 1.0
    symmetric: bool = True
    node_dropout: float = 0.0
    contrast: float = 0.0
    contrast_noise: float = 0.1
    contrast_temperature: float = 0.2
    contrast_negatives: int = 64

    def __post_init__(self):
        super().__post_init__()
        require_depth(self)
        require_share(self, "node_dropout")
        require_at_least(self, contrast=0, contrast_noise=0, contrast_temperature=1e-6, contrast_negatives=1)

    def prepare(self, columns) -> SocialLightGCNSide:
        self.check(columns)
        return SocialLightGCNSide(bipartite(columns), friends(columns, self.symmetric))

    def _tables(self, side):
        return self.tables(side.graph.num_users, side.graph.num_items)

    def init(self, rng, side):
        return self._tables(side).init(rng)["params"]

    def squared_norms(self, params):
        return self.table_norms(params)

    def touched(self, side: SocialLightGCNSide, batch, rng) -> Touched | None:
        if not isinstance(side.social, Neighbours):
            return None
        if self.contrast:
            raise ValueError(
                "contrast compares a node with any others, which sampled neighbourhoods do not hold; set it to 0"
            )
        growth = Growth(batch, rng)
        drawn = SocialLightGCNSide(*drawn_graph(growth, side.graph, self.depth, side.social))
        return Touched(named_rows(*growth.rows, self.item_bias), drawn, growth.numbered)

    def encode(self, params, side) -> SocialLightGCNState:
        return self._diffuse(params, side, lambda k, users, items: (users, items))

    def training_state(self, params, side, rng):
        def dropped(k, users, items):
            drop = functools.partial(sample.node_dropout, rng, k, rate=self.node_dropout)
            if isinstance(side.social, SpreadEdges):  # users and items stay on their devices
                return drop(users), drop(items, first=len(users))
            nodes = drop(jnp.concatenate([users, items]))  # compiled otherwise, the last bits of all results change
            return nodes[: len(users)], nodes[len(users) :]

        return self._diffuse(params, side, dropped)

    def _diffuse(self, params, side, messages) -> SocialLightGCNState:
        users, items, bias = self._tables(side).apply({"params": params})
        total = [users, items]
        before = [jnp.zeros_like(users), jnp.zeros_like(items)]
        for k in range(self.depth):
            before = total
            sent = messages(k, users, items)
            users, items = aggregate(side.graph, *sent)
            users = users + self.social_weight * propagate(side.social, sent[0])
            total = [total[0] + users, total[1] + items]
        return SocialLightGCNState(total[0] / (self.depth + 1), total[1] / (self.depth + 1), bias, *before)

    def penalty(self, params, side, state: SocialLightGCNState, batch: Batch, rng):
        if self.contrast == 0:
            return None
        settings = self.contrast_noise, self.contrast_temperature, self.contrast_negatives
        key = sample.fold(rng, sample.OTHERS)
        of_users = contrast(sample.fold(key, USERS), state.users, batch.users, batch.rows, *settings)
        of_items = contrast(sample.fold(key, ITEMS), state.items, batch.items, batch.rows, *settings)
        return self.contrast * (of_users + of_items)

    def explain(self, state: SocialLightGCNState, side: SocialLightGCNSide, users, items):
        """Parts `own_vector` (layer 0), `history` and `friends`, by the last edge of a path, and `item_bias`.

        Elements: the messages of each item and friend in all layers, with the weight of the edge times social_weight.
        """
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        towards = np.asarray(state.items)[items]
        elements_by_part = {}
        for name, kind, edges, messages, weight in (
            ("history", HISTORY, side.graph.to_users, state.item_messages, 1.0),
            ("friends", OF_USERS, side.social, state.user_messages, self.social_weight),
        ):
            rows = elements(edges, np.asarray(messages), users, towards, kind)
            elements_by_part[name] = dataclasses.replace(
                rows,
                weight=rows.weight * np.float32(weight),
                contribution=rows.contribution * np.float32(weight / (self.depth + 1)),
            )
        aggregated = {
            name: np.array([row.sum() for row in np.split(rows.contribution.astype(np.float64), rows.offsets[1:-1])])
            for name, rows in elements_by_part.items()
        }
        taste = pair_dot(np.asarray(state.users)[users], towards)
        parts = {"own_vector": taste - sum(aggregated.values()), **aggregated}
        parts = {name: part.astype(np.float32) for name, part in parts.items()}
        return self.explained(state, users, items, parts, elements_by_part)

    def new_user(self, state: SocialLightGCNState, side: SocialLightGCNSide, items, friends):
        """The aggregated messages of a user whose layer 0 is 0 and who sends no messages to others."""
        aggregated = np.zeros(state.users.shape[1], np.float32)
        if len(items):
            weight = (len(items) * np.maximum(np.asarray(side.graph.item_degree)[items], 1)) ** -0.5
            aggregated = aggregated + weight @ np.asarray(state.item_messages)[items]
        if len(friends):
            aggregated = aggregated + self.social_weight * np.asarray(state.user_messages)[friends].mean(axis=0)
        return (aggregated / (self.depth + 1)).astype(np.float32)
