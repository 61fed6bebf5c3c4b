"""The diffusion sum: every receiver gets the weighted sum of its senders, forward and backward without [E, D] arrays.

Two facts shape it. XLA's CPU backend allocates gathered messages anew at each call, and the page faults cost more than
the sum: on the CPU the edges go through a scan in blocks that stay in the cache. And a scatter writes a whole row for
each edge: edges of one receiver are bundled by four and summed before they are written, a third less time than a CSR
product. The gradient walks the transposed list, sorted and bundled as well, instead of scattering in random order.

Attention logits of edges, one hidden layer over receiver and sender, go the same way, without [E, H] arrays.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.graph import Edges, sort_by_receiver
from socialjax.ops.lookup import row_sums

WIDTH = 4  # edges in a bundle: 2, 4 and 8 measured; 4 is best on graphs with a median degree of 3 to 5
BLOCK = 4096  # bundles in a block of the scan


@struct.dataclass
class Bundles:
    """Edges of one direction, up to W = `WIDTH` of one receiver in each of G bundles.

    Attributes:
      senders: i32[G, W].
      weight: f32[G, W], 0 for padding.
      edge: i32[G, W], the position in the edge list, E for padding.
      receivers: i32[G], sorted, num_receivers for padding.
    """

    senders: jax.Array
    weight: jax.Array
    edge: jax.Array
    receivers: jax.Array


@struct.dataclass
class Diffusion:
    """Edges in both orders, ready for `propagate`.

    Attributes:
      senders: i32[E], of the edges sorted by receiver.
      receivers: i32[E], sorted.
      weight: f32[E].
      forth: The edges bundled by receiver.
      back: The edges bundled by sender.
      slot: i32[E], the position of each edge in the flattened bundles of `forth`.
      num_senders: N.
      num_receivers: M.
      block: Bundles in a block of the scan.
    """

    senders: jax.Array
    receivers: jax.Array
    weight: jax.Array
    forth: Bundles
    back: Bundles
    slot: jax.Array
    num_senders: int = struct.field(pytree_node=False)
    num_receivers: int = struct.field(pytree_node=False)
    block: int = struct.field(pytree_node=False, default=BLOCK)


def diffusion(graph: Edges, block: int = BLOCK) -> Diffusion:
    """Sorts and bundles the edges of a graph in both directions, without its padding (NumPy).

    Args:
      graph: Edges in any order.
      block: Most bundles in a block of the scan; a small graph has one smaller block.
    """
    graph = sort_by_receiver(graph)
    real = np.searchsorted(graph.receivers, graph.num_receivers)
    graph = dataclasses.replace(
        graph, senders=graph.senders[:real], receivers=graph.receivers[:real], weight=graph.weight[:real]
    )
    block = min(block, -(-max(len(graph), 1) // 8) * 8)
    forth = _bundle(graph.senders, graph.receivers, graph.weight, graph.num_receivers, block)
    slot = np.zeros(len(graph), np.int32)
    used = forth.edge.ravel() < len(graph)
    slot[forth.edge.ravel()[used]] = np.flatnonzero(used)
    return Diffusion(
        senders=graph.senders,
        receivers=graph.receivers,
        weight=graph.weight,
        forth=forth,
        back=_bundle(graph.receivers, graph.senders, graph.weight, graph.num_senders, block),
        slot=slot,
        num_senders=graph.num_senders,
        num_receivers=graph.num_receivers,
        block=block,
    )


def _bundle(senders, receivers, weight, num_receivers: int, block: int) -> Bundles:
    degree = np.bincount(receivers, minlength=num_receivers)
    bundles = -(-degree // WIDTH)
    first_edge = np.cumsum(degree) - degree
    first_bundle = np.cumsum(bundles) - bundles
    order = np.argsort(receivers, kind="stable")
    receiver = receivers[order]
    slot = first_bundle[receiver] * WIDTH + np.arange(len(order)) - first_edge[receiver]
    total = -(-max(int(bundles.sum()), 1) // block) * block

    def place(values, empty):
        slots = np.full(total * WIDTH, empty, values.dtype)
        slots[slot] = values[order]
        return slots.reshape(total, WIDTH)

    rows = np.full(total, num_receivers, np.int32)
    rows[: bundles.sum()] = np.repeat(np.arange(num_receivers), bundles)
    edge = np.arange(len(senders), dtype=np.int32)
    return Bundles(place(senders, 0), place(weight, 0), place(edge, len(senders)), rows)


def propagate(edges: Diffusion, values: jax.Array, weight: jax.Array | None = None) -> jax.Array:
    """The weighted sum over incoming edges, out[r] = sum over edges s -> r of weight * values[s].

    Args:
      edges: E edges, or edges of another form that can `propagate` values.
      values: f32[num_senders, D], the messages.
      weight: f32[E], in the order of `edges.senders`, replaces the weights of the edges and gets a gradient; without it
        the edges' own weights are constants.

    Returns:
      f32[num_receivers, D], 0 for a receiver without edges.
    """
    values = jnp.asarray(values)
    if not isinstance(edges, Diffusion):
        return edges.propagate(values) if weight is None else edges.propagate(values, weight)
    if weight is None:
        return _fixed(edges, values)
    return _weighted(edges, values, jnp.asarray(weight))


@jax.custom_vjp
def _fixed(edges, values):
    return _sum(edges.forth, edges.forth.weight, values, edges.num_receivers, edges.block)


def _fixed_forward(edges, values):
    return _fixed(edges, values), edges


def _fixed_backward(edges, g):
    return None, _sum(edges.back, edges.back.weight, g, edges.num_senders, edges.block)


_fixed.defvjp(_fixed_forward, _fixed_backward)


@jax.custom_vjp
def _weighted(edges, values, weight):
    return _sum(edges.forth, _in_bundles(edges.forth, weight), values, edges.num_receivers, edges.block)


def _weighted_forward(edges, values, weight):
    return _weighted(edges, values, weight), (edges, values, weight)


def _weighted_backward(saved, g):
    edges, values, weight = saved
    back = _sum(edges.back, _in_bundles(edges.back, weight), g, edges.num_senders, edges.block)
    return None, back, _products(edges, values, g)


_weighted.defvjp(_weighted_forward, _weighted_backward)


def _in_bundles(bundles: Bundles, weight):
    """The weights f32[E] in bundles, f32[G, W], 0 for padding."""
    if not weight.size:  # nothing can be gathered from an empty array, not even filling
        return jnp.zeros(bundles.edge.shape, weight.dtype)
    return weight.at[bundles.edge].get(mode="fill", fill_value=0)


def _bundle_sums(senders, weight, values):
    """The sum f32[G, D] of each bundle's messages; unrolled, so that the gathers fuse into the sum."""
    messages = (values.at[senders[:, k]].get(mode="promise_in_bounds") * weight[:, k, None] for k in range(WIDTH))
    return sum(messages)


