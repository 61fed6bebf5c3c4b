"""DiffNet++: influence and interest diffuse together, with attention (Wu, Li, Sun, Hong, Ge, Wang, TKDE 2020,
arXiv 2002.00844).

Three sets of edges carry messages in each layer: friends to users, items to the users who took them, users to those
items.

| | `paper` | `released`, the authors' code |
|---|---|---|
| start u^0, v^0 | one layer over [free, feature] | free + standardised feature, as in DiffNet |
| attention of an edge | MLP of both ends, one for each set | a free number z_e for each edge and layer, squeezed |
| friends against items | softmax of an MLP, one for all layers | exp(leaky(MLP)) + 0.3 or 0.7, by layer |
| user update | u + both | half u, half both |
| item update | v + users | convex combination of v and users, + 1.0 each |
| vectors | [u^0 .. u^K] | [u^1 .. u^K, free (, standardised feature)] |
| loss | BPR | squared error, 8 negatives, no L2, no item bias |
| dense layers start from | LeCun's normal distribution | Glorot's uniform one, TensorFlow's default |

The loss is no part of the variant: `objective="squared", negatives=8, l2=0.0, item_bias=False` make it the authors'.

An attention MLP over both ends of an edge is taken apart: W [a, b] = W_1 a + W_2 b, so nodes are projected to a few
numbers first and only those are gathered; no array of edges is as wide as an embedding.

Explanations are computed on the host. Given the messages of friends and items in each layer, and their attention, a
user's layers are sums: u^{k+1} = keep u^k + mix (gate of friends * their weighted sum + gate of items * theirs). So the
score is exactly the sum of what the user's start and the messages of each layer add.
"""

import dataclasses
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.models.bipartite import Bipartite, bipartite
from socialjax.models.history import elements
from socialjax.models.parts import DotProductModel, Factors, pair_dot, require_at_least, require_depth
from socialjax.models.protocol import OF_ITEMS, OF_USERS, Batch, Explanation, Traits
from socialjax.models.social.diffnet import NUMPY_ACTIVATIONS
from socialjax.models.social.features import (
    FEATURE_LAYERS,
    check_scale_and_penalties,
    features_for,
    glorot,
    released_parts,
)
from socialjax.models.social.similarity import friends
from socialjax.models.weight_penalty import weight_penalty
from socialjax.ops.activations import ACTIVATIONS
from socialjax.ops.lookup import row_sums, segment_softmax
from socialjax.ops.propagate import Diffusion, propagate
from socialjax.ranges import Choice, LogUniform

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


@dataclasses.dataclass(frozen=True)
class DiffNetPP(DotProductModel):
    """s = <[u^0 .. u^K], [v^0 .. v^K]> (+ b_i); u^k and v^k aggregate friends, items and users by attention.

    Wu et al., TKDE 2020, arXiv 2002.00844; the table in the module's docstring compares the paper with the authors'
    code, and docs/tables.md with other models. A training item is in the user's own neighbourhood, in training as in
    evaluation, as in the authors' code.

    Attributes:
      depth: K, the number of layers, 0..8; 0 leaves u^0 and v^0, without features matrix factorisation.
      variant: paper or released (the authors' code); the module's docstring has the differences.
      attention_dim: Hidden width of the attention MLPs, at least 1; in the variant paper only.
      activation: Of the MLPs and of the fusion layers, in the variant paper only.
      symmetric: Whether links count in both directions.
      use_features: Whether user and item features are used where the data has them.
      feature_scale: Standard deviation, above 0, to which all numbers of a feature table are brought, and in released
        those that are added to the free embeddings too.
      feature_l2: Lambda on the squared norm of the weights of the feature layers, shared (released) or fusion (paper).
      layer_l2: Lambda on the squared norm of the weights of all other layers: the MLPs of paper, the dense layers of
        released. The free numbers of the edges, z_e, are not among them.
    """

    traits: ClassVar[Traits] = Traits(needs=("links",), uses=("user_features", "item_features"), new_users=True)
    search_space: ClassVar = {"depth": Choice((1, 2, 3)), "layer_l2": LogUniform(1e-6, 1e-2)}

    depth: int = 2
    variant: Literal["paper", "released"] = "released"
    attention_dim: int = 8
    activation: Literal["identity", "relu", "sigmoid", "tanh"] = "tanh"
    symmetric: bool = True
    use_features: bool = True
    feature_scale: float = 0.1
    feature_l2: float = 0.0
    layer_l2: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        require_depth(self)
        check_scale_and_penalties(self)
        require_at_least(self, attention_dim=1)

    def prepare(self, columns) -> DiffNetPPSide:
        self.check(columns)
        features = features_for(self, columns)
        return DiffNetPPSide(friends(columns, self.symmetric), bipartite(columns, "mean"), *features)

    def _layers(self, side: DiffNetPPSide) -> DiffNetPPLayers:
        return DiffNetPPLayers(self, side.graph.num_users, side.graph.num_items)

    def init(self, rng, side):
        return self._layers(side).init(rng, side)["params"]

    def encode(self, params, side) -> DiffNetPPState:
        return self._layers(side).apply({"params": params}, side)

    def squared_norms(self, params):
        """The free embeddings and the item bias."""
        return self.table_norms(params["tables"])

    def penalty(self, params, side, state, batch: Batch, rng):
        """feature_l2 and layer_l2 times the squared norms of their layers' weights: f32[B], or None for none."""
        layers = [name for name in params if name not in ("tables", *FEATURE_LAYERS)]
        strengths = dict.fromkeys(FEATURE_LAYERS, self.feature_l2) | dict.fromkeys(layers, self.layer_l2)
        return weight_penalty(params, strengths, batch)

    def explain(self, state: DiffNetPPState, side: DiffNetPPSide, users, items):
        return explain(self, state, side, users, items)

    def new_user(self, state: DiffNetPPState, side: DiffNetPPSide, items: np.ndarray, friends: np.ndarray):
        return new_user(self, state, side, items, friends)


