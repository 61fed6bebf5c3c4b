"""DiffNet++ against its equations in both forms, edge by edge, and what its attention promises."""

import dataclasses

import jax
import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.social.diffnet_pp import DiffNetPP

BOTH, UNEQUAL = {"user_width": 5, "item_width": 5}, {"user_width": 3, "item_width": 6}
CASES = [
    (DiffNetPP(variant="paper"), {}),
    (DiffNetPP(variant="paper", depth=1, attention_dim=3, symmetric=False, objective="softmax"), {}),
    (DiffNetPP(variant="paper", depth=3, activation="sigmoid", item_bias=False), UNEQUAL),
    (DiffNetPP(variant="paper", depth=2, activation="relu", use_features=False), BOTH),
    (DiffNetPP(variant="paper", depth=2), {"user_width": 4}),
    (DiffNetPP(variant="paper", depth=0, activation="identity"), {"item_width": 4}),
    (DiffNetPP(variant="released", objective="squared"), {}),
    (DiffNetPP(variant="released", depth=3, symmetric=False), BOTH),
    (DiffNetPP(variant="released", depth=1, feature_scale=0.3, objective="bce"), {"item_width": 4}),
    (DiffNetPP(variant="released", depth=0), BOTH),
    (DiffNetPP(variant="paper", feature_l2=0.3, layer_l2=0.7), UNEQUAL),
    (DiffNetPP(variant="released", feature_l2=0.3, layer_l2=0.7), BOTH),
    (DiffNetPP(variant="paper", layer_l2=0.7, depth=1), {}),
    (DiffNetPP(variant="released", layer_l2=0.7, depth=1), {}),
]
ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": twins.sigmoid,
    "tanh": np.tanh,
}


def softmax(logits):
    raised = np.exp(np.array(logits))
    return raised / raised.sum()


def dense(weights, z):
    return z @ weights["kernel"] + weights.get("bias", 0.0)


def neighbours(data, model):
    """Who speaks to whom: name -> a list of senders for each receiver."""
    taken = twins.taken_by(data)
    takers = [[a for a in range(data.num_users) if i in taken[a]] for i in range(data.num_items)]
    return {"friends": twins.friends_of(data, model.symmetric), "history": taken, "takers": takers}


def heard(near, receivers, senders, share_of):
    """The weighted sum for each receiver; share_of(receiver, its senders, number of its first edge) -> weights."""
    out, edge = np.zeros_like(receivers), 0
    for r, mine in enumerate(near):
        if mine:
            out[r] = share_of(r, mine, edge) @ senders[mine]
        edge += len(mine)
    return out


def paper_layer(params, act, near, k, users, items):
    def judged(name, a, b):
        mlp = params[name]
        return (act(a @ mlp["first"]["kernel"] + mlp["first"]["bias"] + b @ mlp["second"]["kernel"]) @ mlp["head"])[0]

    def hear(name, receivers, senders):
        share_of = lambda r, mine, _: softmax([judged(name, receivers[r], senders[s]) for s in mine])  # noqa: E731
        return heard(near[name], receivers, senders, share_of)

    friends, history = hear("friends", users, users), hear("history", users, items)
    takers = hear("takers", items, users)
    new = users.copy()
    for a in range(len(users)):
        social, interest = softmax([judged("gate", users[a], friends[a]), judged("gate", users[a], history[a])])
        new[a] += social * friends[a] + interest * history[a]
    return new, items + takers


def released_layer(params, act, near, k, users, items):
    def hear(name, receivers, senders):
        def share_of(r, mine, edge):
            numbers = params[f"{name}_{k}"]
            z = numbers["z"][edge : edge + len(mine)]
            return softmax([np.exp(twins.sigmoid(dense(numbers["squeeze"], z[n : n + 1])[0])) for n in range(len(z))])

        return heard(near[name], receivers, senders, share_of)

    def gate(name, *nodes):
        of = params[f"gate_{name}_{k}"]
        hidden = np.tanh(sum(dense(of[f"from_{n}"], node) for n, node in enumerate(nodes)))
        out = dense(of["out"], hidden)[0]
        return np.exp(out if out > 0 else 0.2 * out)

    friends, history = hear("friends", users, users), hear("history", users, items)
    takers = hear("takers", items, users)
    new_users, new_items = np.zeros_like(users), np.zeros_like(items)
    for a in range(len(users)):
        interest = gate("history", users[a], history[a]) + 0.7
        social = gate("friends", users[a], friends[a]) + 0.3
        mixed = (interest * history[a] + social * friends[a]) / (interest + social)
        new_users[a] = 0.5 * users[a] + 0.5 * mixed
    for i in range(len(items)):
        own, others = gate("items", items[i]) + 1.0, gate("takers", takers[i]) + 1.0
        new_items[i] = (own * items[i] + others * takers[i]) / (own + others)
    return new_users, new_items


