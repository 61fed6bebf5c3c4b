"""Maps come in the order of the pictures whatever the batches and are kept shard by shard."""

import logging

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.formats.file_bytes import DataError
from socialjax.vision.backbones.weights import Preparation
from socialjax.vision.feature_maps import Pretrained, feature_maps, in_shards


class Colours(nn.Module):
    """A network that can be followed by hand: mean colours of quarters."""

    factor: float = 1.0
    preparation = Preparation(size=8, part=1.0, mean=(0, 0, 0), deviation=(1, 1, 1), filter="linear")

    @nn.compact
    def __call__(self, images):
        quarters = images.reshape(len(images), 2, 4, 2, 4, 3).mean((2, 4))
        return None, {"features": quarters * self.factor, "pooled": jnp.mean(quarters, (1, 2))}


NETWORK = Pretrained(Colours(), {}, "abc")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (11, 8, 8, 3)).astype(np.uint8)


@pytest.mark.parametrize("batch", [1, 4, 32])
def test_each_map_is_that_of_its_picture(pictures, tmp_path, batch):
    found = feature_maps(pictures, NETWORK, "p", batch=batch, cache=tmp_path, progress=False)
    wanted = pictures.reshape(11, 2, 4, 2, 4, 3).mean((2, 4)) / 255
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_maps_are_kept_under_all_that_they_depend_on(pictures, tmp_path):
    feature_maps(pictures, NETWORK, "p", cache=tmp_path, progress=False)
    for network, key, tap in (
        (NETWORK, "q", "features"),
        (NETWORK, "p", "pooled"),
        (NETWORK._replace(sha256="def"), "p", "features"),
        (NETWORK._replace(network=Colours(factor=2.0)), "p", "features"),
    ):
        feature_maps(pictures, network, key, tap=tap, cache=tmp_path, progress=False)
    assert len(list(tmp_path.iterdir())) == 5
    untouchable = Pretrained(Colours(), None, "abc")  # would fail if it were run

    class Unread(list):
        def __getitem__(self, row):
            return pictures[row] if row == 0 else pytest.fail("read again")

    again = feature_maps(Unread(pictures), untouchable, "p", cache=tmp_path, progress=False)
    assert again.shape == (11, 2, 2, 3)


def test_what_cannot_be_made_is_named(pictures, tmp_path):
    with pytest.raises(DataError, match="no activations 'stage9'"):
        feature_maps(pictures, NETWORK, "p", tap="stage9", cache=tmp_path, progress=False)
    with pytest.raises(DataError, match="finite in half precision"):
        large = NETWORK._replace(network=Colours(factor=1e6))
        feature_maps(pictures, large, "p", cache=tmp_path, progress=False)
    with pytest.raises(DataError, match="got none"):
        feature_maps(pictures[:0], NETWORK, "p", cache=tmp_path, progress=False)


def squares(rows):
    return {"square": rows.astype(np.float32) ** 2, "pair": np.stack([rows, -rows], axis=1)}


def test_shards_that_are_there_are_not_made_again_and_stopping_loses_one_at_most(tmp_path, caplog):
    asked = []

    def stops(rows):
        if 6 in rows and len(asked) == 2:
            asked.append("stop")
            raise KeyboardInterrupt
        asked.append(rows.tolist())
        return squares(rows)

    with pytest.raises(KeyboardInterrupt):
        in_shards(8, stops, tmp_path / "x", {}, shard=3, progress=False)
    with caplog.at_level(logging.INFO):
        found = in_shards(8, stops, tmp_path / "x", {}, shard=3, progress=False)
    assert asked == [[0, 1, 2], [3, 4, 5], "stop", [6, 7]]
    assert "6 of 8 are there already" in caplog.text
    for name, wanted in squares(np.arange(8)).items():
        np.testing.assert_array_equal(found[name], wanted)
    assert sorted(path.name for path in (tmp_path / "x").iterdir())[-1] == "note.json"


def test_a_damaged_shard_is_made_anew_with_a_warning(tmp_path, caplog):
    in_shards(4, squares, tmp_path, {}, shard=2, progress=False)
    first, second = sorted(tmp_path.glob("*.npz"))
    first.write_bytes(first.read_bytes()[:-30])
    np.savez(second, square=np.zeros(1), pair=np.zeros(1))
    found = in_shards(4, squares, tmp_path, {}, shard=2, progress=False)
    np.testing.assert_array_equal(found["square"], [0, 1, 4, 9])
    assert caplog.text.count("is damaged and is made anew") == 2


def test_rows_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="wanted arrays of 2 rows"):
        in_shards(4, lambda rows: {"a": np.zeros(1)}, tmp_path, {}, shard=2, progress=False)
    with pytest.raises(ValueError, match="wanted rows"):
        in_shards(0, squares, tmp_path, {}, progress=False)
