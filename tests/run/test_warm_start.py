"""Trainings that start from the parameters of a finished run."""

import dataclasses

import jax
import numpy as np
import pytest

from socialjax.data import sources
from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.svdpp import SVDpp
from socialjax.run.execute import run
from socialjax.run.saved import from_run, read_settings, taken_over
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.train.checkpoint import CheckpointError, read_best
from socialjax.train.step import TrainSettings

pytestmark = pytest.mark.usefixtures("places")


def started(finished_runs, workdir, model, start=None, **training):
    """Two epochs of `model` on the data of the finished BPR, from it or from another folder."""
    _, data, _ = read_settings(finished_runs["bpr"])
    settings = {"epochs": 2, "batch_size": 64, "evaluate_every": 1, "patience": 0, "quiet": True} | training
    experiment = Experiment(
        model=model,
        data=data,
        train=TrainSettings(**settings),
        eval=EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10)),
        workdir=workdir,
        start_from=start or finished_runs["bpr"],
    )
    return experiment, run(Definition("more", "for tests", experiment), experiment, sources.load(data))


def best(folder):
    return read_best(folder / "seed_0" / "checkpoints")[0]


def test_what_is_not_trained_stays_as_it_was_finished(finished_runs, tmp_path):
    """With a learning rate of nearly 0 the tables are the finished run's and the others those of the seed."""
    _, record = started(finished_runs, tmp_path / "run", SVDpp(dim=4, init_std=0.5), learning_rate=1e-12)
    before, after = best(finished_runs["bpr"]), best(tmp_path / "run")
    for name in ("users", "items", "item_bias"):
        np.testing.assert_allclose(after["tables"][name], before[name], atol=1e-6)
    assert np.std(after["implicit"]) > 0.3
    assert len(record.settings["start"]) == 16


def test_another_start_is_another_run(finished_runs, tmp_path):
    """A folder that holds a run is not gone on with from another start, nor from none."""
    experiment, _ = started(finished_runs, tmp_path / "run", BPR(dim=4))
    data = sources.load(experiment.data)
    for changed in (None, finished_runs["diffnet"]):
        other = dataclasses.replace(experiment, start_from=changed, seeds=(0, 1))
        with pytest.raises(ValueError, match=r"holds a run with other settings \(start: "):
            run(Definition("more", "for tests", other), other, data)


def test_a_width_that_does_not_fit_is_told(finished_runs, tmp_path):
    with pytest.raises(
        ValueError, match=r"nothing of .* fits this model: it has .*users \(24, 4\).*wanted .*\(24, 5\)"
    ):
        started(finished_runs, tmp_path / "run", BPR(dim=5, item_bias=False))


def test_a_folder_that_is_no_run_or_has_lost_its_parameters_is_told(finished_runs, tmp_path):
    with pytest.raises(ValueError, match="--start-from wants the folder of a finished run"):
        started(finished_runs, tmp_path / "run", BPR(dim=4), tmp_path / "nowhere")
    (tmp_path / "seed_0").mkdir()
    (tmp_path / "settings.json").write_text("{}")
    (tmp_path / "seed_0" / "result.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"checkpoints is missing, so there are no parameters to start from"):
        from_run(tmp_path, 0)
    with pytest.raises(ValueError, match="has no finished seed 3"):
        from_run(tmp_path, 3)


def test_an_array_that_fits_two_places_is_refused():
    fresh = {"a": {"users": np.zeros((3, 2))}, "b": {"users": np.zeros((3, 2))}}
    with pytest.raises(ValueError, match="users of there fits a/users, b/users"):
        taken_over(fresh, {"users": np.ones((3, 2))}, "there")


def test_a_name_fits_whole_parts_of_a_path_only():
    fresh = {"tables": {"users": np.zeros((3, 2)), "new_users": np.zeros((3, 2))}}
    got = taken_over(fresh, {"users": np.ones((3, 2)), "items": np.ones((4, 2))}, "there")
    jax.tree.map(
        np.testing.assert_array_equal, got, {"tables": {"users": np.ones((3, 2)), "new_users": np.zeros((3, 2))}}
    )
