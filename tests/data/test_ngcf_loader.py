"""Folders in the format of the NGCF and LightGCN releases: one line of items for each user."""

import gzip
import os

import numpy as np
import pytest

from socialjax.data import sources
from socialjax.data.own import folder, ngcf
from socialjax.data.own.folder import FolderOptions
from socialjax.data.sources import DataSettings, load
from socialjax.formats.file_bytes import DataError

TRAIN = "0 3 1 4\n1 0 2\n2\n3 5 0 1 2\n"
TEST = "0 0\n1 \n2 5 1\n4 2\n"


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty cache and no data folder."""
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SOCIALJAX_DATA", raising=False)


def write(where, **parts):
    """train=..., test=..., val=...: text to one file each."""
    where.mkdir(parents=True, exist_ok=True)
    for part, text in parts.items():
        (where / f"{part}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return where


def pairs(part):
    return list(zip(part.user.tolist(), part.item.tolist()))


def test_each_line_is_a_user_and_the_items_and_an_empty_list_is_no_pair(tmp_path):
    data = ngcf.read(write(tmp_path, train=TRAIN, test=TEST), "mine")
    assert pairs(data.train) == [(0, 3), (0, 1), (0, 4), (1, 0), (1, 2), (3, 5), (3, 0), (3, 1), (3, 2)]
    assert pairs(data.test) == [(0, 0), (2, 5), (2, 1), (4, 2)] and not len(data.validation)
    assert (data.num_users, data.num_items) == (5, 6)
    assert data.train.user.dtype == data.train.item.dtype == np.int32
    assert set(data.provenance.files) == {"train.txt", "test.txt"} and data.provenance.kind == "real"


def test_users_without_any_item_still_count(tmp_path):
    assert ngcf.read(write(tmp_path, train="0 0\n7\n", test="0 1\n"), "mine").num_users == 8


@pytest.mark.parametrize("change", ["\t", "windows", "blank lines", "no end", "gz"])
def test_dress_does_not_matter(tmp_path, change):
    text = {
        "\t": TRAIN.replace(" ", "\t"),
        "windows": TRAIN.replace("\n", " \r\n"),
        "blank lines": "\n" + TRAIN.replace("\n", "\n\n"),
        "no end": TRAIN[:-1],
    }.get(change, TRAIN)
    write(tmp_path, train=text, test=TEST)
    if change == "gz":
        (tmp_path / "train.txt.gz").write_bytes(gzip.compress(TRAIN.encode()))
        (tmp_path / "train.txt").unlink()
    plain = write(tmp_path / "plain", train=TRAIN, test=TEST)
    assert pairs(ngcf.read(tmp_path, "mine").train) == pairs(ngcf.read(plain, "mine").train)


def test_it_equals_a_plain_reading_on_a_large_file_with_a_very_long_line(tmp_path):
    rng = np.random.default_rng(0)
    lists = [rng.permutation(20_000)[: rng.integers(0, 40)].tolist() for _ in range(300)]
    lists[17] = rng.permutation(20_000).tolist()  # 109 kB
    text = "".join(f"{user} {' '.join(map(str, items))}\n" for user, items in enumerate(lists))
    data = ngcf.read(write(tmp_path, train=text, test="0 20000\n"), "mine")
    assert pairs(data.train) == [(user, item) for user, items in enumerate(lists) for item in items]


@pytest.mark.parametrize(
    "text, message",
    [
        ("0 1\n1 2 x\n", r"train\.txt, line 2: wanted a whole number from 0 to \d+ as item id, got 'x'"),
        ("0 1\n\n1 2 -3\n", r"train\.txt, line 3: .* as item id, got '-3'"),
        ("0 1\na 2\n", r"train\.txt, line 2: .* as user id, got 'a'"),
        ("0 1\n1 2.0\n", r"train\.txt, line 2: .* as item id, got '2\.0'"),
        ("0 1\n1 99999999999\n", r"train\.txt, line 2: .* got '99999999999'"),
        ("0 1\r\n1 2\r\n2 y\r\n", r"train\.txt, line 3: .* got 'y'"),
        ("0 1\n1 0\n1 2\n", r"train\.txt, line 3: wanted each user on one line, got user 1 on line 2 too"),
        ("0 1\n1 caf\u00e9\n", r"train\.txt, line 2: wanted numbers, got byte 0xc3"),
        (b"0 1\n\x00", r"train\.txt, line 2: wanted numbers, got byte 0x00"),
        ("", r"train\.txt: wanted lines .*, got an empty file"),
        ("\n \n", r"train\.txt: wanted lines .*, got an empty file"),
        ("0 1\n2000000000 1\n", r"wanted user ids without large gaps, got an id of 2000000000"),
    ],
)
def test_what_is_no_list_is_refused_with_file_and_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        ngcf.read(write(tmp_path, train=text, test="0 0\n"), "mine")


def test_lists_without_anything_to_test_or_to_train_on_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"wanted items in test\.txt, got users without any"):
        folder.read(write(tmp_path / "a", train=TRAIN, test="0\n1\n"), "mine")
    with pytest.raises(DataError, match="wanted training pairs, got none"):
        folder.read(write(tmp_path / "b", train="0\n", test="0 1\n"), "mine", FolderOptions(validation="none"))


def test_a_folder_that_goes_by_a_published_name_must_hold_that_set(tmp_path):
    write(tmp_path, train=TRAIN, test=TEST)
    with pytest.raises(DataError, match=r"(?s)'gowalla' is not the published one.*train +810128 +9 +<- differs"):
        ngcf.read(tmp_path, "gowalla")


def test_without_the_files_of_a_published_name_the_error_says_which_and_how_they_look(places, tmp_path):
    with pytest.raises(
        DataError, match=r"gowalla were not found\. .*train\.txt and test\.txt.*`0 12 7 431`.*--data\.dir"
    ):
        load(DataSettings(name="gowalla"))
    where = write(tmp_path / "some", train=TRAIN)
    with pytest.raises(DataError, match=r"some \(--data\.dir\) lacks test\.txt\. gowalla is two files"):
        load(DataSettings(name="gowalla", dir=where))
    assert ngcf.missing(where, "mine") == [] and ngcf.missing(tmp_path, "gowalla") == ["train.txt", "test.txt"]
    (where / "gowalla.rating").write_text("0\t1\n")
    assert ngcf.missing(where, "gowalla") == []


def test_a_pair_in_train_and_test_is_refused_and_one_that_stands_twice_is_stated(tmp_path):
    with pytest.raises(DataError, match="pairs of test that are in train too, got 1"):
        folder.read(write(tmp_path / "a", train="0 1 2\n", test="0 2\n"), "mine", FolderOptions(validation="none"))
    data = folder.read(write(tmp_path / "b", train="0 1 2 1\n", test="0 3\n"), "mine", FolderOptions(validation="none"))
    assert pairs(data.train) == [(0, 1), (0, 2)]
    assert "1 duplicate pairs in train dropped, the first of each kept" in data.provenance.repairs


def test_validation_is_read_made_from_train_or_left_out(tmp_path):
    lists = "".join(f"{user} {' '.join(map(str, range(20)))}\n" for user in range(4))
    write(tmp_path, train=lists, test="0 20\n")
    whole = folder.read(tmp_path, "mine", FolderOptions(validation="none"))
    assert len(whole.train) == 80 and not len(whole.validation)
    made = folder.read(tmp_path, "mine", FolderOptions(seed=1))
    assert len(made.validation) and len(made.train) + len(made.validation) == 80
    assert any("no validation given" in said for said in made.provenance.repairs)
    write(tmp_path, val="1 20\n")
    assert pairs(folder.read(tmp_path, "mine").validation) == [(1, 20)]
    kept = folder.read(tmp_path, "mine", FolderOptions(validation="none"))
    assert len(kept.train) == 81 and not len(kept.validation)


def test_settings_for_unsplit_files_are_refused(tmp_path):
    write(tmp_path, train=TRAIN, test=TEST)
    for options in (
        FolderOptions(split="ratio"),
        FolderOptions(k_core=2),
        FolderOptions(min_value=3),
        FolderOptions(cold_items=0.1),
    ):
        with pytest.raises(DataError, match="split already and have no values, got"):
            folder.read(tmp_path, "mine", options)


def test_files_of_the_set_s_own_name_win_over_lists(tmp_path):
    write(tmp_path, train=TRAIN, test=TEST)
    for part, text in (("train", "0\t0\n1\t1\n"), ("test", "0\t1\n")):
        (tmp_path / f"mine.{part}.rating").write_text(text)
    assert pairs(folder.read(tmp_path, "mine", FolderOptions(validation="none")).train) == [(0, 0), (1, 1)]
    assert len(folder.read(tmp_path, "other", FolderOptions(validation="none")).train) == 9


@pytest.mark.usefixtures("places")
def test_the_command_line_s_settings_find_it_and_its_files_decide_what_is_kept(tmp_path, monkeypatch):
    write(tmp_path / "all" / "mine", train=TRAIN, test=TEST)
    settings = DataSettings(name="mine", dir=tmp_path / "all" / "mine", validation="none")
    data = load(settings)
    assert len(data.train) == 9 and data.provenance.source == str(tmp_path / "all" / "mine")
    assert [path.name for path in sources.raw_files("mine", settings.dir)] == ["test.txt", "train.txt"]
    monkeypatch.setenv("SOCIALJAX_DATA", str(tmp_path / "all"))
    assert pairs(load(DataSettings(name="mine", validation="none")).train) == pairs(data.train)
    write(settings.dir, train=TRAIN + "4 4\n")
    os.utime(settings.dir / "train.txt", (1, 1))
    assert len(load(settings).train) == 10


@pytest.mark.usefixtures("places")
def test_without_a_folder_the_error_says_what_to_give(tmp_path):
    with pytest.raises(DataError, match=r"give --data\.dir DIR.*train\.txt and test\.txt with a line of items"):
        load(DataSettings(name="mine"))
    with pytest.raises(DataError, match=r"wanted mine\.train\.rating"):
        load(DataSettings(name="mine", dir=write(tmp_path / "half", train=TRAIN)))
