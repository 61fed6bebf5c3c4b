"""A run folder from somebody else: whatever its files say, it runs no code, and what is wrong is one clear line."""

import json
import os
import shutil

import pytest

import socialjax
from socialjax.commands import explain, recommend
from socialjax.data import cache
from socialjax.data.own.folder import FolderOptions
from socialjax.run.results import plain

pytestmark = pytest.mark.usefixtures("places")
CODE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"


@pytest.fixture
def theirs(finished_runs, tmp_path):
    """A copy of the run of DiffNet, in the hands of somebody else."""
    return shutil.copytree(finished_runs["diffnet"], tmp_path / "victim" / "theirs")


@pytest.fixture
def refused(capsys, logging_as_before):
    """refused(run) -> what recommend and explain say of it: one line, exit 1."""

    def refused(run):
        said = set()
        for command in (recommend, explain):
            assert command.main([str(run), "--user", "guest1"]) == 1
            told = capsys.readouterr()
            last = told.err.splitlines()[-1]
            assert last.startswith("error: ") and "Traceback" not in told.err and not told.out, told
            said.add(last)
        (only,) = said
        return only

    return refused


def edit(folder, change):
    record = json.loads((folder / "settings.json").read_text())
    change(record)
    (folder / "settings.json").write_text(json.dumps(record))


def poison(prepared, folder):
    """A copy of a prepared data set whose features.json names a class of a module of the run folder."""
    shutil.copytree(prepared, folder)
    text = (folder / "features.json").read_text()
    ours = "tensorflow_datasets.core.features.tensor_feature.Tensor"
    assert ours in text
    (folder / "features.json").write_text(text.replace(ours, "theirs.notes.Feature", 1))


