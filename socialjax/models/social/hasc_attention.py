"""The attention networks of HASC: a bottom one over the edges of each user, a top one over a user's three aspects.

Every first layer is linear in what it is told, so its terms are made once for each node and only gathered over edges:
an edge costs H numbers, whatever the width of the inputs.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from socialjax.ops.propagate import WIDTH, Bundles, Diffusion
from socialjax.ops.segment import segment_softmax

PHI = {"relu": nn.relu, "elu": nn.elu}


class Bottom(nn.Module):
    """softmax over the edges of each receiver of h . phi(A [receiver; sender] + c) (section 4, alpha and beta)."""

    hidden: int
    activation: str

    @nn.compact
    def __call__(self, edges: Diffusion, receivers: list[jax.Array], senders: list[jax.Array]):
        """receivers: f32[num_receivers, .] each, senders: f32[num_senders, .] each -> weights of the edges f32[E]."""
        kernel, bias, head = first_layer(self, receivers + senders, self.hidden, 1)
        if not edges.senders.size:  # nothing can be gathered
            return jnp.zeros(0)
        mine = projected(receivers, kernel) + bias[None, :]
        theirs = projected(senders, kernel[sum(part.shape[1] for part in receivers) :])
        logits = edge_logits(self.activation, edges, mine, theirs, head[:, 0])
        return segment_softmax(logits, edges.receivers, edges.num_receivers)


@struct.dataclass
class TopState:
    """What of the top network does not depend on the pair.

    own: scores o_a1, o_a2 of a user's uploads and followees f32[U, 2]; mine f32[U, H] and owners f32[U + 1, H]: the
    first layer's terms of a user and of an owner; head f32[H] of the owner aspect. All but `own` are None where
    nothing is learned: AVG, or a single aspect.
    """

    own: jax.Array
    mine: jax.Array | None
    owners: jax.Array | None
    head: jax.Array | None


class Top(nn.Module):
    """o_al = h_l . phi(A [z_l; a] + c): the scores of a user's aspects, of which the last depends on the owner."""

    hidden: int
    activation: str
    per_aspect_head: bool

    @nn.compact
    def __call__(self, contexts: list[jax.Array | None], users: list[jax.Array]) -> TopState:
        """contexts: x~ f32[U, D], q~ f32[U, D], c of all owners f32[U + 1, D], None for an aspect that is left out.
        users: f32[U, .] each."""
        (width,) = {part.shape[1] for part in contexts if part is not None}
        kernel, bias, head = first_layer(
            self, [jnp.zeros((1, width)), *users], self.hidden, 3 if self.per_aspect_head else 1
        )
        heads = [head[:, place if self.per_aspect_head else 0] for place in range(3)]
        phi, mine = PHI[self.activation], projected(users, kernel[width:]) + bias[None, :]
        heard = [None if part is None else projected([part], kernel) for part in contexts]
        own = [
            jnp.zeros(mine.shape[0]) if part is None else jnp.sum(phi(mine + part) * h[None, :], axis=1)
            for part, h in zip(heard[:2], heads)
        ]
        return TopState(jnp.stack(own, axis=1), mine, heard[2], heads[2])


def first_layer(module: nn.Module, inputs: list[jax.Array], hidden: int, heads: int):
    """Kernel f32[sum of widths, H] (Glorot), bias f32[H] and head f32[H, heads] of a network with one hidden layer."""
    start = nn.initializers.xavier_uniform()
    kernel = module.param("kernel", start, (sum(part.shape[1] for part in inputs), hidden))
    return kernel, module.param("bias", nn.initializers.zeros, (hidden,)), module.param("head", start, (hidden, heads))


def projected(parts: list[jax.Array], kernel: jax.Array) -> jax.Array:
    """[parts side by side] @ the first rows of kernel f32[., H]: f32[N, .] each -> f32[N, H]."""
    first, total = 0, 0.0
    for part in parts:
        total = total + part @ kernel[first : first + part.shape[1]]
        first += part.shape[1]
    return total


def owner_logits(activation: str, top: TopState, users: jax.Array, owners: jax.Array) -> jax.Array:
    """o_a3 of users i32[B] beside owners i32[B, C], or i32[C] for all users alike -> f32[B, C]."""
    if top.owners is None:
        return jnp.zeros((users.shape[0], owners.shape[-1]))
    heard = top.owners[owners] if owners.ndim == 2 else top.owners[owners][None]
    hidden = PHI[activation](top.mine[users][:, None, :] + heard)
    return jnp.sum(hidden * top.head[None, None, :], axis=2)


def masked_softmax(logits: jax.Array, there: jax.Array) -> jax.Array:
    """Softmax of f32[..., 3] over the aspects that are there, bool[..., 3]; 0, as their gradient, where none is."""
    top = jnp.max(jnp.where(there, logits, -jnp.inf), axis=-1, keepdims=True)
    top = jax.lax.stop_gradient(jnp.where(top == -jnp.inf, 0.0, top))
    raised = jnp.where(there, jnp.exp(jnp.where(there, logits - top, 0.0)), 0.0)
    return raised / jnp.maximum(jnp.sum(raised, axis=-1, keepdims=True), 1e-30)


def hard(soft: jax.Array) -> jax.Array:
    """1 for the largest of f32[..., 3], the first of equals, with the gradient of the shares; zeros stay zeros."""
    first = jnp.argmax(soft, axis=-1)[..., None] == jax.lax.broadcasted_iota(jnp.int32, soft.shape, soft.ndim - 1)
    return soft + jax.lax.stop_gradient(jnp.where(first & (soft > 0), 1.0, 0.0) - soft)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def edge_logits(activation: str, edges: Diffusion, mine, theirs, head) -> jax.Array:
    """head . phi(mine[receiver] + theirs[sender]) of every edge, without an array f32[E, H] on a CPU.

    mine f32[num_receivers, H], theirs f32[num_senders, H], head f32[H] -> f32[E], in the order of `edges.senders`.
    """

    def in_blocks(forth, mine, theirs, head, block):
        def one(part):
            return jnp.stack([hidden @ head for hidden in _hidden(activation, part, mine, theirs)], axis=1)

        return jax.lax.map(one, _blocks(block, forth)).reshape(-1)

    mine, theirs, head = (jnp.asarray(array) for array in (mine, theirs, head))
    return _on_platform(in_blocks, edges.block, edges.forth, mine, theirs, head)[edges.slot]


def _forward(activation, edges, mine, theirs, head):
    return edge_logits(activation, edges, mine, theirs, head), (edges, mine, theirs, head)


def _backward(activation, saved, g):
    """Both gradients walk the edges by the node that they belong to, so that four edges are summed for each write."""
    edges, mine, theirs, head = saved

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

    to_mine, to_head = half(edges.forth, mine, theirs)
    return None, to_mine, half(edges.back, theirs, mine)[0], to_head


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
