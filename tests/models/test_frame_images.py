"""Frames in place of one image: what VBPR, VPOI and ACF make of them, against slow twins."""

import dataclasses
import itertools

import frame_worlds
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import twins
import worlds

from socialjax.data.schema import Frames
from socialjax.models.visual.acf import ACF, with_components
from socialjax.models.visual.item_features import BLOCK, item_images, mean_length, scaled
from socialjax.models.visual.vbpr import VBPR
from socialjax.models.visual.vpoi import SHOWN, VPOI, sample_images
from socialjax.train.step import on_device


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_items_image_is_the_mean_of_its_frames_and_0_without_any(dtype):
    data = frame_worlds.small(dtype=dtype)
    got = item_images(data)
    assert got.dtype == np.float32 and not got[2].any()
    np.testing.assert_allclose(got, frame_worlds.means(data), rtol=1e-5, atol=1e-6)


def test_means_are_the_same_over_many_items_with_gaps_at_both_ends():
    rng = np.random.default_rng(0)
    count = rng.integers(0, 4, size=700)
    count[[0, 1, 699]] = 0
    offsets = np.concatenate([[0], np.cumsum(count)])
    frames = Frames(offsets, rng.normal(size=(offsets[-1], 3)).astype(np.float32))
    data = dataclasses.replace(worlds.dataset(2, 700, [(0, 5)]), frames=frames)
    np.testing.assert_allclose(item_images(data), frame_worlds.means(data), rtol=1e-5, atol=1e-6)
    none = dataclasses.replace(data, frames=Frames(np.zeros(701, np.int64), np.zeros((0, 3), np.float32)))
    assert item_images(none).shape == (700, 3) and not item_images(none).any()


def test_features_that_are_given_come_before_the_means_of_frames():
    data = frame_worlds.small(item_width=3)
    assert item_images(data) is data.item_features
    assert item_images(worlds.small()) is None


def test_a_table_of_many_blocks_is_scaled_as_one():
    features = np.random.default_rng(1).normal(size=(2 * BLOCK + 7, 2)).astype(np.float16) * 300
    length = frame_worlds.mean_length(features)
    assert mean_length(features) == pytest.approx(length, rel=1e-6)
    np.testing.assert_allclose(scaled(features), features.astype(np.float64) / length, rtol=1e-5)


def prepared(model, data):
    side = on_device(model.prepare(data))
    params = worlds.random_params(model, side)
    return side, params, jax.jit(model.encode)(params, side)


@pytest.mark.parametrize("item_width", [None, 5])
@pytest.mark.parametrize("fields", [{}, {"visual_bias": False}, {"columns": 3}], ids=["whole", "no bias", "columns"])
def test_vbpr_scores_a_frame_as_it_scores_the_look_of_an_item(fields, item_width):
    data, model = frame_worlds.small(item_width=item_width), VBPR(dim=4, visual_dim=3, **fields)
    side, params, state = prepared(model, data)
    assert model.traits.ranks_frames
    users, frames = np.array([0, 3, 8]), np.array([[0, 1, 9], [3, 4, 5], [2, 2, 6]])
    images = frame_worlds.means(data) if item_width is None else data.item_features
    wide, width = twins.wide(params), model.columns or 5
    unit, expected = frame_worlds.mean_length(images[:, :width]), np.zeros((3, 3))
    for p, k in itertools.product(range(3), range(3)):
        f = data.frames.features[frames[p, k], :width].astype(np.float64) / unit
        expected[p, k] = wide["visual_users"][users[p]] @ (wide["projection"].T @ f)
        expected[p, k] += f @ wide["visual_bias"] if model.visual_bias else 0
    got = jax.jit(model.frame_scores)(state, side, users, frames)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_the_look_of_an_item_is_the_mean_over_its_frames():
    data, model = frame_worlds.small(), VBPR(dim=4, visual_dim=3)
    side, _, state = prepared(model, data)
    for item, (start, stop) in enumerate(itertools.pairwise(data.frames.offsets)):
        told = model.explain(state, side, [4], [item]).parts
        scores = model.frame_scores(state, side, jnp.array([4]), jnp.arange(start, stop)[None, :])
        look = float(scores.mean()) if stop > start else 0.0
        assert told["visual"][0] + told["visual_bias"][0] == pytest.approx(look, rel=1e-4, abs=1e-5)


