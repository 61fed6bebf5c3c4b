"""LR-GCCF: linear, residual graph convolution (Chen, Wu, Hong, Zhang, Wang, AAAI 2020, arXiv 2001.10167)."""

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np

from socialjax.contract import Batch, Choice, Traits
from socialjax.models.cf.lightgcn import aggregate_new
from socialjax.models.history import Bipartite, aggregate, bipartite, elements
from socialjax.models.parts import DotProductModel, Factors, pair_dot, require_depth


@dataclasses.dataclass(frozen=True)
class LRGCCF(DotProductModel):
    """e_u^{k+1} = e_u^k / (d_u + 1) + sum over R_u of e_i^k / sqrt((d_u + 1)(d_i + 1)); s = sum of <e_u^k, e_i^k>.

    The residual preference of the paper, r^{k+1} = r^k + <e_u^{k+1}, e_i^{k+1}>, is the inner product of the
    concatenated layers, so embeddings have width (K + 1) D. Without the weights W^k of the paper, as in the released
    code (Chen et al., AAAI 2020; docs/tables.md).

    Attributes:
      depth: K, the number of layers, 0..8; 0 is matrix factorisation.
      l2_on: What l2 acts on: propagated, the concatenated layers (the released code), or free, layer 0 (the paper). In
        both the item bias is part of it.
      l2: Lambda on the squared norms that l2_on names; 0.01, not halved, in the released code.
      item_bias: Whether the score has a bias b_i for each item; the published model has none.
    """

    traits: ClassVar[Traits] = Traits(new_users=True)
    search_space: ClassVar = {"depth": Choice((1, 2, 3)), "l2_on": Choice(("propagated", "free"))}

    depth: int = 3
    l2_on: Literal["propagated", "free"] = "propagated"

    def __post_init__(self):
        super().__post_init__()
        require_depth(self)

    def prepare(self, columns) -> Bipartite:
        return bipartite(columns, self_loops=True)

    def _tables(self, side: Bipartite):
        return self.tables(side.num_users, side.num_items)

    def init(self, rng, side):
        return self._tables(side).init(rng)["params"]

    def encode(self, params, side: Bipartite) -> Factors:
        """Layers 0..K side by side: f32[U, (K + 1) D], f32[I, (K + 1) D]."""
        users, items, bias = self._tables(side).apply({"params": params})
        layers = [(users, items)]
        for _ in range(self.depth):
            (users, items), (from_items, from_users) = layers[-1], aggregate(side, *layers[-1])
            users = from_items + users / (side.user_degree + 1)[:, None]
            items = from_users + items / (side.item_degree + 1)[:, None]
            layers.append((users, items))
        users, items = (jnp.concatenate(nodes, axis=1) for nodes in zip(*layers))
        return Factors(users, items, bias)

    def squared_norms(self, params):
        users, items = self.table_norms(params)
        if self.l2_on == "free":
            return users, items
        return jnp.zeros_like(users), params["item_bias"] ** 2 if self.item_bias else jnp.zeros_like(items)

    def penalty(self, params, side, state: Factors, batch: Batch, rng):
        """l2 of the vectors side by side, where it acts on them."""
        if self.l2_on == "free":
            return None
        users, items = jnp.sum(state.users**2, axis=1), jnp.sum(state.items**2, axis=1)
        return self.l2 * (users[batch.users] + items[batch.items] + jnp.mean(items[batch.negatives], axis=1))

    def explain(self, state: Factors, side: Bipartite, users, items):
        """Parts: `own_vector`, the user's layer 0 and what of it is left in layer 1; `history`, what the training items
        add to layer 1, one by one; `layer_2` and beyond; each against the same layer of the item; and `item_bias`."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        user_layers, item_layers = (
            np.split(np.asarray(table)[rows], self.depth + 1, axis=1)
            for table, rows in ((state.users, users), (state.items, items))
        )
        parts, taken = {"own_vector": pair_dot(user_layers[0], item_layers[0])}, {}
        if self.depth:
            self_loop = user_layers[0] / (np.asarray(side.user_degree)[users] + 1)[:, None]
            parts["own_vector"] = parts["own_vector"] + pair_dot(self_loop, item_layers[1])
            parts["history"] = pair_dot(user_layers[1] - self_loop, item_layers[1])
            taken["history"] = elements(side.to_users, np.asarray(state.items)[:, : self.dim], users, item_layers[1])
        for k in range(2, self.depth + 1):
            parts[f"layer_{k}"] = pair_dot(user_layers[k], item_layers[k])
        return self.explained(state, users, items, parts, taken)

    def new_user(self, state: Factors, side: Bipartite, items, friends):
        """Layers aggregated from those of the items as they were trained, and from the layer below; layer 0 is 0.

        At depth 0, which has no layers to aggregate, as for any dot product.
        """
        if not self.depth:
            return super().new_user(state, side, items, friends)
        layers = [np.zeros(self.dim)]
        for layer in np.split(np.asarray(state.items), self.depth + 1, axis=1)[:-1]:
            layers.append(layers[-1] / (len(items) + 1) + aggregate_new(side, layer, items, loops=1))
        return np.concatenate(layers).astype(np.float32)
