"""CDL against its equations, what is left of it without images, and what its code says of frames and cold items."""

import dataclasses
import itertools

import frame_worlds
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import twins
import worlds

from socialjax.contract import Batch
from socialjax.models.cf.bpr import BPR
from socialjax.models.visual.cdl import CDL, ITEMS, MASKED
from socialjax.ops import sample
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state, on_device, resident

SHARED = {"dim": 4, "hidden": 6, "negatives": 3, "l2": 0.2, "lambda_v": 3.0, "lambda_n": 0.02, "lambda_w": 0.5}
CASES = {
    "pair": CDL(),
    "pair, softmax, cold by features": CDL(objective="softmax", activation="tanh", cold="features"),
    "pointwise": CDL(fit="pointwise"),
    "pointwise, no bias, nothing masked": CDL(
        fit="pointwise", item_bias=False, corruption=0.0, unseen=0.3, activation="sigmoid"
    ),
}


def scaled(rows, shown):
    """Each number of the rows that are shown from 0 to 1; the others are 0."""
    rows, out = np.asarray(rows, np.float64), np.zeros(np.shape(rows))
    for column in range(rows.shape[1]):
        there = rows[shown, column]
        for row in np.flatnonzero(shown):
            out[row, column] = (rows[row, column] - there.min()) / (there.max() - there.min())
    return out


class CDLTwin(twins.Twin):
    def __init__(self, model, data, params):
        self.params, self.data = twins.wide(params), data
        bias = self.params.get("item_bias", np.zeros(data.num_items))
        super().__init__(model, data, self.params["users"], self.params["items"].copy(), bias.copy())
        rows = frame_worlds.means(data) if data.item_features is None else data.item_features
        self.shown = np.abs(rows).max(axis=1) > 0
        self.images = scaled(rows, self.shown)

    def layer(self, name, x):
        of = self.params["autoencoder"][name]
        return x @ of["kernel"] + of["bias"]

    def act(self, x):
        return {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh, "sigmoid": twins.sigmoid}[self.model.activation](x)

    def enc(self, image):
        return self.layer("into_code", self.act(self.layer("into_hidden", image)))

    def dec(self, code):
        return self.layer("out_image", self.act(self.layer("out_hidden", code)))

    def look(self, item):
        return self.enc(self.images[item]) if self.shown[item] else np.zeros(self.model.dim)

    def in_evaluation(self):
        if self.model.cold == "features":
            for item in set(range(self.data.num_items)) - set(self.data.train.item.tolist()):
                self.items[item], self.bias[item] = self.look(item), 0
        return self

    def terms(self, item, image):
        """What one item adds to the sums over items: image is what is left of it when a share was masked."""
        model, total = self.model, self.model.lambda_v / 2 * ((self.items[item] - self.look(item)) ** 2).sum()
        if self.shown[item]:
            missed = self.dec(self.enc(image)) - self.images[item]
            total += model.lambda_n * 8000 / self.images.shape[1] / 2 * (missed**2).sum()
        return total

    def weights(self):
        return self.model.lambda_w / 2 * sum((of["kernel"] ** 2).sum() for of in self.params["autoencoder"].values())

    def pointwise(self, a, i):
        """A training pair's cell of the weighted squares: what it has above a cell that is not seen, and its share of
        what all of the user's cells would have, were none seen."""
        unseen = [self.model.unseen / 2 * self.score(a, j) ** 2 for j in range(self.data.num_items)]
        return 0.5 * (1 - self.score(a, i)) ** 2 - unseen[i] + sum(unseen) / len(self.taken[a])


def loss_of_twin(model, data, params, batch, key):
    twin = CDLTwin(model, data, params)
    users, items = twins.squared(twin.own), twin.bias**2
    if model.fit == "pair":
        total, weight, objective = twin.loss(batch, users, items)
    else:
        rows = [twin.pointwise(a, i) for a, i in zip(batch.users, batch.items)]
        norms = [model.l2 * (users[a] + items[i]) for a, i in zip(batch.users, batch.items)]
        weight, objective = batch.weight.sum(), np.dot(batch.weight, rows)
        total = objective + np.dot(batch.weight, norms)
    drawn = sample.below(
        sample.fold(sample.fold(sample.fold(key, sample.OTHERS), ITEMS), batch.rows), data.num_items
    )  # which item a row draws, and which numbers are masked, is no part of the equations: ask for it
    ones = np.ones((len(batch.rows), twin.images.shape[1]), np.float32)
    masks = np.asarray(sample.dropout(sample.fold(key, MASKED), ones, batch.rows, model.corruption)) > 0
    for row, (item, mask) in enumerate(zip(np.asarray(drawn), masks)):
        further = data.num_items * twin.terms(item, twin.images[item] * mask) + twin.weights()
        total += batch.weight[row] * further / len(data.train)
    return total, weight, objective


