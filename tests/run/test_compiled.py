"""Compiled programs that outlive a command: kept, taken up again, bounded, never another user's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from socialjax.run import compiled

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json
import jax, jax.numpy as jnp
from jax._src import monitoring
from socialjax.run import compiled
from socialjax.run.command import exit_code
compiled.LEAST_SECONDS = 0.0
events = []
monitoring.register_event_listener(lambda name, **_: events.append(name))
total = []
def action():
    total.append(float(jax.jit(lambda x: jnp.sin(x) @ x.T)(jnp.ones((9, 7))).sum()))
code = exit_code(action, saves=False)
print(json.dumps({"code": code, "total": total, "folder": jax.config.jax_compilation_cache_dir,
                  "hits": events.count("/jax/compilation_cache/cache_hits"),
                  "misses": events.count("/jax/compilation_cache/cache_misses")}))
"""


def started(**environment):
    """What a command in a process of its own found and left; its standard error beside it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SOCIALJAX", "JAX_COMP"))}
    clean |= {"PYTHONPATH": str(ROOT), "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=clean | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_second_start_compiles_nothing_and_computes_the_same(tmp_path):
    first, _ = started(SOCIALJAX_CACHE=str(tmp_path))
    folder = tmp_path / f"compiled-{os.geteuid()}"
    kept = files(folder)
    assert first["misses"] > 0 and first["hits"] == 0 and len(kept) >= first["misses"]
    assert folder.stat().st_mode & 0o777 == 0o700
    second, errors = started(SOCIALJAX_CACHE=str(tmp_path))
    assert (second["misses"], second["hits"]) == (0, first["misses"]) and errors == ""
    assert second["total"] == first["total"]
    kept[0].write_bytes(kept[0].read_bytes()[:20])  # half written: compiled again, without a word
    for path in kept[1:]:
        path.unlink()
    third, errors = started(SOCIALJAX_CACHE=str(tmp_path))
    assert third["total"] == first["total"] and errors == ""


def test_it_is_switched_off_sent_elsewhere_and_left_to_jax(tmp_path):
    off, _ = started(SOCIALJAX_CACHE=str(tmp_path), SOCIALJAX_COMPILED="off")
    assert off["code"] == 0 and off["folder"] is None and files(tmp_path) == []
    there, _ = started(SOCIALJAX_CACHE=str(tmp_path), SOCIALJAX_COMPILED=str(tmp_path / "there"))
    assert Path(there["folder"]).parent == tmp_path / "there" and files(tmp_path / "there")
    jaxs, _ = started(SOCIALJAX_CACHE=str(tmp_path), JAX_COMPILATION_CACHE_DIR=str(tmp_path / "jax"))
    assert jaxs["folder"] == str(tmp_path / "jax") and not list(tmp_path.glob("compiled*"))


@pytest.fixture
def told_nothing(monkeypatch, tmp_path):
    """JAX without a folder, as a command finds it, and afterwards the one that it had."""
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("SOCIALJAX_COMPILED", str(tmp_path / "compiled"))
    yield tmp_path / "compiled"
    jax.config.update("jax_compilation_cache_dir", before[0])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])


def test_a_folder_that_others_could_write_to_is_not_used(told_nothing, monkeypatch, caplog):
    told_nothing.mkdir()
    told_nothing.chmod(0o777)
    assert compiled.keep() is None and jax.config.jax_compilation_cache_dir is None
    assert "can be written to by others" in caplog.text and "SOCIALJAX_COMPILED" in caplog.text
    told_nothing.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert compiled.keep() is None and "belongs to another user" in caplog.text


def test_a_link_a_file_and_a_place_that_cannot_be_made_are_not_used(told_nothing, tmp_path, monkeypatch, caplog):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    told_nothing.symlink_to(tmp_path / "elsewhere")
    assert compiled.keep() is None and "is no folder" in caplog.text
    told_nothing.unlink()
    told_nothing.write_text("a file")
    assert compiled.keep() is None
    monkeypatch.setenv("SOCIALJAX_COMPILED", str(told_nothing / "below"))
    assert compiled.keep() is None and jax.config.jax_compilation_cache_dir is None
    assert len(caplog.records) == 3


def test_what_was_not_used_for_longest_goes_first(told_nothing):
    other = told_nothing / "another processor"
    other.mkdir(parents=True)
    told_nothing.chmod(0o700)
    for age, name in enumerate(("new", "older", "oldest")):
        (other / name).write_bytes(bytes(100))
        os.utime(other / name, (1e9 - age, 1e9 - age))
    compiled.remove_oldest(told_nothing, 250)
    assert {path.name for path in files(told_nothing)} == {"new", "older"}
    compiled.remove_oldest(told_nothing, 250)
    assert len(files(told_nothing)) == 2
    os.utime(other / "older", (2e9, 1e9 - 1))  # read since
    compiled.remove_oldest(told_nothing, 100)
    assert {path.name for path in files(told_nothing)} == {"older"}


def test_processors_and_versions_have_folders_of_their_own(told_nothing, monkeypatch):
    here = compiled.keep()
    assert here is not None and here.parent == told_nothing
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setattr(jax, "__version__", "0.0.0")
    assert compiled.keep() not in (None, here)
