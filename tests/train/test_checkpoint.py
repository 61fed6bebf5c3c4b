"""Checkpoints: damaged ones are noticed and passed over, foreign ones refused, and any number of devices reads them."""

import errno
import gc
import json
import logging
import re
import shutil
import sys
import warnings
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from socialjax.memory import NotEnoughMemory
from socialjax.train import checkpoint
from socialjax.train.checkpoint import CheckpointError, Checkpoints, read_best


def state_at(step, rows=24):
    draw = np.random.default_rng(step)
    table = jnp.asarray(draw.normal(size=(rows, 4)), jnp.float32)
    return {"step": jnp.int32(step), "params": {"users": table, "bias": jnp.full(3, step, jnp.float32)}}


def save(folder, *steps, fingerprint="ours"):
    kept = Checkpoints(folder, fingerprint)
    for step in steps:
        kept.save(step, state_at(step), state_at(step)["params"], {"best_step": step, "best": -np.inf})
    kept.close()


def restore(folder, fingerprint="ours", rows=24):
    like = state_at(0, rows)
    kept = Checkpoints(folder, fingerprint)
    try:
        return kept.restore(like, like["params"])
    finally:
        kept.close()


def assert_is(restored, step):
    state, best, notes = restored
    jax.tree.map(np.testing.assert_array_equal, state, state_at(step))
    jax.tree.map(np.testing.assert_array_equal, best, state_at(step)["params"])
    assert notes == {"best_step": step, "best": -np.inf}


def big_files(folder):
    """The files that hold arrays."""
    return [path for path in folder.rglob("d/*") if path.stat().st_size > 300]


def overwrite(folder):
    """The same four bytes in the middle of every array file: nothing that a length or a header would show."""
    for path in big_files(folder):
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 4] = bytes(255 - byte for byte in content[middle : middle + 4])
        path.write_bytes(content)


def truncate(folder):
    for path in big_files(folder):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def remove_arrays(folder):
    for path in big_files(folder):
        path.unlink()


def remove_state(folder):
    shutil.rmtree(folder / "state")


