"""The backbones compute what their published weights mean, whatever form a convolution takes."""

import backbone_twins
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.vision.backbones import BACKBONES
from socialjax.vision.backbones.networks import DepthwiseConv, average_to, grouped, shifted
from socialjax.vision.backbones.weights import Preparation, prepared, published_names, variables_of

SMALL = {
    "vgg16": dict(classes=5, width=1 / 16, hidden=12),
    "resnet50": dict(classes=5, width=1 / 16),
    "efficientnet_lite0": dict(
        classes=5, width=1 / 8, depthwise="grouped"
    ),  # compiles sooner; tests/features has it shifted
}
every = pytest.mark.parametrize("name", BACKBONES)


def published(backbone, seed=0):
    """Random weights by their PyTorch names and in PyTorch's layout; none is what it is at the start of training."""
    rng, found = np.random.default_rng(seed), {}
    for (path, shape), name in published_names(backbone).items():
        if path[-1] == "kernel":
            shape = (shape[3], shape[2], shape[0], shape[1]) if len(shape) == 4 else shape[::-1]
            found[name] = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        else:
            low, high = {"scale": (0.5, 1.5), "var": (0.5, 2.0)}.get(path[-1], (-0.3, 0.3))
            found[name] = rng.uniform(low, high, shape)
        found[name] = found[name].astype(np.float32)
    return found


@every
def test_logits_and_features_equal_the_twin(name):
    backbone = BACKBONES[name](**SMALL[name])
    weights = published(backbone)
    images = np.random.default_rng(1).normal(size=(2, 64, 72, 3)).astype(np.float32)
    logits, taps = jax.jit(backbone.apply)(variables_of(backbone, weights), images)
    wanted, features = getattr(backbone_twins, name)(weights, images)
    assert np.abs(wanted).max() > 0.05 and np.ptp(wanted, axis=0).max() > 1e-3, "logits that any mistake would give"
    np.testing.assert_allclose(logits, wanted, atol=5e-5 * np.abs(wanted).max())
    np.testing.assert_allclose(taps["features"], np.moveaxis(features, 1, -1), atol=5e-5 * np.abs(features).max())
    np.testing.assert_allclose(taps["pooled"], taps["features"].mean((1, 2)), rtol=1e-5, atol=1e-6)


# The sizes of the published networks.
@pytest.mark.parametrize(
    "name, weights, channels",
    [("vgg16", 138_357_544, 512), ("resnet50", 25_557_032, 2048), ("efficientnet_lite0", 4_652_008, 1280)],
)
def test_the_networks_have_their_published_sizes(name, weights, channels):
    backbone = BACKBONES[name]()
    pictures = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(backbone.init, jax.random.key(0), pictures)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == weights
    logits, taps = jax.eval_shape(backbone.apply, variables, pictures)
    side = 14 if name == "vgg16" else 7  # VGG's last convolution is before the last of five halvings
    assert (logits.shape, taps["features"].shape) == ((1, 1000), (1, side, side, channels))


def test_names_are_those_of_torchvision():
    names = {name: set(published_names(BACKBONES[name]()).values()) for name in ("vgg16", "resnet50")}
    assert len(names["vgg16"]) == 32 and len(names["resnet50"]) == 267  # without the counters of steps
    assert {"features.0.weight", "features.28.bias", "classifier.6.weight"} <= names["vgg16"]
    some = {"conv1.weight", "bn1.running_var", "layer1.0.downsample.1.bias", "layer3.5.conv2.weight", "fc.bias"}
    assert some <= names["resnet50"] and "layer1.1.downsample.0.weight" not in names["resnet50"]


@every
def test_without_classifier_all_other_weights_are_kept(name):
    whole = BACKBONES[name](**SMALL[name])
    weights = published(whole)
    bare = whole.clone(classes=0)
    kept, given = variables_of(bare, weights), variables_of(whole, weights)
    given["params"] = {layer: given["params"][layer] for layer in kept["params"]}
    assert "classifier" not in kept["params"]
    jax.tree.map(np.testing.assert_array_equal, kept, given)
    logits, taps = jax.eval_shape(bare.apply, kept, jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32))
    assert logits is None and {"features", "pooled", "stage1"} <= set(taps)


