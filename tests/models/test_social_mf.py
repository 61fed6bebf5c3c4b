"""SocialMF against its equation: the term, its full gradient, and what it leaves alone."""

import dataclasses

import jax
import numpy as np
import pytest
import twins
import worlds
from social_terms import assert_equals_bpr_and_term, square, users_of_rows

from socialjax.models.cf.bpr import BPR
from socialjax.models.social.regularisation import SocialMF

CASES = {
    "as it comes": SocialMF(),
    "directed, user by pair": SocialMF(symmetric=False, per="pair", social_weight=3.0),
    "softmax, no bias": SocialMF(objective="softmax", item_bias=False, per="pair"),
    "directed, drawn users": SocialMF(symmetric=False, objective="squared"),
}


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name):
    model, data = dataclasses.replace(CASES[name], dim=4, negatives=3, l2=0.2), worlds.small()
    friends = twins.friends_of(data, model.symmetric)

    def term(p, a):
        return square(p[a] - np.mean([p[b] for b in friends[a]], axis=0)) if friends[a] else 0.0

    assert_equals_bpr_and_term(model, data, term)


def value_and_gradient(model, data, params, batch):
    side = model.prepare(data)
    return jax.jit(jax.value_and_grad(lambda p, side: model.loss(p, side, batch, 7)[0][0]))(params, side)


def test_without_weight_it_is_matrix_factorisation():
    data, batch = worlds.small(), worlds.random_batch(worlds.small())
    model = SocialMF(dim=4, negatives=3, social_weight=0.0)
    params = worlds.random_params(model, model.prepare(data))
    ours, theirs = (value_and_gradient(m, data, params, batch) for m in (model, BPR(dim=4, negatives=3)))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_gradient_has_both_parts_of_the_formula(symmetric):
    """w (p_a - sum_b T_ab p_b) - w sum over c who trust a of T_ca (p_c - sum_b T_cb p_b), of 0.5 w sum of all terms."""
    data, model = worlds.small(), SocialMF(dim=4, social_weight=0.7, symmetric=symmetric)
    side, friends = model.prepare(data), twins.friends_of(data, symmetric)
    p = np.random.default_rng(0).normal(size=(data.num_users, 4))
    ours = jax.grad(lambda p: 0.5 * model.social_weight * model.distance(p, side).sum())(p.astype(np.float32))
    apart = np.array([p[a] - np.mean(p[friends[a]], axis=0) if friends[a] else np.zeros(4) for a in range(len(p))])
    for a in range(len(p)):
        heard_by = [c for c in range(len(p)) if a in friends[c]]
        expected = apart[a] - sum((apart[c] / len(friends[c]) for c in heard_by), np.zeros(4))
        np.testing.assert_allclose(ours[a], 0.7 * expected, atol=1e-5)


def test_friends_of_one_mind_cost_nothing_and_users_without_friends_are_let_be():
    data, model = worlds.small(), SocialMF(dim=4)
    side = model.prepare(data)
    equal = np.tile(np.float32([1, -2, 0.5, 3]), (data.num_users, 1))
    np.testing.assert_allclose(model.distance(equal, side), 0, atol=1e-10)
    apart = np.asarray(model.distance(np.random.default_rng(0).normal(size=equal.shape).astype(np.float32), side))
    np.testing.assert_array_equal(apart == 0, [not friends for friends in twins.friends_of(data, True)])


def test_drawn_terms_add_up_to_the_sum_over_users():
    """The mean over many rows is the mean over users, of whatever pairs the rows are."""
    data = worlds.small()
    model = SocialMF(dim=4, l2=0.0, social_weight=2.0)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    batch = worlds.random_batch(data, 1, rows=20_000)
    counts = np.bincount(users_of_rows(model, batch, 3, data.num_users), minlength=data.num_users)
    np.testing.assert_allclose(counts / len(batch.rows), 1 / data.num_users, rtol=0.1)
    terms = model.penalty(params, side, model.encode(params, side), batch, 3)
    np.testing.assert_allclose(np.mean(terms), np.mean(model.distance(params["users"], side)), rtol=0.03)


@pytest.mark.parametrize("model", [SocialMF(dim=4), SocialMF(dim=4, item_bias=False)])
def test_the_explanation_is_taste_and_the_bias(model):
    data = worlds.small()
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    state = model.encode(params, side)
    users, items = np.array([0, 5, 8]), np.array([1, 6, 3])
    why = model.explain(state, side, users, items)
    assert set(why.parts) == {"taste"} | ({"item_bias"} if model.item_bias else set()) and not why.elements
    np.testing.assert_allclose(
        why.parts["taste"], (params["users"][users] * params["items"][items]).sum(axis=1), atol=1e-6
    )
    np.testing.assert_allclose(why.score, model.score(state, users, items[:, None])[:, 0], atol=1e-5)


def test_a_new_user_stands_between_what_they_took_and_whom_they_know():
    data, model = worlds.small(), SocialMF(dim=4)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    state = model.encode(params, side)
    nothing, items, friends = np.zeros(0, np.int32), np.array([1, 4]), np.array([0, 3])
    alone, near = model.new_user(state, side, items, nothing), params["users"][friends].mean(axis=0)
    np.testing.assert_allclose(alone, BPR(dim=4).new_user(state, side, items, nothing))
    np.testing.assert_allclose(model.new_user(state, side, nothing, friends), near, rtol=1e-6)
    np.testing.assert_allclose(model.new_user(state, side, items, friends), (alone + near) / 2, rtol=1e-5)
    assert not model.new_user(state, side, nothing, nothing).any()


@pytest.mark.parametrize("field, value", [("social_weight", -0.1), ("per", "link")])
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} must be .*{value}"):
        SocialMF(**{field: value})
