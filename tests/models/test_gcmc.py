"""GC-MC against its equations, user by user and item by item, and what its explanation says."""

import dataclasses
import functools

import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.gcmc import GCMC
from socialjax.ops import sample

ACT = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "tanh": np.tanh,
}
SILENT, UNTRAINED = (5, 8), 6  # users and an item of `worlds.small`


def heard(model, data, p, q):
    """Sums of q over each user's items and of p over each item's users, over c."""
    taken = twins.taken_by(data)
    takers = [[a for a, items in enumerate(taken) if i in items] for i in range(data.num_items)]
    of_users, of_items = np.zeros_like(p), np.zeros_like(q)
    for a, items in enumerate(taken):
        for i in items:
            both = np.sqrt(len(items) * len(takers[i]))
            of_users[a] += q[i] / (len(items) if model.norm == "left" else both)
            of_items[i] += p[a] / (len(takers[i]) if model.norm == "left" else both)
    return of_users, of_items


def twin(model, data, params, loud=None):
    """loud f64[U + I, 1]: what node dropout makes of each node."""
    params, act = twins.wide(params), ACT[model.activation]
    p, q, bias = (params["tables"][name] for name in ("users", "items", "item_bias"))
    norms = [twins.squared(p), twins.squared(q) + bias**2]
    if loud is not None:
        p, q = p * loud[: len(p)], q * loud[len(p) :]
    vectors = [act(h) @ params["dense"] for h in heard(model, data, p, q)]
    for k, (name, x) in enumerate((("user", data.user_features), ("item", data.item_features))):
        if x is not None and model.use_features:
            hidden = params[f"{name}_features"]
            vectors[k] = vectors[k] + act(x @ hidden["kernel"] + hidden["bias"]) @ params[f"{name}_mix"]["kernel"]
    users = vectors[0] @ params["decoder"] if model.decoder == "bilinear" else vectors[0]
    for k, scored in enumerate((users, vectors[1])):  # twins.Twin multiplies the norms by l2
        norms[k] = norms[k] + model.vector_l2 / model.l2 * twins.squared(scored)
    return twins.Twin(model, data, users, vectors[1], bias), *norms


CASES = {
    "as it comes": (GCMC(), {}),
    "left, identity, dot": (GCMC(norm="left", activation="identity", decoder="dot", vector_l2=0.0), {}),
    "leaky, softmax, dropout": (GCMC(activation="leaky_relu", objective="softmax", dropout=0.3), {}),
    "tanh, features of users and items": (GCMC(activation="tanh", feature_dim=3), {"user_width": 3, "item_width": 2}),
    "features of items only": (GCMC(objective="bce"), {"item_width": 2}),
    "features left alone": (GCMC(use_features=False, objective="squared"), {"user_width": 3, "item_width": 2}),
}


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name):
    model, widths = CASES[name]
    model = dataclasses.replace(model, dim=4, negatives=3, l2=0.2, node_dropout=0.0)
    worlds.assert_equals_twin(model, worlds.small(**widths), twin)


def test_the_gradient_is_that_of_the_equations():
    model = GCMC(dim=4, negatives=3, l2=0.2, node_dropout=0.0)
    worlds.assert_gradient_equals_twin(model, worlds.small(3, 2), twin)


def test_with_identities_it_is_two_rows_of_the_normalised_graph_times_each_other():
    model, data = GCMC(dim=4, activation="identity"), worlds.small()
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    params |= {"dense": np.eye(4, dtype=np.float32), "decoder": np.eye(4, dtype=np.float32)}
    taken = np.zeros((data.num_users, data.num_items))
    taken[data.train.user, data.train.item] = 1
    rows, columns = (np.maximum(taken.sum(axis=k), 1) ** -0.5 for k in (1, 0))
    hat = rows[:, None] * taken * columns
    tables = params["tables"]
    expected = (hat @ tables["items"]) @ (hat.T @ tables["users"]).T + tables["item_bias"]
    state = worlds.encode(model, params, side)
    users, items, bias = (np.asarray(v) for v in model.vectors(state))
    np.testing.assert_allclose(users @ items.T + bias, expected, rtol=1e-5, atol=1e-6)


