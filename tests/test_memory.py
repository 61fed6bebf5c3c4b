"""Compiled programs are let go when they hold many memory maps, and only then; many trainings in one process fit."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from socialjax.memory import memory_maps, release_programs

MANY = """
import dataclasses, sys, tempfile
from pathlib import Path
import socialjax
from socialjax import models
from socialjax.memory import memory_maps
from socialjax.train.step import TrainSettings
from socialjax.worlds import planted

data = planted.checkerboard(links=4)
train = TrainSettings(epochs=1, batch_size=256, evaluate_every=1, patience=0)
kinds = [models.MODELS[name] for name in ("bpr", "lightgcn", "diffnet", "social_mf", "svdpp")]
for number in range(50):
    with tempfile.TemporaryDirectory() as folder:
        model = kinds[number % 5](dim=4 + number)
        kept = Path(folder, "run") if number % 2 else None
        run = socialjax.fit(model, data, train, protocol="full", folder=kept, progress=False)
        if kept:
            run = socialjax.load(kept)
        run.recommend([0, 1], k=3)
    print(number, type(model).__name__, memory_maps(), flush=True)
"""


@pytest.mark.skipif(memory_maps() is None, reason="this system does not tell how many memory maps a process has")
def test_programs_are_let_go_when_there_are_more_maps_than_asked_for():
    compiled = [jax.jit(lambda x, shift=shift: jnp.cumsum(x * shift) + shift) for shift in range(20)]
    for program in compiled:
        program(jnp.arange(7.0)).block_until_ready()
    before = memory_maps()
    assert not release_programs(before + 1000) and compiled[0]._cache_size() == 1
    assert release_programs(before - 1) and compiled[0]._cache_size() == 0
    assert memory_maps() < before
    assert compiled[3](jnp.arange(3.0)).tolist() == [3.0, 6.0, 12.0]


@pytest.mark.slow
@pytest.mark.skipif(memory_maps() is None, reason="this system does not tell how many memory maps a process has")
def test_fifty_models_in_one_process_stay_below_20_000_maps():
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    maps = [int(line.split()[-1]) for line in done.stdout.splitlines()]
    print(f"after each of {len(maps)} models: {maps}")
    assert len(maps) == 50 and max(maps) < 20_000
