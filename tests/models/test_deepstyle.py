"""DeepStyle against its equation, and what is left of it without looks or with one category."""

import dataclasses

import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.visual.deepstyle import DeepStyle

CASES = {
    "bpr": DeepStyle(dim=4, negatives=3, l2=0.3, feature_l2=0.0),
    "softmax, with bias, cold by features": DeepStyle(
        dim=4, negatives=3, l2=0.3, feature_l2=0.0, objective="softmax", item_bias=True, cold="features"
    ),
}


def styled():
    return worlds.with_attributes(worlds.small(None, 5))


def twin(model, data, params):
    params, f = twins.wide(params), np.float64(data.item_features)
    f /= np.mean([np.sqrt((row**2).sum()) for row in f])
    names = sorted(set(data.item_groups.tolist()) - {""})
    vectors, bias = np.zeros_like(params["items"]), np.zeros(data.num_items)
    for i, group in enumerate(data.item_groups):
        vectors[i] = f[i] @ params["projection"] - (params["categories"][names.index(group)] if group else 0)
        if model.cold == "learned" or i in data.train.item:
            vectors[i] += params["items"][i]
            bias[i] = params["item_bias"][i] if model.item_bias else 0
    norms = twins.squared(params["items"]) + (params["item_bias"] ** 2 if model.item_bias else 0)
    return twins.Twin(model, data, params["users"], vectors, bias), twins.squared(params["users"]), norms


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equation(name):
    worlds.assert_equals_twin(CASES[name], styled(), twin)


def test_maps_and_categories_are_regularised_once_in_the_mean():
    data, batch = styled(), worlds.random_batch(styled())
    plain = CASES["bpr"]
    side = plain.prepare(data)
    params = worlds.random_params(plain, side)
    loss = lambda l2: worlds.scores_and_loss(dataclasses.replace(plain, feature_l2=l2), params, side, batch)[1][0]  # noqa: E731
    (less, weight), (more, _) = loss(0.0), loss(0.5)
    squares = (params["projection"] ** 2).sum() + (params["categories"] ** 2).sum()
    assert float(more - less) == pytest.approx(0.5 * float(weight) * squares, rel=1e-4)


def test_without_looks_and_categories_it_is_bpr_without_bias():
    data, batch = styled(), worlds.random_batch(styled())
    model, bpr = CASES["bpr"], BPR(dim=4, negatives=3, l2=0.3, item_bias=False)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    params["projection"][:], params["categories"][:] = 0, 0
    plain = {name: params[name] for name in ("users", "items")}
    ours = worlds.scores_and_loss(model, params, side, batch)
    theirs = worlds.scores_and_loss(bpr, plain, bpr.prepare(data), batch)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours[1][0], theirs[1][0], rtol=1e-5)


def test_one_category_for_all_takes_the_same_from_all_scores_of_a_user():
    data = dataclasses.replace(styled(), item_groups=np.array(["top"] * 7))
    model = CASES["bpr"]
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    batch = worlds.random_batch(data)
    nothing = params | {"categories": params["categories"] * 0}
    one, other = (np.asarray(worlds.scores_and_loss(model, p, side, batch)[0]) for p in (params, nothing))
    assert params["categories"].shape == (1, 4) and np.ptp(other - one, axis=1).max() < 1e-5 < np.abs(other - one).min()


def test_the_explanation_tells_look_category_and_taste():
    data, model = styled(), CASES["softmax, with bias, cold by features"]
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    users, items = np.array([0, 2, 5, 8]), np.array([1, 6, 2, 0])  # 6 is untrained, the group of 2 is not known
    why = model.explain(worlds.encode(model, params, side), side, users, items)
    u, images = params["users"][users], np.asarray(side.images)[items]
    known = np.array([1, 0, 1, 1])
    numbers = {"": -1, "shoe": 0, "top": 1}
    looked = [numbers[str(data.item_groups[i])] for i in items]
    subtracted = np.array([params["categories"][n] if n >= 0 else np.zeros(4) for n in looked])
    expected = {
        "look": (u * (images @ params["projection"])).sum(axis=1),
        "category": -(u * subtracted).sum(axis=1),
        "taste": known * (u * params["items"][items]).sum(axis=1),
        "item_bias": known * params["item_bias"][items],
    }
    assert set(why.parts) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(why.parts[name], values, rtol=1e-4, atol=1e-5)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="feature_l2 must be at least 0"):
        DeepStyle(feature_l2=-1.0)
