"""DiffNet++ on the host, for a few pairs: why they got their scores, and the vector of a user who was not trained.

Given what friends and items said in each layer, and the attention they got, a user's vectors are sums: u^{k+1} =
keep u^k + mix (gate of friends * their share-weighted sum + gate of items * theirs). So the score falls into the user's
start and what each friend and item said in each layer, exactly.
"""

import numpy as np

from socialjax.models.history import elements
from socialjax.models.parts import pair_dot
from socialjax.models.protocol import Explanation
from socialjax.models.social.diffnet_explain import ACTIVATIONS
from socialjax.models.social.diffnet_pp_layers import KEEP, OFFSETS, first_layer


def explain(model, state, side, users, items) -> Explanation:
    """Parts `own_vector`, u^0 through all layers; `friends_layer_1`, `history_layer_1`, ...: what was heard in that
    layer, carried on through the later ones; `features`, where they are a block of the vectors; `item_bias`. Elements:
    friends and items behind each of these, with their attention as weight, the gate included.
    """
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    layers, towards = np.asarray(state.layers), np.asarray(state.item_layers)[:, items]
    keep, mix = KEEP[model.variant]
    through = sum(keep**k * towards[k] for k in range(first_layer(model), model.depth + 1))
    parts, found = {"own_vector": pair_dot(layers[0][users], through)}, {}
    for name, block in state.blocks.items():
        part = pair_dot(np.asarray(block[0])[users], np.asarray(block[1])[items])
        name = "own_vector" if name == "free" else name
        parts[name] = parts.get(name, 0) + part
    for k, attention in enumerate(state.attention):
        onwards = mix * sum(keep ** (later - k - 1) * towards[later] for later in range(k + 1, model.depth + 1))
        gates = np.asarray(attention["gates"])[users]
        sides = (("friends", side.social, layers), ("history", side.graph.to_users, np.asarray(state.item_layers)))
        for column, (name, edges, said) in enumerate(sides):
            gate = gates[:, column]
            weighed = edges.replace(weight=attention[name])
            heard = elements(weighed, said[k], users, gate[:, None] * onwards)
            ends = np.concatenate([[0.0], np.cumsum(heard.contribution, dtype=np.float64)])[heard.offsets]
            parts[f"{name}_layer_{k + 1}"] = np.diff(ends).astype(np.float32)
            weight = heard.weight * np.repeat(gate, np.diff(heard.offsets))
            found[f"{name}_layer_{k + 1}"] = type(heard)(heard.offsets, heard.ids, weight, heard.contribution)
    return model.explained(state, users, items, parts, found)


def new_user(model, state, side, items, friends) -> np.ndarray:
    """Vector f32[.] of a user who was not trained: layers from those of the friends and the items.

    The start is 0, in the paper's form with user features the mean start, as in DiffNet. The released form has no
    z_e for new edges: all are alike. To the others the user says nothing yet.
    """
    layers, item_layers = np.asarray(state.layers), np.asarray(state.item_layers)
    mine = [np.zeros(layers.shape[2], np.float32)]
    if side.user_features is not None and model.variant == "paper":
        mine = [layers[0].mean(axis=0)]
    keep, mix = KEEP[model.variant]
    for k in range(model.depth):
        heard, logits = [], []
        for name, said in (("friends", layers[k][friends]), ("history", item_layers[k][items])):
            total = np.zeros_like(mine[0])
            if len(said):
                total = _attention(model, state, name, mine[-1], said) @ said
            heard.append(total)
            if model.variant == "paper":
                logits.append(_judged(model, state.weights["gate"], mine[-1], total[None, :])[0])
            else:
                logits.append(_raised(state.weights[f"{name}_{k}"], mine[-1], total) + OFFSETS[name])
        gates = _softmax(np.array(logits)) if model.variant == "paper" else np.array(logits) / sum(logits)
        mine.append(keep * mine[-1] + mix * (gates[0] * heard[0] + gates[1] * heard[1]))
    chosen = mine[first_layer(model) :]
    rest = np.zeros(state.users.shape[1] - len(chosen) * len(mine[0]))
    return np.concatenate([*chosen, rest]).astype(np.float32)


def _attention(model, state, name, own, said) -> np.ndarray:
    """Shares f64[N] of what was said, f32[N, D]."""
    if model.variant == "paper" and name in state.weights:
        return _softmax(_judged(model, state.weights[name], own, said))
    return np.full(len(said), 1 / len(said))


def _judged(model, weights, own, others) -> np.ndarray:
    """`PairMLP` of one node f32[D] and others f32[N, D]: f64[N]."""
    first = own @ np.asarray(weights["first"]["kernel"]) + np.asarray(weights["first"]["bias"])
    hidden = first[None, :] + others @ np.asarray(weights["second"]["kernel"])
    return ACTIVATIONS[model.activation][0](hidden) @ np.asarray(weights["head"])[:, 0]


def _raised(weights, own, heard) -> float:
    """`Gate` of a user and what was heard, f32[D] both."""
    dense = lambda name, values: values @ np.asarray(weights[name]["kernel"])[:, 0]  # noqa: E731
    hidden = np.tanh(dense("from_0", own) + weights["from_0"]["bias"][0] + dense("from_1", heard))
    out = dense("out", np.array([hidden])) + weights["out"]["bias"][0]
    return float(np.exp(out if out > 0 else 0.2 * out))


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max())
    return raised / raised.sum()
