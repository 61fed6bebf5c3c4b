"""A run of several processes of which one is killed ends at once, and goes on from its checkpoint, on fewer as well."""

import re
import socket
import time

import jax
import numpy as np
import pytest

from socialjax.train.checkpoint import newest, read_best
from socialjax.train.watch import GONE

# Without Adam, which divides by the size of a gradient, rounding stays as small as it is.
SETTINGS = ["--train.optimizer", "sgd", "--train.learning-rate", "1", "--model.init-std", "0.1", "--train.epochs", "20"]


def start(commands, folder, count, *arguments, devices=1):
    """`count` processes of one run, each with its own virtual devices."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    if count > 1:
        shared |= {"SOCIALJAX_COORDINATOR": f"127.0.0.1:{port}", "SOCIALJAX_NUM_PROCESSES": str(count)}
    numbers = [str(number) for number in range(count)]
    return [commands.start(folder, *SETTINGS, *arguments, **shared, SOCIALJAX_PROCESS_ID=n) for n in numbers]


def finish(processes):
    """[(exit code, standard error)]"""
    try:
        ends = [process.communicate(timeout=180) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, error) for process, (_, error) in zip(processes, ends)]


def killed(commands, folder, count, victim, devices=1):
    """Kills one process of `count` after the first checkpoint; the others must end, each with one line."""
    processes = start(commands, folder, count, devices=devices)
    while len(newest(folder / "seed_0" / "checkpoints")) == 0:
        assert processes[0].poll() is None, processes[0].communicate()[1]
        time.sleep(0.01)
    processes[victim].kill()
    begin = time.monotonic()
    ends = finish(processes)
    assert time.monotonic() - begin < 60
    for number, (code, error) in enumerate(ends):
        if number != victim:
            lines = [line for line in error.splitlines() if "start all again" in line]
            assert code == GONE and len(lines) == 1, error
            assert re.match(rf"process {victim} of {count} \(host .*\) is gone; .* from epoch [\d.]+$", lines[0])
            assert "Traceback" not in error and "fatal" not in error
    assert not (folder / "result.json").exists()


def resumed(commands, folder, count, devices=1):
    (code, error), *others = finish(start(commands, folder, count, "--train.save-seconds", "60", devices=devices))
    assert code == 0 and "going on from step" in error, error
    assert all(code == 0 for code, _ in others)


@pytest.fixture(scope="module")
def unbroken_parameters(commands):
    folder = commands.folder / "unbroken_sgd"
    ends = finish(start(commands, folder, 1, "--train.save-seconds", "60"))
    assert ends[0][0] == 0, ends
    return parameters(folder)


def parameters(folder):
    return read_best(folder / "seed_0" / "checkpoints")[0]


def must_be_equal(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), one, other)


def test_one_of_two_is_killed_and_the_run_goes_on_alone(commands, unbroken_parameters, tmp_path):
    killed(commands, tmp_path / "run", 2, victim=1)
    resumed(commands, tmp_path / "run", 1)
    must_be_equal(unbroken_parameters, parameters(tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 2])
def test_one_of_four_is_killed_and_the_run_goes_on_with_two(commands, unbroken_parameters, tmp_path, victim):
    killed(commands, tmp_path / "run", 4, victim, devices=2)
    resumed(commands, tmp_path / "run", 2, devices=2)
    must_be_equal(unbroken_parameters, parameters(tmp_path / "run"))
