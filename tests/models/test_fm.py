"""The factorisation machine against its double loop over fields."""

import dataclasses

import jax
import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.fm import FM, standardised, within

WIDTHS = {"user and item features": (3, 2), "items alone": (None, 4), "users alone": (2, None), "none": (None, None)}


def columnwise(features, scale):
    """scale * (z - mean) / deviation of each column, None for None."""
    if features is None:
        return None
    features = np.asarray(features, np.float64)
    return scale * (features - features.mean(axis=0)) / features.std(axis=0)


class FMTwin(twins.Twin):
    """Rendle's Eq. 1: fields (value, weight, vector, side) in any order; terms of the user alone left out."""

    def __init__(self, model, data, params, order=None):
        params = twins.wide(params)
        super().__init__(
            model, data, params["users"], params["items"], params.get("item_bias", np.zeros(data.num_items))
        )
        self.params, self.order = params, order
        self.x, self.y = (columnwise(of, model.feature_scale) for of in (data.user_features, data.item_features))

    def fields(self, a, i):
        found = [(1.0, 0.0, self.own[a], "user"), (1.0, self.bias[i], self.items[i], "item")]
        if self.x is not None:
            found += [(z, 0.0, v, "user") for z, v in zip(self.x[a], self.params["user_weights"])]
        if self.y is not None:
            linear = self.params.get("item_linear", np.zeros(self.y.shape[1]))
            found += [(z, w, v, "item") for z, w, v in zip(self.y[i], linear, self.params["item_weights"])]
        return found if self.order is None else [found[p] for p in self.order]

    def score(self, a, i, without=None, mask=1.0):
        fields, total = self.fields(a, i), 0.0
        for p, (z, weight, v, side) in enumerate(fields):
            total += weight * z
            for other, _, u, of in fields[:p]:
                if (side, of) != ("user", "user"):
                    total += (v @ u) * z * other
        return total

    def loss(self, batch, user_norms, item_norms, masks=None):
        total, weight, objective = super().loss(batch, user_norms, item_norms, masks)
        names = [name for name in self.params if name.endswith(("weights", "linear"))]
        return (
            total + weight * self.model.feature_l2 * sum((self.params[n] ** 2).sum() for n in names),
            weight,
            objective,
        )


def fm_twin(model, data, params):
    bias = np.asarray(params.get("item_bias", 0.0), np.float64)
    norms = [twins.squared(np.asarray(params[name], np.float64)) for name in ("users", "items")]
    return FMTwin(model, data, params), norms[0], norms[1] + bias**2


@pytest.mark.parametrize("item_bias", [True, False])
@pytest.mark.parametrize("widths", WIDTHS.values(), ids=list(WIDTHS))
def test_scores_and_loss_equal_the_double_loop(widths, item_bias):
    model = FM(dim=4, negatives=3, l2=0.2, feature_l2=0.05, feature_scale=0.7, item_bias=item_bias)
    worlds.assert_equals_twin(model, worlds.small(*widths), fm_twin)


def test_the_fast_form_of_pairs_within_a_row_equals_the_double_loop_on_sparse_features():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(6, 9)) * (rng.random((6, 9)) < 0.4)).astype(np.float32)
    weights = rng.normal(size=(9, 5)).astype(np.float32)
    slow = [
        sum((weights[f] @ weights[g]) * row[f] * row[g] for f in range(9) for g in range(f + 1, 9)) for row in features
    ]
    np.testing.assert_allclose(within(features, weights), slow, rtol=1e-5, atol=1e-5)


