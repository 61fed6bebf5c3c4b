"""The loader of HASC's release, on files made by hand and on the files themselves."""

import collections
import gzip
import os

import numpy as np
import pytest

from socialjax.data import validate
from socialjax.data.facts import facts
from socialjax.data.schema import counts
from socialjax.data.sets import hasc_fs as hasc
from socialjax.data.sets.published import names
from socialjax.formats.file_bytes import DataError

TRAIN = {0: {3, 1}, 1: {0}, 2: {1, 4, 0}}
HELD = {"mymodel_val.npy": {0: 4, 1: 3, 2: 3}, "mymodel_test.npy": {0: 0, 1: 4, 2: 2}}
OWNERS = [2, 1, 0, 2, 1]
FOLLOWS = [[1, 2], [0], [1, 1]]


@pytest.fixture
def folder(tmp_path):
    """Three users and five images in the form of the release."""
    save(tmp_path, "mymodel_train.npy", collections.defaultdict(set, TRAIN))
    for name, held in HELD.items():
        save(tmp_path, name, held)
    np.save(tmp_path / "ups_user.npy", np.array(OWNERS))
    save(tmp_path, "user_ups.npy", lists([[2], [1, 4], [0, 3]]))
    save(tmp_path, "user_follow.npy", lists(FOLLOWS))
    return tmp_path


def save(folder, name, value):
    np.save(folder / name, value, allow_pickle=True)


def lists(rows):
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


def test_favourites_owners_and_follows_are_those_of_the_files(folder):
    data = hasc.read_files(folder)
    assert (data.num_users, data.num_items) == (3, 5)
    assert list(zip(data.train.user, data.train.item)) == [(u, i) for u in TRAIN for i in sorted(TRAIN[u])]
    for part, held in (("validation", HELD["mymodel_val.npy"]), ("test", HELD["mymodel_test.npy"])):
        pairs = data.parts()[part]
        assert dict(zip(pairs.user.tolist(), pairs.item.tolist())) == held
    assert data.owners.tolist() == OWNERS and data.owners.dtype == np.int32
    assert list(zip(data.links.follower, data.links.followee)) == [(0, 1), (0, 2), (1, 0), (2, 1)]
    assert data.provenance.repairs == ("1 duplicate links dropped, the first of each kept",)
    assert sorted(data.provenance.files) == sorted(names(hasc.FILES))
    validate.check(data)
    with pytest.raises(DataError, match="'hasc_fs' is not the published one"):
        hasc.read(folder)


def test_packed_files_give_the_same(folder):
    whole = hasc.read_files(folder)
    for name in names(hasc.FILES):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    np.testing.assert_array_equal(hasc.read_files(folder).train.item, whole.train.item)
    (folder / "user_ups.npy.gz").unlink()
    with pytest.raises(DataError, match=r"lacks user_ups\.npy"):
        hasc.read_files(folder)


class Hostile:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("name", [name for name in names(hasc.FILES) if name != "ups_user.npy"])
def test_a_hostile_file_is_refused_and_nothing_of_it_runs(folder, name):
    save(folder, name, lists([Hostile(f"touch '{folder}/it ran'")] * 3))
    with pytest.raises(DataError, match=rf"{name}: wanted a pickle of .* got posix\.system; nothing of it was run"):
        hasc.read_files(folder)
    assert not (folder / "it ran").exists()


WRONG = {
    r"ups_user\.npy: wanted an owner for each image, got none for image 3": {
        "ups_user.npy": np.array([2, 1, 0, -1, 1])
    },
    r"ups_user\.npy: .* users, 3, got 1 others, first: image 1 belongs to user 7": {
        "ups_user.npy": np.array([2, 7, 0, 2, 1])
    },
    r"ups_user\.npy: wanted whole numbers": {"ups_user.npy": np.array([2.0, 1, 0, 2, 1])},
    r"user_follow\.npy: .* users, 3, got 1 others, first: user 1 follows user 3": {
        "user_follow.npy": lists([[1, 2], [3], [1]])
    },
    r"user_follow\.npy: .*first: user 1 follows user -1": {"user_follow.npy": lists([[1, 2], [-1], [1]])},
    r"user_follow\.npy: wanted a list or set of whole numbers for each user, got a list for 1": {
        "user_follow.npy": lists([[1, 2], ["0"], [1]])
    },
    r"user_follow\.npy: wanted a list for each user, got a dict": {"user_follow.npy": {0: [1], 1: [0], 2: [1]}},
    r"mymodel_train\.npy: .*images with an owner, 5, got 1 others, first: user 1 favours image 5": {
        "mymodel_train.npy": {0: {3}, 1: {5}}
    },
    r"mymodel_val\.npy: .*first: image 4 is favoured by user 3": {"mymodel_val.npy": {3: 4}},
    r"mymodel_test\.npy: wanted a dict from users to images, got a list": {"mymodel_test.npy": lists([[1], [2]])},
    r"user_ups\.npy: wanted the owners of ups_user\.npy, got image 4 is of user 1 there, of user 0 here": {
        "user_ups.npy": lists([[2, 4], [1], [0, 3]])
    },
    r"user_ups\.npy: wanted a list of uploads for each of 3 users, got 2 lists": {
        "user_ups.npy": lists([[2, 4], [1, 0]])
    },
    r"no pairs of test that are in train too, got 1": {"mymodel_test.npy": {0: 3, 1: 4}},
}


@pytest.mark.parametrize("message", WRONG)
def test_each_fault_names_the_file_and_what_is_wrong(folder, message):
    for name, value in WRONG[message].items():
        save(folder, name, value)
    with pytest.raises(DataError, match=message):
        validate.check(hasc.read_files(folder))


def test_a_file_that_is_cut_is_a_data_error(folder):
    for name in names(hasc.FILES):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-3])
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            hasc.read_files(folder)
        (folder / name).write_bytes(whole)


def test_the_published_files_are_as_published(real_data):
    data = hasc.read(real_data / "hasc_fs")
    assert counts(data) == hasc.SET.counts and data.provenance.kind == "real"
    assert data.provenance.repairs == ("1 duplicate links dropped, the first of each kept",)
    found = facts(data)
    assert {key: found[key] for key in hasc.FACTS} == hasc.FACTS
    for held in (data.validation, data.test):
        assert (np.bincount(held.user) == 1).all()
    # By the specification: follows per user at least 5, median 38, at most 178; 22.8 % of them mutual.
    follows = np.bincount(data.links.follower)
    assert (follows.min(), np.median(follows), follows.max()) == (5, 38, 178)
    assert found["reciprocated links"] / len(data.links) == pytest.approx(0.228, abs=0.0005)
