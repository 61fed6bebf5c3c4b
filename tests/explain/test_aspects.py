"""The weights of HASC's aspects: in records, text and picture, and over all users."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from socialjax.explain import aspects as population
from socialjax.explain import picture
from socialjax.explain.record import records
from socialjax.explain.text import report as as_text
from socialjax.models.cf.reference import Popular
from socialjax.models.social.hasc import ASPECTS, HASC, KINDS
from socialjax.worlds.aspects import aspects

LABELS = {name: KINDS[name].label for name in ASPECTS}


@functools.cache
def grown():
    """(model, state, side, data) of a small world; parameters are as drawn, times twenty."""
    data = aspects(num_users=120, num_topics=4, history=3, width=8).data
    model = HASC(dim=4, owner_history=True)
    side = model.prepare(data)
    params = jax.tree.map(lambda leaf: 20 * leaf, jax.jit(model.init)(jax.random.key(0), side))
    return model, jax.jit(model.encode)(params, side), side, data


@functools.cache
def told():
    """Records of two pairs."""
    model, state, side, data = grown()
    return data, records(model.explain(state, side, [3, 7], [10, 20]), data)


def test_a_record_names_uploads_followees_the_owner_and_the_weight_of_each_aspect():
    data, (first, _) = told()
    parts = [part["name"] for part in first["parts"]]
    assert parts == ["interest", "upload", "social", "owner", "past_owner", "item_bias"]
    assert sum(part["value"] for part in first["parts"]) == pytest.approx(first["score"], abs=1e-5)
    groups = {group["part"]: group for group in first["elements"]}
    assert {name: group["kind"] for name, group in groups.items()} == {
        "upload": "item", "social": "user", "owner": "user", "aspects": "aspect",
    }  # fmt: skip
    assert {element["id"] for element in groups["upload"]["ranked"]} == set(np.flatnonzero(data.owners == 3).tolist())
    assert groups["owner"]["ranked"][0]["id"] == data.owners[10]
    gamma = {element["id"]: element["weight"] for element in groups["aspects"]["ranked"]}
    assert set(gamma) == {"upload", "social", "owner"} and sum(gamma.values()) == pytest.approx(1)


def test_text_and_picture_show_them_and_count_nothing_twice(tmp_path):
    record = told()[1][0]
    report = as_text([record])
    for words in (
        "own uploads (",
        "users followed (",
        "who made it (",
        "weights of aspects: 3 aspects",
        "aspect owner",
    ):
        assert words in report, words
    labels = picture._labels(record)
    assert labels[0] == "own interest" and labels[1].startswith("own uploads, weight ")
    strongest, _ = picture._strongest(record, 100)
    assert {part for _, part, _ in strongest} == {"upload", "social", "owner"}
    picture.draw(tmp_path / "pair.png", record)
    assert (tmp_path / "pair.png").read_bytes().startswith(b"\x89PNG")


def test_the_figures_over_users_are_means_deviations_and_who_has_the_largest():
    gamma = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.0, 0.6, 0.4], [0.2, 0.2, 0.6]])
    found = population.population(gamma, LABELS)
    assert found["users"] == 4 and [of["name"] for of in found["aspects"]] == ["upload", "social", "owner"]
    assert [of["label"] for of in found["aspects"]] == ["own uploads", "users followed", "who made it"]
    assert [of["mean"] for of in found["aspects"]] == pytest.approx([0.2, 0.4625, 0.3375])
    assert found["aspects"][0]["deviation"] == pytest.approx(np.sqrt((0.3**2 + 0.1**2 + 0.2**2) / 4))
    assert [of["largest"] for of in found["aspects"]] == [0.25, 0.5, 0.25]
    assert found["aspects"][2]["quartiles"][1] == pytest.approx(0.325)


def test_the_picture_over_users_is_drawn_whole_or_not_at_all(tmp_path):
    gamma = np.random.default_rng(0).dirichlet((2, 1, 1), 200)
    population.draw_population(tmp_path / "aspects.png", gamma, LABELS, "hasc on $ a world")
    assert (tmp_path / "aspects.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OSError):
        population.draw_population(tmp_path / "taken.png", gamma, LABELS, "hasc")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aspects.png", "taken.png"]


@pytest.mark.parametrize("gamma", [np.zeros((0, 3)), np.zeros((4, 2)), np.full((4, 3), np.nan)])
def test_weights_of_another_shape_or_not_finite_are_refused(gamma):
    with pytest.raises(ValueError, match="wanted finite weights of upload, social, owner"):
        population.population(gamma, LABELS)


@pytest.mark.parametrize("part", ["test", "train"])
def test_weights_over_users_are_the_means_of_their_test_pairs_or_else_of_their_training_pairs(part):
    model, state, side, data = grown()
    if part == "train":
        data = dataclasses.replace(data, test=data.test.take(np.zeros(len(data.test), bool)))
    gamma, labels = population.weights_over_users(model, state, side, data)
    assert labels == LABELS
    pairs = data.parts()[part]
    weights = model.explain(state, side, pairs.user, pairs.item).elements["aspects"].weight.reshape(-1, 3)
    assert len(pairs) % population.BLOCK
    expected = [weights[pairs.user == user].mean(axis=0) for user in np.unique(pairs.user)]
    np.testing.assert_allclose(gamma, expected, atol=1e-4)
    np.testing.assert_allclose(gamma.sum(axis=1), 1, rtol=1e-5)


def test_a_model_that_weighs_no_aspects_is_refused():
    *_, data = grown()
    model = Popular()
    side = model.prepare(data)
    with pytest.raises(ValueError, match=r"Popular on .* weighs no aspects"):
        population.weights_over_users(model, model.encode(None, side), side, data)
