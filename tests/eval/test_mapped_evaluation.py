"""Evaluation out of core gives the vectors and the metrics of an evaluation in memory."""

import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "train"))
from mapped_folder import drawing, folder_of

from socialjax.data.large.subset import held_out_users, of_users
from socialjax.eval import mapped, protocol, ranking
from socialjax.models import BPR, DiffNet, LightGCN, SocialLightGCN, SVDpp
from socialjax.ops import mapped as edges
from socialjax.train.step import on_device
from socialjax.worlds import planted

MODELS = {
    "bpr": BPR(dim=6),
    "svdpp": SVDpp(dim=6),
    "lightgcn": LightGCN(dim=6, depth=3),
    "social_lightgcn": SocialLightGCN(dim=6, depth=2, social_weight=0.7),
    "diffnet": DiffNet(dim=6, depth=2, layers="all"),
    "diffnet paper": DiffNet(dim=6, depth=2, variant="paper"),
}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    world = planted.checkerboard(num_users=48, num_items=32, links=3)
    return folder_of(world, tmp_path_factory.mktemp("mapped") / "graph")


def random_params(model, side):
    draw = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), edges.without_edges(side)))
    return jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(np.float32), shapes)


@pytest.mark.parametrize("memory", [1, 1 << 30], ids=["a column at a time", "at once"])
@pytest.mark.parametrize("name", MODELS)
def test_vectors_and_metrics_are_those_in_memory(graph, tmp_path, monkeypatch, name, memory):
    monkeypatch.setattr(edges, "BLOCK", 5)  # edges at once, fewer than some receivers have
    model, data = MODELS[name], graph.dataset()
    side, _ = drawing(graph, model, (2, 2, 2))
    params = random_params(model, side)
    found = mapped.write_vectors(model, params, side, tmp_path, memory)
    state = ranking.encode(model, params, on_device(model.prepare(data)))
    for one, other in zip(dataclasses.astuple(found), model.vectors(state)):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert isinstance(found.users, np.memmap) and np.load(tmp_path / "items.npy").shape == (32, 6)
    how = protocol.parse("sampled10-strict", ks=(5, 10))
    users = held_out_users(graph, "test", 30, 0)
    candidates = protocol.candidates(of_users(graph, users), how, "test", users)
    np.testing.assert_array_equal(
        candidates.negatives, protocol.candidates(data, how, "test", users).negatives
    )  # a user's candidates do not depend on whose pairs are in memory
    result = mapped.evaluate(model, found, candidates)
    whole = ranking.evaluate_state(model, state, protocol.candidates(data, how, "test", users))
    np.testing.assert_array_equal(result.users, whole.users)
    for metric, values in whole.per_user.items():
        np.testing.assert_allclose(result.per_user[metric], values, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_only_models_that_treat_columns_alone_are_cut(name):
    assert mapped.by_columns(MODELS[name]) == (name != "diffnet paper")


@dataclasses.dataclass(frozen=True)
class Normalised(BPR):
    """Vectors of unit length, so that a column depends on the others."""

    touched = BPR.touched

    def encode(self, params, side):
        state = super().encode(params, side)
        return state.replace(users=state.users / np.linalg.norm(state.users, axis=1, keepdims=True))


def test_a_model_that_mixes_columns_without_weights_is_not_cut(graph, tmp_path):
    model = Normalised(dim=6)
    assert not mapped.by_columns(model)
    side, _ = drawing(graph, model, ())
    params = random_params(model, side)
    found = mapped.write_vectors(model, params, side, tmp_path, 1)
    np.testing.assert_allclose(np.linalg.norm(found.users, axis=1), 1, rtol=1e-5)


def test_sums_over_mapped_edges_are_those_of_one_edge_at_a_time(graph, monkeypatch):
    monkeypatch.setattr(edges, "BLOCK", 3)
    side, _ = drawing(graph, MODELS["lightgcn"], (2, 2, 2))
    values = np.random.default_rng(0).normal(size=(graph.num_items, 3)).astype(np.float32)
    expected = np.zeros((graph.num_users, 3))
    for user in range(graph.num_users):
        for item in graph.user_items.row(user):
            degrees = graph.user_items.degree[user] * int(graph.item_users.degree[item])
            expected[user] += values[item] / np.sqrt(degrees)
    np.testing.assert_allclose(side.to_users.propagate(values), expected, rtol=1e-4, atol=1e-6)
