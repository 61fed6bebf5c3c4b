"""A folder of a run alone answers on a machine without the data: it carries what its model reads of them."""

import dataclasses
import json
import logging
import os
import shutil

import numpy as np
import pytest
from tiny import ITEMS, TINY, USERS, write_folder

import socialjax
from socialjax.data import records
from socialjax.data.sources import DataSettings
from socialjax.formats.file_bytes import DataError
from socialjax.models import BPR, VBPR, DiffNet
from socialjax.run import kept_data
from socialjax.run.execute import main
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.train.step import TrainSettings

pytestmark = pytest.mark.usefixtures("places")
EVALUATION = EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5,))


def trained(home, model, *words, features=None):
    """Trains on the files in home/files and leaves the run in home/run."""
    if not (home / "files").exists():
        write_folder(home / "files", "mine", user=lambda u: f"guest{u}", item=lambda i: f"cafe-{i}")
    named = ("--data.features", str(features)) if features else ()
    settings = Experiment(model, DataSettings(name="mine", dir=home / "files"), TrainSettings(**TINY), EVALUATION)
    assert main(Definition("small", "", settings), ["--workdir", str(home / "run"), *named, *words]) == 0
    return home / "run"


@pytest.fixture(scope="module")
def made(run_home, tmp_path_factory):
    home = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCIALJAX_CACHE", str(run_home / "cache"))
        trained(home, DiffNet(dim=4, init_std=0.5))
    return home


@pytest.fixture
def alone(made, tmp_path, monkeypatch):
    """The folder of the run elsewhere; the files it was trained on are gone."""
    folder = shutil.copytree(made / "run", tmp_path / "elsewhere")
    path = folder / "settings.json"
    path.write_text(path.read_text().replace(str(made / "files"), str(tmp_path / "gone")))
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    return folder


def test_the_folder_alone_answers_as_the_run_did_and_says_so(made, alone, caplog):
    before = socialjax.load(made / "run")
    assert "copy" not in caplog.text
    after = socialjax.load(alone)
    assert f"the copy of its data that {alone} carries is read (the data of" in caplog.text
    assert after.recommend(["guest3", "guest8"], k=4) == before.recommend(["guest3", "guest8"], k=4)
    assert after.recommend_new(friends=["guest1"], k=2) == before.recommend_new(friends=["guest1"], k=2)
    assert repr(after.explain("guest3", "Title 4 $x_$ é")) == repr(before.explain("guest3", "Title 4 $x_$ é"))
    for part, pairs in before.data.parts().items():
        np.testing.assert_array_equal(getattr(after.data, part).item, pairs.item)


def test_the_files_are_preferred_while_they_are_as_they_were(made, monkeypatch):
    monkeypatch.setattr(kept_data, "read", lambda folder: pytest.fail("the copy was read"))
    assert socialjax.load(made / "run").data.num_users == USERS


def test_files_that_changed_since_do_not_shut_out_the_run(made, tmp_path, caplog):
    folder, files = shutil.copytree(made / "run", tmp_path / "run"), shutil.copytree(made / "files", tmp_path / "files")
    path = folder / "settings.json"
    path.write_text(path.read_text().replace(str(made / "files"), str(files)))
    with (files / "mine.rating").open("a") as rating:
        rating.write("newcomer\tcafe-1\t1\n")
    run = socialjax.load(folder)
    assert run.data.num_users == USERS and "mine.rating differ" in caplog.text
    with pytest.raises(DataError, match=r"is not what .* was trained on \(files mine.rating differ\)"):
        socialjax.load(folder, data_dir=files)  # what is named is meant
    shutil.rmtree(folder / kept_data.COPY)
    with pytest.raises(DataError, match=r"is not what .* was trained on"):
        socialjax.load(folder)


def test_without_a_copy_a_run_is_as_before(alone):
    shutil.rmtree(alone / kept_data.COPY)
    with pytest.raises(DataError, match=r"the data of .* cannot be read: .*--data.dir DIR says where it is now"):
        socialjax.load(alone)


def test_no_carry_leaves_it_out_and_is_no_other_run(tmp_path):
    folder = trained(tmp_path, BPR(dim=4), "--no-carry")
    assert not (folder / kept_data.COPY).exists()
    before = (folder / "result.json").read_bytes()
    trained(tmp_path, BPR(dim=4))  # finished before: the copy is added, nothing is trained
    assert (folder / kept_data.COPY).is_dir() and (folder / "result.json").read_bytes() == before


def test_only_what_the_model_reads_is_carried(tmp_path):
    looks, ids = np.arange(2.0 * ITEMS, dtype=np.float32).reshape(ITEMS, 2), [f"cafe-{i}" for i in range(ITEMS)]
    np.savez(tmp_path / "looks.npz", ids=ids, features=looks)
    for model, reads in ((BPR(dim=4), False), (VBPR(dim=4, visual_dim=2), True)):
        home = tmp_path / type(model).__name__
        folder = trained(home, model, features=tmp_path / "looks.npz")
        copy = kept_data.read(folder / kept_data.COPY)
        assert (copy.item_features is not None) == reads
        shutil.rmtree(home / "files")
        run = socialjax.load(folder)
        assert (run.data.item_features is not None) == reads and len(run.recommend("guest1")[0]) > 0


