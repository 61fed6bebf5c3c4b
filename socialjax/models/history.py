"""What models are given of the training pairs: the items of each user, and the graph of users and items."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from scipy import sparse

from socialjax.contract import Kind, Ragged
from socialjax.graph import Normalisation, distinct, edges, normalise, transpose
from socialjax.ops.mapped import Counts, MappedGraph
from socialjax.ops.propagate import Diffusion, diffusion, propagate

HISTORY = Kind(("item",), "own history")


@struct.dataclass
class History:
    """The training items of all users.

    Attributes:
      edges: Edges item -> user with weight count^-exponent.
      count: f32[U], the number of training items of each user.
      exponent: 1 for a mean, 0.5 as in SVD++.
      target_left_out: Whether the edges are those of training rows, without the item that is scored.
    """

    edges: Diffusion
    count: jax.Array
    exponent: float = struct.field(pytree_node=False)
    target_left_out: bool = struct.field(pytree_node=False, default=False)


def taken_items(columns) -> sparse.csr_array:
    """f32[U, I], 1 where the user took the item in training; sorted rows."""
    users, items = distinct(columns.train.user, columns.train.item, columns.num_items)
    shape = columns.num_users, columns.num_items
    return sparse.csr_array((np.ones(len(users), np.float32), (users, items)), shape=shape)


def history(columns, exponent: float = 1.0) -> History:
    """The history of each user: distinct training pairs (NumPy).

    Args:
      columns: A data set, or a mapped graph.
      exponent: Power of the history's length that divides its sum: 1 for a mean (DiffNet), 0.5 as in SVD++.

    Raises:
      ValueError: for any other exponent.
    """
    if exponent not in (0.5, 1.0):
        raise ValueError(f"the exponent of the history's weight must be 0.5 or 1, got {exponent}")
    if isinstance(columns, MappedGraph):
        weighted = columns.to_users("mean" if exponent == 1.0 else "sqrt")
        return History(weighted, Counts(columns.user_items.degree), exponent)
    users, items = distinct(columns.train.user, columns.train.item, columns.num_items)
    graph = edges(items, users, columns.num_items, columns.num_users)
    count = np.bincount(users, minlength=columns.num_users).astype(np.float32)
    return History(diffusion(normalise(graph, "mean" if exponent == 1.0 else "sqrt")), count, exponent)


def pool(past: History, items: jax.Array) -> jax.Array:
    """count^-exponent * sum of items f32[I, D] over each user's history: f32[U, D]; 0 for a user without one."""
    return propagate(past.edges, items)


def without_target(past: History, pooled: jax.Array, items: jax.Array, user: jax.Array, target: jax.Array) -> jax.Array:
    """The change of a user's pooled history when the training item to be scored is left out of it.

    The rest is weighted as a history of one item less; nothing remains of a history of one item.

    Args:
      past: The histories.
      pooled: f32[U, D], as `pool` gives it.
      items: f32[I, D], the vectors that were pooled.
      user: i32[B].
      target: i32[B], a training item of each of these users.

    Returns:
      f32[B, D], to be added to the pooled history of `user`.
    """
    if past.target_left_out:
        return jnp.zeros_like(pooled[user])
    count, pooled_user = past.count[user][:, None], pooled[user]
    rest = pooled_user * count**past.exponent - items[target]
    remaining = jnp.where(count > 1, rest * jnp.maximum(count - 1, 1) ** -past.exponent, 0.0)
    return remaining - pooled_user


def elements(
    graph: Diffusion, messages: np.ndarray, users: np.ndarray, towards: np.ndarray, kind: Kind = HISTORY
) -> Ragged:
    """What each sender adds to <aggregate of the user, towards>, on the host: items of a history, friends.

    Args:
      graph: Edges sender -> user.
      messages: f32[N, D], the senders' vectors.
      users: i32[P].
      towards: f32[P, D], the vector of each pair's item.
      kind: What the senders are.

    Returns:
      Rows of senders, one for each of the P users.
    """
    positions, pair, offsets = incoming_edges(graph, users)
    ids, weight = np.asarray(graph.senders)[positions], np.asarray(graph.weight)[positions]
    contribution = weight * np.einsum("td,td->t", messages[ids], towards[pair])
    return Ragged(offsets, ids, weight, contribution.astype(np.float32), kind)


def incoming_edges(graph: Diffusion, users: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The edges that end at some users, on the host.

    Args:
      graph: Edges sorted by receiver.
      users: i32[P], receivers.

    Returns:
      Positions of the edges i64[T], the number of its user for each, i64[T] in 0..P - 1, and offsets i64[P + 1]: the
      edges of user p are offsets[p]..offsets[p + 1] - 1 of the T.
    """
    receivers = np.asarray(graph.receivers)
    first, last = np.searchsorted(receivers, users), np.searchsorted(receivers, users, side="right")
    offsets = np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64)
    pair = np.repeat(np.arange(len(users)), last - first)
    return first[pair] + np.arange(offsets[-1]) - offsets[pair], pair, offsets


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
      columns: A data set, or a mapped graph, of which there are no self loops.
      how: Weights of the edges: mean, 1 / degree of the receiver, or symmetric, (d_u d_i)^-1/2.
      self_loops: Whether degrees count one more, for models that add the node itself. The loop, of weight 1 / (d + 1),
        is not among the edges.

    Returns:
      Edges in both directions, each distinct pair once (NumPy).

    Raises:
      ValueError: for self loops with other weights than the symmetric ones.
    """
    if isinstance(columns, MappedGraph) and not self_loops:
        degrees = Counts(columns.user_items.degree), Counts(columns.item_users.degree)
        return Bipartite(columns.to_users(how), columns.to_items(how), *degrees)
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
