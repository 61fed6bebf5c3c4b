"""Items that training did not have, scored by their features: equations by hand, every model against an item of its
catalogue that it learned nothing of, and worlds in which features say who likes what."""

import dataclasses

import jax
import numpy as np
import pytest
import worlds
from cases import CASES

import socialjax
from socialjax import new_items
from socialjax.models import MODELS
from socialjax.models.cf.fm import FM
from socialjax.models.social.diffnet import DiffNet
from socialjax.models.social.diffnet_pp import DiffNetPP
from socialjax.models.visual.cdl import CDL
from socialjax.models.visual.deepstyle import DeepStyle
from socialjax.models.visual.jrl import JRL
from socialjax.models.visual.vbpr import VBPR
from socialjax.train.step import TrainSettings, on_device
from socialjax.worlds import planted

NEVER = 6  # the item of `worlds.small` that nobody took
ABLE = {
    name: model
    for name, model in CASES.items()
    if type(model) in new_items.MADE and getattr(model, "use_features", True)
} | {
    "diffnet, cold bias": DiffNet(dim=8, cold_bias=-0.7),
    "dnpp, three layers": DiffNetPP(dim=8, depth=3),
    "dnpp, no layer": DiffNetPP(dim=8, depth=0),
    "vbpr, first columns, no bias": VBPR(dim=8, visual_dim=3, columns=2, visual_bias=False),
    "fm, no bias": FM(dim=8, item_bias=False),
    "jrl": JRL(dim=8, visual_dim=3, item_bias=True),
    "deepstyle, bias": DeepStyle(dim=8, item_bias=True),
    "cdl, tanh": CDL(dim=8, hidden=6, activation="tanh", cold="features"),
}
# In CDL a vector is the code of the image and what was learned beyond it; with cold learned it is kept whole.
ABLE = {name: model for name, model in ABLE.items() if not (isinstance(model, CDL) and model.cold == "learned")}


def without(params, item):
    """The same parameters, in which the free embedding and the bias of an item are 0."""

    def forget(path, leaf):
        name = str(path[-1].key)
        own = name in ("items", "item_bias") or path[0].key == "auxiliary"
        return np.where((np.arange(len(leaf)) == item).reshape(-1, *[1] * (leaf.ndim - 1)), 0, leaf) if own else leaf

    return jax.tree_util.tree_map_with_path(forget, params)


@pytest.mark.parametrize("name", ABLE)
@pytest.mark.parametrize("user_width", [4, None], ids=["users have features", "users have none"])
def test_an_item_of_the_catalogue_of_which_nothing_was_learned_scores_alike_as_a_new_one(name, user_width):
    model = ABLE[name]
    data = worlds.with_attributes(worlds.small(user_width, 4))
    side = on_device(model.prepare(data))
    params = without(worlds.random_params(model, side), NEVER)
    state = worlds.encode(model, params, side)
    every = np.arange(data.num_users, dtype=np.int32)
    expected = np.asarray(model.score(state, every, np.full((data.num_users, 1), NEVER, np.int32)))[:, 0]
    features, groups = data.item_features[[NEVER, 0]], data.item_groups[[NEVER, 0]]
    vectors, bias = new_items.embed(model, params, data, features, groups)
    scores = np.asarray(state.users) @ vectors.T + bias
    assert vectors.dtype == bias.dtype == np.float32
    np.testing.assert_allclose(scores[:, 0], expected, rtol=2e-5, atol=2e-5)
    assert np.abs(scores[:, 1] - scores[:, 0]).max() > 1e-3, "features do not matter"


