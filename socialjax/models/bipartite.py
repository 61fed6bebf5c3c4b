"""Users and items as one graph: who took what in training, in both directions. Shared by the graph recommenders."""

import jax
import numpy as np
from flax import struct

from socialjax.graph import Normalisation, distinct, edges, normalise, transpose
from socialjax.ops.propagate import Diffusion, diffusion, propagate


@struct.dataclass
class Bipartite:
    """to_users: edges item -> user; to_items: edges user -> item; user_degree f32[U] and item_degree f32[I] count
    distinct training pairs."""

    to_users: Diffusion
    to_items: Diffusion
    user_degree: jax.Array
    item_degree: jax.Array

    @property
    def num_users(self) -> int:
        return self.to_users.num_receivers

    @property
    def num_items(self) -> int:
        return self.to_users.num_senders


def bipartite(columns, how: Normalisation = "symmetric", self_loops: bool = False) -> Bipartite:
    """Distinct training pairs, weighted by `how` in each direction: 1 / degree of the receiver (`mean`) or
    (d_u d_i)^-1/2 (`symmetric`). self_loops: degrees count one more, for models that add the node itself; the loop
    itself, of weight 1 / (d + 1), is not among the edges.
    """
    users, items = distinct(columns.train.user, columns.train.item, columns.num_items)
    degrees = [
        np.bincount(ids, minlength=size).astype(np.float32)
        for ids, size in ((users, columns.num_users), (items, columns.num_items))
    ]
    to_users = edges(items, users, columns.num_items, columns.num_users)
    if self_loops:
        if how != "symmetric":
            raise ValueError(f"self loops are defined for the symmetric weights only, got how='{how}'")
        weight = ((degrees[0][users] + 1.0) * (degrees[1][items] + 1.0)) ** -0.5
        both = [edges(items, users, columns.num_items, columns.num_users, weight)]
        both.append(transpose(both[0]))
    else:
        both = [normalise(to_users, how), normalise(transpose(to_users), how)]
    return Bipartite(diffusion(both[0]), diffusion(both[1]), *degrees)


def aggregate(graph: Bipartite, users: jax.Array, items: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One round of messages: users f32[U, D] aggregate their items, items f32[I, D] their users, in the same shapes."""
    return propagate(graph.to_users, items), propagate(graph.to_items, users)
