"""Where data come from: the order of places, what is refused, what is stated."""

import dataclasses
import gzip
import hashlib
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tyro

from socialjax.data import download, sources
from socialjax.data.schema import counts
from socialjax.data.sets import PUBLISHED
from socialjax.data.sources import DataSettings, load
from socialjax.formats.file_bytes import DataError

NOWHERE = ("http://127.0.0.1:9/nothing",)  # the discard port: refused at once


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An empty cache, no data folder, and addresses that refuse."""
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    real = os.environ.get("SOCIALJAX_DATA")
    monkeypatch.delenv("SOCIALJAX_DATA", raising=False)
    for name, entry in list(PUBLISHED.items()):
        monkeypatch.setitem(PUBLISHED, name, dataclasses.replace(entry, addresses=NOWHERE))
    return real


def write_own(folder, name="mine", users=(0, 1, 2)):
    """A folder of one's own in three parts: every user has four items, the last two held out."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, items in (("train", (0, 1)), ("val", (2,)), ("test", (3,))):
        rows = [f"{user}\t{item}\t1\n" for user in users for item in items]
        (folder / f"{name}.{part}.rating").write_text("".join(rows))
    (folder / f"{name}.links").write_text("0\t1\n1\t2\n")
    return folder


def publish(monkeypatch, folder, name="tiny"):
    """Registers the files of `folder` as a published set of three users."""
    from socialjax.data.sets import diffnet

    read = lambda place, seed: diffnet.read(place, name)  # noqa: E731
    entry = PUBLISHED["yelp"]
    files = tuple(dataclasses.replace(file, name=file.name.replace("yelp", name)) for file in entry.files)
    files = tuple(dataclasses.replace(file, text=download.content_id(folder / file.name, file)) for file in files)
    entry = dataclasses.replace(entry, name=name, files=files, optional=(), read=read, facts={})
    monkeypatch.setitem(PUBLISHED, name, entry)
    return entry


def marked(folder, user):
    """A copy of one's own folder in which only `user` tells where it was read."""
    return write_own(folder, "tiny", (0, 1, user))


def test_places_are_searched_in_order(tmp_path, monkeypatch):
    named, by_variable = marked(tmp_path / "named", 3), marked(tmp_path / "all" / "tiny", 4)
    cached = marked(tmp_path / "cache" / "raw" / "tiny", 5)
    publish(monkeypatch, named)
    monkeypatch.setenv("SOCIALJAX_DATA", str(tmp_path / "all"))
    assert load(DataSettings(name="tiny", dir=named)).train.user.max() == 3
    assert load(DataSettings(name="tiny")).train.user.max() == 4
    shutil.rmtree(by_variable)
    assert load(DataSettings(name="tiny")).train.user.max() == 5
    assert sources.find(DataSettings(name="tiny")).place == "cache"
    shutil.rmtree(cached)
    assert sources.find(DataSettings(name="tiny")) is None


def test_a_named_folder_that_lacks_files_is_an_error_that_lists_them(tmp_path, monkeypatch):
    folder = tmp_path / "all" / "yelp"
    folder.mkdir(parents=True)
    (folder / "yelp.links").write_text("0\t1\t1\n")
    for settings, variable in (
        (DataSettings(name="yelp", dir=folder), None),
        (DataSettings(name="yelp"), folder.parent),
    ):
        if variable:
            monkeypatch.setenv("SOCIALJAX_DATA", str(variable))
        with pytest.raises(
            DataError, match=r"lacks yelp\.train\.rating, yelp\.val\.rating, yelp\.test\.rating of yelp"
        ):
            load(settings)