def twin_of(model, data, params):
    params = twins.wide(params)
    p, q = params["tables"]["users"], params["tables"]["items"]
    bias = params["tables"].get("item_bias", np.zeros(data.num_items))
    x, y = (data.user_features, data.item_features) if model.use_features else (None, None)
    scaled = lambda z: twins.standardised(z, model.feature_scale)  # noqa: E731
    x, y = (None if f is None else scaled(f) for f in (x, y))
    act, beside = ACTIVATIONS[model.activation], []
    u, v = p, q
    if model.variant == "paper":
        u = u if x is None else act(dense(params["fuse_users"], np.concatenate([p, x], axis=1)))
        v = v if y is None else act(dense(params["fuse_items"], np.concatenate([q, y], axis=1)))
    else:
        x, y = (None if f is None else scaled(twins.sigmoid(dense(params["shared"], f))) for f in (x, y))
        beside = [(p, q)] + ([(x, y)] if x is not None and y is not None else []) if model.depth else []
        u, v = u if x is None else u + x, v if y is None else v + y
    layers, layer = [(u, v)], paper_layer if model.variant == "paper" else released_layer
    for k in range(model.depth):
        layers.append(layer(params, act, neighbours(data, model), k, *layers[-1]))
    blocks = (layers if model.variant == "paper" or not model.depth else layers[1:]) + beside
    users, items = (np.concatenate(each, axis=1) for each in zip(*blocks))
    twin = twins.Twin(model, data, users, items, bias)
    for name, layer in params.items():
        if name in ("shared", "fuse_users", "fuse_items"):
            twin.penalty += model.feature_l2 * squared_weights(layer)
        elif name != "tables":
            twin.penalty += model.layer_l2 * squared_weights(layer)
    return twin, twins.squared(p), twins.squared(q) + bias**2


def squared_weights(layer):
    """Of kernels and heads; neither biases nor the numbers of edges, z."""
    total = 0.0
    for name, part in layer.items():
        if isinstance(part, dict):
            total += squared_weights(part)
        elif name in ("kernel", "head"):
            total += (part**2).sum()
    return total


@pytest.mark.parametrize("model, features", CASES)
def test_scores_and_loss_equal_the_equations(model, features):
    model = dataclasses.replace(model, dim=4, negatives=3, l2=0.2)
    worlds.assert_equals_twin(model, worlds.small(**features), twin_of)


def encoded(model, data, **changed):
    side = model.prepare(data)
    params = worlds.random_params(model, side) | changed
    return side, params, jax.jit(model.encode)(params, side)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_attention_shares_add_up_to_one_and_the_lonely_hear_nothing(variant):
    data = worlds.small()
    side, _, state = encoded(DiffNetPP(dim=4, variant=variant), data)
    for attention in state.attention:
        for shares, edges in ((attention["friends"], side.social), (attention["history"], side.graph.to_users)):
            total, degree = np.zeros(data.num_users), np.bincount(edges.receivers, minlength=data.num_users)
            np.add.at(total, edges.receivers, shares)
            np.testing.assert_allclose(total, degree > 0, atol=1e-6)
            single = np.isin(edges.receivers, np.flatnonzero(degree == 1))
            assert single.any()
            np.testing.assert_array_equal(np.asarray(shares)[single], 1.0)
        np.testing.assert_allclose(attention["gates"].sum(axis=1), 1.0, rtol=1e-6)
    keep = 1.0 if variant == "paper" else 0.5  # user 8 has neither friends nor items
    np.testing.assert_allclose(state.layers[1, 8], keep * state.layers[0, 8], rtol=1e-6)