def _sum(bundles: Bundles, weight, values, num_receivers: int, block: int):
    def in_blocks(senders, weight, receivers, values):
        def add(total, part):
            senders, weight, receivers = part
            messages = _bundle_sums(senders, weight, values)
            return total.at[receivers].add(messages, mode="drop", indices_are_sorted=True), None

        parts = (senders.reshape(-1, block, WIDTH), weight.reshape(-1, block, WIDTH), receivers.reshape(-1, block))
        return jax.lax.scan(add, jnp.zeros((num_receivers, values.shape[1]), values.dtype), parts)[0]

    def whole(senders, weight, receivers, values):
        messages = _bundle_sums(senders, weight, values)
        return jax.ops.segment_sum(messages, receivers, num_receivers, indices_are_sorted=True)

    return jax.lax.platform_dependent(bundles.senders, weight, bundles.receivers, values, cpu=in_blocks, default=whole)


def _products(edges: Diffusion, values, g):
    """d loss / d weight of every edge, <values[sender], g[receiver]>: f32[E]."""

    def dots(part):
        senders, receivers = part
        return row_sums(
            values.at[senders].get(mode="promise_in_bounds") * g.at[receivers].get(mode="promise_in_bounds")
        )

    size = edges.senders.size
    parts = [
        jnp.pad(ends, (0, -size % edges.block)).reshape(-1, edges.block) for ends in (edges.senders, edges.receivers)
    ]
    return jax.lax.map(dots, tuple(parts)).reshape(-1)[:size]