def test_frames_of_another_width_than_the_items_features_cannot_be_ranked():
    model = VBPR(dim=4)
    side, _, state = prepared(model, frame_worlds.small(item_width=3))
    with pytest.raises(ValueError, match="VBPR ranks frames of the width of the items' features"):
        model.frame_scores(state, side, jnp.array([0]), jnp.array([[0]]))


def log_p(vector, projected, candidates):
    raised = [np.exp(vector @ projected[k]) for k in candidates]
    return np.log(raised[0] / sum(raised))


@pytest.mark.parametrize("random_images", [1, 5], ids=["projects all", "projects those drawn"])
@pytest.mark.parametrize("rows", [4, 12])
def test_vpoi_pulls_an_item_towards_each_of_its_frames(random_images, rows):
    data = dataclasses.replace(frame_worlds.small(), owners=None)
    data.frames.features[6] = 0  # a frame without a picture, the only one of item 4
    model = VPOI(dim=4, negatives=3, l2=0.2, random_images=random_images, item_weight=0.7)
    side, params, _ = prepared(model, data)
    assert "user_projection" not in params and 6 not in np.asarray(side.image_rows)
    batch = worlds.random_batch(data, 3, rows=rows)
    scores, ((total, weight), metrics) = worlds.scores_and_loss(model, params, side, batch, 7)
    twin, user_norms, item_norms = twins.bpr(model, data, params)
    slow, slow_weight, objective = twin.loss(batch, user_norms, item_norms)
    wide, item = twins.wide(params), data.frames.item
    images = data.frames.features / frame_worlds.mean_length(data.frames.features) @ wide["item_projection"]
    _, candidates = sample_images(side.image_rows, side.image_rows, random_images, batch, 7, SHOWN)
    for row, row_weight in zip(np.asarray(candidates), batch.weight):
        slow -= row_weight * 0.7 * log_p(wide["items"][item[row[0]]], images, row)
    np.testing.assert_allclose([total, weight, metrics["objective"]], [slow, slow_weight, objective], rtol=1e-5)
    np.testing.assert_allclose(scores[3, 5], twin.score(3, 5), rtol=1e-5)


def test_vpoi_moves_the_items_that_have_frames_and_who_made_them():
    data, model = frame_worlds.small(), VPOI(dim=4)
    side, params, _ = prepared(model, data)
    batch = worlds.random_batch(data, 1, rows=200)
    gradient = jax.jit(jax.grad(lambda params: jnp.sum(model.penalty(params, side, None, batch, 7))))(params)
    heard = np.abs(np.asarray(gradient["items"])).max(axis=1) > 0
    np.testing.assert_array_equal(np.flatnonzero(~heard), [2])
    makers = {owner for item, owner in enumerate(worlds.OWNERS) if item != 2 and owner >= 0}
    spoke = np.abs(np.asarray(gradient["users"])).max(axis=1) > 0
    assert set(np.flatnonzero(spoke).tolist()) == makers


def test_vpoi_says_what_it_needs_when_there_is_neither_image_nor_frame():
    with pytest.raises(ValueError, match="VPOI needs item_features"):
        VPOI().prepare(worlds.small())


@pytest.mark.parametrize("item_width", [None, 4])
def test_acf_looks_at_frames_as_components(item_width):
    data, model = frame_worlds.small(item_width=item_width), ACF(dim=4)
    plain = ACF(dim=4).prepare(worlds.small())
    other = on_device(with_components(plain, data.frames.offsets, data.frames.features))
    side, params, state = prepared(model, data)
    assert side.images is None and "component_user" in params["attention"]
    jax.tree.map(np.testing.assert_array_equal, side, other)
    without = on_device(ACF(dim=4).prepare(worlds.small()))
    blind = {**params, "attention": {k: v for k, v in params["attention"].items() if "look" not in k}}
    assert np.abs(np.asarray(state.share - model.encode(blind, without).share)).max() > 1e-3
