"""LR-GCCF against dense matrices and the recursion of its residual preference."""

import dataclasses

import jax
import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.lr_gccf import LRGCCF


def layers_of(model, data, params):
    """E^0..E^K f64[U + I, D], over the graph in which each node also hears itself."""
    return twins.layers_of(twins.joint_graph(data, loops=True), model.depth, params)


def residual_scores(model, data, params):
    """r^{k+1} = r^k + <e_u^{k+1}, e_i^{k+1}>, from r^0 = <e_u^0, e_i^0>: f64[U, I]."""
    preference = np.zeros((data.num_users, data.num_items))
    for layer in layers_of(model, data, params):
        preference = preference + layer[: data.num_users] @ layer[data.num_users :].T
    return preference


def lr_gccf_twin(model, data, params):
    wide = np.concatenate(layers_of(model, data, params), axis=1)
    params = twins.wide(params)
    bias = params.get("item_bias", np.zeros(data.num_items))
    users, items = wide[: data.num_users], wide[data.num_users :]
    norms = (users, items) if model.l2_on == "propagated" else (params["users"], params["items"])
    return twins.Twin(model, data, users, items, bias), twins.squared(norms[0]), twins.squared(norms[1]) + bias**2


CASES = {
    "released": LRGCCF(item_bias=False),
    "released, with bias": LRGCCF(depth=2),
    "paper": LRGCCF(l2_on="free", item_bias=False),
    "paper, with bias, softmax": LRGCCF(depth=1, l2_on="free", objective="softmax"),
    "none": LRGCCF(depth=0),
}


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_dense_matrices(name):
    model = dataclasses.replace(CASES[name], dim=4, negatives=5, l2=0.2)
    data = worlds.small()
    scores = worlds.assert_equals_twin(model, data, lr_gccf_twin)
    params = worlds.random_params(model, model.prepare(data))
    expected = residual_scores(model, data, params) + params.get("item_bias", np.zeros(data.num_items))
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


def test_the_loss_is_the_released_one():
    """Each of five negatives a row of its own: mean of -ln sigmoid + 0.01 * (|u|^2 + |i|^2 + |j|^2), not halved."""
    data, model = worlds.small(), LRGCCF(dim=4, negatives=5, l2=0.01, item_bias=False)
    side, batch = model.prepare(data), worlds.random_batch(worlds.small(), 5)
    batch = batch.replace(weight=np.ones_like(batch.weight))
    params = worlds.random_params(model, side)
    (total, weight), _ = worlds.scores_and_loss(model, params, side, batch)[1]
    e = np.concatenate(layers_of(model, data, params), axis=1)
    rows = []
    for user, item, negatives in zip(batch.users, batch.items, batch.negatives):
        for negative in negatives:
            u, i, j = e[user], e[data.num_users + item], e[data.num_users + negative]
            rows.append(np.log1p(np.exp(-(u @ i - u @ j))) + 0.01 * (u @ u + i @ i + j @ j))
    assert total / weight == pytest.approx(np.mean(rows), rel=1e-5)


def test_where_l2_acts_changes_gradients_and_no_score():
    data, batch = worlds.small(), worlds.random_batch(worlds.small())
    models = [LRGCCF(dim=4, negatives=3, l2=0.3, l2_on=where) for where in ("propagated", "free")]
    side = models[0].prepare(data)
    params = worlds.random_params(models[0], side)
    (a, ((first, _), _)), (b, ((second, _), _)) = (worlds.scores_and_loss(m, params, side, batch) for m in models)
    np.testing.assert_array_equal(a, b)
    assert abs(first - second) > 0.1


def test_without_layers_it_is_matrix_factorisation():
    data, batch = worlds.small(), worlds.random_batch(worlds.small())
    theirs = BPR(dim=4, negatives=3)
    params = worlds.random_params(theirs, theirs.prepare(data))
    expected = worlds.scores_and_loss(theirs, params, theirs.prepare(data), batch)
    for where in ("propagated", "free"):
        ours = LRGCCF(dim=4, depth=0, negatives=3, l2_on=where)
        got = worlds.scores_and_loss(ours, params, ours.prepare(data), batch)
        np.testing.assert_array_equal(got[0], expected[0])
        assert got[1][0][0] == pytest.approx(float(expected[1][0][0]), rel=1e-6)


def test_a_node_without_pairs_hears_itself_alone():
    """Its degree is 0, so 1 / (d + 1) = 1 and every layer is the first."""
    data, model = worlds.small(), LRGCCF(dim=4)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    state = jax.jit(model.encode)(params, side)
    np.testing.assert_allclose(state.users[8], np.tile(params["users"][8], 4), rtol=1e-6)
    np.testing.assert_allclose(state.items[6], np.tile(params["items"][6], 4), rtol=1e-6)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_parts_are_layers_and_history_is_item_by_item(depth):
    data, model = worlds.small(), LRGCCF(dim=4, depth=depth)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    users, items = np.array([0, 3, 5, 8, 0]), np.array([1, 6, 0, 4, 5])
    why = model.explain(jax.jit(model.encode)(params, side), side, users, items)
    graph, shift = twins.joint_graph(data, loops=True), data.num_users
    layers = layers_of(model, data, params)
    for pair, (a, i) in enumerate(zip(users, items)):
        expected = {f"layer_{k}": layers[k][a] @ layers[k][shift + i] for k in range(2, depth + 1)}
        expected["own_vector"] = layers[0][a] @ layers[0][shift + i]
        if depth:
            expected["own_vector"] += graph[a, a] * layers[0][a] @ layers[1][shift + i]
            taken = np.unique(data.train.item[data.train.user == a])
            shares = [graph[a, shift + j] * layers[0][shift + j] @ layers[1][shift + i] for j in taken]
            expected["history"] = sum(shares)
            history = why.elements["history"]
            row = slice(history.offsets[pair], history.offsets[pair + 1])
            np.testing.assert_array_equal(history.ids[row], taken)
            np.testing.assert_allclose(history.contribution[row], shares, rtol=1e-4, atol=1e-6)
        expected["item_bias"] = params["item_bias"][i]
        assert set(why.parts) == set(expected)
        for name, value in expected.items():
            assert why.parts[name][pair] == pytest.approx(value, rel=1e-4, abs=1e-5), name
        assert why.score[pair] == pytest.approx(sum(expected.values()), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_new_user_like_an_old_one_without_a_vector_of_their_own_gets_the_same_vector(depth):
    worlds.assert_new_users_equal_old_ones(LRGCCF(dim=4, depth=depth), worlds.small(), users=[0, 2, 5])


@pytest.mark.parametrize("field, value", [("depth", 9), ("l2_on", "last")])
def test_settings_that_do_not_exist_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be .*got '?{value}"):
        LRGCCF(**{field: value})