def test_equal_embeddings_get_equal_shares_and_the_paper_form_is_then_means():
    """One layer by hand: with no weights all shares are 1 / degree and both gates 1/2."""
    data, model = worlds.small(), DiffNetPP(dim=4, depth=1, variant="paper")
    silent = {name: {"head": np.zeros((8, 1), np.float32)} for name in ("friends", "history", "takers", "gate")}
    side, params, _ = encoded(model, data)
    for name, head in silent.items():
        params[name] = params[name] | head
    state = model.encode(params, side)
    p, q = params["tables"]["users"], params["tables"]["items"]
    near = neighbours(data, model)
    for a in (0, 2, 5, 6, 8):
        friends, history = (table[near[name][a]] for name, table in (("friends", p), ("history", q)))
        expected = p[a] + sum(0.5 * said.mean(axis=0) for said in (friends, history) if len(said))
        np.testing.assert_allclose(state.layers[1, a], expected, rtol=1e-5, atol=1e-6)


def test_released_shares_of_one_receiver_differ_by_less_than_5_6():
    side, params, _ = encoded(DiffNetPP(dim=4, variant="released", depth=1), worlds.small())
    params["friends_0"]["z"] = np.linspace(-100, 100, len(side.social.senders)).astype(np.float32)
    state = DiffNetPP(dim=4, variant="released", depth=1).encode(params, side)
    shares, receivers = np.asarray(state.attention[0]["friends"]), np.asarray(side.social.receivers)
    ratios = [shares[receivers == a].max() / shares[receivers == a].min() for a in np.unique(receivers)]
    assert 1.5 < max(ratios) < 5.6


def test_depth_0_without_features_is_matrix_factorisation_in_both_forms():
    data, batch, plain = worlds.small(), worlds.random_batch(worlds.small()), BPR(dim=4, negatives=3)
    for variant in ("paper", "released"):
        model = DiffNetPP(dim=4, negatives=3, depth=0, variant=variant)
        side = model.prepare(data)
        params = worlds.random_params(model, side)
        assert set(params) == {"tables"}
        ours = worlds.scores_and_loss(model, params, side, batch)
        theirs = worlds.scores_and_loss(plain, params["tables"], plain.prepare(data), batch)
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
        np.testing.assert_allclose(ours[1][0], theirs[1][0], rtol=1e-6)


@pytest.mark.parametrize("symmetric", [True, False])
def test_numbers_of_edges_belong_to_the_same_edges_whatever_the_order_of_the_files(symmetric):
    data, model = worlds.small(), DiffNetPP(variant="released", symmetric=symmetric)
    ours, theirs = model.prepare(data), model.prepare(worlds.reordered(data, seed=4))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_the_released_numbers_start_as_the_code_starts_them():
    model = DiffNetPP(variant="released")
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, 60, (2000, 2)), axis=0)
    data = worlds.dataset(60, 60, pairs, pairs[pairs[:, 0] != pairs[:, 1]])
    params = model.init(jax.random.key(0), model.prepare(data))
    for name in ("friends_0", "friends_1", "history_0", "history_1", "takers_0", "takers_1"):
        expected = 0.01 if name == "takers_1" else 1.0
        assert np.std(params[name]["z"]) == pytest.approx(expected, rel=0.1)


