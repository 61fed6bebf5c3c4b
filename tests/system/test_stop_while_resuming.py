"""A run that goes on is asked to stop, or has too little memory, at any moment: no checkpoint is taken for damaged."""

import os
import random
import re
import signal
import time

import pytest
from killing import Command, Ready, number_of

SETTINGS = ["--data.name", "tiny", "--offline", "--train.batch-size", "64", "--train.evaluate-every", "1"]
SETTINGS += ["--train.patience", "0", "--train.save-seconds", "0.5", "--model.dim", "8", "--eval.ks", "5", "10"]


def words_of(commands, folder, epochs):
    return ["bpr", "--data.dir", commands.data, "--workdir", folder, *SETTINGS, "--train.epochs", str(epochs)]


def steps(folder):
    """Names in the folder of checkpoints, but for what Orbax is writing; the newest step last."""
    found = [path.name for path in folder.glob("seed_0/checkpoints/*") if "tmp" not in path.name]
    return sorted(found, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0))


def wait_for(there, is_at_work):
    while not there():
        assert is_at_work()
        time.sleep(0.002)


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def stopped_again_and_again(commands, folder, times, epochs):
    """Starts the run, stops it while it goes on, and so on; then lets it finish. -> {exit code: how often}.

    The moments are drawn from the start of the command to some epochs after it has read its checkpoint.
    """
    draw, codes, words = random.Random(times), {}, words_of(commands, folder, epochs)
    ready = Ready("socialjax.commands.train", folder.parent, commands.environment)
    try:
        process, began = ready.start(*words), time.monotonic()
        wait_for(lambda: len(steps(folder)) > 1, lambda: is_alive(process))
        to_read = time.monotonic() - began  # seconds from the start to the end of reading; measured below
        os.kill(process, signal.SIGTERM)
        assert ready.end()[0] == 143
        for _ in range(times):
            before, process, began = steps(folder), ready.start(*words), time.monotonic()
            moment, has_read = draw.uniform(0, 1.3 * to_read), None
            while time.monotonic() - began < moment and is_alive(process):
                if has_read is None and "going on from step" in ready.log.read_text():
                    has_read = to_read = time.monotonic() - began
                time.sleep(0.002)
            os.kill(process, signal.SIGTERM)
            code, said = ready.end()
            codes[code] = codes.get(code, 0) + 1
            after = steps(folder)
            # -15: before the first line of the command, which nobody can hear.
            assert code == 143 or (code == -signal.SIGTERM and not said), (code, said)
            assert "cannot be read" not in said and "Traceback" not in said, said
            assert len(after) == 2 and all(name.isdigit() for name in after), (after, said)
            assert int(after[-1]) >= int(before[-1]), (before, after, said)
            to_read *= 1.0 if has_read is not None or "going on from" in said else 1.05
        ready.start(*words)
        code, said = ready.end()
        assert code == 0, said
        ready.start(*words_of(commands, folder.with_name("unbroken"), epochs))
        code, said = ready.end()
        assert code == 0, said
    finally:
        ready.close()
    return codes


@pytest.mark.slow
def test_a_run_that_is_asked_to_stop_while_it_goes_on_ends_as_one_that_was_not(commands, left_behind, tmp_path):
    codes = stopped_again_and_again(commands, tmp_path / "run", number_of(3), epochs=300)
    assert sum(codes.values()) == number_of(3)
    assert left_behind(tmp_path / "run") == left_behind(tmp_path / "unbroken")


@pytest.mark.slow
def test_a_hundred_moments_while_a_run_goes_on_change_nothing(commands, left_behind, tmp_path):
    times = number_of(100)
    codes = stopped_again_and_again(commands, tmp_path / "run", times, epochs=20 * times)
    print(f"{times} stops, exit codes {codes}")
    assert left_behind(tmp_path / "run") == left_behind(tmp_path / "unbroken")


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.2, 0.7, 0.8, 0.9, 0.95])
def test_too_little_memory_is_said_and_costs_no_checkpoint(commands, tmp_path, share):
    """A limit on the address space, as a share of what the run has."""
    folder = tmp_path / "run"
    words = ["-m", "socialjax", "train", *words_of(commands, folder, 200)]
    process = Command(words, commands.environment).start()
    wait_for(lambda: len(steps(folder)) > 1, lambda: process.poll() is None)
    with open(f"/proc/{process.pid}/status") as status:
        peak = int(re.search(r"VmPeak:\s+(\d+) kB", status.read())[1])
    process.terminate()
    assert "stopped by SIGTERM" in process.communicate(timeout=120)[1] and process.returncode == 143
    before = steps(folder)
    limited = ("bash", "-c", f'ulimit -v {int(share * peak)}; exec "$@"', "limited")
    code, _, error = Command(words, commands.environment, limited).run()
    print(f"{share:.2f} of {peak:,} kB: exit code {code}; {error.splitlines()[-1][:200]}")
    assert code == 0 or re.search(r"memory|RESOURCE_EXHAUSTED|bad_alloc", error), error
    # Prepared data that does not fit is left as it is, said, and the raw files are read.
    said = "\n".join(line for line in error.splitlines() if "/cache/prepared/" not in line)
    assert "delete" not in said and "cannot be read" not in said, error
    after = steps(folder)
    assert all(name.isdigit() for name in after) and int(after[-1]) >= int(before[-1])
    code, _, error = Command(words, commands.environment).run()
    assert code == 0, error