def test_frames_that_the_copy_lacks_are_not_missed(made):
    data = socialjax.load(made / "run").data
    kept = {"users": 3, "train": 9, "frames": 4, "frame likes": 2, "attributes": 1}
    assert kept_data.counts_in_copy(kept, data) == {"users": 3, "train": 9}


def test_nothing_of_a_stand_in_or_of_too_much_is_carried(made, finished_runs, tmp_path, monkeypatch, caplog):
    assert not (finished_runs["stand-in"] / kept_data.COPY).exists()
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(kept_data, "LARGEST", 1000)
    run = socialjax.load(made / "run")
    kept_data.carry(run.data, run.model, tmp_path)
    assert list(tmp_path.iterdir()) == [] and "carries no copy of its data, which would have" in caplog.text


def test_a_copy_that_cannot_be_written_stops_nothing(made, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    run = socialjax.load(made / "run")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records, "write", full)
    kept_data.carry(run.data, run.model, tmp_path)
    assert list(tmp_path.iterdir()) == [] and "No space left" in caplog.text


def test_a_copy_of_other_data_is_replaced_and_the_same_stays(made, tmp_path):
    run = socialjax.load(made / "run")
    other = dataclasses.replace(run.data, provenance=dataclasses.replace(run.data.provenance, files={"x": "0"}))
    kept_data.carry(other, run.model, tmp_path)
    kept_data.carry(run.data, run.model, tmp_path)
    assert kept_data.read(tmp_path / kept_data.COPY).provenance.files == run.data.provenance.files
    pairs = run.data.train.take(np.arange(len(run.data.train))[::-1])  # other columns of the same files, as many
    kept_data.carry(dataclasses.replace(run.data, train=pairs), run.model, tmp_path)
    np.testing.assert_array_equal(kept_data.read(tmp_path / kept_data.COPY).train.user, pairs.user)
    kept_data.carry(run.data, run.model, tmp_path)
    before = os.stat(tmp_path / kept_data.COPY / records.COLUMNS)
    kept_data.carry(run.data, run.model, tmp_path)
    after = os.stat(tmp_path / kept_data.COPY / records.COLUMNS)
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def resealed(folder):
    (folder / records.SUMS).unlink()
    records.seal(folder)


def rewritten(folder, change):
    described = json.loads((folder / records.DESCRIBED).read_text())
    change(described)
    (folder / records.DESCRIBED).write_text(json.dumps(described))
    resealed(folder)


def other_pairs(folder):
    data = records.read(folder)
    train = dataclasses.replace(data.train, item=np.full(len(data.train), 999, np.int32))
    records.write(folder, dataclasses.replace(data, train=train))
    resealed(folder)


HOSTILE = {
    "a flipped bit": lambda folder: flip(folder / records.COLUMNS),
    "no checksums": lambda folder: (folder / records.SUMS).unlink(),
    "a file more": lambda folder: (folder / "more.py").write_text("raise SystemExit"),
    "a link": lambda folder: (folder / "more").symlink_to("/etc/passwd"),
    "no JSON": lambda folder: ((folder / records.DESCRIBED).write_text("["), resealed(folder)),
    "another kind of JSON": lambda folder: ((folder / records.DESCRIBED).write_text("[1]"), resealed(folder)),
    "deep JSON": lambda folder: ((folder / records.DESCRIBED).write_text("[" * 100_000), resealed(folder)),
    "columns that are not there": lambda folder: rewritten(folder, lambda d: d["columns"].update(links=["nowhere"])),
    "sizes that are words": lambda folder: rewritten(folder, lambda d: d.update(num_users="many")),
    "fewer users": lambda folder: rewritten(folder, lambda d: d.update(num_users=3)),
    "other files": lambda folder: rewritten(folder, lambda d: d["provenance"]["files"].update(x="0")),
    "items that are none": other_pairs,
}


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("what", HOSTILE)
def test_damaged_and_hostile_copies_are_refused_in_a_sentence(alone, what):
    HOSTILE[what](alone / kept_data.COPY)
    with pytest.raises(DataError, match=r"The copy that the run carries cannot be read either: ") as refused:
        socialjax.load(alone)
    assert len(str(refused.value)) < 3000


def test_a_copy_that_lies_outside_the_run_is_none(alone, tmp_path):
    shutil.move(alone / kept_data.COPY, tmp_path / "outside")
    (alone / kept_data.COPY).symlink_to(tmp_path / "outside")
    with pytest.raises(DataError, match=r"cannot be read: .*--data.dir DIR says where it is now"):
        socialjax.load(alone)


def test_a_run_saved_from_its_copy_is_whole(made, alone, tmp_path):
    path = socialjax.load(alone).save(tmp_path / "run.zip")
    shutil.rmtree(alone)
    assert socialjax.load(path).recommend("guest3", k=4) == socialjax.load(made / "run").recommend("guest3", k=4)
