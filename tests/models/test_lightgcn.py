"""LightGCN against dense matrices, the published loss, and the identities that tie it to its relatives."""

import dataclasses

import jax
import numpy as np
import pytest
import twins
import worlds

from socialjax.contract import Batch
from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.lightgcn import LightGCN
from socialjax.ops import sample


def lightgcn_twin(model, data, params, kept=None):
    mean = sum(twins.layers_of(twins.joint_graph(data), model.depth, params, kept)) / (model.depth + 1)
    params = twins.wide(params)
    bias = params.get("item_bias", np.zeros(data.num_items))
    twin = twins.Twin(model, data, mean[: data.num_users], mean[data.num_users :], bias)
    return twin, twins.squared(params["users"]), twins.squared(params["items"]) + bias**2


CASES = {
    "as published": LightGCN(item_bias=False, start="xavier"),
    "with bias": LightGCN(depth=2),
    "one layer, softmax, dropout": LightGCN(depth=1, objective="softmax", dropout=0.3),
    "none": LightGCN(depth=0),
}


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_dense_matrices(name):
    """The data has users and items without a pair: they keep E^0 / (K + 1)."""
    model = dataclasses.replace(CASES[name], dim=4, negatives=3, l2=0.2)
    worlds.assert_equals_twin(model, worlds.small(), lightgcn_twin)


def test_the_loss_is_the_published_one_with_half_its_lambda():
    """mean softplus(-(s_ui - s_uj)) + lambda / 2 * sum of |e_u^0|^2 + |e_i^0|^2 + |e_j^0|^2 over the batch / batch."""
    data, theirs = worlds.small(), 0.3
    model = LightGCN(dim=4, negatives=1, l2=theirs / 2, item_bias=False)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    drawn = worlds.random_batch(data, 1)
    batch = Batch(drawn.users, drawn.items, drawn.negatives, np.ones(12, np.float32), drawn.rows)
    (total, weight), _ = worlds.scores_and_loss(model, params, side, batch)[1]
    e = sum(twins.layers_of(twins.joint_graph(data), 3, params)) / 4
    user, positive, negative = batch.users, data.num_users + batch.items, data.num_users + batch.negatives[:, 0]
    difference = np.sum(e[user] * e[positive], axis=1) - np.sum(e[user] * e[negative], axis=1)
    free = np.concatenate([params["users"], params["items"]]).astype(np.float64)
    squares = sum((free[rows] ** 2).sum() for rows in (user, positive, negative))
    published = np.log1p(np.exp(-difference)).mean() + theirs * 0.5 * squares / 12
    assert total / weight == pytest.approx(published, rel=1e-5)


def test_without_layers_it_is_matrix_factorisation():
    data, batch = worlds.small(), worlds.random_batch(worlds.small())
    ours, theirs = LightGCN(dim=4, depth=0, negatives=3), BPR(dim=4, negatives=3)
    params = worlds.random_params(theirs, theirs.prepare(data))
    got = worlds.scores_and_loss(ours, params, ours.prepare(data), batch)
    expected = worlds.scores_and_loss(theirs, params, theirs.prepare(data), batch)
    np.testing.assert_array_equal(got[0], expected[0])
    assert got[1][0][0] == expected[1][0][0]


def test_layers_keep_the_root_of_the_degree_on_each_component():
    """It is the eigenvector of eigenvalue 1, so every layer of nodes with a pair is the first one."""
    data, model = worlds.small(), LightGCN(dim=2, item_bias=False)
    taken = twins.taken_matrix(data)
    component = np.array([1.0, -2.0])  # one number for all, another sign in each column
    tables = [np.sqrt(taken.sum(axis=axis))[:, None] * component for axis in (1, 0)]
    params = {"users": tables[0].astype(np.float32), "items": tables[1].astype(np.float32)}
    state = jax.jit(model.encode)(params, model.prepare(data))
    for layer in range(1, 4):
        np.testing.assert_allclose(state.user_layers[layer], tables[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(state.item_layers[layer], tables[1], rtol=1e-5, atol=1e-6)


def test_dropped_nodes_say_nothing_in_training_and_everything_in_evaluation():
    data = worlds.small()
    model = LightGCN(dim=4, depth=2, node_dropout=0.4, negatives=3, l2=0.1)
    side, batch, key = model.prepare(data), worlds.random_batch(data), 11
    params = worlds.random_params(model, side)
    ones = np.ones((data.num_users + data.num_items, 1), np.float32)
    kept = [np.asarray(sample.node_dropout(key, k, ones, 0.4))[:, 0] for k in range(2)]
    assert all((k == 0).any() and (k > 1).any() for k in kept) and (kept[0] != kept[1]).any()
    scores, ((total, weight), metrics) = worlds.scores_and_loss(model, params, side, batch, key)
    twin, *norms = lightgcn_twin(model, data, params, kept)
    np.testing.assert_allclose([total, weight, metrics["objective"]], twin.loss(batch, *norms), rtol=1e-5)
    whole, *_ = lightgcn_twin(model, data, params)
    np.testing.assert_allclose(scores, whole.own @ whole.items.T + whole.bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_parts_are_layers_of_the_user_and_history_is_item_by_item(depth):
    data, model = worlds.small(), LightGCN(dim=4, depth=depth)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    users, items = np.array([0, 3, 5, 8, 0]), np.array([1, 6, 0, 4, 5])  # 5 and 8 took nothing, nobody took 6
    why = model.explain(jax.jit(model.encode)(params, side), side, users, items)
    taken, graph = twins.taken_matrix(data), twins.joint_graph(data)
    layers, (twin, *_) = twins.layers_of(graph, depth, params), lightgcn_twin(model, data, params)
    names = ["own_vector", "history", "layer_2", "layer_3"][: depth + 1]
    assert list(why.parts) == [*names, "item_bias"] and why.exact
    for name, layer in zip(names, layers):
        expected = [layer[a] @ twin.items[i] / (depth + 1) for a, i in zip(users, items)]
        np.testing.assert_allclose(why.parts[name], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(why.score, [twin.score(a, i) for a, i in zip(users, items)], rtol=1e-5, atol=1e-5)
    if not depth:
        assert not why.elements
        return
    history = why.elements["history"]
    for pair, (a, i) in enumerate(zip(users, items)):
        row = slice(history.offsets[pair], history.offsets[pair + 1])
        np.testing.assert_array_equal(history.ids[row], np.flatnonzero(taken[a]))
        weight = graph[a, data.num_users + history.ids[row]]
        np.testing.assert_allclose(history.weight[row], weight, rtol=1e-5)
        share = weight * (params["items"][history.ids[row]] @ twin.items[i]) / (depth + 1)
        np.testing.assert_allclose(history.contribution[row], share, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_new_user_like_an_old_one_without_a_vector_of_their_own_gets_the_same_vector(depth):
    worlds.assert_new_users_equal_old_ones(LightGCN(dim=4, depth=depth), worlds.small(), users=[0, 2, 5])


def test_a_new_user_may_bring_items_that_nobody_took_and_depth_may_be_0():
    data = worlds.small()
    for depth in (0, 2):
        model = LightGCN(dim=4, depth=depth)
        side = model.prepare(data)
        state = model.encode(worlds.random_params(model, side), side)
        vector = model.new_user(state, side, np.array([6]), np.zeros(0, np.int32))
        assert vector.shape == (4,) and np.isfinite(vector).all() and vector @ np.asarray(state.items)[6] > 0


@pytest.mark.parametrize("field, value", [("depth", -1), ("depth", 9), ("node_dropout", 1.0)])
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be in .*got {value}"):
        LightGCN(**{field: value})
