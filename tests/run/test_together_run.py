"""A run whose seeds are trained at the same time leaves the folder of one whose seeds are trained one by one."""

import dataclasses
import json

import jax
import pytest
from tiny import TINY, write_folder

from socialjax.data import sources
from socialjax.models import BPR
from socialjax.run.execute import run
from socialjax.run.settings import DataSettings, Definition, EvalSettings, Experiment
from socialjax.train.step import TrainSettings

SEEDS = (4, 1, 2)


@pytest.fixture
def trained(tmp_path, places, monkeypatch):
    """trained(folder, together, seeds) -> its record."""
    write_folder(tmp_path / "plain", "plain", user=str, item=str, links=False)
    one = jax.devices()[:1]
    monkeypatch.setattr(jax, "devices", lambda *of: one)
    data = DataSettings(name="plain", dir=tmp_path / "plain")
    usual = EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10))

    def trained(folder, together, seeds=SEEDS):
        train = dataclasses.replace(TrainSettings(**TINY), together=together)
        experiment = Experiment(BPR(dim=4, init_std=0.5), data, train, usual, seeds=seeds, workdir=tmp_path / folder)
        return run(Definition("together", "for tests", experiment), experiment, sources.load(data))

    return trained


def files(folder):
    """What a seed's folder says, but for times and memory."""
    record = json.loads((folder / "result.json").read_text())
    times = ("seconds", "pairs_per_second", "peak_memory_bytes")
    return {name: value for name, value in record.items() if name not in times}


def test_results_are_those_of_one_by_one_and_a_run_may_go_on_either_way(trained, tmp_path):
    alone, side_by_side = trained("alone", "off"), trained("beside", "side_by_side")
    trained("mixed", "off", seeds=SEEDS[:1])
    mixed = trained("mixed", "side_by_side")
    assert alone.metrics == side_by_side.metrics == mixed.metrics
    for seed in SEEDS:
        expected = files(tmp_path / "alone" / f"seed_{seed}")
        assert files(tmp_path / "beside" / f"seed_{seed}") == expected
        assert files(tmp_path / "mixed" / f"seed_{seed}") == expected
    stacked = trained("stacked", "vmap")
    for name, figures in alone.metrics.items():
        assert stacked.metrics[name]["values"] == pytest.approx(figures["values"], abs=1e-5)


def test_seconds_of_seeds_add_up_to_those_of_the_run(trained, tmp_path):
    whole = trained("beside", "side_by_side")
    seeds = [json.loads((tmp_path / "beside" / f"seed_{seed}" / "result.json").read_text()) for seed in SEEDS]
    totals = [seed["seconds"]["total"] for seed in seeds]
    assert all(seed["seconds"]["train"] < seed["seconds"]["total"] for seed in seeds)
    assert sum(totals) <= whole.seconds["total"] * 1.05