SPELLINGS = {
    "absolute": lambda theirs, root: str(theirs),
    "through /proc": lambda theirs, root: "/proc/self/cwd/theirs",
    "upwards": lambda theirs, root: os.path.relpath(theirs, root),
    "upwards from below": lambda theirs, root: "x/../" + os.path.relpath(theirs, root),
    "a dot": lambda theirs, root: ".",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_name_that_leads_to_a_prepared_folder_of_strangers_is_refused(
    theirs, run_home, monkeypatch, refused, spelling
):
    prepared = next(path for path in (run_home / "cache" / "prepared" / "cafes").iterdir())
    monkeypatch.chdir(theirs.parent)
    monkeypatch.syspath_prepend(theirs.parent)
    monkeypatch.setenv("SOCIALJAX_CACHE", str(theirs.parent / "cache"))
    root = theirs.parent / "cache" / "prepared"
    (root / "x").mkdir(parents=True)
    (theirs / "notes.py").write_text(CODE)
    name = SPELLINGS[spelling](theirs, root)
    edit(theirs, lambda record: record["settings"]["data"].update(name=name, dir=str(theirs)))
    key = cache.prepared_key(name, files={}, options=plain(FolderOptions()))
    if spelling != "a dot":
        poison(prepared, theirs / key)
    before = sorted(map(str, theirs.parent.rglob("*")))
    said = refused(theirs)
    assert "settings.json: settings.data: wanted the name of a data set" in said
    assert not (theirs / "ran").exists()
    assert sorted(map(str, theirs.parent.rglob("*"))) == before, "nothing was written"


def test_a_cache_whose_folder_is_a_link_out_is_refused(theirs, run_home, tmp_path, monkeypatch, refused):
    prepared = next(path for path in (run_home / "cache" / "prepared" / "cafes").iterdir())
    monkeypatch.syspath_prepend(theirs.parent)
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    (theirs / "notes.py").write_text(CODE)
    poison(prepared, theirs / "prepared" / prepared.name)
    (tmp_path / "cache" / "prepared").mkdir(parents=True)
    (tmp_path / "cache" / "prepared" / "cafes").symlink_to(theirs / "prepared")
    assert "wanted a path below" in refused(theirs)
    assert not (theirs / "ran").exists()


def of(part, **changes):
    return lambda record: record["settings"][part].update(changes)


TYPES = {
    "settings.model.dim wants a whole number, got '8'": of("model", dim="8"),
    "settings.model.dim wants a whole number, got 1e+300": of("model", dim=1e300),
    "settings.model.dim wants a whole number, got None": of("model", dim=None),
    "settings.model.layers wants one of": of("model", layers=["all"]),
    "settings.model.init_std wants a number, got a dict": of("model", init_std={}),
    "settings.model.use_features wants true or false, got 1": of("model", use_features=1),
    "settings.data.dir wants the path of a file or folder or null, got 7": of("data", dir=7),
    "settings.data.dir wants the path": of("data", dir="a\0b"),
    "settings.data.ratios wants a list, got 'ab'": of("data", ratios="ab"),
    "settings.data.ratios[1] wants a number": of("data", ratios=[0.1, "x"]),
    "settings.data: ratios must be two shares": of("data", ratios=[5.0, 9.0]),
    "settings.data.name wants a text, got None": of("data", name=None),
    "settings.data.split wants one of auto": of("data", split={"a": 1}),
    "settings.data.seed wants a whole number": of("data", seed=2**64),
    "settings.data.offline wants true or false": of("data", offline="no"),
    "data.files wants a record, got a list": lambda record: record["data"].update(files=[]),
    "data.files.x wants a text, got 3": lambda record: record["data"].update(files={"x": 3}),
    "data.counts.users wants a whole number": lambda record: record["data"].update(counts={"users": "24"}),
    "data.kind wants a text, got a dict": lambda record: record["data"].update(kind={}),
    "settings.data wants a record, got None": lambda record: record["settings"].update(data=None),
    "the file lacks data, settings": lambda record: record.clear(),
    r"got '\x1b[2J'": of("model", dim="\x1b[2J"),
    r"names model '\x1b]0;x', which is none of": of("model", name="\x1b]0;x"),
}


@pytest.mark.parametrize("wanted", TYPES)
def test_wrong_types_in_the_settings_are_named_by_file_and_field(theirs, refused, wanted):
    edit(theirs, TYPES[wanted])
    said = refused(theirs)
    assert "theirs/settings.json" in said and wanted in said and said.isprintable()


@pytest.mark.parametrize("content", [b"[" * 200_000, b"null", b'{"a": NaN}', b"\xff", b"3", b'"' + b"x" * 10**6 + b'"'])
@pytest.mark.parametrize("name", ["settings.json", "seed_1/result.json"])
def test_files_that_are_no_record_are_named(theirs, refused, name, content):
    (theirs / name).write_bytes(content)
    said = refused(theirs)
    assert f"theirs/{name}" in said and len(said) < 500


@pytest.mark.parametrize("name", ["settings.json", "seed_1/result.json"])
def test_files_with_holes_and_links_to_devices_are_named(theirs, refused, name):
    os.truncate(theirs / name, 20 << 30)
    assert f"theirs/{name} is damaged (wanted at most" in refused(theirs)
    for path in (theirs / name, theirs / "seed_4" / "result.json"):
        path.unlink()
        path.symlink_to("/dev/zero")
    # A run has a plain settings.json, and a seed is finished by a plain result.json.
    assert ("has no settings.json" if name == "settings.json" else "has not finished") in refused(theirs)


@pytest.mark.parametrize("dim", [-1, 0, 2**40, 2**62])
def test_sizes_that_nobody_trained_are_one_line(theirs, refused, dim):
    edit(theirs, of("model", dim=dim))
    assert refused(theirs)


def test_seeds_are_plain_numbers(theirs):
    for name in ("seed_٣", "seed_01", "seed_" + "9" * 40, "seed_-1", "seed_"):
        (theirs / name).mkdir()
        (theirs / name / "result.json").write_text("{}")
    with pytest.raises(ValueError, match="no finished seed 0; those it has: 1, 4"):
        socialjax.load(theirs, seed=0)
