"""A graph folder holds what a twin in memory holds, whatever is read at a time; damaged ones are refused."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import twin

from socialjax.data.large import external_sort, stages, steps, text_ids
from socialjax.data.large.inputs import Columns
from socialjax.data.large.layout import open_graph
from socialjax.data.large.prepare import prepare
from socialjax.data.large.settings import PrepareSettings
from socialjax.data.large.verify import verify
from socialjax.formats.file_bytes import DataError
from socialjax.memory import NotEnoughMemory


@pytest.fixture(scope="module")
def raw():
    """Pairs [N, 2] and links [E, 2]: repeated ones, self links, ids with gaps, users with links alone."""
    rng = np.random.default_rng(3)
    pairs = np.stack([rng.zipf(1.4, 600) % 50 * 7, rng.zipf(1.2, 600) % 40 * 3 + 5], axis=1)
    return pairs, rng.integers(0, 60, (300, 2)) * 7


def columns(table, text=False, name="arrays"):
    table = np.char.add("id ", table.astype(str)) if text else table
    return Columns(table[:, 0], table[:, 1], name)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def arrays_of(graph):
    return {name: array.tolist() for name, array in graph.arrays.items() if "ids" not in name}


def of_items(wanted, part):
    return wanted["user_item_columns" if part == "train" else f"{part}_item"]


@pytest.mark.parametrize("k_core", [0, 3])
@pytest.mark.parametrize("how", ["ratio", "leave-one-out"])
@pytest.mark.parametrize("has_links", [True, False])
def test_the_arrays_are_those_of_the_twin(raw, tmp_path, k_core, how, has_links):
    pairs, links = raw
    settings = PrepareSettings(k_core=k_core, split=how, ratios=(0.1, 0.2), seed=5)
    graph = prepare(tmp_path / "g", columns(pairs), columns(links) if has_links else None, settings, progress=False)
    listed = [tuple(link) for link in links.tolist()] if has_links else None
    wanted, users, items = twin.prepared(map(tuple, pairs.tolist()), listed, k_core, how, (0.1, 0.2), 5)
    assert arrays_of(graph) == wanted
    assert graph.arrays["user_ids"].tolist() == users and graph.arrays["item_ids"].tolist() == items
    assert (graph.user_name(2), graph.item_name(1)) == (str(users[2]), str(items[1]))
    assert (graph.num_users, graph.num_items) == (len(users), len(items))
    assert len(graph.test) > 10 and (how == "leave-one-out" or len(graph.validation) > 5)
    assert (graph.follows is not None) == has_links == (graph.num_links > 0)
    assert not (tmp_path / "g" / "work").exists()
    verify(graph)
    data, row_of = graph.dataset(), {user: row for row, user in enumerate(users)}
    assert (data.num_users, data.num_items) == (len(users), len(items))
    for part in ("train", "validation", "test"):
        of = getattr(data, part)
        assert [of.user.tolist(), of.item.tolist()] == [wanted[f"{part}_user"], of_items(wanted, part)]
    kept = {(row_of[a], row_of[b]) for a, b in listed or () if a in row_of and b in row_of and a != b}
    held = set() if data.links is None else set(zip(data.links.follower.tolist(), data.links.followee.tolist()))
    assert held == kept and (data.links is None) == (not has_links)


def test_text_is_numbered_by_its_hash_and_kept(raw, tmp_path):
    pairs, links = raw
    graph = prepare(
        tmp_path / "g", columns(pairs, True), columns(links, True), PrepareSettings(ids="text"), progress=False
    )
    order = lambda name: int(text_ids.numbers(np.array([name.encode()]))[0])  # noqa: E731
    named = lambda table: [tuple(f"id {name}" for name in row) for row in table.tolist()]  # noqa: E731
    wanted, users, items = twin.prepared(named(pairs), named(links), order=order)
    assert arrays_of(graph) == wanted
    assert [graph.user_name(row) for row in range(graph.num_users)] == users
    assert [graph.item_name(row) for row in range(graph.num_items)] == items
    verify(graph)


def test_row_numbers_stay_and_users_without_pairs_have_empty_rows(tmp_path):
    settings = PrepareSettings(ids="row numbers", num_users=6, num_items=5, ratios=(0, 0))
    pairs, links = np.array([[3, 4], [3, 0], [1, 2], [3, 4]]), np.array([[5, 0], [0, 5], [2, 2]])
    graph = prepare(tmp_path / "g", columns(pairs), columns(links), settings, progress=False)
    assert [graph.user_items.row(user).tolist() for user in range(6)] == [[], [2], [], [0, 4], [], []]
    assert [graph.item_users.row(item).tolist() for item in range(5)] == [[3], [], [1], [], [3]]
    assert [graph.follows.row(user).tolist() for user in range(6)] == [[5], [], [], [], [], [0]]
    assert graph.meta.notes == (
        "1 duplicate pairs dropped, one of each kept",
        "1 links of users to themselves dropped",
    )
    assert graph.user_name(4) == "4" and "user_ids" not in graph.arrays
    with pytest.raises(DataError, match=r"wanted users in 0\.\.5, got 6; raise num_users"):
        prepare(tmp_path / "h", columns(pairs + 3), None, settings, progress=False)


def test_ids_without_gaps_are_row_numbers(tmp_path):
    pairs = np.array([[0, 1], [1, 0], [2, 1], [2, 0]])
    graph = prepare(tmp_path / "g", columns(pairs), progress=False)
    assert graph.meta.user_ids == graph.meta.item_ids == "row numbers"


@pytest.mark.parametrize("text", [False, True])
def test_pieces_and_memory_do_not_change_a_byte(raw, tmp_path, monkeypatch, text):
    pairs, links = columns(raw[0], text), columns(raw[1], text)
    settings = PrepareSettings(ids="text" if text else "integers", k_core=2)
    prepare(tmp_path / "whole", pairs, links, settings, progress=False)
    wanted = content(tmp_path / "whole")
    for rows, capacity, at_once in ((1, 2, 1), (7, 50, 3), (64, 700, 100), (10_000, 3, 1 << 20)):
        monkeypatch.setattr(stages.Stages, "_sorter", _small_sorter(capacity))
        for module, name in ((stages, "READ"), (external_sort, "PIECE")):
            monkeypatch.setattr(module, name, at_once)
        monkeypatch.setattr(stages.Stages._keys, "__defaults__", (at_once,))
        folder = tmp_path / f"{rows}"
        prepare(folder, pairs, links, dataclasses.replace(settings, chunk_rows=rows), progress=False)
        assert content(folder) == wanted


def _small_sorter(capacity):
    return lambda self, name, part=1.0: external_sort.Sorter(self._work / name, capacity)


def test_users_of_many_pieces_are_split_as_one(tmp_path, monkeypatch):
    pairs = np.array([(user, item) for user, items in ((0, 90), (1, 1), (2, 40), (3, 2)) for item in range(items)])
    whole = prepare(tmp_path / "whole", columns(pairs), settings=PrepareSettings(ratios=(0.1, 0.2)), progress=False)
    monkeypatch.setattr(stages.np, "clip", lambda *_: 8)
    prepare(tmp_path / "few", columns(pairs), settings=PrepareSettings(ratios=(0.1, 0.2)), progress=False)
    assert content(tmp_path / "few") == content(tmp_path / "whole")
    assert (len(whole.validation), len(whole.test)) == (9 + 4, 18 + 8)


class Cut(Exception):
    pass


def test_what_was_cut_off_goes_on_at_any_step(raw, tmp_path, monkeypatch):
    pairs, links = columns(raw[0]), columns(raw[1])
    prepare(tmp_path / "whole", pairs, links, PrepareSettings(k_core=2), progress=False)
    wanted, folder, cuts = content(tmp_path / "whole"), tmp_path / "cut", []
    write, real = steps.write_json, stages.write_array
    for place in range(0, 40, 3):  # at the place-th array or record that is written
        left = [place]

        def count(*_, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise Cut

        monkeypatch.setattr(steps, "write_json", lambda *a, count=count: (count(), write(*a)))
        monkeypatch.setattr(stages, "write_array", lambda *a, count=count: (count(), real(*a))[1])
        shutil.rmtree(folder, ignore_errors=True)
        try:
            prepare(folder, pairs, links, PrepareSettings(k_core=2), progress=False)
        except Cut:
            cuts.append(place)
            with pytest.raises(DataError, match=r"lacks meta\.json, which is written last; .* again to finish it"):
                open_graph(folder)
        monkeypatch.undo()
        prepare(folder, pairs, links, PrepareSettings(k_core=2), progress=False)
        assert content(folder) == wanted
    assert 5 < len(cuts) < 14, "most are cut off, the last ones reach the end"


def test_finished_steps_are_not_done_again(raw, tmp_path, monkeypatch):
    pairs, links = columns(raw[0]), columns(raw[1])
    with monkeypatch.context() as patch:
        patch.setattr(stages.Stages, "followed_by", lambda self: (_ for _ in ()).throw(Cut))
        with pytest.raises(Cut):
            prepare(tmp_path / "g", pairs, links, progress=False)
    for name in ("read", "sort_pairs", "number", "split", "item_users", "follows"):
        monkeypatch.setattr(stages.Stages, name, None)
    verify(prepare(tmp_path / "g", pairs, links, progress=False))


def test_another_preparation_is_refused(raw, tmp_path):
    pairs = columns(raw[0])
    folder = tmp_path / "g"
    prepare(folder, pairs, progress=False)
    assert prepare(folder, pairs, progress=False).meta.num_users
    with pytest.raises(DataError, match="holds what was prepared by other settings; choose another folder"):
        prepare(folder, pairs, settings=PrepareSettings(seed=1), progress=False)
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match="wanted a new or empty folder, got other files"):
        prepare(tmp_path / "h", pairs, progress=False)


def test_one_preparation_at_a_time_goes_on_with_its_own_input(raw, tmp_path, monkeypatch):
    folder = tmp_path / "g"
    with steps.Journal.of(folder, {}), pytest.raises(DataError, match="another process prepares this folder"):
        prepare(folder, columns(raw[0]), progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(stages.Stages, "split", lambda self: (_ for _ in ()).throw(Cut))
        with pytest.raises(Cut):
            prepare(folder, columns(raw[0]), progress=False)
    with pytest.raises(DataError, match="go on with the preparation that was begun here, got another pairs, settings"):
        prepare(folder, columns(raw[1][:20], name="others"), progress=False)
    prepare(folder, columns(raw[0]), progress=False)


def test_too_little_memory_is_said_with_what_is_wanted(raw, tmp_path):
    settings = PrepareSettings(memory_bytes=50 << 20)
    with pytest.raises(NotEnoughMemory, match=r"memory_bytes 50 MB is too little: .* allow \d+ MB or more"):
        prepare(tmp_path / "g", columns(raw[0]), settings=settings, progress=False)


@pytest.mark.parametrize(
    "rows, k_core, wanted",
    [(0, 0, "wanted pairs, got none"), (600, 1000, "wanted pairs in the 1000-core, got none; lower k_core")],
)
def test_nothing_that_is_left_is_an_error(raw, tmp_path, rows, k_core, wanted):
    with pytest.raises(DataError, match=wanted):
        prepare(tmp_path / "g", columns(raw[0][:rows]), settings=PrepareSettings(k_core=k_core), progress=False)


@pytest.mark.parametrize(
    "given, wanted",
    [
        ({"ids": "row numbers"}, "wanted num_users in 1.*since ids are row numbers, got 0"),
        ({"num_items": 3}, "wanted num_items in 0, since ids are no row numbers, got 3"),
        ({"k_core": -1}, "wanted k_core from 0"),
        ({"ratios": (0.5, 0.5)}, "ratios must be two shares"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given, wanted):
    with pytest.raises(DataError, match=wanted):
        PrepareSettings(**given)


@pytest.fixture
def folder(raw, tmp_path):
    prepare(tmp_path / "g", columns(raw[0]), columns(raw[1]), progress=False)
    return tmp_path / "g"


def edit(folder, change):
    path = folder / "meta.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))


def array(folder, name, change):
    """Changes numbers in place; checksum and header stay."""
    path = folder / f"{name}.npy"
    held = np.load(path)
    change(held)
    path.write_bytes(path.read_bytes()[:128] + held.tobytes())


def of_array(name, **change):
    return lambda folder: edit(folder, lambda meta: meta["arrays"][name].update(change))


OPENING = {
    "cut short": (
        lambda f: os.truncate(f / "train_user.npy", 200),
        "wanted a plain file of .* bytes, got a file of 200",
    ),
    "missing": (lambda f: (f / "item_degree.npy").unlink(), "item_degree.npy: wanted an array of meta.json, got none"),
    "a link": (
        lambda f: (os.rename(f / "test_item.npy", f / "x"), os.symlink(f / "x", f / "test_item.npy")),
        "wanted a plain file of .*, got a link",
    ),
    "a pickle": (
        lambda f: _header(f / "train_user.npy", b"'<i4'", b"'|O4'"),
        r"wanted <i4\[.*\] in its header, got another",
    ),
    "another type": (
        of_array("train_user", dtype="<f4"),
        "wanted train_user as <i4",
    ),
    "objects": (of_array("train_user", dtype="|O"), "wanted train_user as <i4"),
    "other lengths": (
        of_array("user_degree", length=3),
        r"wanted user_degree as <i4\[\d+\], got <i4\[3\]",
    ),
    "a path": (
        lambda f: edit(f, lambda m: m["arrays"].update({"../../etc/passwd": m["arrays"]["train_user"]})),
        "wanted the arrays of such a folder, got a difference in ../../etc/passwd",
    ),
    "no array": (lambda f: edit(f, lambda m: m["arrays"].pop("test_user")), "got a difference in test_user"),
    "many users": (lambda f: edit(f, lambda m: m.update(num_users=2**40)), "wanted num_users in 1..2147483647"),
    "another format": (
        lambda f: edit(f, lambda m: m.update(format="x")),
        "wanted a socialjax graph folder",
    ),
    "no text": (lambda f: edit(f, lambda m: m.update(name=3)), "name wants a text, got 3"),
    "no json": (lambda f: (f / "meta.json").write_text("{"), "is damaged"),
}


def _header(path, old, new):
    held = path.read_bytes()
    assert old in held[:128]
    path.write_bytes(held[:128].replace(old, new) + held[128:])


@pytest.mark.parametrize("damage", OPENING)
def test_foreign_folders_are_refused_when_opened(folder, damage):
    act, wanted = OPENING[damage]
    act(folder)
    with pytest.raises(DataError, match=wanted):
        open_graph(folder)


def test_no_folder_is_no_graph(tmp_path):
    with pytest.raises(DataError, match="is no folder; prepare it"):
        open_graph(tmp_path / "none")


def swap(held):
    held[[0, 1]] = held[[1, 0]]


def put(place, value):
    return lambda held: held.__setitem__(place, value)


VERIFYING = {
    "a bit": ("train_user", put(5, 10_000), "train_user: wanted the checksum"),
    "falling offsets": ("user_item_offsets", put(2, 10_000), "user_item_offsets: wanted numbers that never fall"),
    "offsets beyond": ("follows_offsets", put(-1, 10_000), "follows_offsets: wanted numbers from 0 to"),
    "columns beyond": ("item_user_columns", put(0, 10_000), r"item_user_columns: wanted numbers in 0\.\.\d+"),
    "columns below": ("followed_by_columns", put(3, -1), r"followed_by_columns: wanted numbers in 0\.\.\d+"),
    "falling columns": ("user_item_columns", swap, "user_item_columns: wanted rising numbers within each row"),
    "degrees": ("follows_degree", put(0, 9), "follows_degree: wanted the differences of follows_offsets"),
    "users": ("train_user", lambda held: held.sort(), ""),
    "other users": ("train_user", put(0, 3), "train_user: wanted the users of user_item_offsets"),
    "held out": ("test_item", put(0, 10_000), r"test_item: wanted numbers in 0\.\.\d+"),
    "held out twice": ("test_user", put(slice(None), 4), "test_user, test_item: wanted pairs by user, then item"),
}


@pytest.mark.parametrize("damage", VERIFYING)
def test_damaged_numbers_are_found(folder, damage, monkeypatch):
    name, change, wanted = VERIFYING[damage]
    monkeypatch.setattr("socialjax.data.large.verify.PIECE", 7)
    array(folder, name, change)
    if "checksum" not in wanted:  # whoever damages on purpose writes the checksum anew
        monkeypatch.setattr("socialjax.data.large.verify._checksum", lambda *_: None)
    graph = open_graph(folder)
    if not wanted:
        return verify(graph)
    with pytest.raises(DataError, match=wanted):
        verify(graph)


def test_edges_of_one_direction_alone_are_found(folder, monkeypatch):
    monkeypatch.setattr("socialjax.data.large.verify._checksum", lambda *_: None)
    graph = open_graph(folder)
    row = int(np.flatnonzero(graph.follows.degree == 1)[0])
    place = int(graph.follows.offsets[row])
    old = int(graph.follows.columns[place])
    array(folder, "follows_columns", put(place, (old + 1) % graph.num_users))
    with pytest.raises(DataError, match="follows_columns: wanted the edges of the other direction, got others"):
        verify(open_graph(folder))


def test_arrays_are_mapped_and_cannot_be_written(folder):
    graph = open_graph(folder)
    assert all(isinstance(held, np.memmap) for held in graph.arrays.values())
    with pytest.raises(ValueError, match="read-only"):
        graph.train.user[0] = 1
    assert graph.train.item is graph.user_items.columns
    np.testing.assert_array_equal(np.load(folder / "item_user_offsets.npy"), graph.item_users.offsets)
