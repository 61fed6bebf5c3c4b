"""Checkpoints of strangers: sizes are compared before they are believed, odd files are refused, few folders read."""

import json
import logging
import os
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorstore

from socialjax.train import checkpoint
from socialjax.train.checkpoint import CheckpointError, Checkpoints, read_best

LIKE = {"bias": jax.ShapeDtypeStruct((3,), jnp.float32), "users": jax.ShapeDtypeStruct((24, 4), jnp.float32)}


def save(folder, step=2, rows=24):
    params = {"users": jnp.asarray(np.random.default_rng(0).normal(size=(rows, 4)), jnp.float32), "bias": jnp.zeros(3)}
    kept = Checkpoints(folder, "ours")
    kept.save(step, {"params": params}, params, {"best": 1.0})
    kept.close()
    return folder / str(step)


def forge(step, **arrays):
    """Notes that list those arrays of the best parameters, with the check sum that belongs to them."""
    path = step / "notes" / "metadata"
    notes = json.loads(path.read_text())
    del notes["check"]
    notes["arrays"] |= {f"best['{name}']": value for name, value in arrays.items()}
    path.write_text(json.dumps(notes | {"check": zlib.crc32(json.dumps(notes, sort_keys=True).encode())}))


def said(caplog):
    return " ".join(record.getMessage() for record in caplog.records if record.name == checkpoint.__name__)


def test_parameters_that_fit_are_read(tmp_path):
    save(tmp_path)
    best, notes = read_best(tmp_path, LIKE, "ours")
    assert {name: leaf.shape for name, leaf in best.items()} == {"users": (24, 4), "bias": (3,)}
    assert notes["best"] == 1.0


@pytest.mark.parametrize(
    "arrays", [{"users": ["float32[2500000000, 4]", 1]}, {"users": ["float64[24, 4]", 1]}, {"more": ["float32[1]", 1]}]
)
def test_other_shapes_than_the_models_are_refused_by_the_notes_alone(tmp_path, arrays):
    step = save(tmp_path)
    forge(step, **arrays)
    for path in (step / "best").rglob("*"):  # nothing of it may be needed
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"do not fit the model: wanted .* got"):
        read_best(tmp_path, LIKE, "ours")


def test_a_checkpoint_of_another_run_is_refused_by_the_notes_alone(tmp_path):
    save(tmp_path)
    with pytest.raises(CheckpointError, match="belongs to another run"):
        read_best(tmp_path, LIKE, "theirs")


@pytest.mark.parametrize(
    "shape, why",
    [
        ("float32[2500000000, 4]", "would have 40000000012 bytes and come from files of"),
        ("float32[-1, 4]", "its notes say"),
        ("float32[[24], 4]", "its notes say"),
        ("pickle[24, 4]", "name the type 'pickle'"),
        ("float32[25, 4]", "its files hold other arrays"),
        (7, "its notes say"),
    ],
)
def test_sizes_that_nobody_expected_are_not_believed(tmp_path, caplog, shape, why):
    forge(save(tmp_path), users=[shape, 1])
    with caplog.at_level(logging.WARNING), pytest.raises(CheckpointError, match="no readable checkpoint"):
        read_best(tmp_path)
    assert why in said(caplog)


@pytest.mark.parametrize("change", [{"shape": [10**9, 4]}, {"chunks": [10**9, 4]}, {"dtype": "<f8"}], ids=str)
def test_files_that_hold_larger_arrays_than_the_notes_say_are_not_read(tmp_path, caplog, change):
    step = save(tmp_path)
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{step}/best/"}).result()
    header = json.loads(store.read(b"users/.zarray").result().value)
    store.write(b"users/.zarray", json.dumps(header | change).encode()).result()
    with caplog.at_level(logging.WARNING), pytest.raises(CheckpointError, match="no readable checkpoint"):
        read_best(tmp_path, LIKE, "ours")
    assert "its files hold other arrays" in said(caplog) or "in pieces of [1000000000, 4]" in said(caplog)


def pipe(step):
    os.mkfifo(step / "best" / "more")


def pipe_for_a_manifest(step):
    (step / "best" / "manifest.ocdbt").unlink()
    os.mkfifo(step / "best" / "manifest.ocdbt")


def link(step):
    (step / "best" / "more").symlink_to("/etc")


def whole_link(step):
    step.rename(step.with_name("elsewhere"))
    step.symlink_to("elsewhere")


def large_notes(step):
    os.truncate(step / "notes" / "metadata", 20 << 30)  # a hole


def deep_notes(step):
    (step / "notes" / "metadata").write_bytes(b"[" * 200_000)


def deep_metadata(step):
    (step / "best" / "_METADATA").write_bytes(b"[" * 200_000)


def no_notes(step):
    (step / "notes" / "metadata").unlink()


REFUSED = ("is no plain file", "is no folder", "wanted at most", "notes cannot be read", "nested too deeply")
ODD = [pipe, pipe_for_a_manifest, link, whole_link, large_notes, deep_notes, deep_metadata, no_notes]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.__name__)
def test_odd_files_are_refused_unopened(tmp_path, caplog, odd):
    odd(save(tmp_path))
    with caplog.at_level(logging.WARNING), pytest.raises(CheckpointError, match="no readable checkpoint"):
        read_best(tmp_path, LIKE, "ours")
    assert any(why in said(caplog) for why in REFUSED)


def test_few_of_many_step_folders_are_looked_at(tmp_path, caplog):
    save(tmp_path)
    for step in range(3, 1000):
        (tmp_path / str(step)).mkdir()
    with caplog.at_level(logging.WARNING), pytest.raises(CheckpointError, match="no readable checkpoint"):
        read_best(tmp_path)
    tried = [record for record in caplog.records if record.name == checkpoint.__name__]
    assert [record.getMessage().split()[1] for record in tried] == [str(s) for s in range(999, 999 - len(tried), -1)]
    assert len(tried) == checkpoint.MOST_TRIED


def test_steps_are_plain_numbers(tmp_path):
    for name in ("7", "12", "012", "1e3", "-4", "9" * 40, "٣", "12.orbax-checkpoint-tmp", "step"):
        (tmp_path / name).mkdir()
    assert checkpoint.newest(tmp_path) == [12, 7]
    assert checkpoint.newest(tmp_path / "none") == []