def empty_files(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")


def change_notes(folder):
    """Still JSON, with another best step."""
    (path,) = (p for p in (folder / "notes").rglob("*") if p.is_file() and '"best_step"' in p.read_text())
    notes = json.loads(path.read_text())
    path.write_text(json.dumps(notes | {"best_step": 77}))


def exchange_arrays(folder):
    """Whole files, which say nothing wrong of themselves, but those of the step before."""
    shutil.rmtree(folder / "state")
    shutil.copytree(folder.parent / str(int(folder.name) - 1) / "state", folder / "state")


DAMAGES = [overwrite, truncate, remove_arrays, remove_state, empty_files, change_notes, exchange_arrays]


def test_without_a_checkpoint_there_is_nothing_to_restore(tmp_path):
    assert restore(tmp_path / "none") is None


def test_the_newest_of_two_kept_is_restored(tmp_path):
    save(tmp_path, 1, 2, 3)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["2", "3"]
    assert_is(restore(tmp_path), 3)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_passed_over_and_replaced(tmp_path, caplog, damage):
    save(tmp_path, 1, 2)
    damage(tmp_path / "2")
    with caplog.at_level(logging.WARNING, checkpoint.__name__):
        assert_is(restore(tmp_path), 1)
    said = [r.getMessage() for r in caplog.records if r.name == checkpoint.__name__]
    assert len(said) == 2 and "checkpoint 2 cannot be read" in said[0] and "the one before it" in said[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "damaged-2"]
    assert f"is {tmp_path / 'damaged-2'} now" in said[1]
    save(tmp_path, 2)
    assert_is(restore(tmp_path), 2)


def test_what_is_put_aside_is_as_it_was_and_never_replaced(tmp_path):
    before = []
    for _ in range(2):
        save(tmp_path, 1, 2)
        overwrite(tmp_path / "2")
        before.append(contents(tmp_path / "2"))
        restore(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "damaged-2", "damaged-2-2"]
    assert [contents(tmp_path / name) for name in ("damaged-2", "damaged-2-2")] == before


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_refusal_of_the_system_is_no_damage(tmp_path):
    """A file that the system does not open: it may be good. A link to itself is one that it refuses to root too."""
    save(tmp_path, 1, 2)
    files = [path for path in (tmp_path / "2" / "best" / "d").iterdir() if path.is_file()]
    before = [(path, path.read_bytes()) for path in files]
    for path in files:
        path.unlink()
        path.symlink_to(path.name)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        restore(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    for path, content in before:
        path.unlink()
        path.write_bytes(content)
    assert_is(restore(tmp_path), 2)


TENSORSTORE = 'Error reading "users/.zarray" in OCDBT database: Error opening local file "/a/d/e5"'
NO_DAMAGE = [
    (MemoryError(), NotEnoughMemory, "not enough memory to read the checkpoint of step 7"),
    (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes."), NotEnoughMemory, "Out of memory alloc"),
    (RuntimeError("can't start new thread"), NotEnoughMemory, "no checkpoint was changed"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), NotEnoughMemory, "raise the limit or end other programs"),
    (ValueError(f"INTERNAL: {TENSORSTORE}: Input/output error [os_error_code='5']"), OSError, "Input/output error"),
    (ValueError(f"RESOURCE_EXHAUSTED: {TENSORSTORE} [os_error_code='24']"), OSError, "Too many open files"),
    (ValueError(f"PERMISSION_DENIED: {TENSORSTORE} [os_error_code='13']"), PermissionError, "Permission denied"),
    (OSError(errno.ENOSPC, "No space left on device", "/x"), OSError, "No space left on device: '/x'"),
    (RuntimeError("a bug"), RuntimeError, "a bug"),
]


@pytest.mark.parametrize("error, kind, said", NO_DAMAGE, ids=lambda each: str(each)[:30])
def test_what_shows_no_damage_is_raised_as_what_it_is(error, kind, said):
    with pytest.raises(kind, match=re.escape(said)) as raised:
        checkpoint._damage(error, 7, checkpoint.Path("runs"))
    assert "delete" not in str(raised.value)
    wrapped = Exception("Encountered error while reading array index")
    wrapped.__cause__ = error
    if kind is not RuntimeError:
        with pytest.raises(kind):
            checkpoint._damage(wrapped, 7, checkpoint.Path("runs"))


def test_a_file_that_is_missing_is_damage():
    for error in (FileNotFoundError(errno.ENOENT, "none"), ValueError(f"NOT_FOUND: {TENSORSTORE} [os_error_code='2']")):
        assert checkpoint._damage(error, 7, checkpoint.Path("runs"))


@pytest.mark.parametrize("damage", [overwrite, empty_files], ids=lambda damage: damage.__name__)
def test_when_all_are_damaged_every_start_is_refused(tmp_path, damage):
    """Also the second start: nothing may be lost silently."""
    save(tmp_path, 1, 2)
    for step in ("1", "2"):
        damage(tmp_path / step)
    before = contents(tmp_path)
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"none of the checkpoints .* can be read.*step 2: .*step 1: "):
            restore(tmp_path)
    assert contents(tmp_path) == before
    with pytest.raises(CheckpointError, match="no readable checkpoint"):
        read_best(tmp_path)


def test_a_run_with_other_settings_is_refused(tmp_path):
    save(tmp_path, 1, 2, fingerprint="theirs")
    with pytest.raises(CheckpointError, match=r"step 2 .* belongs to a run with other settings.*--workdir"):
        restore(tmp_path)
    assert_is(restore(tmp_path, "theirs"), 2)


def test_arrays_of_other_shapes_are_refused_by_name(tmp_path):
    save(tmp_path, 1, 2)
    with pytest.raises(CheckpointError, match=r"users.*float32\[24, 4\] there, float32\[30, 4\] now"):
        restore(tmp_path, rows=30)
    assert_is(restore(tmp_path), 2)


def test_best_parameters_are_read_without_knowing_their_shapes(tmp_path):
    save(tmp_path, 1, 2)
    best, notes = read_best(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, best, state_at(2)["params"])
    assert notes["best_step"] == 2 and notes["fingerprint"] == "ours"
    overwrite(tmp_path / "2")
    assert read_best(tmp_path)[1]["best_step"] == 1


def on_devices(tree, count):
    mesh = jax.make_mesh((count,), ("table",), devices=jax.devices()[:count], axis_types=(AxisType.Auto,))
    spread = lambda leaf: PartitionSpec("table") if leaf.ndim == 2 else PartitionSpec()  # noqa: E731
    return jax.tree.map(lambda leaf: jax.device_put(leaf, NamedSharding(mesh, spread(leaf))), tree)


def test_four_devices_save_what_one_and_eight_restore(tmp_path):
    kept = Checkpoints(tmp_path, "ours")
    state = on_devices(state_at(5), 4)
    kept.save(5, state, state["params"], {"best_step": 5, "best": -np.inf})
    kept.close()
    for count in (1, 8):
        like = on_devices(state_at(0), count)
        again = Checkpoints(tmp_path, "ours")
        restored = again.restore(like, like["params"])
        again.close()
        assert_is(restored, 5)
        assert restored[0]["params"]["users"].sharding == like["params"]["users"].sharding


def test_an_unusable_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"could not be saved under .*file"):
        Checkpoints(tmp_path / "file" / "checkpoints", "ours")


def test_late_answers_to_a_closed_loop_are_hushed_and_nothing_else(monkeypatch, tmp_path):
    heard = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    for name in ("one", "two"):
        Checkpoints(tmp_path / name, "ours").close()
    hook = sys.unraisablehook
    for text in ("Event loop is closed", "something else"):
        hook(SimpleNamespace(exc_value=RuntimeError(text)))
    assert [str(found.exc_value) for found in heard] == ["something else"]
    Checkpoints(tmp_path / "three", "ours").close()
    assert sys.unraisablehook is hook, "installed once"


def test_reads_that_orbax_never_started_are_hushed_and_nothing_else(monkeypatch, tmp_path):
    class Store:
        async def _get_array_metadatas(self):
            pass

        async def another(self):
            pass

    for started in (Store._get_array_metadatas, Store.another):
        started.__qualname__ = started.__qualname__.split(".<locals>.")[1]
    monkeypatch.setattr(sys, "unraisablehook", lambda found: None)  # not ours: installed anew
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        Checkpoints(tmp_path / "one", "ours").close()
        Store()._get_array_metadatas()
        Store().another()
        gc.collect()
    assert [str(each.message) for each in warned] == ["coroutine 'Store.another' was never awaited"]


def test_the_second_failures_of_a_write_are_hushed_and_nothing_else(tmp_path, caplog):
    Checkpoints(tmp_path / "one", "ours").close()
    full = ValueError("OUT_OF_RANGE: Failed to write 36709 bytes: File too large [os_error_code='27']")
    log = logging.getLogger("asyncio")
    log.error("Task exception was never retrieved\nfuture: <Task>", exc_info=full)
    log.error("Task exception was never retrieved\nfuture: <Task>", exc_info=ValueError("something else"))
    log.error("Executing took 9 seconds", exc_info=full)
    assert [record.getMessage()[:9] for record in caplog.records] == ["Task exce", "Executing"]
