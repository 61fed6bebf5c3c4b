"""Two processes train as one: the same parameters, one set of files, and a stop that both agree on."""

import signal
import socket
import time

import jax
import numpy as np
import pytest

from socialjax.train.checkpoint import read_best

# Without Adam, which divides by the size of a gradient, rounding stays as small as it is.
SETTINGS = ["--train.optimizer", "sgd", "--train.learning-rate", "1", "--model.init-std", "0.1", "--train.epochs", "20"]


def start_two(commands, folder, *arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    joined = {"SOCIALJAX_COORDINATOR": f"127.0.0.1:{port}", "SOCIALJAX_NUM_PROCESSES": "2"}
    return [commands.start(folder, *arguments, **joined, SOCIALJAX_PROCESS_ID=str(number)) for number in (0, 1)]


def finish(processes):
    """[(exit code, standard output, standard error)]"""
    try:
        ends = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *end) for process, end in zip(processes, ends)]


@pytest.fixture(scope="module")
def one(commands):
    """The folder of a run in one process."""
    folder = commands.folder / "one_process"
    code, _, error = commands.run(folder, *SETTINGS, "--train.save-seconds", "60")
    assert code == 0, error
    return folder


def test_two_processes_stop_together_resume_and_end_as_one(commands, left_behind, one, tmp_path):
    two = tmp_path / "two"
    processes = start_two(commands, two, *SETTINGS)
    while not any(path.name.isdigit() for path in two.glob("seed_0/checkpoints/*")):
        assert processes[0].poll() is None, processes[0].communicate()[1]
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGTERM)  # process 0 hears of it from process 1
    assert [code for code, *_ in finish(processes)] == [143, 143]
    assert not (two / "result.json").exists()

    (code, out, error), (other_code, other_out, other_error) = finish(
        start_two(commands, two, *SETTINGS, "--train.save-seconds", "60")
    )
    assert code == 0 and "going on from step" in error, error
    assert other_code == 0, other_error
    assert "bpr (seeds 0)" in out and "bpr" not in other_out + other_error, "the first process alone talks"

    expected, found = left_behind(one), left_behind(two)
    assert found["seed_0"]["files"] == expected["seed_0"]["files"]
    steps = [[line["step"] for line in run["seed_0"]["metrics"]] for run in (expected, found)]
    assert steps[0] == steps[1] and len(steps[0]) == 20
    must_have_equal_parameters(one, two)


@pytest.mark.slow
def test_pmap_over_two_processes_ends_as_one(commands, one, tmp_path):
    two = tmp_path / "two"
    ends = finish(start_two(commands, two, *SETTINGS, "--train.save-seconds", "60", "--train.backend", "pmap"))
    assert [code for code, *_ in ends] == [0, 0], ends
    must_have_equal_parameters(one, two)


def must_have_equal_parameters(*folders):
    parameters = [read_best(folder / "seed_0" / "checkpoints")[0] for folder in folders]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), *parameters)
