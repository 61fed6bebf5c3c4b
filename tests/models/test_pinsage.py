"""PinSage against its equations, one node at a time."""

import dataclasses

import jax
import numpy as np
import pytest
import twins
import worlds

from socialjax.graph import edges, symmetrise
from socialjax.models.cf.pinsage import PinSage
from socialjax.ops.graph_analysis import visits

SMALL = {"dim": 4, "negatives": 3, "l2": 0.2}
ALONE = (5, 8, worlds.NUM_USERS + 6)  # nodes without an edge


def joint(data):
    """Users and items as one table of nodes, both directions of each training pair."""
    size = data.num_users + data.num_items
    return symmetrise(edges(data.train.user, data.train.item + data.num_users, size, size))


def neighbours_of(model, data) -> list[dict[int, float]]:
    """Each node's neighbours with their weights."""
    found = [{} for _ in range(data.num_users + data.num_items)]
    if model.neighbours == "walks":
        walked = visits(
            joint(data), model.walks, model.walk_length, model.restart, model.num_neighbours, model.walk_seed
        )
        for v, u, weight in zip(walked.senders, walked.receivers, walked.weight):
            found[u][int(v)] = float(weight)
        return found
    for a, items in enumerate(twins.taken_by(data)):
        for i in items:
            found[a][data.num_users + i] = found[data.num_users + i][a] = 1.0
    return [{v: 1 / len(near) for v in near} for near in found]


def twin(model, data, params):
    params, relu = twins.wide(params), lambda z: np.maximum(z, 0)
    dense = lambda name, z: z @ params[name]["kernel"] + params[name].get("bias", 0)  # noqa: E731
    p, q, bias = (params["tables"][name] for name in ("users", "items", "item_bias"))
    h, near = np.concatenate([p, q]), neighbours_of(model, data)
    for k in range(model.depth):
        layer = np.zeros_like(h)
        for u, others in enumerate(near):
            n = sum((w * relu(dense(f"say_{k}", h[v])) for v, w in others.items()), np.zeros(model.dim))
            z = relu(dense(f"hear_{k}", np.concatenate([h[u], n])))
            layer[u] = z / max(np.linalg.norm(z), 1e-6)
        h = layer
    x = dense("head_2", relu(dense("head_1", h)))
    if model.normalise_last:
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    users, items = x[: len(p)], x[len(p) :]
    found = twins.Twin(model, data, users, items, bias)
    found.penalty = model.layer_l2 * sum((part["kernel"] ** 2).sum() for n, part in params.items() if n != "tables")
    return found, twins.squared(p), twins.squared(q) + bias**2


CASES = {
    "as it comes": PinSage(),
    "full-neighbour": PinSage(neighbours="all"),
    "three neighbours, one layer": PinSage(num_neighbours=3, depth=1, objective="softmax"),
    "no layer": PinSage(depth=0, objective="bce"),
    "penalised layers": PinSage(layer_l2=0.3),
    "unit vectors, dropout": PinSage(normalise_last=True, dropout=0.3, objective="squared"),
}


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name):
    worlds.assert_equals_twin(dataclasses.replace(CASES[name], **SMALL), worlds.small(), twin)


def test_the_gradient_is_that_of_the_equations():
    worlds.assert_gradient_equals_twin(PinSage(layer_l2=0.1, **SMALL), worlds.small(), twin, rel=1e-3, abs=1e-4)


def without_head(params):
    """The head as the identity, which relu changes nothing of: layers end in relu."""
    one = np.eye(len(params["head_2"]["kernel"]), dtype=np.float32)
    return params | {"head_1": {"kernel": one, "bias": np.zeros(len(one), np.float32)}, "head_2": {"kernel": one}}


