"""The loader of short videos with features, on files made by hand and on the files themselves."""

import numpy as np
import pytest

from socialjax.data import validate
from socialjax.data.schema import counts
from socialjax.data.sets import tiktok
from socialjax.formats.file_bytes import DataError

USERS, ITEMS = 4, 5


@pytest.fixture
def folder(tmp_path):
    """Four users, of whom the last is in test alone, and five videos, of which the last is."""
    for name, text in {"train": "0\t1\n0\t2\n1\t0\n2\t3\n", "val": "1\t2\n", "test": "0\t4\n3\t1\n"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "image_feat.npy", rng.uniform(0, 13, size=(ITEMS, 3)).astype(np.float16))
    np.save(tmp_path / "audio_feat.npy", rng.normal(size=(ITEMS, 2)).astype(np.float16))
    return tmp_path


def test_features_stand_side_by_side_with_rows_of_mean_length_1(folder):
    data = tiktok.read_files(folder, USERS, ITEMS)
    assert data.item_features.shape == (ITEMS, 5) and data.item_features.dtype == np.float32
    for part, name in ((data.item_features[:, :3], "image_feat"), (data.item_features[:, 3:], "audio_feat")):
        rows = np.load(folder / f"{name}.npy").astype(float)
        length = sum(np.sqrt((row**2).sum()) for row in rows) / ITEMS
        np.testing.assert_allclose(part, rows / length, rtol=1e-5)
        assert np.linalg.norm(part, axis=1).mean() == pytest.approx(1, rel=1e-5)


def test_cold_items_and_users_are_kept_and_noted(folder):
    data = tiktok.read_files(folder, USERS, ITEMS)
    assert list(zip(data.test.user, data.test.item)) == [(0, 4), (3, 1)]
    notes = validate.check(data).notes
    assert "1 test pairs on items without training pairs" in notes
    assert "1 test pairs of users without training pairs" in notes
    assert data.links is None and data.owners is None


def test_wrong_rows_nan_and_missing_files_are_errors(folder):
    with pytest.raises(DataError, match=r"image_feat\.npy: wanted 6 rows, one for each id, got 5"):
        tiktok.read_files(folder, USERS, 6)
    with pytest.raises(DataError, match="wanted 6710 rows, one for each id, got 5"):
        tiktok.read(folder)
    table = np.ones((ITEMS, 2), np.float16)
    table[3, 0] = np.nan
    np.save(folder / "audio_feat.npy", table)
    with pytest.raises(DataError, match=r"audio_feat\.npy: .*got NaN or infinity in 1 of 5 rows \(3\)"):
        tiktok.read_files(folder, USERS, ITEMS)
    np.save(folder / "audio_feat.npy", np.zeros((ITEMS, 2)))
    with pytest.raises(DataError, match=r"audio_feat\.npy: wanted features, got zeros"):
        tiktok.read_files(folder, USERS, ITEMS)
    (folder / "val.txt").unlink()
    with pytest.raises(DataError, match=r"lacks val\.txt"):
        tiktok.read_files(folder, USERS, ITEMS)


def test_the_published_files_are_as_published(real_data):
    data = tiktok.read(real_data / "tiktok")
    assert counts(data) == tiktok.SET.counts and data.item_features.shape == (6_710, 256)
    users = {part: len(np.unique(pairs.user)) for part, pairs in data.parts().items()}
    items = {part: len(np.unique(pairs.item)) for part, pairs in data.parts().items()}
    assert users == {"train": 9_298, "validation": 3_051, "test": 6_130}
    assert items == {"train": 6_245, "validation": 1_272, "test": 1_855}
    for part, cold in (("validation", 193), ("test", 340)):
        unseen = np.setdiff1d(data.parts()[part].item, data.train.item)
        assert len(unseen) == cold
    for table in (data.item_features[:, :128], data.item_features[:, 128:]):
        assert np.linalg.norm(table, axis=1).mean() == pytest.approx(1, rel=1e-5)
