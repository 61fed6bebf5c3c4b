"""Features that are published beside a set: never taken by surprise, and whole or an error when they are asked for."""

import dataclasses
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from small_yelp import FEATURES, PATH, SMALL, packed, publish

from experiments import diffnet_yelp
from socialjax.commands import data as command
from socialjax.data.sets import PUBLISHED
from socialjax.data.sources import DataSettings, load, raw_folder
from socialjax.formats.file_bytes import DataError
from socialjax.run.command import read_arguments


def asked(server):
    return sorted({path.rsplit("/", 1)[1] for path, _ in server.asked})


def folder_of(tmp_path, names=tuple(SMALL), server=None):
    """A folder of one's own making that holds these files."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(SMALL.get(name) or server.tree[f"{PATH}/{name}"])
    return folder


def test_the_first_command_takes_ids_only(server, monkeypatch, tmp_path, caplog):
    """With a network and nothing else, of a server that has exactly the published tree."""
    place = os.environ.get("SOCIALJAX_DATA")
    monkeypatch.delenv("SOCIALJAX_DATA", raising=False)
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    if place and Path(place, "yelp").is_dir():
        publish(server, monkeypatch, {name: Path(place, "yelp", name).read_bytes() for name in SMALL}, 17_237, 38_342)
    else:
        publish(server, monkeypatch, SMALL, 3, 4)
    with caplog.at_level(logging.INFO, logger="socialjax"):
        data = load(read_arguments(diffnet_yelp.DEFINITION, []).data)
    assert data.provenance.kind == "real" and data.user_features is None and data.item_features is None
    assert asked(server) == sorted(SMALL) and set(data.provenance.files) == set(SMALL)
    assert "downloading yelp.train.rating, yelp.val.rating" in caplog.text and "vector" not in caplog.text


def test_with_the_option_features_are_taken_and_their_size_is_said_first(small, caplog):
    settings = DataSettings(name="yelp", published_features=True)
    with caplog.at_level(logging.INFO, logger="socialjax"):
        data = load(settings)
    assert (data.user_features.shape, data.item_features.shape) == ((3, 2), (4, 2))
    assert set(data.provenance.files) == {*SMALL, *FEATURES}
    said = [record.getMessage() for record in caplog.records]
    size = len(small.tree[f"{PATH}/user_vector.npy"])
    line = said.index(f"{small.address}{PATH}/user_vector.npy: {size} bytes")
    assert "yelp: downloading user_vector.npy, item_vector.npy" in said[:line]
    before = len(small.asked)
    np.testing.assert_array_equal(load(settings).item_features, data.item_features)  # now from the cache
    assert len(small.asked) == before


def test_the_prepared_forms_with_and_without_features_are_two(small):
    for on in (True, False, True, False):
        data = load(DataSettings(name="yelp", published_features=on))
        assert (data.item_features is not None, len(data.provenance.files)) == ((True, 6) if on else (False, 4))


def test_features_that_lie_there_are_not_read_unless_they_are_asked_for(small, tmp_path, caplog):
    folder = folder_of(tmp_path, (*SMALL, *FEATURES), small)
    (folder / "item_vector.npy").write_bytes(b"no table")
    with caplog.at_level(logging.INFO, logger="socialjax"):
        data = load(DataSettings(name="yelp", dir=folder))
    assert data.user_features is None and data.item_features is None and set(data.provenance.files) == set(SMALL)
    assert caplog.text.count("user_vector.npy and item_vector.npy") == 1
    assert "not used; --data.published-features takes them" in caplog.text
    with pytest.raises(DataError, match=r"item_vector\.npy: wanted a NumPy"):
        load(DataSettings(name="yelp", dir=folder, published_features=True))
    assert not small.asked


def test_features_that_lie_beside_a_set_without_published_ones_are_not_used_silently(
    small, tmp_path, monkeypatch, caplog
):
    monkeypatch.setitem(PUBLISHED, "yelp", dataclasses.replace(PUBLISHED["yelp"], optional=()))
    folder = folder_of(tmp_path, (*SMALL, "item_vector.npy"), small)
    with caplog.at_level(logging.INFO, logger="socialjax"):
        assert load(DataSettings(name="yelp", dir=folder)).item_features is None
    assert f"item_vector.npy in {folder} not used; --data.features FILE.npy takes a table of items" in caplog.text


def test_features_beside_a_named_folder_come_from_the_cache_or_the_network(small, tmp_path):
    settings = DataSettings(name="yelp", dir=folder_of(tmp_path), published_features=True)
    assert load(settings).user_features.shape == (3, 2)
    assert asked(small) == sorted(FEATURES)
    assert sorted(path.name for path in raw_folder("yelp").iterdir()) == sorted(FEATURES)
    assert sorted(path.name for path in settings.dir.iterdir()) == sorted(SMALL)  # a named folder is never written to


@pytest.mark.parametrize("how", ["offline", "not there", "another content"])
def test_features_that_cannot_be_had_are_an_error_that_names_their_place(small, tmp_path, how):
    where = rf"{PUBLISHED['yelp'].optional_at}.*or leave the option out"
    settings = DataSettings(name="yelp", dir=folder_of(tmp_path), published_features=True, offline=how == "offline")
    if how == "not there":
        del small.tree[f"{PATH}/item_vector.npy"]
    if how == "another content":
        small.tree[f"{PATH}/item_vector.npy"] = packed(np.ones((4, 2)))
    with pytest.raises(DataError, match=where) as error:
        load(settings)
    assert "item_vector.npy" in str(error.value)
    assert str(error.value).count("offline forbids") == (how == "offline")


def test_a_stand_in_does_not_take_the_place_of_features(small, monkeypatch):
    entry = dataclasses.replace(PUBLISHED["yelp"], addresses=("http://127.0.0.1:9/nothing",))
    monkeypatch.setitem(PUBLISHED, "yelp", entry)
    with pytest.raises(DataError, match=r"its stand-in has no features, which --data\.published-features wants"):
        load(DataSettings(name="yelp", published_features=True))


@pytest.mark.parametrize("name, said", [("lastfm", "no features are published"), ("mine", "is none of them")])
def test_sets_without_published_features_refuse_the_option(name, said):
    with pytest.raises(DataError, match=rf"--data\.published-features.*{said}"):
        load(DataSettings(name=name, published_features=True))


def test_fetch_takes_features_when_they_are_asked_for(small, capsys):
    assert command.main(["fetch", "yelp"]) == 0
    assert asked(small) == sorted(SMALL)
    out = capsys.readouterr().out
    assert "without its features, user_vector.npy and item_vector.npy" in out and "raw/yelp, as published" in out
    assert command.main(["fetch", "yelp", "--data.published-features"]) == 0
    assert asked(small) == sorted({*SMALL, *FEATURES})
    assert command.main(["fetch", "lastfm", "--data.published-features"]) == 1
    with (raw_folder("yelp") / "yelp.links").open("a") as file:
        file.write("2\t0\t1\n")
    assert command.main(["fetch", "yelp"]) == 1
    assert "raw/yelp, altered: yelp.links" in capsys.readouterr().out
