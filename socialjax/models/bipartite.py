"""The graph of users and items: training pairs as edges in both directions. Shared by the graph recommenders."""

import jax
import numpy as np
from flax import struct

from socialjax.graph import Normalisation, distinct, edges, normalise, transpose
from socialjax.ops.propagate import Diffusion, diffusion, propagate


@struct.dataclass
class Bipartite:
    """The distinct training pairs as edges in both directions.

    Attributes:
      to_users: Edges item -> user, E of them.
      to_items: Edges user -> item, the same pairs.
      user_degree: f32[U], training items of each user.
      item_degree: f32[I], training users of each item.
    """

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
    """The graph of a data set's training pairs.

    Args:
      columns: A data set.
      how: Weights of the edges: mean, 1 / degree of the receiver, or symmetric, (d_u d_i)^-1/2.
      self_loops: Whether degrees count one more, for models that add the node itself. The loop, of weight 1 / (d + 1),
        is not among the edges.

    Returns:
      Edges in both directions, each distinct pair once (NumPy).

    Raises:
      ValueError: for self loops with other weights than the symmetric ones.
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
    """One layer of message passing.

    Args:
      graph: Weighted edges in both directions.
      users: f32[U, D], the messages of users.
      items: f32[I, D], the messages of items.

    Returns:
      What users aggregate from their items, f32[U, D], and items from their users, f32[I, D].
    """
    return propagate(graph.to_users, items), propagate(graph.to_items, users)
