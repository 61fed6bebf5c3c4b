"""A data folder in an object store is copied into the cache, checked, and read like any other."""

import hashlib
import json
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
from stores import S3
from tiny import write_folder

import socialjax
from socialjax.commands import train as command
from socialjax.data import remote_folder, sources
from socialjax.data.sources import DataSettings
from socialjax.formats.file_bytes import DataError
from socialjax.object_store import Folder

pytest.importorskip("obstore")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SOCIALJAX_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def server():
    server = S3()
    yield server
    server.close()


@pytest.fixture
def s3(server, tmp_path, monkeypatch):
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{tmp_path.name}"


@pytest.fixture
def here(tmp_path):
    write_folder(tmp_path / "here", "tiny", str, str)
    return tmp_path / "here"


def upload(folder, url):
    store = Folder(url, "test")
    for path in folder.rglob("*"):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path)


def test_data_of_a_bucket_are_those_of_the_folder(s3, here, cache):
    upload(here, s3)
    local = sources.load(DataSettings(name="tiny", dir=here))
    there = sources.load(DataSettings(name="tiny", dir=Path(s3)))  # as the command line keeps the address
    assert there.provenance.files == local.provenance.files
    assert np.array_equal(there.train.user, local.train.user) and np.array_equal(there.train.item, local.train.item)
    (copy,) = (cache / "remote").iterdir()
    before = copy.stat().st_mtime_ns
    sources.load(DataSettings(name="tiny", dir=Path(s3)))
    assert [path.stat().st_mtime_ns for path in (cache / "remote").iterdir()] == [before], "fetched once"
    Folder(s3, "test").put("tiny.links", b"1\t3\n")
    sources.load(DataSettings(name="tiny", dir=Path(s3)))
    assert len(list((cache / "remote").iterdir())) == 2, "another listing is another copy"


@pytest.mark.parametrize("key", ["../escaped", "a/../../escaped", ".hidden", "a//b", "/absolute"])
def test_keys_that_lead_elsewhere_are_refused_before_anything_is_fetched(server, s3, here, cache, tmp_path, key):
    upload(here, s3)
    server.request("PUT", f"/bucket/{tmp_path.name}/{urllib.parse.quote(key, safe='')}", b"owned")
    with pytest.raises(DataError):
        remote_folder.local(Path(s3))
    assert not list(tmp_path.rglob("escaped")) and not list((cache / "remote").glob("*"))


def test_a_folder_that_is_too_large_or_empty_is_refused_first(s3, here, cache, monkeypatch):
    with pytest.raises(DataError, match="has 0 files"):
        remote_folder.local(Path(s3))
    upload(here, s3)
    with monkeypatch.context() as patched:
        patched.setattr(remote_folder, "LARGEST", 10)
        with pytest.raises(DataError, match="more than the 10 that a folder may have"):
            remote_folder.local(Path(s3))
    with monkeypatch.context() as patched:
        patched.setattr(remote_folder, "MOST", 2)
        with pytest.raises(DataError, match="has 3 files, wanted 1 to 2"):
            remote_folder.local(Path(s3))
    assert not list((cache / "remote").glob("*"))


def test_what_another_size_comes_with_than_was_listed_is_refused(s3, here, monkeypatch):
    upload(here, s3)
    listed = Folder.listed

    def lies(self):
        for stored in listed(self):
            yield type(stored)(stored.name, stored.size - 1, stored.tag)

    monkeypatch.setattr(Folder, "listed", lies)
    with pytest.raises(DataError, match="more than the"):
        remote_folder.local(Path(s3))


def test_checksums_beside_the_files_are_held(tmp_path, here, cache):
    url = f"file://{tmp_path}/store"
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in here.iterdir()]
    (here / "SHA256SUMS").write_text("".join(lines))
    upload(here, url)
    assert (remote_folder.local(Path(url)) / "tiny.rating").read_bytes() == (here / "tiny.rating").read_bytes()
    Folder(url, "test").put("tiny.links", b"9\t9\n")
    with pytest.raises(DataError, match=r"tiny.links has sha256 .* SHA256SUMS says"):
        remote_folder.local(Path(url))
    assert len(list((cache / "remote").iterdir())) == 1


def test_a_copy_that_was_broken_off_is_gone_on_with(tmp_path, here, monkeypatch):
    url = f"file://{tmp_path}/store"
    upload(here, url)
    fetch, fetched = Folder.fetch, []

    def breaks(self, name, target, size):
        if len(fetched) == 2:
            raise KeyboardInterrupt
        fetched.append(name)
        return fetch(self, name, target, size)

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "fetch", breaks)
        with pytest.raises(KeyboardInterrupt):
            remote_folder.local(Path(url))
    again = []
    monkeypatch.setattr(Folder, "fetch", lambda self, name, *rest: again.append(name) or fetch(self, name, *rest))
    copy = remote_folder.local(Path(url))
    assert len(fetched) == 2 and len(again) == 1
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == {
        path.name: path.read_bytes() for path in here.iterdir()
    }


def test_local_folders_stay_as_they_are(tmp_path):
    assert remote_folder.local(tmp_path) == tmp_path and remote_folder.local(None) is None


def train(folder, url, *more):
    words = ["bpr", "--data.name", "tiny", "--data.dir", url, "--workdir", str(folder), "--train.epochs", "1"]
    return command.main([*words, "--model.dim", "2", "--train.quiet", *more])


def test_a_run_never_opens_the_address_of_its_data_unasked(tmp_path, here, monkeypatch, caplog, logging_as_before):
    """The settings.json of somebody else's run may name any bucket."""
    url = f"file://{tmp_path}/store"
    upload(here, url)
    assert train(tmp_path / "run", url) == 0 and train(tmp_path / "bare", url, "--no-carry") == 0
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]["data"]["dir"] == url
    asked = []
    monkeypatch.setattr(Folder, "listed", lambda self: asked.append(self.url) or iter(()))
    run = socialjax.load(tmp_path / "run")
    assert run.data.num_users > 0 and not asked
    with pytest.raises(DataError, match=f"which is not opened unasked; --data.dir {url} fetches them"):
        socialjax.load(tmp_path / "bare")
    assert not asked
    with pytest.raises(DataError, match="has 0 files"):
        socialjax.load(tmp_path / "bare", data_dir=url)
    assert asked == [url]