def test_the_order_of_fields_changes_nothing():
    model, data = FM(dim=4), worlds.small(3, 2)
    params = worlds.random_params(model, model.prepare(data))
    given = FMTwin(model, data, params)
    for seed in range(3):
        turned = FMTwin(model, data, params, np.random.default_rng(seed).permutation(7))
        assert turned.score(3, 4) == pytest.approx(given.score(3, 4), abs=1e-12)
    columns = [2, 0, 1]
    moved = dataclasses.replace(data, user_features=data.user_features[:, columns])
    other = {**params, "user_weights": params["user_weights"][columns]}
    batch = worlds.random_batch(data)
    ours = worlds.scores_and_loss(model, params, model.prepare(data), batch)[0]
    theirs = worlds.scores_and_loss(model, other, model.prepare(moved), batch)[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("use_features, widths", [(True, (None, None)), (False, (3, 2))])
def test_without_features_it_is_biased_matrix_factorisation(use_features, widths):
    """The same parameters from the same seed, the same scores and the same loss."""
    data, batch = worlds.small(*widths), worlds.random_batch(worlds.small())
    fm, bpr = FM(dim=4, negatives=3, use_features=use_features), BPR(dim=4, negatives=3)
    sides = fm.prepare(data), bpr.prepare(data)
    started = [model.init(jax.random.key(3), side) for model, side in zip((fm, bpr), sides)]
    jax.tree.map(np.testing.assert_array_equal, *started)
    params = worlds.random_params(bpr, sides[1])
    ours = worlds.scores_and_loss(fm, params, sides[0], batch)
    theirs = worlds.scores_and_loss(bpr, params, sides[1], batch)
    np.testing.assert_array_equal(ours[0], theirs[0])
    assert ours[1][0][0] == theirs[1][0][0]


def test_columns_are_standardised_one_by_one_and_a_constant_one_says_nothing():
    """0.1 three times has a mean that is not 0.1 in binary: rounding must not be blown up to a feature."""
    features = np.array([[1, 1000, 0.1], [2, 3000, 0.1], [3, 5000, 0.1]], np.float32)
    got = standardised(features, 2.0)
    np.testing.assert_allclose(got[:, :2], [[-(6**0.5)] * 2, [0, 0], [6**0.5] * 2], atol=1e-6)
    assert got.dtype == np.float32 and not got[:, 2].any()
    assert standardised(None, 2.0) is None


def test_weights_of_features_are_regularised_once_whatever_the_size_of_the_batch():
    model, data = FM(dim=4, negatives=3, l2=0.0, feature_l2=0.5), worlds.small(3, 2)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    names = ("user_weights", "item_weights", "item_linear")
    expected = 0.5 * sum((params[name].astype(np.float64) ** 2).sum() for name in names)
    for rows in (5, 12):
        (total, weight), metrics = worlds.scores_and_loss(model, params, side, worlds.random_batch(data, rows=rows))[1]
        assert (total - metrics["objective"]) / weight == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("widths", WIDTHS.values(), ids=list(WIDTHS))
@pytest.mark.parametrize("item_bias", [True, False])
def test_parts_are_the_terms_of_the_equation(widths, item_bias):
    model, data = FM(dim=4, item_bias=item_bias), worlds.small(*widths)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    users, items = np.array([0, 3, 5, 8]), np.array([1, 6, 0, 4])
    state = model.encode(params, side)
    why = model.explain(state, side, users, items)
    twin, wide = FMTwin(model, data, params), twins.wide(params)
    expected = {"taste": [wide["users"][a] @ wide["items"][i] for a, i in zip(users, items)]}
    x = None if twin.x is None else twin.x @ wide["user_weights"]
    y = None if twin.y is None else twin.y @ wide["item_weights"]
    if x is not None:
        expected["user_features"] = [x[a] @ wide["items"][i] for a, i in zip(users, items)]
    if y is not None:
        expected["item_features"] = [wide["users"][a] @ y[i] for a, i in zip(users, items)]
        linear = twin.y @ wide.get("item_linear", np.zeros(twin.y.shape[1]))
        pairs = np.array([[(v @ u) for v in wide["item_weights"]] for u in wide["item_weights"]])
        both = np.array([sum(pairs[f, g] * z[f] * z[g] for f in range(len(z)) for g in range(f)) for z in twin.y])
        expected["item_alone"] = (linear + both + np.sum(wide["items"] * y, axis=1))[items]
    if x is not None and y is not None:
        expected["both_features"] = [x[a] @ y[i] for a, i in zip(users, items)]
    if item_bias:
        expected["item_bias"] = wide["item_bias"][items]
    assert set(why.parts) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(why.parts[name], value, rtol=1e-5, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(why.score, [twin.score(a, i) for a, i in zip(users, items)], rtol=1e-5, atol=1e-5)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="feature_l2 must be at least 0, got -1"):
        FM(feature_l2=-1.0)
    with pytest.raises(ValueError, match="feature_scale must be above 0, got 0"):
        FM(feature_scale=0.0)
