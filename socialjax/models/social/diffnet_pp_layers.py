"""The layers of DiffNet++, in both forms.

An attention MLP over both ends of an edge is taken apart: W [a, b] = W_1 a + W_2 b, so nodes are projected to a few
numbers first and only those are gathered; no array of edges is as wide as an embedding.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from socialjax.models.bipartite import Bipartite
from socialjax.models.parts import FactorModel, Factors
from socialjax.models.social.features import glorot, released_parts
from socialjax.ops.activations import ACTIVATIONS
from socialjax.ops.propagate import Diffusion, propagate
from socialjax.ops.rows import row_sums
from socialjax.ops.segment import segment_softmax

KEEP = {"paper": (1.0, 1.0), "released": (0.5, 0.5)}  # of u^k and of what was heard, in u^{k+1}
OFFSETS = {"friends": 0.3, "history": 0.7}  # added to the weights of friends and items in the released code


@struct.dataclass
class DiffNetPPSide:
    """social: edges friend -> user; graph: users and items; features f32[U, F], f32[I, F] or None.

    Edges are sorted by receiver and sender whatever the files' order, as z_e of the `released` form needs.
    """

    social: Diffusion
    graph: Bipartite
    user_features: jax.Array | None
    item_features: jax.Array | None


@struct.dataclass
class DiffNetPPState(Factors):
    """Factors, concatenated over layers, with what they are made of.

    layers f32[K + 1, U, D] and item_layers f32[K + 1, I, D]: u^0..u^K, v^0..v^K. blocks: what the vectors have beside
    them (`released`), name -> (f32[U, D], f32[I, D]): `free` embeddings and, where both exist, `features`. attention:
    for each layer friends f32[E], history f32[E'] and gates f32[U, 2] between the two. weights: parameters that the
    attention of a new user takes.
    """

    layers: jax.Array
    item_layers: jax.Array
    blocks: dict
    attention: tuple
    weights: dict


def first_layer(model) -> int:
    """The first layer that is part of the vectors: the released code leaves u^0 out, unless there is no other."""
    return 0 if model.variant == "paper" or not model.depth else 1


class DiffNetPPLayers(nn.Module):
    """settings: a `DiffNetPP`."""

    settings: FactorModel
    num_users: int
    num_items: int

    @nn.compact
    def __call__(self, side: DiffNetPPSide) -> DiffNetPPState:
        of = self.settings
        free = of.tables(self.num_users, self.num_items, name="tables")()
        users, items, blocks = self.start(*free[:2], side)
        layers, item_layers, attention = [users], [items], []
        step, weights = self.paper() if of.variant == "paper" else self.released()
        for k in range(of.depth):
            users, items, heard = step(k, side, users, items)
            layers, item_layers, attention = [*layers, users], [*item_layers, items], [*attention, heard]
        chosen = slice(first_layer(of), None)
        vectors = [
            jnp.concatenate([*each[chosen], *(block[end] for block in blocks.values())], axis=1)
            for end, each in enumerate((layers, item_layers))
        ]
        every = jnp.stack(layers), jnp.stack(item_layers)
        return DiffNetPPState(*vectors, free[2], *every, blocks, tuple(attention), weights())

    def start(self, users, items, side: DiffNetPPSide):
        """Free embeddings and features -> u^0, v^0 and the further blocks of the vectors; no features, no layer."""
        of, (x, y) = self.settings, (side.user_features, side.item_features)
        if of.variant == "paper":
            act = ACTIVATIONS[of.activation]
            if x is not None:
                users = act(nn.Dense(of.dim, name="fuse_users")(jnp.concatenate([users, x], axis=1)))
            if y is not None:
                items = act(nn.Dense(of.dim, name="fuse_items")(jnp.concatenate([items, y], axis=1)))
            return users, items, {}
        x, y = released_parts(of, side)
        blocks = {"free": (users, items)} if of.depth else {}
        if of.depth and x is not None and y is not None:
            blocks["features"] = x, y
        return users if x is None else users + x, items if y is None else items + y, blocks

    def paper(self):
        """The step of a layer, whose MLPs are those of all layers, and what gives the weights of a new user."""
        of = self.settings
        mlps = {name: PairMLP(of.attention_dim, of.activation, name=name) for name in ("friends", "history", "takers")}
        gate = PairMLP(of.attention_dim, of.activation, name="gate")
        keep, mix = KEEP["paper"]

        def hear(name, edges: Diffusion, receivers, senders):
            if not edges.senders.size:
                return jnp.zeros_like(receivers), jnp.zeros(0)
            mine, theirs = mlps[name].projected(receivers, senders)
            logits = mlps[name].judged(mine[edges.receivers], theirs[edges.senders])
            share = segment_softmax(logits, edges.receivers, edges.num_receivers)
            return propagate(edges, senders, share), share

        def step(k, side: DiffNetPPSide, users, items):
            friends, to_friends = hear("friends", side.social, users, users)
            history, to_history = hear("history", side.graph.to_users, users, items)
            takers, _ = hear("takers", side.graph.to_items, items, users)
            logits = [gate.judged(*gate.projected(users, heard)) for heard in (friends, history)]
            gates = jax.nn.softmax(jnp.stack(logits, axis=1), axis=1)
            users = keep * users + mix * (gates[:, :1] * friends + gates[:, 1:] * history)
            return users, items + takers, {"friends": to_friends, "history": to_history, "gates": gates}

        def weights():
            present = {**mlps, "gate": gate} if of.depth else {}
            return {
                name: mlp.variables["params"] for name, mlp in present.items() if mlp.has_variable("params", "head")
            }

        return step, weights

    def released(self):
        """The same, with modules of each layer's own."""
        gates_of, (keep, mix) = {}, KEEP["released"]

        def hear(name, k, edges: Diffusion, senders, std=1.0):
            if not edges.senders.size:
                return jnp.zeros((edges.num_receivers, senders.shape[1])), jnp.zeros(0)
            share = EdgeNumbers(std, name=f"{name}_{k}")(edges)
            return propagate(edges, senders, share), share

        def step(k, side: DiffNetPPSide, users, items):
            friends, to_friends = hear("friends", k, side.social, users)
            history, to_history = hear("history", k, side.graph.to_users, items)
            takers, _ = hear("takers", k, side.graph.to_items, users, std=0.01 if k == 1 else 1.0)
            raised = []
            for name, heard in (("friends", friends), ("history", history)):
                gates_of[f"{name}_{k}"] = gate = Gate(name=f"gate_{name}_{k}")
                raised.append(gate(users, heard) + OFFSETS[name])
            gates = jnp.stack(raised, axis=1) / (raised[0] + raised[1])[:, None]
            users = keep * users + mix * (gates[:, :1] * friends + gates[:, 1:] * history)
            own, others = (Gate(name=f"gate_{name}_{k}")(v) + 1.0 for name, v in (("items", items), ("takers", takers)))
            items = (own / (own + others))[:, None] * items + (others / (own + others))[:, None] * takers
            return users, items, {"friends": to_friends, "history": to_history, "gates": gates}

        return step, lambda: {name: gate.variables["params"] for name, gate in gates_of.items()}


class PairMLP(nn.Module):
    """h . act(W_1 a + W_2 b + c), in two halves. A bias of the output would fall out of the softmax."""

    width: int
    activation: str

    def setup(self):
        self.first = nn.Dense(self.width)
        self.second = nn.Dense(self.width, use_bias=False)
        self.head = self.param("head", nn.initializers.lecun_normal(), (self.width, 1))

    def projected(self, first, second):
        """f32[N, D], f32[M, D] -> W_1 a + c f32[N, A], W_2 b f32[M, A]."""
        return self.first(first), self.second(second)

    def judged(self, first, second):
        """f32[E, A] twice, projected and gathered -> f32[E]."""
        return row_sums(ACTIVATIONS[self.activation](first + second) * self.head[:, 0][None, :])


class EdgeNumbers(nn.Module):
    """softmax of exp(sigmoid(w z_e + b)) over the edges of a receiver, with a free z_e for every edge.

    The exponents lie in (1, e): two shares of one receiver differ by a factor of 5.6 at most.
    """

    std: float

    @nn.compact
    def __call__(self, edges: Diffusion):
        z = self.param("z", nn.initializers.normal(self.std), (edges.senders.shape[0],))
        squeezed = nn.sigmoid(nn.Dense(1, kernel_init=glorot(), name="squeeze")(z[:, None])[:, 0])
        return segment_softmax(jnp.exp(squeezed), edges.receivers, edges.num_receivers)


class Gate(nn.Module):
    """exp(leaky(dense(tanh(dense([a, ..]))))) with one hidden number. The first dense is one layer in our parts."""

    @nn.compact
    def __call__(self, *nodes):
        """f32[N, D] each -> f32[N]."""
        width = nodes[0].shape[1]
        start = glorot((width + 1) / (len(nodes) * width + 1))
        hidden = sum(
            nn.Dense(1, use_bias=not n, kernel_init=start, name=f"from_{n}")(values) for n, values in enumerate(nodes)
        )
        return jnp.exp(nn.leaky_relu(nn.Dense(1, kernel_init=glorot(), name="out")(jnp.tanh(hidden)), 0.2))[:, 0]