def world(kind):
    if kind == "frames":
        return frame_worlds.small()
    data = worlds.small(None, 5)
    data.item_features[2] = 0  # an item without an image
    return data


@pytest.mark.parametrize("kind", ["image", "frames"])
@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name, kind):
    model, data = dataclasses.replace(CASES[name], **SHARED), world(kind)
    side, batch = on_device(model.prepare(data)), worlds.random_batch(data, 3)
    params = worlds.random_params(model, side)
    scores, ((total, weight), metrics) = worlds.scores_and_loss(model, params, side, batch, 7)
    twin = CDLTwin(model, data, params).in_evaluation()
    expected = [[twin.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    slow = loss_of_twin(model, data, params, batch, 7)
    np.testing.assert_allclose([total, weight, metrics["objective"]], slow, rtol=1e-5)


def test_all_pairs_together_are_weighted_matrix_factorisation():
    """lambda_v = 0: over an epoch, every cell once, 1 for training pairs and b for the others."""
    data = world("image")
    model = dataclasses.replace(CASES["pointwise"], dim=4, l2=0.0, lambda_v=0.0, lambda_n=0.0, lambda_w=0.0, unseen=0.3)
    side, n = on_device(model.prepare(data)), len(data.train)
    params = worlds.random_params(model, side)
    every = Batch(
        data.train.user, data.train.item, np.zeros((n, 1), np.int32), np.ones(n, np.float32), np.arange(n, dtype="u4")
    )
    (total, _), _ = worlds.scores_and_loss(model, params, side, every)[1]
    wide, taken = twins.wide(params), twins.taken_matrix(data)
    s = wide["users"] @ wide["items"].T + wide["item_bias"]
    heard = taken.any(axis=1)  # who took nothing has no row
    squares = 0.5 * np.where(taken > 0, 1.0, 0.3) * (taken - s) ** 2
    assert float(total) == pytest.approx(squares[heard].sum(), rel=1e-5)


def results(model, data, params, batch):
    side = model.prepare(data)
    gradient = jax.jit(jax.grad(lambda params: model.loss(params, side, batch, 7)[0][0]))(params)
    scores, ((total, _), _) = worlds.scores_and_loss(model, params, side, batch, 7)
    return scores, total, {name: gradient[name] for name in ("users", "items", "item_bias") if name in gradient}


@pytest.mark.parametrize("item_bias", [False, True])
def test_without_the_autoencoder_it_is_bpr(item_bias):
    """lambda_v = lambda_n = 0; on v_i there is then no L2 either, so without L2."""
    data, fields = world("image"), {"dim": 4, "negatives": 3, "l2": 0.0, "item_bias": item_bias}
    model, bpr = CDL(lambda_v=0.0, lambda_n=0.0, lambda_w=0.0, **fields), BPR(**fields)
    params, batch = worlds.random_params(model, model.prepare(data)), worlds.random_batch(data)
    plain = {name: leaf for name, leaf in params.items() if name != "autoencoder"}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6),
        results(model, data, params, batch),
        results(bpr, data, plain, batch),
    )


