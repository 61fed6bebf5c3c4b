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

Explanations are computed on the host. Given the messages of friends and items in each layer, and their attention, a
user's layers are sums: u^{k+1} = keep u^k + mix (gate of friends * their weighted sum + gate of items * theirs). So the
score is exactly the sum of what the user's start and the messages of each layer add.
"""

import dataclasses
from typing import ClassVar, Literal

import numpy as np

from socialjax.contract import OF_ITEMS, OF_USERS, Batch, Choice, Explanation, LogUniform, Traits
from socialjax.models.history import bipartite, elements
from socialjax.models.parts import DotProductModel, pair_dot, require_at_least, require_depth, weight_penalty
from socialjax.models.social.diffnet import NUMPY_ACTIVATIONS
from socialjax.models.social.diffnet_pp_layers import (
    KEEP,
    OFFSETS,
    DiffNetPPLayers,
    DiffNetPPSide,
    DiffNetPPState,
    first_layer,
)
from socialjax.models.social.shared import FEATURE_LAYERS, check_scale_and_penalties, features_for, friends


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