PHI = {"relu": nn.relu, "elu": nn.elu}


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def edge_logits(activation: str, edges: Diffusion, receiver_terms, sender_terms, head) -> jax.Array:
    """head . phi(receiver_terms[receiver] + sender_terms[sender]) of every edge, without an array f32[E, H] on a CPU.

    Args:
      activation: A key of `PHI`.
      edges: E edges.
      receiver_terms: f32[num_receivers, H].
      sender_terms: f32[num_senders, H].
      head: f32[H].

    Returns:
      f32[E], in the order of `edges.senders`.
    """

    def in_blocks(forth, receiver_terms, sender_terms, head, block):
        def one(part):
            return jnp.stack(
                [hidden @ head for hidden in _hidden(activation, part, receiver_terms, sender_terms)], axis=1
            )

        return jax.lax.map(one, _blocks(block, forth)).reshape(-1)

    receiver_terms, sender_terms, head = (jnp.asarray(array) for array in (receiver_terms, sender_terms, head))
    return _on_platform(in_blocks, edges.block, edges.forth, receiver_terms, sender_terms, head)[edges.slot]


def _forward(activation, edges, receiver_terms, sender_terms, head):
    saved = edges, receiver_terms, sender_terms, head
    return edge_logits(activation, *saved), saved


def _backward(activation, saved, g):
    """Both gradients go over the edges by the node that they belong to, so that each write sums four edges."""
    edges, receiver_terms, sender_terms, head = saved

    def in_blocks(bundles, own, others, head, g, block):
        def add(totals, part):
            g, part = part
            change, to_head = 0.0, totals[1]
            for k, hidden in enumerate(_hidden(activation, part, own, others)):
                slope = hidden > 0 if activation == "relu" else jnp.where(hidden > 0, 1.0, hidden + 1.0)
                change = change + slope * g[:, k, None]
                to_head = to_head + g[:, k] @ hidden
            return (totals[0].at[part.receivers].add(change * head[None, :], mode="drop"), to_head), None

        zeros = jnp.zeros_like(own), jnp.zeros_like(head)
        return jax.lax.scan(add, zeros, (g.reshape(-1, block, WIDTH), _blocks(block, bundles)))[0]

    def half(bundles, own, others):
        in_bundles = g.at[bundles.edge].get(mode="fill", fill_value=0)
        return _on_platform(in_blocks, edges.block, bundles, own, others, head, in_bundles)

    to_receivers, to_head = half(edges.forth, receiver_terms, sender_terms)
    return None, to_receivers, half(edges.back, sender_terms, receiver_terms)[0], to_head


edge_logits.defvjp(_forward, _backward)


def _hidden(activation: str, part: Bundles, own, others):
    """phi(own[receiver] + others[sender]) f32[G, H] for each of the places in the bundles."""
    base = own.at[part.receivers].get(mode="clip")  # bundles of padding have a receiver out of range
    for k in range(WIDTH):
        yield PHI[activation](base + others.at[part.senders[:, k]].get(mode="promise_in_bounds"))


def _blocks(block: int, bundles: Bundles) -> Bundles:
    return jax.tree.map(lambda leaf: leaf.reshape(-1, block, *leaf.shape[1:]), bundles)


def _on_platform(function, block: int, bundles: Bundles, *arrays):
    """function(bundles, *arrays, block): in blocks that stay in the cache on a CPU, at once elsewhere."""
    # A quarter of what `propagate` takes: there are H numbers for each of the four edges of a bundle.
    small, whole = (functools.partial(function, block=size) for size in (block // 4, bundles.receivers.shape[0]))
    return jax.lax.platform_dependent(bundles, *arrays, cpu=small, default=whole)
