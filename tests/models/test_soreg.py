"""SoReg against its equations in both variants, and the matrices they amount to."""

import dataclasses

import jax
import numpy as np
import pytest
import twins
import worlds
from social_terms import assert_equals_bpr_and_term, square

from socialjax.models.cf.bpr import BPR
from socialjax.models.history import taken_items
from socialjax.models.social.regularisation import SocialMF, SoReg
from socialjax.models.social.shared import cosine

CASES = {
    "as it comes": SoReg(),
    "individual, only common taste": SoReg(constant=0.0, social_weight=2.0),
    "individual, directed, all alike": SoReg(similarity="one", symmetric=False, per="pair"),
    "average": SoReg(variant="average", social_weight=1.5),
    "average, directed, only common taste": SoReg(variant="average", constant=0.0, symmetric=False, per="pair"),
}


def similarity(model, data, a, b):
    """The weight of a link, from its definition."""
    if model.similarity == "one":
        return 1.0
    mine, theirs = (set(twins.taken_by(data)[user]) for user in (a, b))
    alike = len(mine & theirs) / np.sqrt(len(mine) * len(theirs)) if mine and theirs else 0.0
    return (alike + model.constant) / (1 + model.constant)


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name):
    model, data = dataclasses.replace(CASES[name], dim=4, negatives=3, l2=0.2), worlds.small()
    friends = twins.friends_of(data, model.symmetric)

    def term(p, a):
        weights = {b: similarity(model, data, a, b) for b in friends[a]}
        if model.variant == "individual":
            return sum(weight * square(p[a] - p[b]) for b, weight in weights.items())
        total = sum(weights.values())
        return square(p[a] - sum(weight * p[b] for b, weight in weights.items()) / total) if total else 0.0

    assert_equals_bpr_and_term(model, data, term)


def value_and_gradient(model, data, params, batch):
    side = model.prepare(data)
    return jax.jit(jax.value_and_grad(lambda p, side: model.loss(p, side, batch, 7)[0][0]))(params, side)


@pytest.mark.parametrize("variant", ["individual", "average"])
def test_without_weight_it_is_matrix_factorisation(variant):
    data, batch = worlds.small(), worlds.random_batch(worlds.small())
    model = SoReg(dim=4, negatives=3, social_weight=0.0, variant=variant)
    params = worlds.random_params(model, model.prepare(data))
    ours, theirs = (value_and_gradient(m, data, params, batch) for m in (model, BPR(dim=4, negatives=3)))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_averaged_with_all_links_alike_it_is_social_mf():
    data, batch = worlds.small(), worlds.random_batch(worlds.small())
    shared = {"dim": 4, "negatives": 3, "social_weight": 0.8}
    model, other = SoReg(**shared, variant="average", similarity="one"), SocialMF(**shared)
    params = worlds.random_params(model, model.prepare(data))
    ours, theirs = (value_and_gradient(m, data, params, batch) for m in (model, other))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), ours, theirs)


# No link goes both ways, so that the directed graph holds each once.
ONE_WAY = [(0, 1), (0, 3), (1, 2), (2, 3), (4, 5), (4, 3), (7, 0)]


@pytest.mark.parametrize("symmetric, times", [(True, 2), (False, 1)])
def test_the_sum_over_users_is_the_trace_of_the_laplacian(symmetric, times):
    """tr(P' L P) = sum over links of sim |p_a - p_b|^2: once in the directed graph, twice in the symmetric one."""
    data = worlds.dataset(worlds.NUM_USERS, worlds.NUM_ITEMS, worlds.TRAIN, ONE_WAY)
    model = SoReg(dim=4, symmetric=symmetric)
    weight = np.zeros((worlds.NUM_USERS,) * 2)
    for a, b in ONE_WAY:
        weight[a, b] = weight[b, a] = similarity(model, data, a, b)
    laplacian = np.diag(weight.sum(axis=1)) - weight
    p = np.random.default_rng(0).normal(size=(worlds.NUM_USERS, 4)).astype(np.float32)
    side = model.prepare(data)
    total, gradient = jax.value_and_grad(lambda p: model.distance(p, side).sum())(p)
    np.testing.assert_allclose(total, times * np.trace(p.T @ laplacian @ p), rtol=1e-5)
    np.testing.assert_allclose(gradient, 2 * times * laplacian @ p, atol=1e-4)


def test_the_term_of_one_user_pulls_the_friends_too():
    """d sim |p_a - p_b|^2 / d p_b = -2 sim (p_a - p_b)."""
    data, model = worlds.small(), SoReg(dim=4)
    side = model.prepare(data)
    p = np.random.default_rng(0).normal(size=(data.num_users, 4)).astype(np.float32)
    gradient = jax.grad(lambda p: model.distance(p, side)[0])(p)
    friends = twins.friends_of(data, True)[0]
    for b in range(1, data.num_users):
        expected = -2 * similarity(model, data, 0, b) * (p[0] - p[b]) if b in friends else np.zeros(4)
        np.testing.assert_allclose(gradient[b], expected, atol=1e-5)
    assert len(friends) > 1


def test_weights_are_between_0_and_1_and_links_without_common_taste_can_be_dropped():
    data = worlds.small()
    kept, mixed = (SoReg(constant=c, similarity="cosine").prepare(data).social for c in (0.0, 1.0))
    assert 0 < len(kept.weight) < len(mixed.weight) and mixed.weight.min() == 0.5
    assert all((side.weight > 0).all() and (side.weight <= 1).all() for side in (kept, mixed))
    np.testing.assert_allclose(np.sort(mixed.weight[mixed.weight > 0.5]), (np.sort(kept.weight) + 1) / 2)


def test_cosine_of_many_links_is_made_in_parts(monkeypatch):
    data = worlds.small()
    left, right = (part.ravel() for part in np.indices((data.num_users, data.num_users)))
    whole = cosine(taken_items(data), left, right)
    monkeypatch.setattr("socialjax.models.social.shared._AT_ONCE", 7)
    np.testing.assert_array_equal(cosine(taken_items(data), left, right), whole)
    plain = dataclasses.replace(SoReg(), constant=0.0)
    expected = [similarity(plain, data, a, b) for a, b in zip(left, right)]
    np.testing.assert_allclose(whole, expected, rtol=1e-6)
    assert len(cosine(taken_items(data), left[:0], right[:0])) == 0


@pytest.mark.parametrize("field, value", [("variant", "mean"), ("similarity", "pearson"), ("constant", -1.0)])
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} must be .*{value}"):
        SoReg(**{field: value})
