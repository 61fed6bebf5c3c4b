"""VBPR against its equations, what is left of it without images, and what it makes of items nobody took."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.visual.item_features import scaled
from socialjax.models.visual.vbpr import VBPR
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state, resident

CASES = {
    "bpr": VBPR(),
    "softmax, no visual bias": VBPR(objective="softmax", temperature=0.7, visual_bias=False),
    "bce, no item bias": VBPR(objective="bce", item_bias=False),
    "squared, cold by features": VBPR(objective="squared", cold="features"),
}


def divided(features):
    """By one number, after which rows are 1 long in the mean."""
    lengths = [np.sqrt(sum(float(x) ** 2 for x in row)) for row in features]
    return np.asarray(features, np.float64) / (sum(lengths) / len(lengths))


def twin(model, data, params):
    params, f = twins.wide(params), divided(data.item_features)
    own = params["items"].copy()
    beta = params.get("item_bias", np.zeros(data.num_items)).copy()
    norms = twins.squared(own)
    if model.cold == "features":
        for i in set(range(data.num_items)) - set(data.train.item.tolist()):
            own[i], beta[i] = 0, 0
    look = np.array([sum(f[i, c] * params["projection"][c] for c in range(f.shape[1])) for i in range(data.num_items)])
    if model.visual_bias:
        beta = beta + f @ params["visual_bias"]
    users = np.concatenate([params["users"], params["visual_users"]], axis=1)
    user_norms = twins.squared(params["users"]) + twins.squared(params["visual_users"])
    return twins.Twin(model, data, users, np.concatenate([own, look], axis=1), beta), user_norms, norms


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name):
    model = dataclasses.replace(CASES[name], dim=4, visual_dim=3, negatives=3, l2=0.3, bias_l2=0.0, feature_l2=0.0)
    worlds.assert_equals_twin(model, worlds.small(None, 5), twin)


def test_biases_and_the_weights_of_features_are_regularised_by_themselves():
    """A negative's bias a tenth as much as the item's own; E and beta' once in the mean."""
    data, batch = worlds.small(None, 5), worlds.random_batch(worlds.small())
    plain = VBPR(dim=4, negatives=3, bias_l2=0.0, feature_l2=0.0)
    side = plain.prepare(data)
    params = worlds.random_params(plain, side)
    loss = lambda **fields: worlds.scores_and_loss(dataclasses.replace(plain, **fields), params, side, batch)[1][0][0]  # noqa: E731
    beta = params["item_bias"] ** 2
    rows = [beta[i] + 0.1 * np.mean([beta[j] for j in others]) for i, others in zip(batch.items, batch.negatives)]
    np.testing.assert_allclose(loss(bias_l2=0.5) - loss(), 0.5 * np.dot(rows, batch.weight), rtol=1e-4)
    norms = (params["projection"] ** 2).sum() + (params["visual_bias"] ** 2).sum()
    np.testing.assert_allclose(loss(feature_l2=0.4) - loss(), 0.4 * norms * batch.weight.sum(), rtol=1e-4)


def test_users_count_alike_when_balanced():
    """A row of user a weighs |R_a|^-balance: 3, 2, 1, 4, 1, 2, 1 pairs in the small data."""
    data, batch = worlds.small(None, 5), worlds.random_batch(worlds.small(None, 5), 3, rows=12)
    model = VBPR(dim=4, negatives=3, l2=0.0)
    params = worlds.random_params(model, model.prepare(data))
    taken = [len(items) for items in twins.taken_by(data)]
    for balance in (0.5, 1.0):
        balanced = dataclasses.replace(model, user_balance=balance)
        weight = np.float32([w / taken[a] ** balance for a, w in zip(batch.users, batch.weight)])
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5),
            worlds.scores_and_loss(balanced, params, balanced.prepare(data), batch)[1],
            worlds.scores_and_loss(model, params, model.prepare(data), batch.replace(weight=weight))[1],
        )


def results(model, data, params, batch):
    """Scores, loss, and the gradients of the parameters of matrix factorisation."""
    side = model.prepare(data)
    gradient = jax.jit(jax.grad(lambda params: model.loss(params, side, batch, 7)[0][0]))(params)
    scores, ((total, _), _) = worlds.scores_and_loss(model, params, side, batch, 7)
    return scores, total, {name: gradient[name] for name in ("users", "items", "item_bias")}


@pytest.mark.parametrize("features", ["zeros", "none"])
def test_without_features_it_is_bpr(features):
    """Regularised differently, so without L2."""
    data = worlds.small()
    seen = dataclasses.replace(data, item_features=np.zeros((data.num_items, 5), np.float32))
    data = seen if features == "zeros" else data
    model, bpr, batch = (
        VBPR(dim=4, negatives=3, l2=0.0, bias_l2=0.0, feature_l2=0.0),
        BPR(dim=4, negatives=3, l2=0.0),
        worlds.random_batch(data),
    )
    params = worlds.random_params(model, model.prepare(data))
    assert ("projection" in params) == (features == "zeros")
    plain = {name: params[name] for name in ("users", "items", "item_bias")}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6),
        results(model, data, params, batch),
        results(bpr, data, plain, batch),
    )


def test_items_that_look_alike_score_alike_where_the_look_is_all():
    """gamma = 0, as with D = 0."""
    data = worlds.small(None, 5)
    data.item_features[4] = data.item_features[1]
    model = VBPR(dim=4)
    params = worlds.random_params(model, model.prepare(data))
    params["users"][:], params["item_bias"][4] = 0, params["item_bias"][1]
    scores = worlds.scores_and_loss(model, params, model.prepare(data), worlds.random_batch(data, 1))[0]
    np.testing.assert_array_equal(scores[:, 4], scores[:, 1])
    assert (scores[:, 4] != scores[:, 2]).all()


