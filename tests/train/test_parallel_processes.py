"""Four devices train alike in one process, in two and in four, with 1, 2 and 4 table shards."""

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
DEVICES = 4


def run(count, *arguments):
    """joined.py in `count` processes with DEVICES devices together; raises with what a failing one said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Compiled as users do: with most optimisations off, two processes of two devices once waited for ever.
    kept = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    ours = ("SOCIALJAX_", "XLA_", "JAX_")
    keep = {name: value for name, value in os.environ.items() if name in kept or not name.startswith(ours)}
    shared = {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES // count}",
    }
    if count > 1:
        shared |= {"SOCIALJAX_COORDINATOR": f"127.0.0.1:{port}", "SOCIALJAX_NUM_PROCESSES": str(count)}
    words = [sys.executable, str(Path(__file__).with_name("joined.py")), *map(str, arguments)]
    processes = [
        subprocess.Popen(
            words,
            env=keep | shared | {"SOCIALJAX_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(count)
    ]
    try:
        said = [process.communicate(timeout=560)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * count, "\n".join(said)


def alike(found, wanted):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_parameters_and_validation_are_those_of_one_process(compiled_for_children, tmp_path, count):
    ends = {}
    for number in (1, count):
        run(number, "steps", tmp_path / str(number))
        ends[number] = pickle.loads((tmp_path / str(number)).read_bytes())
    wanted = ends[1]
    assert len(wanted) == 8
    for (name, shards), (params, kept, metrics) in ends[count].items():
        alike(params, wanted[name, 1][0])
        alike(kept, params)
        assert metrics == pytest.approx(wanted[name, 1][2], abs=1e-3), (name, shards)


@pytest.mark.slow
def test_a_run_goes_on_with_other_processes_and_shards(compiled_for_children, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    run(1, "train", tmp_path / "one", 1, 3)
    for epoch, (count, shards) in enumerate([(4, 4), (2, 2), (2, 4)], start=1):
        run(count, "train", tmp_path / "many", shards, epoch)
    one, many = (pickle.loads((tmp_path / name / "parameters").read_bytes()) for name in ("one", "many"))
    alike(many, one)
