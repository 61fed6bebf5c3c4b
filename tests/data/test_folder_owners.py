"""Owners, uploads and social features of anyone's own folder: read in every form, and each fault named."""

import gzip

import numpy as np
import pytest

from socialjax.commands import data as command
from socialjax.data import sources
from socialjax.data.own import folder
from socialjax.data.own.folder import FolderOptions
from socialjax.data.sources import DataSettings
from socialjax.formats.file_bytes import DataError

MADE_BY = {"a1": "ann", "a2": "ann", "b1": "bob", "c1": "lurker"}


@pytest.fixture
def mine(tmp_path):
    """Three people who favour five images; a fourth is followed and made one of them; nobody made `x`."""
    pairs = {"ann": "b1 c1 x", "bob": "a1 a2 c1", "cy": "a1 b1 x"}
    rows = [f"{user}\t{item}\n" for user, items in pairs.items() for item in items.split()]
    (tmp_path / "mine.rating").write_text("".join(rows))
    (tmp_path / "mine.links").write_text("ann\tlurker\nbob\tann\n")
    return tmp_path


def write(folder, name, rows, separator="\t"):
    (folder / name).write_text("".join(separator.join(row) + "\n" for row in rows))


def owners_by_name(data):
    return {
        str(item): None if owner < 0 else str(data.user_names[owner])
        for item, owner in zip(data.item_names, data.owners)
    }


@pytest.mark.parametrize("separator", ["\t", ","])
@pytest.mark.parametrize(
    "name, header",
    [
        ("owners", None),
        ("owners", ("image", "owner")),
        ("owners", ("creator", "item")),
        ("uploads", None),
        ("uploads", ("user", "image")),
        ("uploads", ("item", "user")),
    ],
)
def test_owners_in_any_dress_give_the_same(mine, name, header, separator):
    turned = name == "uploads"
    if header is not None:
        turned = header[1] in ("image", "item")
    rows = [(user, item) if turned else (item, user) for item, user in MADE_BY.items()]
    write(mine, f"mine.{name}", ([header] if header else []) + rows, separator)
    data = folder.read(mine, "mine")
    assert owners_by_name(data) == MADE_BY | {"x": None}
    assert data.owners.dtype == np.int32 and f"mine.{name}" in data.provenance.files


def test_both_files_are_joined_packed_or_not(mine):
    write(mine, "mine.owners", [("a1", "ann"), ("b1", "bob")])
    (mine / "mine.uploads.gz").write_bytes(gzip.compress(b"ann\ta2\nlurker\tc1\nann\ta1\n"))
    assert owners_by_name(folder.read(mine, "mine")) == MADE_BY | {"x": None}


def test_items_without_an_owner_are_kept_and_said_and_unknown_items_passed_over(mine, capsys, monkeypatch):
    monkeypatch.setenv("SOCIALJAX_CACHE", str(mine / "cache"))
    write(mine, "mine.owners", [*MADE_BY.items(), ("never favoured", "bob")])
    data = folder.read(mine, "mine")
    assert "1 lines of mine.owners on items without a pair passed over" in data.provenance.repairs
    assert command.main(["check", "mine", "--data.dir", str(mine)]) == 0
    out = capsys.readouterr().out
    assert "note: 1 items without an owner" in out
    assert ["items", "without", "owner", "1"] in [line.split() for line in out.splitlines()]
    assert command.main(["describe", "mine", "--data.dir", str(mine)]) == 0
    assert "uploads per user: median 1, mean 1.0, max 2" in capsys.readouterr().out


def test_an_owner_who_is_no_known_user_is_an_error(mine):
    write(mine, "mine.owners", [("a1", "ann"), ("b1", "stranger")])
    with pytest.raises(DataError, match=r"mine\.owners, line 2: wanted an owner who is a user.*got 'stranger'; give"):
        folder.read(mine, "mine")
    (mine / "mine.owners").unlink()
    write(mine, "mine.uploads", [("stranger", "b1")])
    with pytest.raises(DataError, match=r"mine\.uploads, line 1: wanted an owner who is a user"):
        folder.read(mine, "mine")


def test_an_item_of_two_owners_is_an_error(mine):
    write(mine, "mine.owners", [("a1", "ann"), ("b1", "bob"), ("a1", "ann"), ("a1", "cy")])
    with pytest.raises(
        DataError, match=r"mine\.owners, line 4: wanted one owner for item 'a1', 'ann' so far, got 'cy'"
    ):
        folder.read(mine, "mine")
    write(mine, "mine.owners", [("a1", "ann")])
    write(mine, "mine.uploads", [("cy", "b1"), ("cy", "a1")])
    with pytest.raises(DataError, match=r"mine\.uploads, line 2: wanted one owner for item 'a1', 'ann' so far"):
        folder.read(mine, "mine")


