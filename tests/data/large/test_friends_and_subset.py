"""Links in both directions beside a graph folder, and the pairs of some of its users."""

import dataclasses
import json

import numpy as np
import pytest

from socialjax.data.large import friends as module
from socialjax.data.large import subset
from socialjax.data.large.friends import friends
from socialjax.data.large.inputs import Columns
from socialjax.data.large.prepare import prepare
from socialjax.data.large.settings import PrepareSettings
from socialjax.formats.file_bytes import DataError

USERS, ITEMS = 60, 40


def made(path, seed=0, has_links=True):
    draw = np.random.default_rng(seed)
    pairs = Columns(draw.integers(0, USERS, 900), draw.integers(0, ITEMS, 900))
    links = Columns(draw.integers(0, USERS - 5, 400), draw.integers(0, USERS - 5, 400)) if has_links else None
    settings = PrepareSettings(ids="row numbers", num_users=USERS, num_items=ITEMS)
    return prepare(path, pairs, links, settings, progress=False)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return made(tmp_path_factory.mktemp("graphs") / "g")


def expected(graph):
    return [sorted({*graph.follows.row(user), *graph.followed_by.row(user)}) for user in range(USERS)]


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_both_directions_once(graph, tmp_path, monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    found = friends(graph, tmp_path / "f", progress=False)
    assert [found.row(user).tolist() for user in range(USERS)] == expected(graph)
    assert found.degree.tolist() == [len(row) for row in expected(graph)]
    assert isinstance(found.columns, np.memmap) and not found.columns.flags.writeable


def test_they_lie_beside_the_graph_and_are_made_once(graph, monkeypatch):
    friends(graph, progress=False)
    assert (graph.path.parent / "g-friends" / "meta.json").is_file()
    monkeypatch.setattr(module, "_write", None)
    assert [friends(graph).row(user).tolist() for user in range(USERS)] == expected(graph)


def test_an_interrupted_call_begins_anew(graph, tmp_path, monkeypatch):
    def dies(*_):
        yield np.array([1], np.uint64)
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_both", dies)
        with pytest.raises(OSError, match="no space left"):
            friends(graph, tmp_path / "f", progress=False)
    (tmp_path / "f" / ".part.friends_columns.npy").write_bytes(b"half")
    found = friends(graph, tmp_path / "f", progress=False)
    assert [found.row(user).tolist() for user in range(USERS)] == expected(graph)


def test_other_folders_are_refused(graph, tmp_path):
    other = made(tmp_path / "other", seed=1)
    friends(graph, tmp_path / "f", progress=False)
    with pytest.raises(DataError, match="got those of another; remove the folder"):
        friends(other, tmp_path / "f")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("dear")
    with pytest.raises(DataError, match=r"wanted a new or empty folder, got mine\.txt"):
        friends(graph, tmp_path / "letters")
    with pytest.raises(DataError, match="wanted a graph with links, got none"):
        friends(made(tmp_path / "lonely", has_links=False))


@pytest.mark.parametrize("damage", ["cut", "longer", "missing", "no json"])
def test_damaged_ones_are_refused(graph, tmp_path, damage):
    friends(graph, tmp_path / "f", progress=False)
    meta = json.loads((tmp_path / "f" / "meta.json").read_text())
    if damage == "cut":
        (tmp_path / "f" / "friends_columns.npy").write_bytes(b"\x93NUMPY")
    elif damage == "longer":
        meta["arrays"]["friends_degree"]["length"] += 1
    elif damage == "missing":
        del meta["arrays"]["friends_columns"]
    text = "{" if damage == "no json" else json.dumps(meta)
    (tmp_path / "f" / "meta.json").write_text(text)
    with pytest.raises(DataError, match="wanted"):
        friends(graph, tmp_path / "f")


def test_pairs_of_some_users_are_theirs_in_every_part(graph):
    users = subset.held_out_users(graph, "test", 17, seed=1)
    data, whole = subset.of_users(graph, users), graph.dataset()
    assert len(users) == 17 and (data.num_users, data.num_items) == (USERS, ITEMS)
    for part in ("train", "validation", "test"):
        kept = np.isin(getattr(whole, part).user, users)
        for column in ("user", "item"):
            wanted = getattr(getattr(whole, part), column)[kept]
            np.testing.assert_array_equal(getattr(getattr(data, part), column), wanted)


def test_users_are_chosen_alike_whatever_is_read_at_once(graph, monkeypatch):
    every = np.unique(graph.test.user)
    chosen = {seed: subset.held_out_users(graph, "test", 20, seed) for seed in range(30)}
    monkeypatch.setattr(subset, "PIECE", 3)
    for seed, users in chosen.items():
        np.testing.assert_array_equal(subset.held_out_users(graph, "test", 20, seed), users)
        assert len(set(users.tolist())) == 20 and set(users) <= set(every)
    np.testing.assert_array_equal(subset.held_out_users(graph, "test", 10**6, 0), every)
    assert len({user for users in chosen.values() for user in users.tolist()}) == len(every)  # nobody is left out


def test_a_part_without_pairs_is_refused(graph):
    empty = {name: np.empty(0, np.int32) for name in ("test_user", "test_item")}
    with pytest.raises(DataError, match="wanted pairs of the test part, got none"):
        subset.held_out_users(dataclasses.replace(graph, arrays=graph.arrays | empty), "test", 3, 0)
