"""Items with frames read from files, and what is said of files that do not fit each other."""

import numpy as np
import pytest

from socialjax.data.own import frame_files
from socialjax.data.sources import DataSettings, load
from socialjax.formats.file_bytes import DataError

TEXTS = {
    "items.tsv": "matrix\t2\nheat\t0\nalien\t3\n",
    "train.tsv": "ann\tmatrix\t5\nbob\talien\t2\nbob\theat\t4\n",
    "val.tsv": "ann\theat\t3\n",
    "test.tsv": "ann\talien\t5\n",
    "test_frames.tsv": "ann\talien\t3\ncid\tmatrix\t0\n",
}
FEATURES = np.arange(20, dtype=np.float16).reshape(5, 4)


@pytest.fixture
def folder(tmp_path):
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
    np.save(tmp_path / "frames.npy", FEATURES)
    np.save(tmp_path / "frame_item.npy", np.array([0, 0, 2, 2, 2], np.int32))
    return tmp_path


def test_all_files_become_columns(folder):
    data = frame_files.read(folder, "films")
    assert (data.num_users, data.num_items, data.user_names.tolist()) == (3, 3, ["ann", "bob", "cid"])
    assert data.item_names.tolist() == ["matrix", "heat", "alien"]
    pairs = {part: list(zip(of.user.tolist(), of.item.tolist())) for part, of in data.parts().items()}
    assert pairs == {"train": [(0, 0), (1, 2), (1, 1)], "validation": [(0, 1)], "test": [(0, 2)]}
    assert data.train.value.tolist() == [5, 2, 4]
    assert data.frames.offsets.tolist() == [0, 2, 2, 5] and data.frames.item.tolist() == [0, 0, 2, 2, 2]
    assert isinstance(data.frames.features, np.memmap) and data.frames.features.dtype == np.float16
    np.testing.assert_array_equal(data.frames.features, FEATURES)
    likes = data.frame_likes
    assert [of.tolist() for of in (likes.user, likes.item, likes.frame)] == [[0, 2], [2, 0], [3, 0]]
    assert data.provenance.kind == "real" and set(data.provenance.files) == {*TEXTS, "frames.npy", "frame_item.npy"}


def test_a_folder_that_is_named_is_read_as_such(folder, monkeypatch, tmp_path):
    data = load(DataSettings(name="films", dir=folder))
    assert len(data.frames) == 5 and len(data.train) == 3
    assert len(load(DataSettings(name="films", dir=folder, min_value=3)).train) == 2
    (tmp_path / "parent").mkdir()
    (tmp_path / "parent" / "films").symlink_to(folder)
    monkeypatch.setenv("SOCIALJAX_DATA", str(tmp_path / "parent"))
    assert len(load(DataSettings(name="films")).frame_likes) == 2
    with pytest.raises(DataError, match=r"--data\.k-core cannot be applied to films"):
        load(DataSettings(name="films", dir=folder, k_core=2))


def test_pictures_of_frames_have_a_name_each_or_are_refused(folder):
    (folder / "frame_names.txt").write_text("a/1.png\nä.png\nc.png\nd.png\ne.png\n")
    data = frame_files.read(folder, "films")
    assert data.frames.names.tolist() == ["a/1.png", "ä.png", "c.png", "d.png", "e.png"]
    assert "frame_names.txt" in data.provenance.files
    (folder / "frame_names.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"frame_names\.txt: wanted 5 lines, one for each frame, got 2"):
        frame_files.read(folder, "films")
    (folder / "frame_names.txt").write_bytes(b"\xff" * 5)
    with pytest.raises(DataError, match=r"frame_names\.txt: wanted UTF-8 text"):
        frame_files.read(folder, "films")


def test_validation_likes_and_owners_may_be_absent(folder):
    for name in ("val.tsv", "test_frames.tsv", "frame_item.npy"):
        (folder / name).unlink()
    data = frame_files.read(folder, "films")
    assert data.frame_likes is None and len(data.validation) == 0 and data.num_users == 2


def with_nan():
    table = FEATURES.copy()
    table[3, 1] = np.nan
    return table


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("items.tsv", None, "lacks items.tsv"),
        ("frames.npy", None, "frames.npy is missing"),
        ("frames.npy", FEATURES[:4], r"shape \[5, F\].*got float16 \(4, 4\)"),
        ("frames.npy", FEATURES.astype(np.float64), r"wanted float16 or float32.*got float64"),
        ("frames.npy", with_nan(), "got NaN or infinity in 1 of 5 rows, first in row 3, a frame of item 2"),
        ("frames.npy", b"\x93NUMPY\x01\x00", "damaged or foreign"),
        ("frames.npy", np.array([{"code": "run"}], object), "damaged or foreign"),
        ("frame_item.npy", np.array([0, 2, 0, 2, 2], np.int32), "numbers that rise"),
        ("frame_item.npy", np.array([0, 0, 0, 2, 2], np.int32), "as many of each as items.tsv counts"),
        ("items.tsv", "matrix\t2\nheat\t0\nmatrix\t3\n", "line 3: wanted each item once"),
        ("items.tsv", "matrix\ttwo\nheat\t0\nalien\t3\n", "line 1: wanted a whole number.*frame"),
        ("train.tsv", "ann\tgravity\n", "line 1: wanted an item of items.tsv, got 'gravity'"),
        ("train.tsv", "ann\tmatrix\tgood\n", "line 1: wanted a rating"),
        ("test.tsv", "ann\tmatrix\n", "pairs of test that are in train too"),
        ("test_frames.tsv", "ann\talien\t5\n", "line 1: wanted a row of frames.npy, 0 to 4, got '5'"),
        ("test_frames.tsv", "ann\talien\t1\n", "frame 1 is of item 0, not of item 2"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name_and_line(folder, name, content, said):
    path = folder / name
    path.unlink()
    if isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(DataError, match=f"(?s){said}"):
        frame_files.read(folder, "films")


def test_a_table_that_was_cut_off_is_refused(folder):
    whole = (folder / "frames.npy").read_bytes()
    (folder / "frames.npy").write_bytes(whole[:-10])
    with pytest.raises(DataError, match=r"frames\.npy: wanted a NumPy \.npy file of numbers, got a damaged"):
        frame_files.read(folder, "films")


def test_frames_that_change_after_their_checksum_was_taken_are_refused(folder, monkeypatch):
    digest = frame_files.hashlib.file_digest

    def digest_and_write(file, name):
        found = digest(file, name)
        np.save(folder / "frames.npy", FEATURES + 1)
        return found

    monkeypatch.setattr(frame_files.hashlib, "file_digest", digest_and_write)
    with pytest.raises(DataError, match=r"frames\.npy: the file has changed while its checksum was taken"):
        frame_files.read(folder, "films")
