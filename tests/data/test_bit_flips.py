"""One bit that is flipped in any file that data come from is noticed, and the file is named."""

import logging
import os
import random
from pathlib import Path

import numpy as np
import pytest
from small_yelp import FEATURES, SMALL, content_of, publish
from test_builders import assert_same

from socialjax.data import cache, sources
from socialjax.data.sources import DataSettings
from socialjax.formats.file_bytes import DataError


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    place = os.environ.get("SOCIALJAX_DATA")
    monkeypatch.delenv("SOCIALJAX_DATA", raising=False)
    return place


@pytest.fixture
def published(places, server, monkeypatch, tmp_path):
    """write(files, users, items) -> settings of a published set in a folder, with features."""

    def write(files, users, items):
        publish(server, monkeypatch, files, users, items)
        folder = tmp_path / "yelp"
        folder.mkdir()
        for name in (*files, *FEATURES):
            (folder / name).write_bytes(content_of(server, name))
        return DataSettings(name="yelp", dir=folder, published_features=True)

    return write


@pytest.fixture
def own(places, tmp_path):
    """The settings of a folder of one's own, with features in it and beside it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, content in SMALL.items():
        (folder / name.replace("yelp", "mine")).write_bytes(content)
    np.save(folder / "user_vector.npy", np.ones((3, 2), np.float32))
    np.save(tmp_path / "look.npy", np.ones((4, 2), np.float32))
    return DataSettings(name="mine", dir=folder, features=tmp_path / "look.npy")


def flipped(path, rng):
    """Flips one bit of the file; returns what was there."""
    before = path.read_bytes()
    after = bytearray(before)
    after[rng.randrange(len(after))] ^= 1 << rng.randrange(8)
    path.write_bytes(after)
    return before


def prepared_files(name):
    (folder,) = (path for path in (cache.cache_folder() / "prepared" / name).iterdir() if path.name[0] != ".")
    return sorted(folder.iterdir())


def unnoticed(settings, paths, flips, caplog, rng):
    """[(file, error, what was said)] of flips that passed, one flip at a time in one of the files, each as often."""
    whole = sources.load(settings)
    found = []
    for number in range(flips):
        path = paths[number % len(paths)]
        before = flipped(path, rng)
        caplog.clear()
        data, error = None, ""
        try:
            data = sources.load(settings)
        except DataError as problem:
            error = str(problem)
        said = any(path.name in each.getMessage() for each in caplog.records if each.levelno == logging.WARNING)
        if data is None:
            noticed = said or path.name in error
        else:
            changed = sorted(n for n, sha in whole.provenance.files.items() if data.provenance.files.get(n) != sha)
            if path.is_relative_to(cache.cache_folder()):
                noticed = said and not changed
                assert_same(data, whole)  # made again from the files
            elif settings.name == "yelp":
                noticed = said and data.provenance.published == f"altered: {path.name}"
            else:  # by the run, which is bound to the checksums
                noticed = changed == [f"features {path.name}" if path == settings.features else path.name]
        found += [] if noticed else [(path.name, error, caplog.text)]
        path.write_bytes(before)
    return found


def all_files(settings):
    sources.load(settings)
    given = [settings.features] if settings.features else []
    return [*sorted(settings.dir.iterdir()), *given, *prepared_files(settings.name)]


def test_a_flipped_bit_of_a_published_set_is_noticed(published, caplog):
    settings = published(SMALL, 3, 4)
    paths = all_files(settings)
    assert {"yelp.links", "item_vector.npy", "SHA256SUMS", "features.json", "metadata.json"} <= {p.name for p in paths}
    assert unnoticed(settings, paths, len(paths), caplog, random.Random(0)) == []


def test_a_flipped_bit_of_ones_own_files_is_noticed(own, caplog):
    paths = [path for path in all_files(own) if not path.is_relative_to(cache.cache_folder())]
    assert {"mine.test.rating", "user_vector.npy", "look.npy"} <= {path.name for path in paths}
    assert unnoticed(own, paths, 2 * len(paths), caplog, random.Random(1)) == []


@pytest.mark.slow
def test_200_flips_of_the_real_files_are_noticed(published, places, caplog):
    if not places:
        pytest.skip("set SOCIALJAX_DATA to the folder that holds yelp/, flickr/, ... to run this test")
    files = {name: (Path(places) / "yelp" / name).read_bytes() for name in SMALL}
    settings = published(files, 17_237, 38_342)
    assert unnoticed(settings, all_files(settings), 200, caplog, random.Random(2)) == []
