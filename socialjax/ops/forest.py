"""Sampled neighbourhoods: of a batch's users and items a few neighbours, of these a few, as many layers as a model has.

A model runs on them as on a whole graph: what was drawn has numbers of its own, first the batch, then its neighbours,
then theirs, and a `Forest` says who stands above whom. A node that is drawn twice stands there twice, so that shapes
are fixed and nothing is looked up; the neighbours of one node follow each other, so that `propagate` adds up slices.

A receiver of d edges gets F of them, one of each of F parts of equal length into which its edges are cut, with the
weight of all edges of the part. So the sum over neighbours is exact where d <= F and unbiased beyond, as are the layers
of a model that is linear in them (uniform sampling of neighbours: Hamilton, Ying, Leskovec, NIPS 2017).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.ops import sample
from socialjax.ops.propagate import Diffusion


@struct.dataclass
class Neighbours:
    """The edges that end at each receiver, of which some are drawn.

    Attributes:
      offsets: i32[M + 1]; receiver r has the edges offsets[r]..offsets[r + 1] - 1.
      senders: i32[E].
      weight: f32[E].
      num_senders: N.
      fanouts: Edges that are drawn of a receiver, at most: of the batch's nodes, of their neighbours, and so on.
    """

    offsets: jax.Array
    senders: jax.Array
    weight: jax.Array
    num_senders: int = struct.field(pytree_node=False)
    fanouts: tuple[int, ...] = struct.field(pytree_node=False)

    @property
    def num_receivers(self) -> int:
        return self.offsets.shape[0] - 1

    def draw(self, receivers: jax.Array, keys: jax.Array, fanout: int) -> tuple[jax.Array, jax.Array]:
        """Some edges of each receiver.

        Args:
          receivers: i32[R]; num_receivers or more is padding and has none.
          keys: u32[R], the randomness of each.
          fanout: F, edges of each.

        Returns:
          Senders i32[R, F], num_senders where there is none, and weights f32[R, F], 0 there.
        """
        if not self.senders.size:
            return jnp.full((len(receivers), fanout), self.num_senders), jnp.zeros((len(receivers), fanout))
        real = receivers < self.num_receivers
        start = self.offsets.at[receivers].get(mode="clip")
        degree = jnp.where(real, self.offsets.at[receivers + 1].get(mode="clip") - start, 0)[:, None]
        slot = jnp.arange(fanout)[None, :]
        low, high = part(slot, degree, fanout), part(slot + 1, degree, fanout)
        length = high - low
        chosen = low + sample.below(sample.fold(keys[:, None], slot), jnp.maximum(length, 1))
        edge = start[:, None] + jnp.where(length > 0, chosen, 0)
        senders = jnp.where(length > 0, self.senders.at[edge].get(mode="clip"), self.num_senders)
        return senders, self.weight.at[edge].get(mode="clip") * length


def part(slot, degree, fanout: int):
    """slot * degree // fanout, where the product may be above 2^31."""
    whole, rest = degree // fanout, degree % fanout
    return slot * whole + slot * rest // fanout


def neighbours(edges: Diffusion, fanouts: Sequence[int]) -> Neighbours:
    """The edges of a graph by receiver, as NumPy arrays."""
    receivers = np.asarray(edges.receivers)
    offsets = np.searchsorted(receivers, np.arange(edges.num_receivers + 1)).astype(np.int32)
    senders, weight = (np.asarray(array)[: offsets[-1]] for array in (edges.senders, edges.weight))
    return Neighbours(offsets, senders, weight, edges.num_senders, tuple(fanouts))


def sampled(side, fanouts: Sequence[int]):
    """The fixed data of a model with neighbourhoods to be sampled in place of its graphs (NumPy).

    Args:
      side: What `prepare` made.
      fanouts: Neighbours of the batch's users and items, of these neighbours, and so on: one number a layer.

    Raises:
      ValueError: for numbers below 1, and for a model without a graph.
    """
    if any(fanout < 1 for fanout in fanouts):
        raise ValueError(f"--train.fanouts must be at least 1, got {', '.join(map(str, fanouts))}")
    is_graph = lambda part: isinstance(part, Diffusion)  # noqa: E731
    if not any(map(is_graph, jax.tree.leaves(side, is_leaf=is_graph))):
        raise ValueError("--train.fanouts is for models that aggregate neighbours; this one has no graph: leave it out")
    put = lambda part: neighbours(part, fanouts) if is_graph(part) else part  # noqa: E731
    return jax.tree.map(put, side, is_leaf=is_graph)


@struct.dataclass
class Forest:
    """Drawn edges of one kind, in numbers of their own; takes the place of `Diffusion`.

    Attributes:
      weights: f32[R, F] of each step that drew such edges.
      steps: (first receiver, R, first sender, F) of each: sender s + r * F + f is above receiver r.
      num_senders: N.
      num_receivers: M.
    """

    weights: tuple[jax.Array, ...]
    steps: tuple[tuple[int, int, int, int], ...] = struct.field(pytree_node=False)
    num_senders: int = struct.field(pytree_node=False)
    num_receivers: int = struct.field(pytree_node=False)

    def propagate(self, values: jax.Array) -> jax.Array:
        """out[r] = sum of weight * values[s] over the drawn edges s -> r, 0 without: f32[N, D] -> f32[M, D]."""
        parts, done = [], 0
        for (first, receivers, sender, fanout), weight in sorted(zip(self.steps, self.weights), key=lambda one: one[0]):
            parts.append(jnp.zeros((first - done, values.shape[1]), values.dtype))
            drawn = values[sender : sender + receivers * fanout].reshape(receivers, fanout, -1)
            parts.append(jnp.einsum("rf,rfd->rd", weight, drawn, precision=jax.lax.Precision.HIGHEST))
            done = first + receivers
        parts.append(jnp.zeros((self.num_receivers - done, values.shape[1]), values.dtype))
        return jnp.concatenate(parts)