def test_weights_of_another_network_are_refused():
    backbone = BACKBONES["resnet50"](**SMALL["resnet50"])
    good = published(backbone)
    variables_of(backbone, good | {"bn1.num_batches_tracked": np.int64(7)})
    for change, said in (
        ({"fc.bias": None}, r"got a file without fc\.bias"),
        ({"extra.weight": np.zeros(3)}, r"got also extra\.weight"),
        ({"fc.weight": np.zeros((7, 128))}, r"wanted fc\.weight of shape \(128, 5\)"),
        ({"fc.bias": np.full(5, np.nan)}, r"finite numbers in fc\.bias"),
    ):
        bad = {name: values for name, values in (good | change).items() if values is not None}
        with pytest.raises(ValueError, match=said):
            variables_of(backbone, bad)


@pytest.mark.parametrize("size, stride, lines", [(3, 1, 8), (3, 2, 8), (3, 2, 7), (5, 2, 8), (5, 1, 2)])
def test_both_forms_of_depthwise_convolution_equal_the_twin(size, stride, lines):
    rng = np.random.default_rng(size + stride)
    images = rng.normal(size=(2, lines, lines + 1, 4)).astype(np.float32)
    kernel = rng.normal(size=(size, size, 1, 4)).astype(np.float32)
    wanted = backbone_twins.conv(images.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1), stride, "SAME", 4)
    for form in (shifted, grouped):
        np.testing.assert_allclose(form(images, kernel, stride), wanted.transpose(0, 2, 3, 1), atol=1e-5)


def test_the_form_of_depthwise_convolution_goes_with_the_platform():
    layer = DepthwiseConv(3)
    variables = {"params": {"kernel": jnp.ones((3, 3, 1, 4))}}

    def has_convolution(form, platform):
        function = jax.jit(layer.clone(form=form).apply)
        traced = function.trace(variables, jnp.ones((1, 8, 8, 4)))
        return "stablehlo.convolution" in traced.lower(lowering_platforms=(platform,)).as_text()

    assert not has_convolution("by_platform", "cpu") and not has_convolution("shifted", "cuda")
    assert has_convolution("by_platform", "cuda") and has_convolution("grouped", "cpu")


@pytest.mark.parametrize("lines", [1, 7, 10, 14])
def test_adaptive_pooling_equals_the_twin(lines):
    images = np.random.default_rng(0).normal(size=(1, lines, 9, 2)).astype(np.float32)
    wanted = backbone_twins.adaptive(images.transpose(0, 3, 1, 2), 7).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(average_to(images, 7), wanted, atol=1e-5)


@pytest.mark.parametrize("kind, pillow", [("linear", "BILINEAR"), ("cubic", "BICUBIC")])
@pytest.mark.parametrize("before, after", [(50, 16), (16, 40), (31, 31)])
def test_pictures_are_resized_as_pillow_does(kind, pillow, before, after):
    from PIL import Image

    picture = np.random.default_rng(3).integers(0, 256, (before, before, 3), dtype=np.uint8)
    wanted = np.asarray(Image.fromarray(picture).resize((after, after), getattr(Image.Resampling, pillow)), np.float32)
    found = prepared(picture, Preparation(after, 1.0, (0.0,) * 3, (1 / 255,) * 3, kind))
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_preparation_takes_the_middle_and_centres_colours():
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[10:30, 30:50] = (255, 0, 51)  # the middle square of half the height
    found = prepared(picture, Preparation(8, 0.5, (0.5, 0.5, 0.2), (0.5, 0.25, 0.1), "linear"))
    np.testing.assert_allclose(found, np.broadcast_to(np.float32([1, -2, 0]), (8, 8, 3)), atol=1e-6)
    np.testing.assert_array_equal(prepared(picture[..., 0], Preparation(8, 0.5, *[(0.5,) * 3] * 2, "linear")), 1)
    for wrong in (picture / 255, picture[..., :2], picture[:0]):
        with pytest.raises(ValueError, match=r"wanted a picture u8\[H, W, 3\]"):
            prepared(wrong, Preparation(8, 0.5, (0.5,) * 3, (0.5,) * 3, "linear"))
