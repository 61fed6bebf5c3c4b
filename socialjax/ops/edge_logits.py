"""Attention logits of edges, one hidden layer over receiver and sender: forward and backward without [E, H] arrays."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from socialjax.ops.propagate import WIDTH, Bundles, Diffusion

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
