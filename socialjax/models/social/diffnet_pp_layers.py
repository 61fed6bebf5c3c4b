"""The layers of DiffNet++: attention over friends and items, gates between the two, and what they are made of.

An attention MLP over both ends of an edge is taken apart: W [a, b] = W_1 a + W_2 b, so nodes are projected to a few
numbers first and only those are gathered; no array of edges is as wide as an embedding.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from socialjax.models.history import Bipartite
from socialjax.models.parts import DotProductModel, Factors
from socialjax.models.social.shared import glorot, released_parts
from socialjax.ops.activations import ACTIVATIONS
from socialjax.ops.lookup import row_sums, segment_softmax
from socialjax.ops.propagate import Diffusion, propagate

KEEP = {"paper": (1.0, 1.0), "released": (0.5, 0.5)}  # of u^k and of the aggregated messages, in u^{k+1}
OFFSETS = {"friends": 0.3, "history": 0.7}  # added to the weights of friends and items in the released code


@struct.dataclass
class DiffNetPPSide:
    """The graphs and the features.

    Edges are sorted by receiver and sender whatever the files' order, as z_e of the variant released needs.

    Attributes:
      social: Edges friend -> user.
      graph: Users and items.
      user_features: f32[U, F] or None.
      item_features: f32[I, G] or None.
    """

    social: Diffusion
    graph: Bipartite
    user_features: jax.Array | None
    item_features: jax.Array | None


@struct.dataclass
class DiffNetPPState(Factors):
    """Factors, concatenated over layers, and what they are computed from.

    Attributes:
      layers: f32[K + 1, U, D], u^0..u^K.
      item_layers: f32[K + 1, I, D], v^0..v^K.
      blocks: In the variant released, what is concatenated beside the layers, name -> (f32[U, D], f32[I, D]): `free`
        embeddings and, where users and items have them, `features`.
      attention: For each layer the weights of friends f32[E] and of history f32[E'], and gates f32[U, 2] between them.
      weights: Parameters of the attention, for new users.
    """

    layers: jax.Array
    item_layers: jax.Array
    blocks: dict
    attention: tuple
    weights: dict


def first_layer(model) -> int:
    """The first layer that is concatenated: the released code leaves u^0 out, unless there is no other."""
    return 0 if model.variant == "paper" or not model.depth else 1


class DiffNetPPLayers(nn.Module):
    """The layers of either variant.

    Attributes:
      settings: A `DiffNetPP`.
      num_users: U.
      num_items: I.
    """

    settings: DotProductModel
    num_users: int
    num_items: int

    @nn.compact
    def __call__(self, side: DiffNetPPSide) -> DiffNetPPState:
        settings = self.settings
        free = settings.tables(self.num_users, self.num_items, name="tables")()
        users, items, blocks = self.start(*free[:2], side)
        layers, item_layers, attention = [users], [items], []
        step, weights = self.paper() if settings.variant == "paper" else self.released()
        for k in range(settings.depth):
            users, items, shares = step(k, side, users, items)
            layers, item_layers, attention = [*layers, users], [*item_layers, items], [*attention, shares]
        chosen = slice(first_layer(settings), None)
        vectors = [
            jnp.concatenate([*each[chosen], *(block[end] for block in blocks.values())], axis=1)
            for end, each in enumerate((layers, item_layers))
        ]
        every = jnp.stack(layers), jnp.stack(item_layers)
        return DiffNetPPState(*vectors, free[2], *every, blocks, tuple(attention), weights())

    def start(self, users, items, side: DiffNetPPSide):
        """u^0 f32[U, D], v^0 f32[I, D] and the further blocks, from free embeddings and, where they exist, features."""
        settings, (x, y) = self.settings, (side.user_features, side.item_features)
        if settings.variant == "paper":
            act = ACTIVATIONS[settings.activation]
            if x is not None:
                users = act(nn.Dense(settings.dim, name="fuse_users")(jnp.concatenate([users, x], axis=1)))
            if y is not None:
                items = act(nn.Dense(settings.dim, name="fuse_items")(jnp.concatenate([items, y], axis=1)))
            return users, items, {}
        x, y = released_parts(settings, side)
        blocks = {"free": (users, items)} if settings.depth else {}
        if settings.depth and x is not None and y is not None:
            blocks["features"] = x, y
        return users if x is None else users + x, items if y is None else items + y, blocks

    def paper(self):
        """The function of a layer, with MLPs that all layers share, and one that returns their parameters."""
        settings = self.settings
        mlps = {
            name: PairMLP(settings.attention_dim, settings.activation, name=name)
            for name in ("friends", "history", "takers")
        }
        gate = PairMLP(settings.attention_dim, settings.activation, name="gate")
        keep, mix = KEEP["paper"]

        def aggregate(name, edges: Diffusion, receivers, senders):
            if not edges.senders.size:
                return jnp.zeros_like(receivers), jnp.zeros(0)
            receiver_terms, sender_terms = mlps[name].projected(receivers, senders)
            logits = mlps[name].logits(receiver_terms[edges.receivers], sender_terms[edges.senders])
            share = segment_softmax(logits, edges.receivers, edges.num_receivers)
            return propagate(edges, senders, share), share

        def step(k, side: DiffNetPPSide, users, items):
            friends, to_friends = aggregate("friends", side.social, users, users)
            history, to_history = aggregate("history", side.graph.to_users, users, items)
            takers, _ = aggregate("takers", side.graph.to_items, items, users)
            logits = [gate.logits(*gate.projected(users, aggregated)) for aggregated in (friends, history)]
            gates = jax.nn.softmax(jnp.stack(logits, axis=1), axis=1)
            users = keep * users + mix * (gates[:, :1] * friends + gates[:, 1:] * history)
            return users, items + takers, {"friends": to_friends, "history": to_history, "gates": gates}

        def weights():
            present = {**mlps, "gate": gate} if settings.depth else {}
            return {
                name: mlp.variables["params"] for name, mlp in present.items() if mlp.has_variable("params", "head")
            }

        return step, weights

    def released(self):
        """As `paper`, with modules of each layer's own."""
        gates_of, (keep, mix) = {}, KEEP["released"]

        def aggregate(name, k, edges: Diffusion, senders, std=1.0):
            if not edges.senders.size:
                return jnp.zeros((edges.num_receivers, senders.shape[1])), jnp.zeros(0)
            share = EdgeNumbers(std, name=f"{name}_{k}")(edges)
            return propagate(edges, senders, share), share

        def step(k, side: DiffNetPPSide, users, items):
            friends, to_friends = aggregate("friends", k, side.social, users)
            history, to_history = aggregate("history", k, side.graph.to_users, items)
            takers, _ = aggregate("takers", k, side.graph.to_items, users, std=0.01 if k == 1 else 1.0)
            raised = []
            for name, aggregated in (("friends", friends), ("history", history)):
                gates_of[f"{name}_{k}"] = gate = Gate(name=f"gate_{name}_{k}")
                raised.append(gate(users, aggregated) + OFFSETS[name])
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
        """W_1 a + c of first f32[N, D], and W_2 b of second f32[M, D]: f32[N, A], f32[M, A]."""
        return self.first(first), self.second(second)

    def logits(self, first, second):
        """The output f32[E] for pairs of nodes, projected and gathered, f32[E, A] each."""
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
        """The gate f32[N] of nodes, f32[N, D] each."""
        width = nodes[0].shape[1]
        start = glorot((width + 1) / (len(nodes) * width + 1))
        hidden = sum(
            nn.Dense(1, use_bias=not n, kernel_init=start, name=f"from_{n}")(values) for n, values in enumerate(nodes)
        )
        return jnp.exp(nn.leaky_relu(nn.Dense(1, kernel_init=glorot(), name="out")(jnp.tanh(hidden)), 0.2))[:, 0]