def test_frames_alone_are_features_where_the_model_reads_their_mean():
    model, data = VBPR(dim=4, visual_dim=3), worlds.with_frames(worlds.small())
    side = model.prepare(data)
    params = without(worlds.random_params(model, side), NEVER)
    state = worlds.encode(model, params, side)
    first, last = data.frames.offsets[NEVER : NEVER + 2]
    vectors, bias = new_items.embed(model, params, data, data.frames.features[first:last].mean(axis=0)[None])
    np.testing.assert_allclose(vectors[0], state.items[NEVER], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(bias[0], state.item_bias[NEVER], rtol=1e-5, atol=1e-6)


def by_hand_vbpr(params, data, user, look):
    """<theta_a, E^T f> + <beta', f>, f divided by the mean length of the training's items that have one."""
    lengths = [sum(float(x) ** 2 for x in row) ** 0.5 for row in data.item_features]
    look = [float(x) / (sum(lengths) / len(lengths)) for x in look]
    seen = [sum(look[f] * float(params["projection"][f, d]) for f in range(len(look))) for d in range(3)]
    taste = sum(float(params["visual_users"][user, d]) * seen[d] for d in range(3))
    return taste + sum(look[f] * float(params["visual_bias"][f]) for f in range(len(look)))


def by_hand_diffnet(params, state, data, user, look, scale=0.05):
    """<u_a, y>: y the sigmoid of a dense layer over the feature at the training's scale, brought to that of all y."""
    values = data.item_features.astype(np.float64)
    mean, std = values.mean(), values.std()
    layer = {name: np.asarray(array, np.float64) for name, array in params["shared"].items()}
    sigmoid = lambda rows: 1 / (1 + np.exp(-(scale * (rows - mean) / std @ layer["kernel"] + layer["bias"])))  # noqa: E731
    trained, own = sigmoid(values), sigmoid(np.asarray(look, np.float64))
    y = scale * (own - trained.mean()) / trained.std()
    return float(np.asarray(state.users, np.float64)[user] @ y)


def test_vbpr_and_diffnet_are_their_equations():
    data, looks = worlds.small(4, 4), np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32) * 2
    for model in (VBPR(dim=4, visual_dim=3), DiffNet(dim=4)):
        side = model.prepare(data)
        params = worlds.random_params(model, side)
        state = worlds.encode(model, params, side)
        vectors, bias = new_items.embed(model, params, data, looks)
        scores = np.asarray(state.users) @ vectors.T + bias
        for user in (0, 5, 8):
            for number, look in enumerate(looks):
                if isinstance(model, VBPR):
                    expected = by_hand_vbpr(params, data, user, look)
                else:
                    expected = by_hand_diffnet(params, state, data, user, look)
                np.testing.assert_allclose(scores[user, number], expected, rtol=2e-5, atol=1e-5)


def test_new_items_do_not_change_each_other():
    model, data = FM(dim=4), worlds.small(4, 4)
    params = worlds.random_params(model, model.prepare(data))
    looks = np.random.default_rng(1).normal(size=(6, 4)) * 100
    together = new_items.embed(model, params, data, looks)[0]
    alone = [new_items.embed(model, params, data, look[None])[0][0] for look in looks]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_standing_is_that_of_all_scores():
    rng = np.random.default_rng(0)
    users, items, bias = rng.normal(size=(7, 3)), rng.normal(size=(11, 3)) + 1, rng.normal(size=11)
    users[3] = 0
    table, new = users @ items.T + bias, rng.normal(size=7)
    expected = (new - table.mean(axis=1)) / table.std(axis=1)
    np.testing.assert_allclose(new_items.stand(users, items, bias, new), expected, rtol=1e-6)
    np.testing.assert_array_equal(new_items.stand(users * 0, items, bias * 0, new), 0)


# A world of two tastes: even users take even items. Features tell the two kinds of items apart, with noise.
USERS, ITEMS, NEW = 80, 60, 40


def world(seed=0):
    data = planted.checkerboard(num_users=USERS, num_items=ITEMS, links=4, seed=seed)
    rng = np.random.default_rng(seed + 1)
    direction = rng.normal(size=8)

    def draw(kinds):
        return (np.outer(1 - 2 * (kinds % 2), direction) + rng.normal(size=(len(kinds), 8))).astype(np.float32)

    return dataclasses.replace(data, item_features=draw(np.arange(ITEMS))), draw(np.arange(NEW))


def share_in_order(scores):
    """How often an even user scores a new even item above a new odd one, and the other way round: 0.5 is chance."""
    even, odd = scores[:, ::2], scores[:, 1::2]
    above = (even[:, :, None] > odd[:, None, :]).mean(axis=(1, 2))
    return np.where(np.arange(USERS) % 2, 1 - above, above).mean()


