"""VPOI against its equations, and who hears which image."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.visual.vpoi import POSTED, SHOWN, VPOI, sample_images
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state, on_device, resident

OWNERS = np.array([0, 0, 3, -1, 5, 2, 8], np.int32)  # of item 3 nobody knows; 5 and 8 took nothing
SHARED = {"dim": 4, "negatives": 3, "l2": 0.2}
CASES = {
    "as it comes": VPOI(),
    "softmax, three images, no bias": VPOI(objective="softmax", random_images=3, item_bias=False, feature_l2=0.3),
    "one term alone": VPOI(user_weight=0.0, item_weight=2.0, objective="bce"),
}


def world(owners=OWNERS, without_image=2):
    """The small data with owners; one item has no image."""
    data = worlds.small(None, 5)
    data.item_features[without_image] = 0
    return dataclasses.replace(data, owners=owners)


def divided(features):
    lengths = np.sqrt((np.asarray(features, np.float64) ** 2).sum(axis=1))
    return np.asarray(features, np.float64) / lengths[lengths > 0].mean()


def log_p(vector, projected, candidates):
    """Of the first candidate among all."""
    raised = [np.exp(vector @ projected[k]) for k in candidates]
    return np.log(raised[0] / sum(raised))


@pytest.mark.parametrize("owners", [OWNERS, None], ids=["owners", "none"])
@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name, owners):
    model, data = dataclasses.replace(CASES[name], **SHARED), world(owners)
    side, batch = on_device(model.prepare(data)), worlds.random_batch(data, 3)
    params = worlds.random_params(model, side)
    assert ("user_projection" in params) == (owners is not None)
    scores, ((total, weight), metrics) = worlds.scores_and_loss(model, params, side, batch, 7)
    twin, user_norms, item_norms = twins.bpr(model, data, params)
    expected = [[twin.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    slow, slow_weight, objective = twin.loss(batch, user_norms, item_norms)
    f, wide = divided(data.item_features), twins.wide(params)
    for which, vectors, projection, eta in (
        (POSTED, wide["users"], "user_projection", model.user_weight),
        (SHOWN, wide["items"], "item_projection", model.item_weight),
    ):
        if projection not in wide:
            continue
        images = f @ wide[projection]
        of = side.posted_rows if which == POSTED else side.image_rows
        _, candidates = sample_images(of, side.image_rows, model.random_images, batch, 7, which)
        for row, row_weight in zip(np.asarray(candidates), batch.weight):
            whose = data.owners[row[0]] if which == POSTED else row[0]
            slow -= row_weight * eta * log_p(vectors[whose], images, row)
            slow += row_weight * model.feature_l2 * (wide[projection] ** 2).sum()
    np.testing.assert_allclose([total, weight, metrics["objective"]], [slow, slow_weight, objective], rtol=1e-5)


def test_with_weights_of_0_it_is_bpr():
    data, model, bpr = world(), VPOI(user_weight=0.0, item_weight=0.0, **SHARED), BPR(**SHARED)
    side, batch = model.prepare(data), worlds.random_batch(data)
    params = worlds.random_params(model, side)
    plain = {name: params[name] for name in ("users", "items", "item_bias")}

    def results(model, params, side):
        gradient = jax.jit(jax.grad(lambda params: model.loss(params, side, batch, 7)[0][0]))(params)
        return worlds.scores_and_loss(model, params, side, batch, 7), {name: gradient[name] for name in plain}

    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)  # noqa: E731
    jax.tree.map(close, results(model, params, side), results(bpr, plain, bpr.prepare(data)))


def test_who_posted_hears_their_images_and_an_item_its_own():
    """The gradient of the further terms: users without posts and items without an image get none."""
    data, model = world(), VPOI(dim=4)
    side, batch = on_device(model.prepare(data)), worlds.random_batch(data, 1, rows=200)
    params = worlds.random_params(model, side)
    gradient = jax.grad(lambda params: jnp.sum(model.penalty(params, side, None, batch, 7)))(params)
    heard = np.abs(np.asarray(gradient["users"])).max(axis=1) > 0
    np.testing.assert_array_equal(np.flatnonzero(heard), [0, 2, 5, 8])  # not 3, whose only item has no image
    shown = np.abs(np.asarray(gradient["items"])).max(axis=1) > 0
    np.testing.assert_array_equal(np.flatnonzero(~shown), [2])
    assert not np.asarray(gradient["item_bias"]).any()


def test_all_images_are_drawn_alike_and_others_are_never_the_image_itself():
    data = world()
    side = on_device(VPOI().prepare(data))
    batch = worlds.random_batch(data, 1, rows=20_000)
    posted, shown = [0, 1, 4, 5, 6], [0, 1, 3, 4, 5, 6]
    np.testing.assert_array_equal(side.posted_rows, posted)
    np.testing.assert_array_equal(side.posters, OWNERS[posted])
    for of, which, ids in ((side.posted_rows, POSTED, posted), (side.image_rows, SHOWN, shown)):
        places, candidates = (np.asarray(a) for a in sample_images(of, side.image_rows, 2, batch, 3, which))
        np.testing.assert_array_equal(np.asarray(of)[places], candidates[:, 0])
        found, count = np.unique(candidates[:, 0], return_counts=True)
        np.testing.assert_array_equal(found, ids)
        np.testing.assert_allclose(count / 20_000, 1 / len(ids), rtol=0.05)
        for image in ids:
            others, count = np.unique(candidates[candidates[:, 0] == image, 1:], return_counts=True)
            np.testing.assert_array_equal(others, sorted(set(shown) - {image}))
            np.testing.assert_allclose(count / count.sum(), 1 / 5, rtol=0.15)
        assert (candidates[:, 1] != candidates[:, 2]).any()
    assert (
        sample_images(side.image_rows, side.image_rows, 2, batch, 3, POSTED)[0]
        != sample_images(side.image_rows, side.image_rows, 2, batch, 3, SHOWN)[0]
    ).any()


def test_one_image_alone_has_nothing_to_be_told_from():
    data, model = worlds.dataset(2, 1, [(0, 0)], item_features=np.ones((1, 3), np.float32)), VPOI(dim=2)
    side, batch = on_device(model.prepare(data)), worlds.random_batch(worlds.dataset(2, 1, [(0, 0)]), 1, rows=4)
    params = worlds.random_params(model, side)
    gradient = jax.grad(lambda params: jnp.sum(model.penalty(params, side, None, batch, 7)))(params)
    assert all(np.abs(leaf).max() < 1e-6 for leaf in jax.tree.leaves(gradient))


def test_a_large_item_weight_makes_items_find_their_own_image():
    rng = np.random.default_rng(0)
    train = [(u, i) for u in range(30) for i in rng.choice(40, 4, replace=False)]
    data = worlds.dataset(30, 40, train, item_features=rng.normal(size=(40, 12)).astype(np.float32))
    model, optimizer = VPOI(dim=12, user_weight=0.0, item_weight=20.0, l2=0.0), make_optimizer("adam", 0.02)
    side = model.prepare(data)
    runner = make_runner("jit", model, optimizer, side, resident(data), 128, devices=jax.devices()[:1])
    params = runner.run(runner.place(new_state(model, side, optimizer, 0)), 200).params
    images = np.asarray(runner.side.images) @ np.asarray(params["item_projection"])
    nearest = (np.asarray(params["items"]) @ images.T).argmax(axis=1)
    assert (nearest == np.arange(40)).mean() > 0.9


def test_data_without_images_are_refused():
    with pytest.raises(ValueError, match="VPOI needs item_features"):
        VPOI().prepare(worlds.small())


@pytest.mark.parametrize(
    "wrong", [{"user_weight": -1.0}, {"item_weight": -1.0}, {"random_images": 0}, {"feature_l2": -1.0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        VPOI(**wrong)
