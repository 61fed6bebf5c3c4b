"""What a run leaves behind, and who may write into a used folder."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from socialjax.data.sources import DataSettings
from socialjax.models import BPR
from socialjax.run import results
from socialjax.run.model_code import code_digest
from socialjax.run.settings import EvalSettings, Experiment
from socialjax.run.study.baselines import stale
from socialjax.train.step import TrainSettings
from socialjax.worlds import planted

EXPERIMENT = Experiment(model=BPR(dim=8), data=DataSettings(name="checkerboard"), train=TrainSettings(epochs=3))
DATA = planted.checkerboard(num_users=12, num_items=8)


def changed(part, **fields):
    return dataclasses.replace(EXPERIMENT, **{part: dataclasses.replace(getattr(EXPERIMENT, part), **fields)})


def claimed(folder):
    """A folder in which training has begun."""
    results.claim(folder, EXPERIMENT, DATA)
    (folder / "seed_0" / "checkpoints").mkdir(parents=True)
    return folder


def print_of(experiment, data=DATA, seed=0):
    return results.fingerprint(results.settings_of(experiment), data.provenance.as_dict(), seed)


CHANGES = [
    ("model", {"dim": 9}, "model.dim: 8 there, 9 now"),
    ("train", {"epochs": 4}, "train.epochs: 3 there, 4 now"),
    ("train", {"backend": "pmap"}, "train.backend: jit there, pmap now"),
    ("eval", {"seed": 1}, "eval.seed: 0 there, 1 now"),
    ("eval", {"validation_protocol": "full"}, "eval.validation_protocol: sampled1000-strict there, full now"),
    ("data", {"seed": 3}, "data.seed: 0 there, 3 now"),
    ("data", {"published_features": True}, "data.published_features: False there, True now"),
]


@pytest.mark.parametrize("part, fields, said", CHANGES, ids=lambda value: str(value)[:20])
def test_other_settings_in_a_used_folder_are_refused_with_the_difference(tmp_path, part, fields, said):
    folder = claimed(tmp_path / "run")
    before = (folder / "settings.json").read_bytes()
    with pytest.raises(ValueError, match="holds a run with other settings") as error:
        results.claim(folder, changed(part, **fields), DATA)
    assert said in str(error.value) and "--workdir" in str(error.value)
    assert (folder / "settings.json").read_bytes() == before
    assert print_of(changed(part, **fields)) != print_of(EXPERIMENT)


def test_every_setting_that_decides_figures_is_binding():
    """All but where things lie, what is shown, and seeds, each of which has a folder of its own."""
    free = {"seeds", "workdir", "mirror", "start_from", "preset", "sweep", "carry", "train.quiet", "train.save_seconds"}
    free |= {"data.dir", "data.features", "data.offline", "data.require_real", "train.writers", "train.together"}
    every = {"model.name", "start", "data.kind", "data.files"}
    for part in dataclasses.fields(EXPERIMENT):
        value = getattr(EXPERIMENT, part.name)
        nested = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        every |= {f"{part.name}.{field.name}" for field in nested} or {part.name}
    assert free <= every
    binding = results.binding(results.settings_of(EXPERIMENT), DATA.provenance.as_dict())
    # Left out at the value that all runs had before: these runs hold.
    later = {
        "data.published_features": changed("data", name="yelp", published_features=True),
        "train.schedule": changed("train", schedule="cosine"),
        "train.warmup": changed("train", warmup=3),
        "train.clip": changed("train", clip=1.0),
        "train.ema": changed("train", ema=0.99),
        "train.accumulate": changed("train", accumulate=2),
        "train.fanouts": changed("train", fanouts=(10, 5), optimizer="adagrad_rows"),
    }
    assert set(binding) == every - free - later.keys()
    for name, experiment in later.items():
        assert name in results.binding(results.settings_of(experiment), DATA.provenance.as_dict())


def test_other_data_in_a_used_folder_are_refused(tmp_path):
    folder = claimed(tmp_path / "run")
    other = dataclasses.replace(DATA, provenance=dataclasses.replace(DATA.provenance, kind="stand-in"))
    with pytest.raises(ValueError, match=r"data.kind: planted there, stand-in now"):
        results.claim(folder, EXPERIMENT, other)
    files, features = (
        dataclasses.replace(DATA, provenance=dataclasses.replace(DATA.provenance, files={"a": "1", "features b": sha}))
        for sha in "12"
    )
    with pytest.raises(ValueError, match=r"data.files: a, features b differ\)"):
        results.claim(folder, EXPERIMENT, files)
    results.claim(tmp_path / "with", EXPERIMENT, files)
    (tmp_path / "with" / "seed_0" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"data.files: features b differs\)"):
        results.claim(tmp_path / "with", EXPERIMENT, features)
    assert len({print_of(EXPERIMENT, data) for data in (DATA, other, files, features)}) == 4


def without(folder, part, field):
    """As if the run in the folder was begun before the field was there."""
    path = folder / "settings.json"
    record = json.loads(path.read_text())
    del record["settings"][part][field]
    path.write_text(json.dumps(record))
    return record["settings"]


@pytest.mark.parametrize("part, field, other", [("train", "plateau", 7), ("model", "item_bias", False)])
def test_a_run_from_before_a_setting_goes_on_at_its_default_and_is_the_same_run(tmp_path, part, field, other):
    folder = claimed(tmp_path / "run")
    before = without(folder, part, field)
    data = DATA.provenance.as_dict()
    results.claim(folder, EXPERIMENT, DATA)
    assert results.read_claim(folder / "settings.json")["settings"] == before, "checkpoints are known by these"
    assert results.fingerprint(before, data, 0) != print_of(EXPERIMENT)
    assert stale(folder, EXPERIMENT, DATA) == "the model's code has changed since", "it does not say by which"
    results.write_json(folder / "code.json", {"code": code_digest(EXPERIMENT.model)})
    assert stale(folder, EXPERIMENT, DATA) is None
    changed_now = changed(part, **{field: other})
    with pytest.raises(ValueError, match=f"{part}.{field}: (True|60|0|20) there, {other} now"):
        results.claim(folder, changed_now, DATA)
    assert stale(folder, changed_now, DATA) == f"other settings ({part}.{field})"


def test_settings_of_a_model_that_nobody_knows_are_left_alone():
    for settings in ({"model": {"name": "theirs", "dim": 3}}, {"model": 3}, {}):
        assert results.complete(settings) == settings


def test_a_setting_that_came_later_binds_no_run_from_before_at_its_default():
    settings, data = results.settings_of(EXPERIMENT), DATA.provenance.as_dict()
    before = {**settings, "data": {name: v for name, v in settings["data"].items() if name != "published_features"}}
    assert before != settings
    assert results.fingerprint(before, data, 0) == results.fingerprint(settings, data, 0)


@pytest.mark.parametrize(
    "part, fields",
    [
        ("train", {"quiet": True}),
        ("train", {"save_seconds": 1.0}),
        ("data", {"dir": Path("elsewhere"), "offline": True}),
    ],
    ids=str,
)
def test_what_changes_no_figure_may_change(tmp_path, part, fields):
    folder = claimed(tmp_path / "run")
    results.claim(folder, changed(part, **fields), DATA)
    assert print_of(changed(part, **fields)) == print_of(EXPERIMENT)


@pytest.mark.parametrize("fields", [{"ks": (10,)}, {"protocol": "full"}, {"also": ()}], ids=str)
def test_by_what_the_test_part_is_evaluated_may_change_and_settings_stay_as_the_training_began(tmp_path, fields):
    folder = claimed(tmp_path / "run")
    before = (folder / "settings.json").read_bytes()
    results.claim(folder, changed("eval", **fields), DATA)
    assert (folder / "settings.json").read_bytes() == before, "checkpoints are known by these"


def test_seeds_may_be_added(tmp_path):
    folder = claimed(tmp_path / "run")
    results.claim(folder, dataclasses.replace(EXPERIMENT, seeds=(0, 4)), DATA)
    assert json.loads((folder / "settings.json").read_text())["settings"]["seeds"] == [0, 4]
    assert print_of(EXPERIMENT, seed=0) != print_of(EXPERIMENT, seed=4)


def test_a_start_that_failed_before_it_trained_does_not_claim_the_folder(tmp_path):
    results.claim(tmp_path / "run", changed("eval", ks=(10, 5000)), DATA)
    results.claim(tmp_path / "run", EXPERIMENT, DATA)
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]
    assert settings["eval"]["ks"] == list(EvalSettings().ks)


def test_settings_tell_everything_resolved(tmp_path):
    record = json.loads((claimed(tmp_path / "run") / "settings.json").read_text())
    assert record["settings"]["model"] == {"name": "bpr", **dataclasses.asdict(EXPERIMENT.model)}
    assert record["settings"]["train"]["epochs"] == 3
    assert record["data"]["kind"] == "planted" and record["data"]["counts"]["users"] == 12
    assert {"commit", "versions", "device"} <= set(record) and record["versions"]["jax"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="the work folder .* cannot be written .*--workdir"):  # noqa: RUF043
            results.claim(folder, EXPERIMENT, DATA)


def test_damaged_settings_are_named(tmp_path):
    folder = claimed(tmp_path / "run")
    (folder / "settings.json").write_text('{"settings": ')
    with pytest.raises(ValueError, match=r"settings.json is damaged .*delete it"):
        results.claim(folder, EXPERIMENT, DATA)


def test_files_are_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    results.write_json(path, {"a": [1, 2.5, None]})
    assert results.read_json(path) == {"a": [1, 2.5, None]}
    with pytest.raises(ValueError):
        results.write_json(path, {"a": float("nan")})

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_room)
    with pytest.raises(OSError):
        results.write_json(path, {"a": 2})
    with pytest.raises(OSError):
        results.write_per_user(tmp_path / "per_user.npz", np.arange(2), {"HR@10": np.ones(2)})
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"] and results.read_json(path)["a"] == [1, 2.5, None]


def test_per_user_metrics_are_read_back_without_pickle(tmp_path):
    results.write_per_user(tmp_path / "per_user.npz", np.array([3, 5], np.int32), {"HR@10": np.array([0.5, 1.0])})
    with np.load(tmp_path / "per_user.npz", allow_pickle=False) as found:
        assert found["users"].tolist() == [3, 5] and found["HR@10"].tolist() == [0.5, 1.0]
