"""Files of a published set that are others than those that were published are named, at every load."""

import gzip
import logging
import os
from pathlib import Path

import pytest
from small_yelp import FEATURES, PATH, SMALL

from socialjax.commands import data as command
from socialjax.data import sources
from socialjax.data.sources import DataSettings
from socialjax.run.display import describe


@pytest.fixture
def folder(small, tmp_path):
    """Everything that is published, in a folder of one's own making."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in (*SMALL, *FEATURES):
        (folder / name).write_bytes(small.tree[f"{PATH}/{name}"])
    return folder


def load(folder, **settings):
    return sources.load(DataSettings(name="yelp", dir=folder, **settings))


def test_published_files_are_known_by_their_content_however_they_lie_there(folder, caplog):
    assert load(folder).provenance.published == "as published"
    windows = SMALL["yelp.links"].replace(b"\n", b"\r\n")
    (folder / "yelp.links").write_bytes(windows)
    packed = gzip.compress((folder / "yelp.val.rating").read_bytes())
    (folder / "yelp.val.rating").unlink()
    (folder / "yelp.val.rating.gz").write_bytes(packed)
    (folder / "item_vector.npy.gz").write_bytes(gzip.compress((folder / "item_vector.npy").read_bytes()))
    (folder / "item_vector.npy").unlink()
    for features in (False, True):
        assert load(folder, published_features=features).provenance.published == "as published"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_altered_files_are_named_with_a_warning_at_every_load(folder, caplog):
    for name in ("yelp.test.rating", "yelp.links"):
        (folder / name).write_bytes(SMALL[name].replace(b"2\t", b"1\t"))
    for _ in range(2):  # the second comes from the prepared form
        caplog.clear()
        data = load(folder)
        assert data.provenance.published == "altered: yelp.links, yelp.test.rating"
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 2 and f"{folder / 'yelp.links'} is not the file that was published" in warnings[0]
        assert describe(data).startswith("yelp, real, ALTERED: yelp.links, yelp.test.rating, ids only: 3 users")


def test_features_are_compared_when_they_are_taken(folder):
    content = bytearray((folder / "item_vector.npy").read_bytes())
    content[-1] ^= 1
    (folder / "item_vector.npy").write_bytes(content)
    assert load(folder).provenance.published == "as published"
    assert load(folder, published_features=True).provenance.published == "altered: item_vector.npy"


def test_a_name_of_ones_own_promises_nothing(folder):
    for name in SMALL:
        (folder / name).rename(folder / name.replace("yelp", "mine"))
    data = sources.load(DataSettings(name="mine", dir=folder))
    assert data.provenance.published == "" and describe(data).startswith("mine, real, with features: 3 users")


def test_check_exits_1_for_a_single_changed_item(small, monkeypatch, tmp_path, capsys):
    """Of the real files where they are: one test item is another one, and all counts stay."""
    monkeypatch.undo()  # the registry as it is
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    place = os.environ.get("SOCIALJAX_DATA")
    if not place:
        pytest.skip("set SOCIALJAX_DATA to the folder that holds yelp/, flickr/, ... to run this test")
    folder = tmp_path / "filmtrust"
    folder.mkdir()
    for name in ("trainset.txt", "testset.txt", "trust.txt"):
        (folder / name).write_bytes((Path(place) / "filmtrust" / name).read_bytes())
    assert command.main(["check", "filmtrust", "--data.dir", str(folder)]) == 0
    assert "filmtrust: files as published" in capsys.readouterr().out
    lines = [line.split() for line in (folder / "testset.txt").read_text().splitlines()]
    taken = {
        tuple(line.split()[:2])
        for name in ("trainset.txt", "testset.txt")
        for line in (folder / name).read_text().splitlines()
    }
    free = next(item for _, item, *_ in lines if (lines[10][0], item) not in taken)
    lines[10][1] = free
    (folder / "testset.txt").write_text("".join(f"{' '.join(line)}\n" for line in lines))
    assert command.main(["check", "filmtrust", "--data.dir", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "filmtrust (real data, ALTERED: testset.txt; ids only" in out
    assert "filmtrust: files altered: testset.txt" in out

    # A rating is in no figure: the checksum alone tells.
    (folder / "testset.txt").write_bytes((Path(place) / "filmtrust" / "testset.txt").read_bytes())
    lines = [line.split() for line in (folder / "testset.txt").read_text().splitlines()]
    lines[10][2] = "0.5" if lines[10][2] != "0.5" else "1"
    (folder / "testset.txt").write_text("".join(f"{' '.join(line)}\n" for line in lines))
    assert command.main(["check", "filmtrust", "--data.dir", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "filmtrust: files altered: testset.txt" in out and ", 0 differ" in out