def test_lambda_n_counts_as_it_would_with_8000_numbers():
    """Twice the numbers of an image, each twice, weigh as much as before in the mean error of a number."""
    model = dataclasses.replace(CDL(), **SHARED | {"lambda_v": 0.0, "lambda_w": 0.0, "l2": 0.0}, corruption=0.0)
    data = world("image")
    double = dataclasses.replace(data, item_features=np.tile(data.item_features, 2))
    side, batch = model.prepare(data), worlds.random_batch(data)
    params = worlds.random_params(model, side)
    of = params["autoencoder"]
    wide = {
        **of,
        "into_hidden": {**of["into_hidden"], "kernel": np.tile(of["into_hidden"]["kernel"], (2, 1)) / 2},
        "out_image": {name: np.tile(of["out_image"][name], 2) for name in ("kernel", "bias")},
    }
    losses = [
        worlds.scores_and_loss(model, {**params, "autoencoder": a}, model.prepare(d), batch, 7)[1][0][0]
        for a, d in ((of, data), (wide, double))
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.parametrize("item_width", [None, 5])
def test_frames_are_scored_by_their_code(item_width):
    data, model = frame_worlds.small(item_width=item_width), dataclasses.replace(CDL(), **SHARED)
    side = on_device(model.prepare(data))
    params = worlds.random_params(model, side)
    twin = CDLTwin(model, data, params)
    rows = frame_worlds.means(data)[twin.shown] if item_width is None else data.item_features
    low, high = rows.astype(np.float64).min(axis=0), rows.astype(np.float64).max(axis=0)
    users, frames = np.array([0, 3, 8]), np.array([[0, 1, 9], [3, 4, 5], [2, 2, 6]])
    expected = np.zeros((3, 3))
    for p, k in itertools.product(range(3), range(3)):
        f = (data.frames.features[frames[p, k]].astype(np.float64) - low) / (high - low)
        expected[p, k] = twin.own[users[p]] @ twin.enc(f)
    assert model.traits.ranks_frames
    got = jax.jit(model.frame_scores)(model.encode(params, side), side, users, frames)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_the_explanation_tells_the_look_from_the_rest():
    data, model = world("image"), dataclasses.replace(CDL(), **SHARED)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    twin, users, items = CDLTwin(model, data, params), np.array([0, 3, 5]), np.array([1, 2, 6])
    why = model.explain(model.encode(params, side), side, users, items)
    looks = np.array([twin.own[a] @ twin.look(i) for a, i in zip(users, items)])
    np.testing.assert_allclose(why.parts["look"], looks, rtol=1e-4, atol=1e-6)
    assert looks[1] == why.parts["look"][1] == 0  # item 2 has no image
    np.testing.assert_allclose(why.score, [twin.score(*pair) for pair in zip(users, items)], rtol=1e-5)
    np.testing.assert_allclose(sum(why.parts.values()), why.score, rtol=1e-5)


def styles(seed=0):
    """120 users who each take items of one of four styles, which shows in noisy features; every fourth item is cold."""
    rng = np.random.default_rng(seed)
    style, taste = np.arange(160) % 4, np.arange(120) % 4
    cold = np.arange(160) // 4 % 4 == 0
    features = np.eye(4)[style] @ rng.normal(size=(4, 8)) + 0.3 * rng.normal(size=(160, 8))
    warm = [np.flatnonzero((style == s) & ~cold) for s in range(4)]
    train = [(u, i) for u in range(120) for i in rng.choice(warm[taste[u]], 10, replace=False)]
    return worlds.dataset(120, 160, train, item_features=features.astype(np.float32)), style, taste, cold


def trained(model, data, steps=200):
    optimizer, side = make_optimizer("adam", 0.02), model.prepare(data)
    runner = make_runner("jit", model, optimizer, side, resident(data), 256, devices=jax.devices()[:1])
    params = runner.run(runner.place(new_state(model, side, optimizer, 0)), steps).params
    return jax.jit(model.encode)(params, runner.side), runner.side


@pytest.mark.parametrize("fit", ["pair", "pointwise"])
def test_items_nobody_took_are_ranked_by_their_code(fit):
    data, style, taste, cold = styles()
    model = CDL(dim=8, hidden=16, fit=fit, cold="features", negatives=4, l2=0.01, lambda_n=0.1)
    state, side = trained(model, data)
    scores = np.asarray(state.users) @ np.asarray(state.items)[cold].T
    wanted = style[cold][None, :] == taste[:, None]
    above = [(line[w][:, None] > line[~w][None, :]).mean() for line, w in zip(scores, wanted)]
    assert np.mean(above) > 0.9
    rebuilt = model._autoencoder(side).apply({"params": state.autoencoder}, side.images)
    assert float(jnp.mean((rebuilt - side.images) ** 2)) < 0.7 * float(jnp.var(side.images, axis=0).mean())


def test_a_large_lambda_v_leaves_the_code_alone():
    data = styles()[0]
    away = {}
    for lambda_v in (0.0, 1e4):
        model = CDL(dim=8, hidden=16, lambda_v=lambda_v, lambda_n=0.1, l2=0.01)
        state, side = trained(model, data, 300)
        looks = model.looks(state, side, side.images, side.has_image)
        away[lambda_v] = float(jnp.linalg.norm(state.items - looks) / jnp.linalg.norm(state.items))
    assert away[1e4] < 0.1 < 0.5 < away[0.0]


def test_all_items_are_drawn_alike():
    """The mean of many rows is the sum over items once."""
    data, model = world("image"), dataclasses.replace(CDL(), **SHARED, corruption=0.0)
    side, batch = on_device(model.prepare(data)), worlds.random_batch(data, 1, rows=20_000)
    params = worlds.random_params(model, side)
    state = model.encode(params, side)
    mean = float(jnp.mean(jax.jit(model.penalty)(params, side, state, batch, 3)))
    twin = CDLTwin(model, data, params)
    whole = sum(twin.terms(item, twin.images[item]) for item in range(data.num_items)) + twin.weights()
    assert mean == pytest.approx(whole / len(data.train), rel=0.02)


def test_data_without_images_are_refused():
    with pytest.raises(ValueError, match="CDL needs item_features"):
        CDL().prepare(worlds.small())


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": 0},
        {"lambda_v": -1.0},
        {"lambda_n": -1.0},
        {"lambda_w": -1.0},
        {"unseen": -1.0},
        {"corruption": 1.0},
        {"fit": "both"},
        {"cold": "hidden"},
        {"activation": "step"},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CDL(**wrong)