def test_node_dropout_silences_whole_nodes_in_training_only():
    model, data = GCMC(dim=4, negatives=3, node_dropout=0.4), worlds.small()
    side, batch = model.prepare(data), worlds.random_batch(data)
    params = worlds.random_params(model, side)
    scores, ((total, _), _) = worlds.scores_and_loss(model, params, side, batch, 11)
    loud = np.asarray(sample.node_dropout(11, 0, np.ones((data.num_users + data.num_items, 1), np.float32), 0.4))
    assert 0 < (loud == 0).sum() < len(loud)
    quiet, *norms = twin(model, data, params, loud)
    assert float(total) == pytest.approx(quiet.loss(batch, *norms)[0], rel=1e-5)
    whole, *_ = twin(model, data, params)
    expected = [[whole.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


@functools.cache
def grown(model, *widths):
    data = worlds.small(*widths)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    return data, side, params, worlds.encode(model, params, side)


def test_a_user_without_items_gets_the_item_biases():
    _, _, params, state = grown(GCMC(dim=4))
    items = np.arange(worlds.NUM_ITEMS)[None]
    scores = GCMC(dim=4).score(state, np.array(SILENT), np.repeat(items, 2, axis=0))
    np.testing.assert_array_equal(scores, np.stack([params["tables"]["item_bias"]] * 2))


@pytest.mark.parametrize("activation", ["identity", "relu", "leaky_relu"])
@pytest.mark.parametrize("norm", ["left", "symmetric"])
def test_history_says_what_each_item_adds(norm, activation):
    """The hidden numbers keep the slope that the whole history gave them."""
    model = GCMC(dim=4, norm=norm, activation=activation)
    data, side, params, state = grown(model, 3, 2)
    users, items = np.array([0, 3, 5, 2]), np.array([3, 4, 0, UNTRAINED])
    why = model.explain(state, side, users, items)
    assert list(why.parts) == ["history", "features", "item_bias"] and why.exact
    scores = model.score(state, users, items[:, None])[:, 0]
    np.testing.assert_allclose(why.score, scores, rtol=1e-5, atol=1e-5)
    ragged, taken = why.elements["history"], twins.taken_by(data)
    p, q = (np.float64(params["tables"][name]) for name in ("users", "items"))
    sums, _ = heard(model, data, p, q)
    for pair, (a, i) in enumerate(zip(users, items)):
        row = slice(*ragged.offsets[pair : pair + 2])
        assert ragged.ids[row].tolist() == taken[a]
        slope = {"identity": 1.0, "relu": sums[a] > 0, "leaky_relu": np.where(sums[a] > 0, 1, 0.01)}[activation]
        towards = np.asarray(state.items)[i] @ (np.float64(params["dense"]) @ params["decoder"]).T
        takers = np.bincount([j for of in taken for j in of], minlength=data.num_items)
        c = [len(taken[a]) if norm == "left" else np.sqrt(len(taken[a]) * takers[j]) for j in taken[a]]
        expected = [q[j] / c[k] * slope @ towards for k, j in enumerate(taken[a])]
        np.testing.assert_allclose(ragged.contribution[row], expected, rtol=1e-4, atol=1e-5)
        assert why.parts["history"][pair] == pytest.approx(sum(expected), rel=1e-4, abs=1e-5)


def test_shares_through_tanh_are_marked_as_estimates():
    model = GCMC(dim=4, activation="tanh")
    _, side, _, state = grown(model)
    users, items = np.array([0, 3]), np.array([3, 4])
    why = model.explain(state, side, users, items)
    assert not why.exact and list(why.parts) == ["history", "item_bias"]
    np.testing.assert_allclose(why.score, model.score(state, users, items[:, None])[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm", ["left", "symmetric"])
def test_a_new_user_with_an_old_ones_items_gets_the_same_vector(norm):
    model = GCMC(dim=4, norm=norm)
    data, side, _, state = grown(model)
    for user, items in enumerate(twins.taken_by(data)):
        got = model.new_user(state, side, np.array(items, np.int32), np.zeros(0, np.int32))
        np.testing.assert_allclose(got, np.asarray(state.users)[user], rtol=1e-5, atol=1e-6)


def test_features_of_a_new_user_are_those_of_the_average():
    model = GCMC(dim=4)
    _, side, _, state = grown(model, 3, 2)
    nothing = np.zeros(0, np.int32)
    expected = np.asarray(state.feature_part).mean(axis=0)
    np.testing.assert_allclose(model.new_user(state, side, nothing, nothing), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"norm": "right"}, "norm must be one of left, symmetric, got 'right'"),
        ({"node_dropout": 1.0}, r"node_dropout must be in \[0, 1\), got 1.0"),
        ({"vector_l2": -1.0}, "vector_l2 must be at least 0, got -1.0"),
        ({"feature_dim": 0}, "feature_dim must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        GCMC(**change)
