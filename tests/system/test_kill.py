"""A run that is killed at any moment and started again ends as if nothing had happened."""

import random
import re
import signal
import time

import pytest


def kill(process, folder, moment: str, draw: random.Random) -> bool:
    """Kills at a moment: `early` (before training), `training`, or `saving` (a checkpoint is half written).

    Returns whether the process was still there to be killed.
    """
    checkpoints = folder / "seed_0" / "checkpoints"
    before = newest(checkpoints)
    if moment == "early":
        time.sleep(draw.uniform(0.5, 2.0))
    else:
        while process.poll() is None and newest(checkpoints) <= before:
            time.sleep(0.005)
        time.sleep(draw.uniform(0.0, 0.6))
        while moment == "saving" and process.poll() is None and not list(checkpoints.glob("*-tmp*")):
            time.sleep(0.0005)
    was_there = process.poll() is None
    process.kill()
    process.communicate()
    return was_there


def newest(checkpoints) -> int:
    return max((int(path.name) for path in checkpoints.glob("*") if path.name.isdigit()), default=-1)


def killed_until_done(commands, folder, moments, seed=0):
    """-> how many kills hit a living process, and how many of them left a half-written checkpoint."""
    draw, hits, torn = random.Random(seed), 0, 0
    for moment in moments:
        hits += kill(commands.start(folder), folder, moment, draw)
        torn += bool(list((folder / "seed_0" / "checkpoints").glob("*-tmp*")))
    code, _, error = commands.run(folder)
    assert code == 0, error
    return hits, torn


@pytest.mark.slow
def test_three_kills_change_nothing(commands, unbroken, left_behind, tmp_path):
    hits, torn = killed_until_done(commands, tmp_path / "run", ("training", "early", "saving"))
    assert hits == 3 and torn >= 1
    assert left_behind(tmp_path / "run") == left_behind(unbroken)


@pytest.mark.slow
def test_twenty_killed_runs_change_nothing(commands, unbroken, left_behind, tmp_path):
    wanted, hits, torn = left_behind(unbroken), 0, 0
    for run in range(20):
        moments = random.Random(run).choice([("training",), ("saving",), ("early",), ("saving", "training")])
        counted = killed_until_done(commands, tmp_path / str(run), moments, run)
        hits, torn = hits + counted[0], torn + counted[1]
        assert left_behind(tmp_path / str(run)) == wanted, (run, moments)
    assert hits >= 20 and torn >= 3


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_saves_exits_with_its_number_and_the_run_goes_on(commands, unbroken, left_behind, tmp_path, number):
    folder = tmp_path / "run"
    process = commands.start(folder)
    while newest(folder / "seed_0" / "checkpoints") < 0:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert error.splitlines()[-1] == f"stopped by {number.name}; start the same command again to go on"
    assert "Traceback" not in error
    code, _, error = commands.run(folder)
    assert code == 0 and re.search(r"going on from step \d+", error)
    assert left_behind(folder) == left_behind(unbroken)