def test_names_of_folders_that_do_not_exist_are_errors(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"--data\.dir names .*not a folder"):
        load(DataSettings(name="yelp", dir=tmp_path / "typo"))
    monkeypatch.setenv("SOCIALJAX_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataError, match=r"SOCIALJAX_DATA names .*not a folder"):
        load(DataSettings(name="yelp"))


def test_nothing_found_gives_the_stand_in_and_says_so(caplog):
    with caplog.at_level(logging.WARNING, logger="socialjax"):
        data = load(DataSettings(name="filmtrust"))
    assert data.provenance.kind == "stand-in"
    assert "using the generated stand-in, not real data" in caplog.text and "cannot be reached" in caplog.text


def test_require_real_says_what_to_put_where():
    with pytest.raises(DataError) as error:
        load(DataSettings(name="lastfm", require_real=True))
    for part in ("data1.txt, test1.txt, trustnetwork.txt", "--data.dir", "SOCIALJAX_DATA", "raw/lastfm", NOWHERE[0]):
        assert part in str(error.value)


def test_a_set_without_a_stand_in_says_what_to_put_where():
    with pytest.raises(DataError, match=r"files of tiktok were not found and there is no stand-in of it.*train\.txt"):
        load(DataSettings(name="tiktok", offline=True))


def test_offline_asks_no_address(monkeypatch):
    monkeypatch.setattr(download, "fetch", lambda *_: pytest.fail("asked an address"))
    assert load(DataSettings(name="filmtrust", offline=True)).provenance.kind == "stand-in"
    with pytest.raises(DataError, match="offline forbids the download"):
        load(DataSettings(name="filmtrust", offline=True, require_real=True))


def test_an_unknown_name_lists_the_published_sets():
    with pytest.raises(DataError, match=r"yelp, flickr, lastfm, filmtrust.*--data\.dir"):
        load(DataSettings(name="yelpp"))


def test_options_of_own_folders_are_not_silently_ignored():
    with pytest.raises(DataError, match=r"--data\.k-core cannot be applied to yelp"):
        load(DataSettings(name="yelp", k_core=5))


def test_no_validation_moves_its_pairs_into_train():
    whole, merged = (load(DataSettings(name="filmtrust", validation=how)) for how in ("auto", "none"))
    assert len(merged.validation) == 0 and len(merged.train) == len(whole.train) + len(whole.validation)
    assert set(zip(*merged.train.columns()[:3])) == set(zip(*whole.train.columns()[:3])) | set(
        zip(*whole.validation.columns()[:3])
    )
    assert "2722 validation pairs moved into train" in merged.provenance.repairs[-1]
    assert whole.provenance.repairs == ()


def test_own_folder_with_options_and_changed_files(tmp_path):
    folder = write_own(tmp_path / "mine")
    settings = DataSettings(name="mine", dir=folder, validation="none")
    first = load(settings)
    assert (len(first.train), len(first.validation), len(first.test)) == (9, 0, 3)
    assert first.provenance.source == str(folder) and first.provenance.kind == "real"
    before = sorted(path.name for path in folder.iterdir())
    with open(folder / "mine.links", "a") as links:
        links.write("2\t0\n")
    assert len(load(settings).links) == len(first.links) + 1
    assert sorted(path.name for path in folder.iterdir()) == before  # nothing is written beside the raw files
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    assert load(dataclasses.replace(settings, dir=moved)).provenance.source == str(moved)


def test_item_features_of_a_file_take_the_place_of_the_sets_own(tmp_path):
    folder = write_own(tmp_path / "mine")
    np.save(tmp_path / "look.npy", np.arange(8.0).reshape(4, 2))
    settings = DataSettings(name="mine", dir=folder, features=tmp_path / "look.npy")
    data = load(settings)
    np.testing.assert_array_equal(data.item_features, np.arange(8.0).reshape(4, 2))
    assert load(dataclasses.replace(settings, features=None)).item_features is None
    (sha256,) = (value for name, value in data.provenance.files.items() if name == "features look.npy")
    np.save(tmp_path / "look.npy", np.ones((4, 2)))
    assert load(settings).provenance.files["features look.npy"] != sha256
    for bad, said in ((np.ones((5, 2)), "wanted 4 rows"), (np.full((4, 2), np.nan), "NaN or infinity in 4 of 4 rows")):
        np.save(tmp_path / "look.npy", bad)
        with pytest.raises(DataError, match=said):
            load(settings)
    with pytest.raises(DataError, match=r"is not a file; give features with ids .* or a .npy table of 4 rows"):
        load(dataclasses.replace(settings, features=tmp_path / "nothing.npy"))


def test_settings_become_a_command_line():
    @dataclasses.dataclass
    class Command:
        data: DataSettings

    arguments = "--data.name mine --data.k-core 3 --data.validation none --offline --require-real"
    settings = tyro.cli(Command, args=arguments.split()).data
    assert settings.require_real
    assert (settings.name, settings.k_core, settings.validation, settings.offline) == ("mine", 3, "none", True)


def test_real_sets_have_the_published_counts(places, monkeypatch, tmp_path):
    if not places:
        pytest.skip("set SOCIALJAX_DATA to the folder that holds yelp/, flickr/, ... to run this test")
    monkeypatch.setenv("SOCIALJAX_DATA", places)
    for name, entry in PUBLISHED.items():
        data = load(DataSettings(name=name, require_real=True))
        assert (data.provenance.kind, data.provenance.published) == ("real", "as published")
        assert counts(data) == {**counts(data), **entry.counts}
        again = load(DataSettings(name=name, require_real=True))  # now from the prepared columns
        for part, pairs in data.parts().items():
            for old, new in zip(pairs.columns(), again.parts()[part].columns()):
                np.testing.assert_array_equal(old, new)
        assert again.provenance == data.provenance
        for file in entry.files:
            found = sources.raw_files(name, sources.find(DataSettings(name=name)).folder)
            path = next(path for path in found if path.name in (file.name, f"{file.name}.gz"))
            plain = tmp_path / file.name  # checksums are those of the published texts, which may lie there packed
            plain.write_bytes(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
            assert download.content_id(plain, file) == (file.blob or file.text)


@pytest.mark.parametrize("changes", [1, 2])
def test_files_that_change_while_they_are_read_are_read_again(tmp_path, monkeypatch, changes):
    """Never kept under the checksum of their former content."""
    folder = write_own(tmp_path / "tiny", "tiny")
    entry = publish(monkeypatch, folder)
    left = [changes]

    def read(place, seed):
        if left[0]:
            left[0] -= 1
            with open(place / "tiny.links", "a") as file:
                file.write("2\t0\n" if left[0] else "2\t1\n")
        return entry.read(place, seed)

    monkeypatch.setitem(PUBLISHED, "tiny", dataclasses.replace(entry, read=read))
    if changes == 2:
        with pytest.raises(DataError, match="tiny: the files have changed since"):
            load(DataSettings(name="tiny", dir=folder))
    data = load(DataSettings(name="tiny", dir=folder))
    assert len(data.links) == 2 + changes
    assert data.provenance.files == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    again = load(DataSettings(name="tiny", dir=folder))
    assert len(again.links) == 2 + changes and again.provenance == data.provenance


def test_a_folder_below_the_home_folder_and_one_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_own(tmp_path / "mine")
    assert load(DataSettings(name="mine", dir=Path("~/mine"))).num_items == 4
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"names other, which is not a folder in {tmp_path}; correct it"):
        load(DataSettings(name="mine", dir=Path("other")))