def test_a_file_that_names_no_known_item_is_an_error(mine):
    write(mine, "mine.owners", [("ann", "a1")])  # the wrong way round
    with pytest.raises(DataError, match=r"mine\.owners: wanted owners of items that occur in pairs, got none"):
        folder.read(mine, "mine")


def test_owners_outside_a_core_leave_the_item_without_one(mine):
    write(mine, "mine.owners", MADE_BY.items())
    data = folder.read(mine, "mine", FolderOptions(k_core=2))
    assert owners_by_name(data) == {"a1": "ann", "b1": "bob", "c1": None, "x": None}
    assert "1 owners in mine.owners outside the core passed over" in data.provenance.repairs


def numbered(tmp_path, users=4, rows=None):
    """Ids that are row numbers; user 3 occurs in no pair."""
    pairs = [(user, item) for user in range(3) for item in range(user, 4)]
    write(tmp_path, "mine.rating", [(str(u), str(i)) for u, i in pairs])
    write(tmp_path, "mine.links", [("0", "2")])
    if rows is not None:
        np.save(tmp_path / "social_vector.npy", rows)
    return tmp_path


def test_social_features_and_owners_go_by_row_number(tmp_path):
    table = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    numbered(tmp_path, rows=table)
    write(tmp_path, "mine.owners", [("0", "4"), ("3", "1")])  # user 4 has a row and so is known
    data = folder.read(tmp_path, "mine")
    assert data.num_users == 5 and data.user_names is None
    np.testing.assert_array_equal(data.social_features, table)
    assert data.owners.tolist() == [4, -1, -1, 1]
    assert [path.name for path in sources.raw_files("mine", tmp_path)] == [
        "mine.links",
        "mine.owners",
        "mine.rating",
        "social_vector.npy",
    ]
    write(tmp_path, "mine.owners", [("0", "5")])
    with pytest.raises(DataError, match=r"mine\.owners, line 1: wanted an owner who is a user.*got '5'"):
        folder.read(tmp_path, "mine")


def test_social_features_and_owners_come_back_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "files"
    place.mkdir()
    numbered(place, rows=np.eye(4, dtype=np.float32))
    write(place, "mine.owners", [("0", "2")])
    once, again = (sources.load(DataSettings(name="mine", dir=place)) for _ in range(2))
    assert once.owners.tolist() == again.owners.tolist() == [2, -1, -1, -1]
    np.testing.assert_array_equal(again.social_features, np.eye(4, dtype=np.float32))
    np.save(place / "social_vector.npy", 2 * np.eye(4, dtype=np.float32))
    assert sources.load(DataSettings(name="mine", dir=place)).social_features[0, 0] == 2  # changed files are read


def test_wrong_rows_nan_and_links_of_unknown_users_are_errors(tmp_path):
    numbered(tmp_path, rows=np.ones((4, 2), np.float32))
    np.save(tmp_path / "user_vector.npy", np.ones((5, 2), np.float32))
    with pytest.raises(DataError, match=r"social_vector\.npy: wanted 5 rows, one for each id, got 4"):
        folder.read(tmp_path, "mine")
    (tmp_path / "user_vector.npy").unlink()
    table = np.ones((4, 2), np.float32)
    table[2, 1] = np.nan
    np.save(tmp_path / "social_vector.npy", table)
    with pytest.raises(DataError, match=r"social_vector\.npy: wanted finite .* in 1 of 4 rows \(2\)"):
        folder.read(tmp_path, "mine")
    np.save(tmp_path / "social_vector.npy", np.ones((4, 2), np.float32))
    write(tmp_path, "mine.links", [("0", "2"), ("1", "4")])
    with pytest.raises(DataError, match=r"mine\.links, line 2: wanted the number of one of the 4 rows .* got '4'"):
        folder.read(tmp_path, "mine")
    write(tmp_path, "mine.links", [("0", "2")])
    np.save(tmp_path / "item_vector.npy", np.ones((3, 2), np.float32))
    with pytest.raises(DataError, match=r"mine\.rating, line 4: wanted the number of one of the 3 rows of the item"):
        folder.read(tmp_path, "mine")
