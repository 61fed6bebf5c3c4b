"""A run is copied while it goes on, and comes back whole or not at all."""

import hashlib
import json
import shutil
import time

import pytest
from stores import S3

from socialjax.object_store import StoreError
from socialjax.run import mirror
from socialjax.run.mirror import Mirror, mirrored

pytest.importorskip("obstore")


@pytest.fixture
def url(tmp_path):
    return f"file://{tmp_path}/store"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def run(folder, step=3, dim=8):
    """What a run leaves in its folder, in small."""
    here = folder / "seed_0" / "checkpoints" / str(step)
    (here / "state" / "d").mkdir(parents=True)
    (here / "state" / "d" / "array").write_bytes(b"%d" % step * 1000)
    (here / "notes").write_text(f"notes of {step}")
    claim = {"settings": {"model": {"name": "bpr", "dim": dim}}, "data": {"kind": "real", "files": {"a": "b"}}}
    (folder / "settings.json").write_text(json.dumps(claim))
    (folder / "seed_0" / "metrics.jsonl").write_text('{"step": 1}\n')
    return folder


def files(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def manifest(store):
    return json.loads((store / "manifest.json").read_text())


def brought_back(tmp_path, url, name="other machine"):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    assert Mirror(folder, url).restore()
    return folder


def test_a_run_comes_back_as_it_was_without_what_is_temporary(tmp_path, url):
    folder = run(tmp_path / "run")
    wanted = files(folder)
    for name in (
        "seed_0/.123.result.json",
        "seed_0/checkpoints/9.orbax-checkpoint-tmp/x",
        "seed_0/checkpoints/damaged-1/x",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("half")
    Mirror(folder, url).push()
    assert files(brought_back(tmp_path, url)) == wanted


def test_only_what_has_changed_is_copied_and_what_nobody_names_is_removed(tmp_path, url, store):
    folder, copying = run(tmp_path / "run"), Mirror(tmp_path / "run", url)
    copying.push()
    first = {path: path.stat().st_mtime_ns for path in (store / "objects").iterdir()}
    with (folder / "seed_0" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2}\n')
    copying.push()
    second = {path: path.stat().st_mtime_ns for path in (store / "objects").iterdir()}
    assert len(second.keys() - first.keys()) == 1 and first.items() <= second.items()
    copying.push()  # the metrics of before the last manifest but one
    assert len(list((store / "objects").iterdir())) == len(files(folder))
    Mirror(folder, url).push()  # a later start knows what is there
    assert {path for path in (store / "objects").iterdir()} == {
        store / "objects" / f["sha256"] for f in manifest(store)["files"].values()
    }


def test_the_manifest_comes_last_and_names_nothing_that_is_not_there(tmp_path, url, store, monkeypatch):
    folder = run(tmp_path / "run")
    Mirror(folder, url).push()
    before = manifest(store)
    later = Mirror(run(tmp_path / "later", step=7), url)
    put, written = later.store.put, []

    def stops(name, content):
        if len(written) == 2:
            raise StoreError("the line is cut")
        written.append(name)
        put(name, content)

    monkeypatch.setattr(later.store, "put", stops)
    with pytest.raises(StoreError, match="the line is cut"):
        later.push()
    assert manifest(store) == before and files(brought_back(tmp_path, url)) == files(folder)


def test_a_checkpoint_that_is_removed_meanwhile_is_left_out_whole(tmp_path, url, store, monkeypatch):
    folder = run(tmp_path / "run")
    old = run(tmp_path / "run", step=1) / "seed_0" / "checkpoints" / "1"
    copying = Mirror(folder, url)
    pushed = copying._pushed

    def removing(name):
        found = pushed(name)
        if name == "seed_0/checkpoints/1/notes":
            (old / "state" / "d" / "array").unlink()
        return found

    monkeypatch.setattr(copying, "_pushed", removing)
    copying.push()
    assert not any("checkpoints/1/" in name for name in manifest(store)["files"])
    assert any("checkpoints/3/" in name for name in manifest(store)["files"])


def test_steps_are_those_of_the_checkpoints_that_were_copied(tmp_path, url, store, monkeypatch):
    folder = run(tmp_path / "run", step=3)
    copying = Mirror(folder, url)
    pushed = copying._pushed

    def overtaken(name):
        """While checkpoint 3 is copied the run writes 5 and removes 3."""
        found = pushed(name)
        if name == "seed_0/checkpoints/3/notes":
            run(folder, step=5)
            shutil.rmtree(folder / "seed_0" / "checkpoints" / "3")
        return found

    monkeypatch.setattr(copying, "_pushed", overtaken)
    copying.push()
    held = manifest(store)
    assert held["steps"] == {"seed_0": 5} and any("checkpoints/5/" in name for name in held["files"])
    assert not any("checkpoints/3/" in name for name in held["files"])
    Mirror(brought_back(tmp_path, url), url).must_be_ours()


def damaged(store, change):
    content = manifest(store)
    change(content)
    (store / "manifest.json").write_text(json.dumps(content))


HOSTILE = {
    "leads out": lambda m: m["files"].update({"../../escaped": dict(m["files"]["settings.json"])}),
    "absolute": lambda m: m["files"].update({"/tmp/escaped": dict(m["files"]["settings.json"])}),
    "hidden": lambda m: m["files"].update({".bashrc": dict(m["files"]["settings.json"])}),
    "a digest that is a path": lambda m: m["files"]["settings.json"].update(sha256="../settings"),
    "larger": lambda m: m["files"]["settings.json"].update(size=10**6),
    "smaller": lambda m: m["files"]["settings.json"].update(size=1),
    "negative": lambda m: m["files"]["settings.json"].update(size=-1),
    "more than the disk": lambda m: m["files"]["settings.json"].update(size=1 << 39),
    "no claim": lambda m: m["files"].pop("settings.json"),
    "another format": lambda m: m.update(format=2),
    "no sizes": lambda m: m["files"]["settings.json"].pop("size"),
    "no files": lambda m: m.pop("files"),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_manifest_that_lies_brings_nothing_back(tmp_path, url, store, change):
    Mirror(run(tmp_path / "run"), url).push()
    damaged(store, change)
    folder = tmp_path / "inside" / "other"
    folder.mkdir(parents=True)
    with pytest.raises(StoreError):
        Mirror(folder, url).restore()
    assert not (folder / "settings.json").exists()
    assert not list(tmp_path.rglob("escaped")) and not (tmp_path / "inside" / ".bashrc").exists()


def test_damaged_or_missing_objects_bring_nothing_back_until_they_are_whole(tmp_path, url, store):
    Mirror(run(tmp_path / "run"), url).push()
    digest = manifest(store)["files"]["seed_0/checkpoints/3/notes"]["sha256"]
    whole = (store / "objects" / digest).read_bytes()
    folder = tmp_path / "other"
    folder.mkdir()
    (store / "objects" / digest).write_bytes(whole[::-1])
    with pytest.raises(StoreError, match="sha256"):
        Mirror(folder, url).restore()
    (store / "objects" / digest).unlink()
    with pytest.raises(StoreError, match="lacks"):
        Mirror(folder, url).restore()
    assert not (folder / "settings.json").exists() and not (folder / "seed_0").exists()
    (store / "objects" / digest).write_bytes(whole)
    assert files(brought_back(tmp_path, url, "other")) == files(tmp_path / "run")


def test_text_that_is_no_manifest_is_one_sentence(tmp_path, url, store):
    store.mkdir()
    for content in (b"", b"\xff", b"[" * 100_000, b"{}", b'"x"'):
        (store / "manifest.json").write_bytes(content)
        with pytest.raises(StoreError, match="damaged"):
            Mirror(tmp_path, url).restore()


def test_nothing_is_brought_back_into_a_folder_with_something_else(tmp_path, url):
    Mirror(run(tmp_path / "run"), url).push()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match=r"has files \(thesis.tex\) and no run"):
        Mirror(other, url).restore()
    assert files(other) == {"thesis.tex": b"mine"}
    assert not Mirror(run(tmp_path / "local", step=9), url).restore()  # it holds a run: that one counts
    assert not Mirror(tmp_path / "local", f"{url}-of-nobody").restore()


def test_a_start_that_was_ended_while_it_brought_back_is_gone_on_with(tmp_path, url, monkeypatch):
    Mirror(run(tmp_path / "run"), url).push()
    folder, replaced = tmp_path / "other", []
    folder.mkdir()
    real = mirror.os.replace

    def once(source, target):
        if str(target).startswith(str(folder)) and replaced and "settings.json" in str(target):
            raise KeyboardInterrupt
        replaced.append(target)
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(mirror.os, "replace", once)
        with pytest.raises(KeyboardInterrupt):
            Mirror(folder, url).restore()
    assert not (folder / "settings.json").exists()
    assert files(brought_back(tmp_path, url, "other")) == files(tmp_path / "run")
    assert not (folder / mirror.STAGED).exists()


def test_the_mirror_of_another_run_or_of_a_later_state_is_refused(tmp_path, url):
    Mirror(run(tmp_path / "run", step=5), url).push()
    with pytest.raises(StoreError, match="other settings or data"), mirrored(run(tmp_path / "other", dim=16), url):
        pass
    with pytest.raises(StoreError, match=r"a later state of seed_0 .*\(step 5, here 3\)"):
        with mirrored(run(tmp_path / "behind", step=3), url):
            pass
    with mirrored(run(tmp_path / "ahead", step=8), url):
        pass
    with mirrored(tmp_path / "nowhere", None):  # without one nothing happens
        pass


def test_every_new_checkpoint_is_copied_while_the_run_goes_on(tmp_path, url, store, monkeypatch):
    monkeypatch.setattr(mirror, "LOOK_SECONDS", 0.02)
    folder = run(tmp_path / "run", step=1)
    with mirrored(folder, url):
        for step in (2, 3):
            run(folder, step)
            deadline = time.monotonic() + 20
            while not (store / "manifest.json").exists() or manifest(store)["steps"] != {"seed_0": step}:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        (folder / "result.json").write_text("{}")
    assert "result.json" in manifest(store)["files"]


def test_an_error_of_the_run_goes_out_and_what_there_is_was_copied(tmp_path, url, store):
    with pytest.raises(ZeroDivisionError), mirrored(run(tmp_path / "run"), url):
        raise ZeroDivisionError
    assert manifest(store)["steps"] == {"seed_0": 3}


def test_a_mirror_that_fails_is_reported_and_the_run_goes_on(tmp_path, url, monkeypatch, caplog):
    monkeypatch.setattr(mirror, "LOOK_SECONDS", 0.02)

    def refuses(self, name, content):
        raise StoreError("s3://x does not take y: quota")

    with monkeypatch.context() as patched:
        with pytest.raises(StoreError, match="quota"):  # at the end it must succeed
            with mirrored(run(tmp_path / "run"), url):
                patched.setattr(mirror.Folder, "put", refuses)
                deadline = time.monotonic() + 20
                while "quota; the run goes on" not in caplog.text:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
    with mirrored(tmp_path / "run", url):  # started again
        pass


def test_s3(tmp_path, monkeypatch):
    server = S3()
    try:
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        folder = run(tmp_path / "run")
        with mirrored(folder, "s3://bucket/runs/a"):
            run(folder, step=4)
        assert files(brought_back(tmp_path, "s3://bucket/runs/a")) == files(folder)
        digest = hashlib.sha256((folder / "settings.json").read_bytes()).hexdigest()
        server.request("PUT", f"/bucket/runs/a/objects/{digest}", b"{}")
        other = tmp_path / "third"
        other.mkdir()
        with pytest.raises(StoreError, match="announced"):
            Mirror(other, "s3://bucket/runs/a").restore()
    finally:
        server.close()