@pytest.mark.parametrize(
    "model", [VBPR(dim=8, visual_dim=8), DiffNet(dim=8, feature_scale=0.2), FM(dim=8)], ids=["vbpr", "diffnet", "fm"]
)
def test_features_rank_new_items_above_chance_and_shuffled_ones_do_not(model):
    train = TrainSettings(epochs=30, batch_size=256, evaluate_every=10, patience=0)
    data, looks = world()
    run = socialjax.fit(model, data, train, progress=False)
    reached = share_in_order(run.score_items(list(range(USERS)), looks))
    best = [run.recommend_item(look, k=20) for look in looks]
    suited = np.mean([[each.user % 2 == kind % 2 for each in users] for kind, users in enumerate(best)])
    assert reached > 0.95 and suited > 0.95, (reached, suited)
    found = []
    for seed in (1, 2):  # half of the neighbours, one of either kind, swap features: these say nothing any more
        order = np.arange(ITEMS).reshape(-1, 2)
        swapped = np.random.default_rng(seed).permutation(len(order))[: len(order) // 2]
        order[swapped] = order[swapped, ::-1]
        shuffled = dataclasses.replace(data, item_features=data.item_features[order.ravel()])
        control = socialjax.fit(model, shuffled, train, progress=False)
        found.append(share_in_order(control.score_items(list(range(USERS)), looks)))
    assert abs(np.mean(found) - 0.5) < 0.15, (reached, found)


@pytest.fixture(scope="module")
def fitted():
    data, _ = world()
    names = {"user_names": np.array([f"u{n}" for n in range(USERS)])}
    train = TrainSettings(epochs=1, batch_size=256, evaluate_every=1, patience=0)
    return socialjax.fit(VBPR(dim=4, visual_dim=4), dataclasses.replace(data, **names), train, progress=False)


def test_a_run_answers_by_ids(fitted, tmp_path):
    looks = np.random.default_rng(0).normal(size=(3, 8))
    scores = fitted.score_items(["u5", "u0"], looks)
    assert scores.shape == (2, 3) and scores.dtype == np.float32
    np.testing.assert_array_equal(scores, fitted.score_items([f"u{n}" for n in range(USERS)], looks)[[5, 0]])
    best = fitted.recommend_item(looks[1], k=USERS)
    assert sorted(each.user for each in best) == sorted(f"u{n}" for n in range(USERS))
    assert [each.standing for each in best] == sorted((each.standing for each in best), reverse=True)
    of_user = {each.user: each.score for each in best}
    np.testing.assert_allclose(of_user["u5"], scores[0, 1], rtol=1e-5)
    again = socialjax.load(fitted.save(tmp_path / "run.zip"))
    np.testing.assert_array_equal(again.score_items(["u5", "u0"], looks), scores)


def test_what_cannot_be_scored_is_refused_in_a_sentence(fitted):
    good = np.zeros((2, 8))
    for features, message in (
        (np.zeros((2, 7)), r"features must be \[items, 8\], as wide as those of 'checkerboard', got \[2, 7\]"),
        (np.zeros(8), r"features must be \[items, 8\].*got \[8\]"),
        (np.full((1, 8), np.nan), "features must be finite numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.score_items("u1", features)
    with pytest.raises(ValueError, match="wanted a group for each of 2 items"):
        fitted.score_items("u1", good, groups=["top"])
    with pytest.raises(ValueError, match=r"k must be in 1\.\.80, the number of users, got 81"):
        fitted.recommend_item(good[0], k=81)
    with pytest.raises(ValueError, match="nobody"):
        fitted.score_items("nobody", good)


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name] not in new_items.MADE])
def test_models_that_do_not_score_by_features_say_so(name):
    model = MODELS[name]()
    with pytest.raises(NotImplementedError, match=rf"{type(model).__name__} .*take one of VBPR, DeepStyle"):
        new_items.embed(model, {}, worlds.small(4, 4), np.zeros((1, 4)))


def test_a_model_that_was_trained_without_features_says_so():
    for model, data in ((FM(dim=4), worlds.small()), (FM(dim=4, use_features=False), worlds.small(4, 4))):
        with pytest.raises(ValueError, match="FM was trained on 'small' without features of items"):
            new_items.embed(model, {}, data, np.zeros((1, 4)))


def test_a_group_that_training_did_not_have_is_unknown():
    model, data = DeepStyle(dim=4), worlds.with_attributes(worlds.small(4, 4))
    params, look = worlds.random_params(model, model.prepare(data)), np.ones((4, 4))
    vectors, _ = new_items.embed(model, params, data, look, ["top", "shoe", "", "zebra"])
    np.testing.assert_array_equal(vectors[2], vectors[3])
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3 and np.abs(vectors[0] - vectors[2]).max() > 1e-3
    np.testing.assert_array_equal(new_items.embed(model, params, data, look)[0], vectors[[2, 2, 2, 2]])
