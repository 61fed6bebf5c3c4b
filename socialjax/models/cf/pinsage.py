"""PinSage: layers that pool the nodes most visited on random walks (Ying et al., KDD 2018, arXiv 1806.01973).

The original embeds items (pins) that lie on boards, trains on item pairs with a margin and hard negatives, and starts
from features. Here it ranks items for users, as the papers on social recommendation use it: nodes start from free
embeddings and the loss is a ranking loss. The paper makes no difference between pins and boards in what it calls a
node; so users and items are one table of nodes here, and a node's neighbours are users and items alike: mostly the
items that a user took, then the users who took them too and what those took.
"""

import dataclasses
from typing import ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp
from flax import struct

from socialjax.contract import Batch, Choice, LogUniform, Traits
from socialjax.graph import edges, normalise, symmetrise
from socialjax.models.parts import (
    DotProductModel,
    Factors,
    require_at_least,
    require_depth,
    require_share,
    weight_penalty,
)
from socialjax.ops.activations import unit
from socialjax.ops.graph_analysis import visits
from socialjax.ops.propagate import Diffusion, diffusion, propagate


@struct.dataclass
class PinSageSide:
    """The sampled neighbourhoods.

    Attributes:
      neighbours: Edges neighbour -> node, weights of a node sum to 1; nodes 0..U-1 are users, U..U+I-1 items.
      num_users: U.
    """

    neighbours: Diffusion
    num_users: int = struct.field(pytree_node=False)

    @property
    def num_items(self) -> int:
        return self.neighbours.num_receivers - self.num_users


@dataclasses.dataclass(frozen=True)
class PinSage(DotProductModel):
    """n = sum of w_v relu(Q h_v + b) over neighbours; z = relu(W [h, n] + c), h' = z / |z|; after K layers
    x = G_2 relu(G_1 h + g); s = <x_a, x_i> + b_i (Ying et al., KDD 2018, Algorithms 1 and 2; docs/tables.md).

    Normalised layers do not add up, so an explanation has the parts taste and item bias only. A new user is fitted to
    the items' embeddings: the layers have no h_0 for a node without a free embedding.

    Attributes:
      depth: K, the number of layers, 0..8.
      neighbours: Neighbourhood of a node: walks, the nodes visited most on random walks, weighted by visits; or all,
        the nodes that training pairs join to it, weighted alike, which tables call "PinSage (full-neighbour)".
      num_neighbours: Most visited nodes that are kept of each node's walks, at least 1. 50 in the paper; on Yelp, where
        a node has 7 edges on average, 50 would be 2.5 million edges in place of 0.5, most of them to nodes visited
        once.
      walks: Random walks from each node, over training pairs; at least 1.
      walk_length: Steps of a walk, at least 1.
      restart: Probability to return to the start before each step, in [0, 1).
      walk_seed: Seed of the walks.
      normalise_last: Whether x has unit length as well. Scores are then at most 1 and BPR cannot tell good from better:
        use softmax with a low temperature.
      l2: Lambda on the squared norms of the free embeddings and the item bias in a batch's rows.
      init_std: Standard deviation of the free embeddings when start is normal.
      layer_l2: Lambda on the squared norm of the weights of all layers, counted once in the mean of a batch.
    """

    traits: ClassVar[Traits] = Traits(new_users=True)
    search_space: ClassVar = {
        "depth": Choice((1, 2)),
        "init_std": LogUniform(0.01, 0.3),
        "layer_l2": LogUniform(1e-6, 1e-2),
    }

    depth: int = 2
    neighbours: Literal["walks", "all"] = "walks"
    num_neighbours: int = 10
    walks: int = 100
    walk_length: int = 4
    restart: float = 0.5
    walk_seed: int = 0
    normalise_last: bool = False
    l2: float = 0.001
    init_std: float = 0.1
    layer_l2: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        require_depth(self)
        require_at_least(self, layer_l2=0, num_neighbours=1, walks=1, walk_length=1)
        require_share(self, "restart")

    def prepare(self, columns) -> PinSageSide:
        size = columns.num_users + columns.num_items
        pairs = symmetrise(edges(columns.train.user, columns.train.item + columns.num_users, size, size))
        if self.neighbours == "all":
            near = normalise(pairs, "mean")
        else:
            near = visits(pairs, self.walks, self.walk_length, self.restart, self.num_neighbours, self.walk_seed)
        return PinSageSide(diffusion(near), columns.num_users)

    def _layers(self, side: PinSageSide) -> "PinSageLayers":
        return PinSageLayers(self, side.num_users, side.num_items)

    def init(self, rng, side):
        return self._layers(side).init(rng, side)["params"]

    def encode(self, params, side) -> Factors:
        return self._layers(side).apply({"params": params}, side)

    def squared_norms(self, params):
        """The free embeddings and the item bias; of the layers, see `penalty`."""
        return self.table_norms(params["tables"])

    def penalty(self, params, side, state, batch: Batch, rng):
        """layer_l2 times the squared norm of the weights of all layers: f32[B], None for none."""
        layers = dict.fromkeys((name for name in params if name != "tables"), self.layer_l2)
        return weight_penalty(params, layers, batch)


class PinSageLayers(nn.Module):
    """Algorithm 1 for all nodes at once, and the head of Algorithm 2."""

    settings: PinSage
    num_users: int
    num_items: int

    @nn.compact
    def __call__(self, side: PinSageSide) -> Factors:
        settings = self.settings
        users, items, bias = settings.tables(self.num_users, self.num_items, name="tables")()
        nodes = jnp.concatenate([users, items])
        for k in range(settings.depth):  # say_k and hear_k, of messages and of updates, are keys of checkpoints
            aggregated = propagate(side.neighbours, nn.relu(nn.Dense(settings.dim, name=f"say_{k}")(nodes)))
            both = jnp.concatenate([nodes, aggregated], axis=1)
            nodes = unit(nn.relu(nn.Dense(settings.dim, name=f"hear_{k}")(both)))
        nodes = nn.relu(nn.Dense(settings.dim, name="head_1")(nodes))
        nodes = nn.Dense(settings.dim, use_bias=False, name="head_2")(nodes)
        if settings.normalise_last:
            nodes = unit(nodes)
        return Factors(nodes[: self.num_users], nodes[self.num_users :], bias)
