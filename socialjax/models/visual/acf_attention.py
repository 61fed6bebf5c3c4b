"""ACF's attention to components and items, and its history without one item.

Every network over several vectors is taken apart: W [u, v] = W_u u + W_v v, so users, items and components are
projected to a few numbers first and only those are gathered; no array of edges is as wide as an embedding or a feature.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.ops.propagate import Diffusion, propagate
from socialjax.ops.rows import row_sums
from socialjax.ops.segment import segment_softmax


@struct.dataclass
class Components:
    """Item l has rows offsets[l]..offsets[l + 1] - 1 of features f32[T, F]; offsets i32[I + 1].

    edge i32[P], row i32[P]: all components of all items of the histories, by edge; None until `expanded`.
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
    """Both networks; `width` hidden numbers each."""

    width: int

    def setup(self):
        dense = lambda bias=False: nn.Dense(self.width, use_bias=bias)  # noqa: E731
        self.item_user, self.item_vector, self.item_auxiliary, self.item_look = dense(True), dense(), dense(), dense()
        self.item_head = self.param("item_head", nn.initializers.lecun_normal(), (self.width, 1))
        self.component_user, self.component_look = dense(True), dense()
        self.component_head = Head(self.width)

    def __call__(self, side, users, items, auxiliary):
        """side: an `ACFSide`; users f32[U, D], items and auxiliary f32[I, D] -> logits f32[E] of the items."""
        senders, receivers = jnp.asarray(side.past.senders), jnp.asarray(side.past.receivers)
        of_items = self.item_vector(items) + self.item_auxiliary(auxiliary)
        if side.images is not None:
            of_items = of_items + self.item_look(side.images)
        hidden = self.item_user(users)[receivers] + of_items[senders]
        if side.components is not None:
            hidden = hidden + self.looked_at(side.components, users, receivers)
        return row_sums(nn.relu(hidden) * self.item_head[:, 0][None, :])

    def looked_at(self, components: Components, users, receivers):
        """W1x xbar of every edge, f32[E, width]; 0 for an item without components."""
        edge, row, num_edges = jnp.asarray(components.edge), jnp.asarray(components.row), receivers.shape[0]
        mine, theirs = self.component_user(users), self.component_look(components.features)
        share = self.component_shares(mine, theirs, receivers, edge, row, num_edges)
        said = self.item_look(components.features)
        return jax.ops.segment_sum(share[:, None] * said[row], edge, num_edges, indices_are_sorted=True)

    def component_shares(self, mine, theirs, receivers, edge, row, num_edges):
        """beta f32[P], which sums to 1 over the components of each edge's item."""
        logits = self.component_head(nn.relu(mine[receivers[edge]] + theirs[row]))
        return segment_softmax(logits, edge, num_edges)


class Head(nn.Module):
    """Hidden f32[N, width] -> f32[N], without a bias."""

    width: int

    @nn.compact
    def __call__(self, hidden):
        head = self.param("kernel", nn.initializers.lecun_normal(), (self.width, 1))
        return row_sums(hidden * head[:, 0][None, :])


def leave_one_out(past: Diffusion, logits: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """For each user the item of the largest logit, i32[U] (-1 without a history), and what attention makes of the
    others' values f32[I, D]: f32[U, D], 0 where there are no others.

    With them any item can be left out exactly. The share of an item that is not the largest is at most a half, so it
    can be taken off and the rest divided by 1 - share; taking off the largest would divide by next to nothing.
    """
    users, items, n = jnp.asarray(past.receivers), jnp.asarray(past.senders), past.num_receivers
    largest = jax.ops.segment_max(jax.lax.stop_gradient(logits), users, n, indices_are_sorted=True)
    candidate = jnp.where(logits == largest[users], items, -1)  # of ties one
    top = jnp.maximum(jax.ops.segment_max(candidate, users, n, indices_are_sorted=True), -1)
    is_top = items == top[users]
    others = segment_softmax(jnp.where(is_top, -1e30, logits), users, n)
    return top, propagate(past, values, jnp.where(is_top, 0.0, others))
