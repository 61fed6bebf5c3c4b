"""LightGCN: embeddings smoothed over the graph of users and items (He, Deng, Wang, Li, Zhang, Wang, SIGIR 2020)."""

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar

import jax
import numpy as np
from flax import struct

from socialjax.contract import Choice, Touched, Traits, Uniform
from socialjax.models.history import Bipartite, aggregate, bipartite, elements
from socialjax.models.neighbourhoods import Growth, drawn_graph
from socialjax.models.parts import DotProductModel, Factors, named_rows, pair_dot, require_depth, require_share
from socialjax.ops import sample
from socialjax.ops.forest import Neighbours


@struct.dataclass
class LightGCNState(Factors):
    """Factors, and the layers that they are means of.

    Attributes:
      user_layers: f32[U, D] for each layer 0..K.
      item_layers: f32[I, D] for each layer 0..K.
    """

    user_layers: tuple[jax.Array, ...]
    item_layers: tuple[jax.Array, ...]


@dataclasses.dataclass(frozen=True)
class LightGCN(DotProductModel):
    """e_u^{k+1} = sum over R_u of e_i^k / sqrt(d_u d_i), items likewise; embeddings are the mean of layers 0..K.

    He et al., SIGIR 2020, Eq. 3 and 4; docs/tables.md compares with the published figures.

    Attributes:
      depth: K, the number of layers, 0..8; 0 is matrix factorisation.
      node_dropout: Share of users and items whose messages are dropped in one layer of a training step, in [0, 1); not
        in the paper.
      item_bias: Whether the score has a bias b_i for each item; the published model has none.
      l2: Lambda on the squared norms of layer 0 (Eq. 15). The published code adds lambda / 2 times those of a row's
        user, item and one negative; here they are not halved, so its lambda 1e-4 is l2 5e-5.
    """

    traits: ClassVar[Traits] = Traits(new_users=True)
    search_space: ClassVar = {"depth": Choice((1, 2, 3)), "node_dropout": Uniform(0.0, 0.4)}

    depth: int = 3
    node_dropout: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        require_depth(self)
        require_share(self, "node_dropout")

    def prepare(self, columns) -> Bipartite:
        return bipartite(columns)

    def _tables(self, side: Bipartite):
        return self.tables(side.num_users, side.num_items)

    def init(self, rng, side):
        return self._tables(side).init(rng)["params"]

    def squared_norms(self, params):
        return self.table_norms(params)

    def touched(self, side: Bipartite, batch, rng) -> Touched | None:
        if not isinstance(side.to_users, Neighbours):
            return None
        growth = Growth(batch, rng)
        drawn, _ = drawn_graph(growth, side, self.depth)
        return Touched(named_rows(*growth.rows, self.item_bias), drawn, growth.numbered)

    def encode(self, params, side) -> LightGCNState:
        return self._diffuse(params, side, lambda k, users, items: (users, items))

    def training_state(self, params, side, rng) -> LightGCNState:
        def dropped(k, users, items):
            drop = functools.partial(sample.node_dropout, rng, k, rate=self.node_dropout)
            return drop(users), drop(items, first=len(users))

        return self.encode(params, side) if not self.node_dropout else self._diffuse(params, side, dropped)

    def _diffuse(self, params, side: Bipartite, messages: Callable) -> LightGCNState:
        """The layers 0..K, where messages(k, users, items) are what nodes send to their neighbours in layer k."""
        users, items, bias = self._tables(side).apply({"params": params})
        layers = [(users, items)]
        for k in range(self.depth):
            layers.append(aggregate(side, *messages(k, *layers[-1])))
        users, items = zip(*layers)
        return LightGCNState(sum(users) / len(users), sum(items) / len(items), bias, users, items)

    def explain(self, state: LightGCNState, side: Bipartite, users, items):
        """Parts: the user's layers times the item's final embedding, and `item_bias`.

        They are `own_vector` (layer 0), `history` (layer 1) with what each training item adds, and `layer_2` and
        beyond.
        """
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        towards = np.asarray(state.items)[items] / len(state.user_layers)
        names = ["own_vector", "history", *(f"layer_{k}" for k in range(2, self.depth + 1))]
        parts = {name: pair_dot(np.asarray(layer)[users], towards) for name, layer in zip(names, state.user_layers)}
        taken = {}
        if self.depth:
            taken["history"] = elements(side.to_users, np.asarray(state.item_layers[0]), users, towards)
        return self.explained(state, users, items, parts, taken)

    def new_user(self, state: LightGCNState, side: Bipartite, items, friends):
        """Mean of layers, each aggregated from the items' layer below, as it was trained; layer 0 is 0.

        At depth 0, which has no layers to aggregate, as for any dot product.
        """
        if not self.depth:
            return super().new_user(state, side, items, friends)
        layers = [aggregate_new(side, np.asarray(layer), items) for layer in state.item_layers[:-1]]
        return (sum(layers) / len(state.item_layers)).astype(np.float32)


def aggregate_new(graph: Bipartite, layer: np.ndarray, items: np.ndarray, loops: int = 0) -> np.ndarray:
    """The aggregate of an untrained user, sum over items of layer / sqrt((N + loops)(d_i + loops)).

    Args:
      graph: Gives the degrees of items in training; they count as 1 for an item without any.
      layer: f32[I, D].
      items: i64[N], the user's items.
      loops: 1 for a model with self loops, else 0.

    Returns:
      f32[D], 0 without items.
    """
    degree = np.maximum(np.asarray(graph.item_degree)[items], 1)
    weight = ((max(len(items), 1) + loops) * (degree + loops)) ** -0.5
    return weight @ layer[items]
