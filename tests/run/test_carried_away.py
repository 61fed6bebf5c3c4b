"""A run that was carried elsewhere: its data and features are named again, and it may be one that can only be read."""

import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny import ITEMS, TINY, write_folder

import socialjax
from socialjax.commands import explain, recommend
from socialjax.data.sources import DataSettings
from socialjax.formats.file_bytes import DataError
from socialjax.models import BPR
from socialjax.run import display, results
from socialjax.run.execute import main
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.train import loop
from socialjax.train.step import TrainSettings

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture(scope="module")
def definition():
    evaluation = EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10))
    return Definition("small", "", Experiment(BPR(dim=4), DataSettings(name="own"), TrainSettings(**TINY), evaluation))


@pytest.fixture(scope="module")
def made(definition, run_home, tmp_path_factory):
    """A folder with a run, its data inside it, and features beside it; tests only read it."""
    home = tmp_path_factory.mktemp("made")
    write_folder(home / "run" / "data", "own", user=str, item=str, links=False)
    np.save(home / "vectors.npy", np.arange(2.0 * ITEMS, dtype=np.float32).reshape(ITEMS, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCIALJAX_CACHE", str(run_home / "cache"))
        patch.setattr(display, "draw_curves", lambda path, *_: path.touch())
        assert main(definition, [str(word) for word in words(home, home / "vectors.npy")]) == 0
    return home


def words(home, features):
    """Without the copy that a run carries, which would be read in place of what is missing."""
    places = ("--workdir", home / "run", "--data.dir", home / "run" / "data", "--data.features", features)
    return (*places, "--no-carry")


@pytest.fixture
def carried(made, tmp_path):
    """The same elsewhere, without the place from which it came."""
    home = shutil.copytree(made, tmp_path / "elsewhere")
    path = home / "run" / "settings.json"
    record = json.loads(path.read_text())
    record["settings"]["data"]["features"] = str(tmp_path / "gone" / "vectors.npy")
    path.write_text(json.dumps(record, indent=1) + "\n")
    return home


def kept_places(home):
    data = json.loads((home / "run" / "settings.json").read_text())["settings"]["data"]
    return data["dir"], data["features"]


def test_places_below_the_run_are_kept_relative_to_it(made, tmp_path):
    assert kept_places(made) == ("data", str(made / "vectors.npy"))
    assert json.loads((made / "run" / "result.json").read_text())["settings"]["data"]["dir"] == "data"
    home = shutil.copytree(made, tmp_path / "there")
    shutil.move(made / "run" / "data", made / "away")
    try:
        run = socialjax.load(home / "run", features=home / "vectors.npy")
    finally:
        shutil.move(made / "away", made / "run" / "data")
    assert run.data.num_items == ITEMS and "there" in run.data.provenance.source


def test_features_are_named_again_under_any_name_and_others_are_refused(carried):
    with pytest.raises(DataError, match=r"--data.features names .*gone.*--data.features FILE say where they are now"):
        socialjax.load(carried / "run")
    moved = Path(shutil.move(carried / "vectors.npy", carried / "renamed.npy"))
    run = socialjax.load(carried / "run", features=moved)
    assert run.data.item_features[3].tolist() == [6, 7]
    np.save(carried / "other.npy", np.ones((ITEMS, 2), np.float32))
    with pytest.raises(DataError, match=r"is not what .* \(files features other.npy, features vectors.npy differ\)"):
        socialjax.load(carried / "run", features=carried / "other.npy")


def test_features_that_lay_among_the_data_are_found_where_these_are_now(carried):
    path, places = carried / "run" / "settings.json", {"dir": "/gone/data", "features": "/gone/data/vectors.npy"}
    record = json.loads(path.read_text())
    record["settings"]["data"] |= places
    path.write_text(json.dumps(record))
    moved = shutil.copytree(carried / "run" / "data", carried / "moved")
    shutil.copy(carried / "vectors.npy", moved)
    assert socialjax.load(carried / "run", data_dir=moved).data.item_features is not None


def test_a_run_without_features_is_not_read_with_some(finished_runs, made):
    with pytest.raises(DataError, match=r"was trained without --data.features, so .* leave it out"):
        socialjax.load(finished_runs["bpr"], features=made / "vectors.npy")


def test_commands_take_the_features_again(carried, capsys, logging_as_before):
    named = [str(carried / "run"), "--user", "1", "--data.features", str(carried / "vectors.npy")]
    for command in (recommend, explain):
        assert command.main(named) == 0
        assert "user 1" in capsys.readouterr().out
        assert command.main(named[:3]) == 1
        assert "--data.features FILE say where they are now" in capsys.readouterr().err


def test_the_command_itself_finds_them_again_and_remembers_where(carried, definition, call, monkeypatch):
    monkeypatch.setattr(loop, "_advance", lambda *_: pytest.fail("trained"))
    moved = shutil.move(carried / "vectors.npy", carried / "renamed.npy")
    code, _, error = call(main, definition, *words(carried, moved))
    assert code == 0 and "finished before" in error, error
    assert kept_places(carried) == ("data", str(moved))
    assert socialjax.load(carried / "run").data.num_items == ITEMS
    code, _, error = call(main, definition, *words(carried, moved), "--eval.ks", 5)
    assert code == 0 and "nothing was trained" in error, error


def test_a_run_that_may_only_be_read_shows_its_table_from_wherever_its_data_are(carried, definition, call, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refused)
    before = {path: path.read_bytes() for path in carried.rglob("*") if path.is_file()}
    code, out, error = call(main, definition, *words(carried, carried / "vectors.npy"))
    assert code == 0 and "bpr (seeds 0)" in out, error
    assert {path: path.read_bytes() for path in carried.rglob("*") if path.is_file()} == before
    code, _, error = call(main, definition, *words(carried, carried / "vectors.npy"), "--seeds", 0, 1)
    assert code == 1 and "cannot be written" in error and "--workdir" in error
    code, _, error = call(main, definition, *words(carried, carried / "vectors.npy"), "--eval.ks", 5)
    assert code == 1 and "cannot be written" in error


def test_loading_warns_of_nothing(made):
    said, logger = [], logging.getLogger("absl")
    handler = logging.Handler(logging.WARNING)
    handler.emit = said.append
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    try:
        socialjax.load(made / "run", features=made / "vectors.npy")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert said == []


def test_what_lies_elsewhere_keeps_its_whole_path(tmp_path):
    settings = {
        "data": {"dir": str(tmp_path / "b"), "features": None, "name": "x"},
        "start_from": str(tmp_path / "run/s"),
    }
    kept = results.inside(tmp_path / "run", settings)
    assert kept == settings | {"start_from": "s"}
