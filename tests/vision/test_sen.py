"""Grad-AAM equals CAM where theory says so and follows the picture; SEN learns from the labels that are there."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.vision.roi import boxes_of
from socialjax.vision.sen import NO_CLASS, SEN, SmallCNN, grad_aam, locate, masked_loss

SMALL = SmallCNN(channels=(4, 8), strides=(2, 2))


def made(network, pictures, seed=0):
    return jax.jit(network.init)(jax.random.key(seed), pictures)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("pooling", ["mean", "mean_max"])
def test_of_branches_of_one_dense_layer_the_maps_are_cam(pooling):
    """Zhou et al. 2016: the class's weights times the channels. Of a maximum each channel's weight is spread alike."""
    network = SEN((3, 2), hidden=0, pooling=pooling)
    maps = np.abs(noise(4, 5, 6, 7))
    variables = made(network, maps)
    found = jax.jit(lambda v, m: locate(network, v, m))(variables, maps).activation
    kernel = np.asarray(variables["params"]["branch_classes"]["kernel"])  # [K, D or 2 D, C]
    for b in range(4):
        for k in range(2):
            weights = kernel[k, :, found.label[b, k]].reshape(-1, 7).sum(axis=0)
            cam = np.maximum(maps[b] @ weights, 0)
            assert found.empty[b, k] == (cam.max() == 0)
            np.testing.assert_allclose(found.maps[b, k], cam / max(cam.max(), 1e-9), atol=1e-5)


def test_all_attributes_at_once_equal_one_gradient_after_another():
    network = SEN((3, 2, 4), hidden=8, branch_channels=5)
    maps = noise(3, 4, 4, 6)
    variables = made(network, maps)
    found = jax.jit(lambda v, m: locate(network, v, m))(variables, maps).activation
    branches = network.apply(variables, maps, method="branches")
    gradient = jax.jit(
        jax.grad(lambda one, b, k, c: network.apply(variables, one[None], method="classify")[0, k, c]),
        static_argnums=(),
    )
    for b in range(3):
        for k in range(3):
            alpha = np.asarray(gradient(branches[b], b, k, found.label[b, k]))[k].mean(axis=(0, 1))
            wanted = np.maximum(np.asarray(branches[b, k]) @ alpha, 0)
            np.testing.assert_allclose(found.maps[b, k], wanted / max(wanted.max(), 1e-9), atol=1e-5)


class Spot(nn.Module):
    """A head that looks for a bright first channel: class 1 where there is some."""

    @nn.compact
    def __call__(self, branches):
        score = branches.mean(axis=(2, 3))[..., 0]
        return jnp.stack([-score, score], axis=-1)


@pytest.mark.parametrize(
    "change", [lambda a: a, lambda a: a[:, :, ::-1], lambda a: a[:, ::-1], lambda a: np.swapaxes(a, 1, 2)]
)
def test_the_box_follows_a_mirrored_and_a_transposed_picture(change):
    picture = np.zeros((1, 8, 8, 2), np.float32)
    picture[0, 1:3, 4:7, 0] = 1  # off the centre, wider than high
    moved = np.ascontiguousarray(change(picture))
    found = grad_aam(lambda branches: Spot().apply({}, branches), moved[:, None], 1)
    ys, xs = np.nonzero(moved[0, ..., 0])
    box = boxes_of(found.maps, 0.2).cells[0, 0]
    assert found.label.tolist() == [[1]] and box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_the_box_of_a_mirrored_picture_is_mirrored_through_the_whole_network():
    """With kernels that are their own mirror images, so that nothing but the picture has a left and a right."""
    network = SEN((2,), backbone=SmallCNN(channels=(4, 4), strides=(1, 1)), hidden=8, threshold=0.6)
    picture = np.full((1, 12, 12, 3), 40, np.uint8)
    picture[0, 2:5, 7:11] = 250
    variables = made(network, picture)
    params = jax.tree.map(lambda a: (a + a[:, ::-1]) / 2 if a.ndim == 4 and a.shape[1] == 3 else a, variables["params"])
    run = jax.jit(lambda pictures: locate(network, {"params": params}, pictures, jnp.ones((1, 1), jnp.int32)))
    plain, mirrored = run(picture), run(picture[:, :, ::-1])
    assert not plain.fallback[0, 0]
    x0, y0, x1, y1 = plain.boxes[0, 0].tolist()
    assert mirrored.boxes[0, 0].tolist() == [12 - x1, y0, 12 - x0, y1] and (x0, x1) != (12 - x1, 12 - x0)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 2, 2, 1)])
def test_what_a_cell_of_the_small_network_sees_lies_around_its_place(strides):
    backbone = SmallCNN(channels=(2,) * len(strides), strides=strides)
    images = np.ones((1, 64, 64, 3), np.float32)
    variables = jax.tree.map(lambda value: jnp.abs(value) + 0.1, backbone.init(jax.random.key(0), images))
    step = int(np.prod(strides))
    row, column = 32 // step, 24 // step
    cell = jax.jit(jax.grad(lambda given: backbone.apply(variables, given)[1]["features"][0, row, column].sum()))
    seen = np.asarray(cell(images))[0].sum(axis=2) > 0
    for place, lines in ((row, seen.any(axis=1)), (column, seen.any(axis=0))):
        edges = np.flatnonzero(lines)
        assert (edges[0] + edges[-1] + 1) / 2 == (place + 0.5) * step


def test_a_sure_classifier_keeps_its_maps_by_logits_and_loses_them_by_probabilities():
    network = SEN((3,), hidden=0)
    maps = np.abs(noise(8, 4, 4, 6))
    variables = made(network, maps)
    sure = jax.tree.map(lambda a: a * 300, variables)
    logits = lambda branches: network.apply(sure, branches, method="classify")  # noqa: E731
    by_logits = grad_aam(logits, maps[:, None], 1)
    by_chance = grad_aam(lambda branches: jax.nn.softmax(logits(branches)), maps[:, None], 1)
    known = ~np.asarray(by_logits.empty)
    assert known.sum() >= 4 and np.asarray(by_chance.empty)[known].mean() > 0.7


def test_centred_logits_say_the_same_and_their_maps_are_those_of_a_class_less_the_mean_of_all():
    maps = np.abs(noise(4, 5, 6, 7))
    plain, centred = SEN((3, 2), hidden=0), SEN((3, 2), hidden=0, centred=True)
    variables = made(plain, maps)
    seen, other = (locate(network, variables, maps).activation for network in (plain, centred))
    np.testing.assert_allclose(jax.nn.softmax(seen.logits), jax.nn.softmax(other.logits), atol=1e-6)
    kernel = np.asarray(variables["params"]["branch_classes"]["kernel"])
    for b in range(4):
        for k, classes in enumerate((3, 2)):
            own = kernel[k, :, other.label[b, k]] - kernel[k, :, :classes].mean(axis=1)
            cam = np.maximum(maps[b] @ own.reshape(-1, 7).sum(axis=0), 0)
            np.testing.assert_allclose(other.maps[b, k], cam / max(cam.max(), 1e-9), atol=1e-5)
    assert np.abs(seen.maps - other.maps).max() > 0.1


def test_an_empty_map_is_marked_and_its_box_is_the_whole():
    network = SEN((2, 2), hidden=4)
    maps = np.zeros((2, 3, 5, 4), np.float32)
    found = jax.jit(lambda v: locate(network, v, maps))(made(network, maps))
    assert found.activation.empty.all() and found.fallback.all() and not found.activation.maps.any()
    assert found.boxes.tolist() == [[[0, 0, 5, 3]] * 2] * 2 and jnp.isfinite(found.vectors).all()


def test_no_picture_hears_of_another_one():
    network = SEN((3, 2), backbone=SMALL, hidden=8)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    variables = made(network, pictures)
    run = jax.jit(lambda pictures: locate(network, variables, pictures))
    together, alone = run(pictures), [run(pictures[n : n + 1]) for n in range(4)]
    for n, one in enumerate(alone):
        np.testing.assert_allclose(together.activation.maps[n], one.activation.maps[0], atol=1e-4)
        np.testing.assert_array_equal(together.boxes[n], one.boxes[0])


def test_boxes_are_data_for_what_is_learned_from_them():
    network = SEN((3, 2), backbone=SMALL, hidden=8, region_dim=4)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    variables = made(network, pictures)
    grads = jax.jit(jax.grad(lambda v: locate(network, v, pictures).vectors.sum()))(variables)["params"]
    assert not any(leaf.any() for leaf in jax.tree.leaves(grads["branch_hidden"]))
    assert jax.tree.leaves(grads["region_vector"])[1].any() and grads["backbone"]["conv1"]["kernel"].any()


def test_classes_that_an_attribute_lacks_are_never_chosen():
    network = SEN((2, 5))
    maps = noise(50, 2, 2, 3)
    logits = network.apply(made(network, maps), maps[:, None], method="classify")
    assert (logits[:, 0, 2:] == NO_CLASS).all() and (logits[:, 1] > NO_CLASS).all()


def test_the_loss_equals_a_loop_and_nobody_learns_from_what_nobody_labelled():
    logits, labels = noise(5, 3, 4), np.random.default_rng(0).integers(-1, 4, (5, 3))
    wanted = [
        -np.log(np.exp(logits[b, k, labels[b, k]]) / np.exp(logits[b, k]).sum())
        for b in range(5)
        for k in range(3)
        if labels[b, k] >= 0
    ]
    total, weight = masked_loss(logits, labels)
    np.testing.assert_allclose([total, weight], [np.sum(wanted), len(wanted)], rtol=1e-5)
    grads = jax.grad(lambda logits: masked_loss(logits, labels)[0])(jnp.asarray(logits))
    assert (np.asarray(grads)[labels < 0] == 0).all() and (np.abs(grads).max(axis=-1) > 0)[labels >= 0].all()
    assert masked_loss(logits, np.full((5, 3), -1)) == (0, 0)


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"classes": ()}, "at least 2 classes"),
        ({"classes": (3, 1)}, "at least 2 classes"),
        ({"classes": (3,), "threshold": 0.0}, "threshold above 0"),
        ({"classes": (3,), "bins": 0}, "at least 1 bin"),
    ],
)
def test_settings_that_make_no_network_are_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        SEN(**fields)


def test_pictures_without_a_backbone_and_unknown_taps_are_refused():
    pictures = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="no backbone"):
        SEN((2,)).init(jax.random.key(0), pictures)
    with pytest.raises(ValueError, match="choose one of conv1, conv2"):
        SEN((2,), backbone=SMALL, tap="stage9").init(jax.random.key(0), pictures)