def explain(model, state, side, users, items) -> Explanation:
    """Parts and elements of the scores of some pairs.

    Parts are `own_vector`, u^0 through all layers; `friends_layer_1`, `history_layer_1`, ..., what was aggregated in
    that layer, carried on through the later ones; `features`, where they are concatenated; and `item_bias`. Elements
    are the friends and items of each layer, with attention times gate as weight.
    """
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    layers, towards = np.asarray(state.layers), np.asarray(state.item_layers)[:, items]
    keep, mix = KEEP[model.variant]
    through = sum(keep**k * towards[k] for k in range(first_layer(model), model.depth + 1))
    parts, elements_by_part = {"own_vector": pair_dot(layers[0][users], through)}, {}
    for name, block in state.blocks.items():
        part = pair_dot(np.asarray(block[0])[users], np.asarray(block[1])[items])
        name = "own_vector" if name == "free" else name
        parts[name] = parts.get(name, 0) + part
    for k, attention in enumerate(state.attention):
        onwards = mix * sum(keep ** (later - k - 1) * towards[later] for later in range(k + 1, model.depth + 1))
        gates = np.asarray(attention["gates"])[users]
        sides = (
            ("friends", OF_USERS, side.social, layers),
            ("history", OF_ITEMS, side.graph.to_users, np.asarray(state.item_layers)),
        )
        for column, (name, kind, edges, messages) in enumerate(sides):
            gate = gates[:, column]
            weighed = edges.replace(weight=attention[name])
            weighted = elements(weighed, messages[k], users, gate[:, None] * onwards, kind)
            ends = np.concatenate([[0.0], np.cumsum(weighted.contribution, dtype=np.float64)])[weighted.offsets]
            parts[f"{name}_layer_{k + 1}"] = np.diff(ends).astype(np.float32)
            weight = weighted.weight * np.repeat(gate, np.diff(weighted.offsets))
            elements_by_part[f"{name}_layer_{k + 1}"] = dataclasses.replace(weighted, weight=weight)
    return model.explained(state, users, items, parts, elements_by_part)


def new_user(model, state, side, items, friends) -> np.ndarray:
    """Embedding f32[.] of an untrained user: layers from those of the friends and the items.

    u^0 is 0, in the variant paper with user features the mean of u^0, as in DiffNet. The variant released has no z_e
    for new edges: they weigh alike. The user sends no messages to friends and items.
    """
    layers, item_layers = np.asarray(state.layers), np.asarray(state.item_layers)
    own_layers = [np.zeros(layers.shape[2], np.float32)]
    if side.user_features is not None and model.variant == "paper":
        own_layers = [layers[0].mean(axis=0)]
    keep, mix = KEEP[model.variant]
    for k in range(model.depth):
        aggregated, logits = [], []
        for name, messages in (("friends", layers[k][friends]), ("history", item_layers[k][items])):
            total = np.zeros_like(own_layers[0])
            if len(messages):
                total = _attention(model, state, name, own_layers[-1], messages) @ messages
            aggregated.append(total)
            if model.variant == "paper":
                logits.append(_mlp_logits(model, state.weights["gate"], own_layers[-1], total[None, :])[0])
            else:
                logits.append(_gate_weight(state.weights[f"{name}_{k}"], own_layers[-1], total) + OFFSETS[name])
        gates = _softmax(np.array(logits)) if model.variant == "paper" else np.array(logits) / sum(logits)
        own_layers.append(keep * own_layers[-1] + mix * (gates[0] * aggregated[0] + gates[1] * aggregated[1]))
    chosen = own_layers[first_layer(model) :]
    rest = np.zeros(state.users.shape[1] - len(chosen) * len(own_layers[0]))
    return np.concatenate([*chosen, rest]).astype(np.float32)


def _attention(model, state, name, own, messages) -> np.ndarray:
    """Attention weights f64[N] of messages f32[N, D]."""
    if model.variant == "paper" and name in state.weights:
        return _softmax(_mlp_logits(model, state.weights[name], own, messages))
    return np.full(len(messages), 1 / len(messages))


def _mlp_logits(model, weights, own, others) -> np.ndarray:
    """`PairMLP` of one node f32[D] and others f32[N, D]: f64[N]."""
    first = own @ np.asarray(weights["first"]["kernel"]) + np.asarray(weights["first"]["bias"])
    hidden = first[None, :] + others @ np.asarray(weights["second"]["kernel"])
    return NUMPY_ACTIVATIONS[model.activation][0](hidden) @ np.asarray(weights["head"])[:, 0]


def _gate_weight(weights, own, aggregated) -> float:
    """`Gate` of a user and the aggregated messages, f32[D] both."""
    dense = lambda name, values: values @ np.asarray(weights[name]["kernel"])[:, 0]  # noqa: E731
    hidden = np.tanh(dense("from_0", own) + weights["from_0"]["bias"][0] + dense("from_1", aggregated))
    out = dense("out", np.array([hidden])) + weights["out"]["bias"][0]
    return float(np.exp(out if out > 0 else 0.2 * out))


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max())
    return raised / raised.sum()