def test_an_item_nobody_took_is_its_look_alone_when_asked():
    data = worlds.small(None, 5)
    for cold in ("features", "learned"):
        model = VBPR(dim=4, cold=cold)
        side = model.prepare(data)
        params = worlds.random_params(model, side)
        other = {**params, "items": params["items"].copy(), "item_bias": params["item_bias"].copy()}
        other["items"][worlds.NUM_ITEMS - 1], other["item_bias"][worlds.NUM_ITEMS - 1] = 3, 3
        one, two = (np.asarray(model.encode(each, side).items[-1]) for each in (params, other))
        bias = [float(model.encode(each, side).item_bias[-1]) for each in (params, other)]
        assert (cold == "features") == (one == two).all() == (bias[0] == bias[1])


@pytest.mark.parametrize("width", [np.float16, np.float64])
def test_features_are_divided_by_one_number_whatever_their_size(width):
    features = (np.random.default_rng(0).normal(size=(50, 8)) * 200).astype(width)  # squares overflow float16
    features[3] = 0
    got = scaled(features)
    lengths = np.linalg.norm(got, axis=1)
    assert lengths[3] == 0 and got.dtype == np.float32
    assert lengths.sum() / 49 == pytest.approx(1, rel=1e-5)
    there = features.astype(np.float64) != 0
    np.testing.assert_allclose(got[there] / features.astype(np.float64)[there], got[0, 0] / float(features[0, 0]), 1e-4)
    assert scaled(None) is None and not scaled(np.zeros((3, 2))).any()


def test_the_first_columns_alone_are_taken_when_asked():
    data = worlds.small(None, 5)
    data.item_features[:, 3:] *= 100
    np.testing.assert_allclose(VBPR(columns=3).prepare(data).images, divided(data.item_features[:, :3]), rtol=1e-5)
    with pytest.raises(ValueError, match=r"columns must be at most 5, .*'small'.* got 6"):
        VBPR(columns=6).prepare(data)


def styles(seed=0, shuffled=False):
    """120 users who each take items of one of four styles, which shows in noisy features; every fourth item is cold."""
    rng = np.random.default_rng(seed)
    style, taste = np.arange(160) % 4, np.arange(120) % 4
    cold = np.arange(160) // 4 % 4 == 0
    features = np.eye(4)[style] @ rng.normal(size=(4, 8)) + 0.3 * rng.normal(size=(160, 8))
    if shuffled:
        features = features[rng.permutation(160)]
    warm = [np.flatnonzero((style == s) & ~cold) for s in range(4)]
    train = [(u, i) for u in range(120) for i in rng.choice(warm[taste[u]], 10, replace=False)]
    data = worlds.dataset(120, 160, train, item_features=features.astype(np.float32))
    return data, style, taste, cold


def trained(model, data):
    optimizer = make_optimizer("adam", 0.02)
    side = model.prepare(data)
    runner = make_runner("jit", model, optimizer, side, resident(data), 256, devices=jax.devices()[:1])
    params = runner.run(runner.place(new_state(model, side, optimizer, 0)), 200).params
    return jax.jit(model.encode)(params, runner.side), runner.side


def mean_auc(scores, wanted):
    """Share of pairs (wanted, other) of a row in the right order."""
    return np.mean([(line[w][:, None] > line[~w][None, :]).mean() for line, w in zip(scores, wanted)])


@pytest.mark.parametrize("shuffled", [False, True])
def test_cold_items_are_ranked_by_their_look(shuffled):
    data, style, taste, cold = styles(shuffled=shuffled)
    model = VBPR(dim=8, visual_dim=8, cold="features", negatives=4, l2=0.01, feature_l2=0.0)
    state, side = trained(model, data)
    users, items, bias = (np.asarray(part) for part in model.vectors(state))
    auc = mean_auc((users @ items.T + bias)[:, cold], style[cold][None, :] == taste[:, None])
    if shuffled:
        assert auc == pytest.approx(0.5, abs=0.1)
        return
    assert auc > 0.9
    # A user who was not trained, from three items of a style.
    for s in range(4):
        vector = model.new_user(state, side, np.flatnonzero((style == s) & ~cold)[:3], np.zeros(0, np.int32))
        assert vector.shape == (16,)
        assert mean_auc((items[cold] @ vector)[None, :], (style[cold] == s)[None, :]) > 0.9


@pytest.mark.parametrize("visual_bias", [True, False])
def test_the_explanation_tells_taste_look_and_both_biases(visual_bias):
    data, model = worlds.small(None, 5), VBPR(dim=4, visual_dim=3, visual_bias=visual_bias)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    state = model.encode(params, side)
    users, items = np.array([0, 2, 5, 8]), np.array([1, 6, 3, 0])
    why, f = model.explain(state, side, users, items), divided(data.item_features)[items]
    expected = {
        "taste": (params["users"][users] * params["items"][items]).sum(axis=1),
        "visual": (params["visual_users"][users] * (f @ params["projection"])).sum(axis=1),
        "item_bias": params["item_bias"][items],
    }
    if visual_bias:
        expected["visual_bias"] = f @ params["visual_bias"]
    assert set(why.parts) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(why.parts[name], values, rtol=1e-5, atol=1e-6)
    scores = model.score(state, jnp.asarray(users), jnp.asarray(items)[:, None])[:, 0]
    np.testing.assert_allclose(sum(why.parts.values()), scores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"visual_dim": 0},
        {"feature_l2": -1.0},
        {"bias_l2": -1.0},
        {"user_balance": -1.0},
        {"columns": -1},
        {"cold": "hidden"},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        VBPR(**wrong)