def test_the_dense_layers_of_released_start_as_tensorflow_starts_them():
    """Uniform within sqrt(6 / (inputs + outputs)), where the two parts of a gate are one layer; biases are 0."""
    model, data = DiffNetPP(dim=500, depth=1), worlds.small(150, 150)
    side = model.prepare(data)
    started = jax.jit(lambda seed: model.init(jax.random.key(seed), side))
    params = started(0)
    gates = {name: params[f"gate_{name}_0"] for name in ("friends", "history", "items", "takers")}
    bounds = {(name, part): 1001 for name in ("friends", "history") for part in ("from_0", "from_1")}
    bounds |= {(name, "from_0"): 501 for name in ("items", "takers")}
    for (name, part), inputs_and_outputs in bounds.items():
        bound = np.sqrt(6 / inputs_and_outputs)
        assert 0.98 * bound < np.abs(gates[name][part]["kernel"]).max() <= bound
        assert not gates[name]["from_0"]["bias"].any()
    bound = np.sqrt(6 / (150 + 500))
    assert 0.999 * bound < np.abs(params["shared"]["kernel"]).max() <= bound

    def of_one_number(seed):
        params = started(seed)
        heads = [params[f"gate_{name}_0"]["out"] for name in gates]
        squeezes = [params[f"{name}_0"]["squeeze"] for name in ("friends", "history", "takers")]
        return [abs(layer["kernel"].item()) for layer in heads + squeezes]

    numbers = np.array([of_one_number(seed) for seed in range(4)])
    assert numbers.max() <= np.sqrt(3) and numbers.std() > 0.3


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("features", [{}, BOTH], ids=["ids", "features"])
def test_an_explanation_adds_up_and_names_who_was_heard_with_their_attention(variant, features):
    data, model = worlds.small(**features), DiffNetPP(dim=4, variant=variant, depth=3)
    side, _, state = encoded(model, data)
    users, items = np.repeat(np.arange(9), 7), np.tile(np.arange(7), 9)
    why = model.explain(state, side, users, items)
    expected = np.asarray(model.score(state, users, items[:, None]))[:, 0]
    np.testing.assert_allclose(sum(why.parts.values()), expected, rtol=1e-5, atol=1e-5)
    assert ("features" in why.parts) == (variant == "released" and bool(features))
    near = neighbours(data, model)
    for name, ragged in why.elements.items():
        kind, _, k = name.split("_")
        gates = np.asarray(state.attention[int(k) - 1]["gates"])[:, ["friends", "history"].index(kind)]
        for pair in (0, 15, 40, 60):
            row = slice(ragged.offsets[pair], ragged.offsets[pair + 1])
            assert ragged.ids[row].tolist() == near[kind][users[pair]]
            assert ragged.contribution[row].sum() == pytest.approx(why.parts[name][pair], abs=1e-5)
            if near[kind][users[pair]]:
                assert ragged.weight[row].sum() == pytest.approx(gates[users[pair]], rel=1e-5)


def test_a_share_in_an_explanation_is_the_score_that_is_lost_when_what_was_said_is_silenced():
    """`released`, last layer: u^K holds half of gate * share * what the friend said."""
    data, model = worlds.small(), DiffNetPP(dim=4, variant="released", depth=2, item_bias=False)
    side, _, state = encoded(model, data)
    why = model.explain(state, side, np.array([0]), np.array([2]))
    edge = np.flatnonzero(np.asarray(side.social.receivers) == 0)
    attention = state.attention[1]
    shares = np.asarray(attention["friends"])[edge] * np.asarray(attention["gates"])[0, 0]
    said = np.asarray(state.layers)[1, np.asarray(side.social.senders)[edge]]
    expected = 0.5 * shares * (said @ np.asarray(state.item_layers)[2, 2])
    np.testing.assert_allclose(why.elements["friends_layer_2"].contribution, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_a_new_user_like_an_old_one_without_a_vector_of_their_own_gets_the_same_vector(variant):
    data, model = worlds.small(), DiffNetPP(dim=4, variant=variant)
    side, params, _ = encoded(model, data)
    params["tables"]["users"][[0, 5, 6, 8]] = 0.0
    for name in params:
        if name.startswith(("friends", "history")) and variant == "released":
            params[name]["z"][:] = 0.3  # all edges alike: what a new edge starts as
    state = jax.jit(model.encode)(params, side)
    near = neighbours(data, model)
    for user in (0, 5, 6, 8):
        of = [np.array(near[name][user], np.int32) for name in ("history", "friends")]
        np.testing.assert_allclose(model.new_user(state, side, *of), state.users[user], rtol=1e-5, atol=1e-5)


def test_released_refuses_features_of_unequal_width_and_paper_takes_them():
    data = worlds.small(3, 5)
    with pytest.raises(ValueError, match=r"one width, got 3 and 5; use --model\.variant paper"):
        DiffNetPP(variant="released").prepare(data)
    DiffNetPP(variant="paper").prepare(data)


@pytest.mark.parametrize(
    "field, value",
    [("depth", 9), ("variant", "official"), ("attention_dim", 0), ("feature_scale", 0.0), ("layer_l2", -0.1)],
)
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} must be .*{value}"):
        DiffNetPP(**{field: value})