def test_full_neighbourhoods_are_the_dense_formula():
    """One layer as matrices: relu([H, A relu(H Q + b)] W + c), A the mean over neighbours."""
    model, data = PinSage(dim=4, neighbours="all", depth=1), worlds.small()
    side = model.prepare(data)
    params = without_head(worlds.random_params(model, side))
    state = worlds.encode(model, params, side)
    graph = joint(data)
    mean = np.zeros((graph.num_receivers, graph.num_senders))
    mean[graph.receivers, graph.senders] = 1
    mean /= np.maximum(mean.sum(axis=1, keepdims=True), 1)
    nodes = np.concatenate([params["tables"]["users"], params["tables"]["items"]])
    said = np.maximum(nodes @ params["say_0"]["kernel"] + params["say_0"]["bias"], 0)
    z = np.concatenate([nodes, mean @ said], axis=1) @ params["hear_0"]["kernel"] + params["hear_0"]["bias"]
    z = np.maximum(z, 0)
    expected = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-6)
    np.testing.assert_allclose(np.concatenate([state.users, state.items]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_layer_has_unit_length_and_isolated_nodes_are_no_exception(depth):
    model, data = PinSage(dim=16, depth=depth), worlds.small()
    side = model.prepare(data)
    assert not np.isin(ALONE, side.neighbours.receivers).any()
    for params in (worlds.random_params(model, side), jax.jit(model.init)(jax.random.key(0), side)):
        state = worlds.encode(model, without_head(params), side)
        np.testing.assert_allclose(np.linalg.norm(np.concatenate([state.users, state.items]), axis=1), 1, rtol=1e-5)


def test_a_node_of_zeros_has_finite_vectors_and_gradients():
    model, data = PinSage(**SMALL), worlds.small()
    side, batch = model.prepare(data), worlds.random_batch(data)
    params = jax.tree.map(np.zeros_like, worlds.random_params(model, side))
    gradient = jax.jit(jax.grad(lambda params, side: model.loss(params, side, batch, 0)[0][0]))(params, side)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves([gradient, worlds.encode(model, params, side)]))


def test_scores_of_unit_vectors_are_cosines():
    model, data = PinSage(dim=4, normalise_last=True, item_bias=False), worlds.small()
    side = model.prepare(data)
    state = worlds.encode(model, worlds.random_params(model, side, std=3.0), side)
    scores = np.asarray(state.users) @ np.asarray(state.items).T
    assert np.abs(scores).max() <= 1 + 1e-6


def test_walks_hang_on_training_pairs_and_seed_alone():
    data = worlds.small()
    near = lambda model, data: model.prepare(data).neighbours  # noqa: E731
    model = PinSage(num_neighbours=4, walks=10)
    first, again = near(model, data), near(model, worlds.reordered(data))
    for field in ("senders", "receivers", "weight"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    twice = dataclasses.replace(data, train=data.train.take(np.repeat(np.arange(len(data.train)), 2)))
    np.testing.assert_array_equal(near(model, twice).weight, first.weight)
    other = near(dataclasses.replace(model, walk_seed=1), data)
    assert len(other.weight) != len(first.weight) or (other.weight != first.weight).any()


def test_neighbours_are_users_and_items_and_weigh_one_together():
    data = worlds.small()
    near = PinSage(num_neighbours=50).prepare(data).neighbours
    of_users = near.senders[near.receivers < data.num_users]
    assert (of_users < data.num_users).any() and (of_users >= data.num_users).any()
    total = np.bincount(near.receivers, near.weight, near.num_receivers)
    lonely = np.isin(np.arange(near.num_receivers), ALONE)
    np.testing.assert_allclose(total, np.where(lonely, 0.0, 1.0), rtol=1e-6)


def test_an_explanation_has_taste_and_bias():
    model, data = PinSage(dim=4), worlds.small()
    side = model.prepare(data)
    state = worlds.encode(model, worlds.random_params(model, side), side)
    users, items = np.array([0, 5, 8]), np.array([1, 6, 3])
    why = model.explain(state, side, users, items)
    assert list(why.parts) == ["taste", "item_bias"]
    np.testing.assert_allclose(why.score, model.score(state, users, items[:, None])[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"depth": 9}, r"depth must be in 0\.\.8, got 9"),
        ({"neighbours": "some"}, "neighbours must be one of walks, all, got 'some'"),
        ({"num_neighbours": 0}, "num_neighbours must be at least 1, got 0"),
        ({"restart": 1.0}, r"restart must be in \[0, 1\), got 1.0"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        PinSage(**change)
