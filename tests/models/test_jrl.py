"""JRL against its equations, and what is left of it without images."""

import dataclasses

import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.visual.jrl import JRL

CASES = {
    "bpr": JRL(dim=4, visual_dim=3, negatives=3, l2=0.3, rebuild=0.0, feature_l2=0.0),
    "softmax, with bias, cold by features": JRL(
        dim=4,
        visual_dim=3,
        negatives=3,
        l2=0.3,
        rebuild=0.0,
        feature_l2=0.0,
        objective="softmax",
        item_bias=True,
        cold="features",
    ),
}


def vectors(model, data, params):
    """x_i f64[I, D + Dv], one item at a time."""
    f = np.float64(data.item_features)
    f /= np.mean([np.sqrt((row**2).sum()) for row in f])
    rows = []
    for i in range(data.num_items):
        z = f[i] @ params["projection"]
        known = model.cold == "learned" or i in data.train.item
        rows.append([*(known * params["items"][i]), *(x if x > 0 else np.exp(x) - 1 for x in z)])
    return np.array(rows), f


def twin(model, data, params):
    params = twins.wide(params)
    bias = np.zeros(data.num_items)
    if model.item_bias:
        bias[np.unique(data.train.item)] = params["item_bias"][np.unique(data.train.item)]
    users = np.concatenate([params["users"], params["visual_users"]], axis=1)
    norms = twins.squared(params["items"]) + (params["item_bias"] ** 2 if model.item_bias else 0)
    return twins.Twin(model, data, users, vectors(model, data, params)[0], bias), twins.squared(users), norms


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name):
    worlds.assert_equals_twin(CASES[name], worlds.small(None, 5), twin)


def test_rebuilding_costs_what_it_misses_of_the_rows_items_and_maps_count_once():
    data, batch = worlds.small(None, 5), worlds.random_batch(worlds.small())
    model = dataclasses.replace(CASES["bpr"], rebuild=0.7, feature_l2=0.2)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    less = worlds.scores_and_loss(CASES["bpr"], params, side, batch)[1][0][0]
    more = worlds.scores_and_loss(model, params, side, batch)[1][0][0]
    x, f = vectors(model, data, twins.wide(params))
    maps = (params["projection"] ** 2).sum() + (params["rebuild"] ** 2).sum()
    missed = [((f[i] - x[i] @ params["rebuild"]) ** 2).sum() for i in batch.items]
    assert float(more - less) == pytest.approx(batch.weight @ (0.7 * np.array(missed) + 0.2 * maps), rel=1e-4)


def test_without_the_half_of_the_image_it_is_bpr_without_bias():
    data, batch = worlds.small(None, 5), worlds.random_batch(worlds.small())
    model, bpr = CASES["bpr"], BPR(dim=4, negatives=3, l2=0.3, item_bias=False)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    params["visual_users"][:] = 0
    ours = worlds.scores_and_loss(model, params, side, batch)
    plain = {name: params[name] for name in ("users", "items")}
    theirs = worlds.scores_and_loss(bpr, plain, bpr.prepare(data), batch)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours[1][0], theirs[1][0], rtol=1e-5)


def test_the_explanation_tells_taste_and_look():
    data, model = worlds.small(None, 5), CASES["softmax, with bias, cold by features"]
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    users, items = np.array([0, 2, 8]), np.array([1, 6, 0])
    why = model.explain(worlds.encode(model, params, side), side, users, items)
    x = vectors(model, data, twins.wide(params))[0][items]
    expected = {
        "taste": (params["users"][users] * x[:, :4]).sum(axis=1),
        "visual": (params["visual_users"][users] * x[:, 4:]).sum(axis=1),
        "item_bias": params["item_bias"][items] * np.array([1, 0, 1]),
    }
    assert set(why.parts) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(why.parts[name], values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrong", [{"visual_dim": 0}, {"rebuild": -1.0}, {"feature_l2": -1.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        JRL(**wrong)
