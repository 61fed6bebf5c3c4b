"""DiffNet's format on small made files: features, sizes, and what is refused."""

import gzip

import numpy as np
import pytest

from socialjax.data.sets import diffnet
from socialjax.formats.file_bytes import DataError

TRAIN, VALIDATION, TEST = "0\t0\t1\n0\t1\t1\n1\t2\t1\n", "1\t0\t1\n", "2\t4\t1\n"


def write(folder, train=TRAIN, validation=VALIDATION, test=TEST, links="0\t1\t1\n1\t0\t1\n2\t3\t1\n"):
    for name, text in zip(diffnet.files("toy"), (train, validation, test, links)):
        (folder / name).write_text(text)


def test_sizes_come_from_the_largest_id_and_direction_stays(tmp_path):
    write(tmp_path)
    data = diffnet.read(tmp_path, "toy")
    assert (data.num_users, data.num_items) == (4, 5)  # user 3 is followed only, item 3 never occurs
    assert list(zip(data.links.follower.tolist(), data.links.followee.tolist())) == [(0, 1), (1, 0), (2, 3)]
    assert data.user_features is None and data.user_names is None
    assert diffnet.read(tmp_path, "toy", num_users=9, num_items=8).num_users == 9


def test_any_file_may_be_packed_and_features_are_read(tmp_path):
    write(tmp_path)
    path = tmp_path / "toy.train.rating"
    (tmp_path / "toy.train.rating.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    users = np.arange(8, dtype=np.float64).reshape(4, 2)
    np.save(tmp_path / "user_vector.npy", np.asfortranarray(users))
    np.save(tmp_path / "item_vector.npy", np.ones((7, 3), np.float16))
    data = diffnet.read(tmp_path, "toy")
    np.testing.assert_array_equal(data.user_features, users)
    assert data.user_features.dtype == data.item_features.dtype == np.float32
    assert data.num_items == 7  # the rows of the table
    assert set(data.provenance.files) == {
        "toy.train.rating.gz",
        "toy.val.rating",
        "toy.test.rating",
        "toy.links",
        "user_vector.npy",
        "item_vector.npy",
    }


def test_values_other_than_1_are_kept(tmp_path):
    write(tmp_path, train="0 0 4.5\n1 1 3\n")
    np.testing.assert_array_equal(diffnet.read(tmp_path, "toy").train.value, [4.5, 3])


FEATURES = {
    "got dtype object": np.array([[None]] * 4),
    "got dtype complex128": np.zeros((4, 2), complex),
    "got dtype <U1": np.array([["a"]] * 4),
    "got shape (4,)": np.zeros(4),
    "got shape (4, 0)": np.zeros((4, 0)),
    "wanted 4 rows, one for each id, got 5": np.zeros((5, 2)),
    "NaN or infinity in 2 of 4 rows (1, 2)": np.array([[0.0], [np.nan], [1e300], [0]]),
}


@pytest.mark.parametrize("message", FEATURES)
def test_unfit_features_are_refused(tmp_path, message):
    write(tmp_path)
    np.save(tmp_path / "user_vector.npy", FEATURES[message], allow_pickle=True)
    with pytest.raises(DataError, match=r"user_vector\.npy") as problem:
        diffnet.read(tmp_path, "toy", num_users=4)
    assert message in str(problem.value)


def test_damaged_features_are_refused_and_ask_for_no_memory(tmp_path):
    write(tmp_path)
    path = tmp_path / "user_vector.npy"
    np.save(path, np.zeros((4, 2), np.float32))
    whole = path.read_bytes()
    damaged = {
        "the file is cut or damaged": whole[:-1],
        "damaged or foreign header": whole[:20],
        "wanted 4 rows": whole.replace(b"(4, 2), }        ", b"(400000000, 2), }"),
    }
    for message, content in damaged.items():
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            diffnet.read(tmp_path, "toy", num_users=4)


REFUSED = {
    r"toy\.train\.rating, line 2: wanted a whole number from 0": {"train": "0\t0\t1\n-1\t1\t1\n"},
    r"toy\.train\.rating, line 2: wanted 3 columns as in line 1, separated by tab, got 2": {"train": "0\t0\t1\n1\t1\n"},
    r"toy\.train\.rating, line 2: wanted a value": {"train": "0\t0\t1\n1\t1\tgood\n"},
    r"toy\.links, line 1: wanted a whole number": {"links": "ann\tbob\n"},
    "wanted values within float32": {"train": "0\t0\t1e200\n"},
    "without large gaps, got an id of 2000000000": {"train": "2000000000\t0\t1\n"},
    "pairs of test that are in train too, got 1": {"test": "0\t0\t1\n"},
    r"toy\.test\.rating: wanted a text table, got an empty file": {"test": ""},
}


@pytest.mark.parametrize("message", REFUSED)
def test_unfit_files_are_refused(tmp_path, message):
    write(tmp_path, **REFUSED[message])
    with pytest.raises(DataError, match=message):
        diffnet.read(tmp_path, "toy")


def test_ids_beyond_the_published_sizes_are_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(DataError, match=r"test items must be in 0..3, got 4..4"):
        diffnet.read(tmp_path, "toy", num_users=4, num_items=4)


def test_missing_files_and_folders_are_named(tmp_path):
    write(tmp_path)
    (tmp_path / "toy.links").unlink()
    with pytest.raises(DataError, match=r"lacks toy\.links"):
        diffnet.read(tmp_path, "toy")
    with pytest.raises(DataError, match="is not a folder"):
        diffnet.read(tmp_path / "nowhere", "toy")
