"""The diffusion sum over devices: each has some edges and some rows, and no array of all rows is ever made.

Receivers are spread as tables are (`ops.spread`). The edges of a shard's receivers are sorted by the shard of their
senders; the senders' vectors go round the devices of the table in T steps, a shard at a time, and each step adds the
edges of the vectors at hand. Devices that differ in `data` alone have a part of these edges each and add up their sums.
So a device holds 1 / (all devices) of the edges, and 2 / T of the vectors; it sends (T - 1) / T of them, as much as if
they were gathered. The gradient goes the same way along the transposed edges.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.ops.propagate import Diffusion
from socialjax.ops.spread import ALL, DATA, TABLE, Spread

BLOCK = 4096  # edges that are added at once


class EdgesAreSpread(AttributeError):
    """Edges on many devices were asked for what only a list of all of them can give."""


@struct.dataclass
class Parts:
    """Edges of one direction, the first axis over all devices.

    Attributes:
      senders: i32[N, L], of N devices, their numbers in the shard that is at hand.
      receivers: i32[N, L], their numbers in the device's own shard, sorted in each step.
      weight: f32[N, L].
      starts: i32[N, T + 1]; step k adds the edges starts[k]..starts[k + 1] - 1.
    """

    senders: jax.Array
    receivers: jax.Array
    weight: jax.Array
    starts: jax.Array


@struct.dataclass
class SpreadEdges:
    """Edges on many devices; takes the place of `Diffusion` where these are only summed over.

    Attributes:
      forth: The edges by receiver.
      back: The edges by sender.
      num_senders: N.
      num_receivers: M.
      block: Edges that are added at once.
      spread: The devices.
    """

    forth: Parts
    back: Parts
    num_senders: int = struct.field(pytree_node=False)
    num_receivers: int = struct.field(pytree_node=False)
    block: int = struct.field(pytree_node=False)
    spread: Spread = struct.field(pytree_node=False)

    def __getattr__(self, name: str):
        if name in Diffusion.__dataclass_fields__:
            raise EdgesAreSpread(f"the edges' {name} are on many devices; sum over the edges by propagate alone")
        raise AttributeError(name)

    def propagate(self, values: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        """out[r] = sum of weight * values[s] over the edges s -> r, 0 without: f32[N, D] -> f32[M, D].

        Raises:
          EdgesAreSpread: for other weights than those of the edges.
        """
        if weight is not None:
            raise EdgesAreSpread("weights that a model computes of the edges need a list of all of them")
        return _propagate(self, values)


def spread_edges(edges: Diffusion, spread: Spread, block: int = BLOCK) -> SpreadEdges:
    """The edges of a graph by the devices that hold them (NumPy).

    Args:
      edges: E edges.
      spread: The devices.
      block: Most edges that are added at once; fewer for a small graph.
    """
    senders, receivers, weight = (np.asarray(part) for part in (edges.senders, edges.receivers, edges.weight))
    rows = min(spread.rows(edges.num_senders), spread.rows(edges.num_receivers))
    block = max(8, min(block, rows, len(senders) // (8 * spread.mesh.size)))  # messages are no larger than a shard
    by_sender = np.argsort(senders, kind="stable")
    sizes = edges.num_senders, edges.num_receivers
    forth = _parts(senders, receivers, weight, sizes, spread, block)
    back = _parts(receivers[by_sender], senders[by_sender], weight[by_sender], sizes[::-1], spread, block)
    return SpreadEdges(forth, back, *sizes, block, spread)


def _parts(senders, receivers, weight, sizes, spread: Spread, block: int) -> Parts:
    copies, shards = (spread.mesh.shape[axis] for axis in ALL)
    of_senders, of_receivers = (max(spread.rows(size), 1) for size in sizes)
    owner, turn = receivers // of_receivers, senders // of_senders
    step = (turn - owner) % shards  # device t has the shard t + k in step k
    key = owner * shards + step
    order = np.argsort(key, kind="stable")
    bounds = np.searchsorted(key[order], np.arange(shards * shards + 1)).reshape(-1)
    chosen = []
    for copy in range(copies):
        for shard in range(shards):
            cuts = []
            for first, last in zip(bounds[shard * shards :], bounds[shard * shards + 1 :][:shards]):
                size = last - first
                cuts.append(order[first + size * copy // copies : first + size * (copy + 1) // copies])
            chosen.append(cuts)
    length = max(sum(map(len, cuts)) for cuts in chosen) + block  # so that a block never ends beyond the list

    def filled(values):
        out = np.zeros((len(chosen), length), values.dtype)
        for row, cuts in zip(out, chosen):
            places = np.concatenate(cuts)
            row[: len(places)] = values[places]
        return out

    starts = np.array([np.cumsum([0, *map(len, cuts)]) for cuts in chosen], np.int32)
    local = ((senders % of_senders).astype(np.int32), (receivers % of_receivers).astype(np.int32), weight)
    return Parts(*map(filled, local), starts)


@jax.custom_vjp
def _propagate(edges: SpreadEdges, values):
    return _summed(edges, edges.forth, values, edges.num_receivers)


def _forward(edges, values):
    return _propagate(edges, values), edges


def _backward(edges, g):
    return None, _summed(edges, edges.back, g, edges.num_senders)


_propagate.defvjp(_forward, _backward)


def _summed(edges: SpreadEdges, parts: Parts, values, num_receivers: int):
    spread, rows = edges.spread, edges.spread.rows(num_receivers)
    round_trip = [(shard, (shard - 1) % spread.shards) for shard in range(spread.shards)]

    def on_each(senders, receivers, weight, starts, values):
        part = Parts(senders[0], receivers[0], weight[0], starts[0])
        total = jnp.zeros((rows, values.shape[1]), values.dtype)
        for k in range(spread.shards):
            following = jax.lax.ppermute(values, TABLE, round_trip) if k + 1 < spread.shards else None
            total = _add(part, k, edges.block, values, total)
            values = following
        return jax.lax.psum(total, DATA)

    leaves = parts.senders, parts.receivers, parts.weight, parts.starts
    mapped = spread.mapped(on_each, (ALL, ALL, ALL, ALL, TABLE), TABLE)
    return mapped(*leaves, spread.padded(spread.kept(values)))[:num_receivers]


def _add(part: Parts, step: int, block: int, values, total):
    """The total f32[R, D] and the edges of one step, whose senders are rows of values f32[R', D]."""
    start, stop = part.starts[step], part.starts[step + 1]

    def add(number, total):
        first = start + number * block
        senders, receivers, weight = (
            jax.lax.dynamic_slice_in_dim(array, first, block) for array in (part.senders, part.receivers, part.weight)
        )
        is_here = first + jnp.arange(block, dtype=jnp.int32) < stop
        receivers = jnp.where(is_here, receivers, total.shape[0])
        messages = values.at[senders].get(mode="promise_in_bounds") * weight[:, None]
        return total.at[receivers].add(messages, mode="drop", indices_are_sorted=True)

    # Senders beyond `stop` are those of the next step: rows that there are, but in another shard.
    return jax.lax.fori_loop(0, -(-(stop - start) // block), add, total)
