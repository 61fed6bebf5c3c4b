"""Presets that promise a published setting hold what was published."""

import dataclasses

import numpy as np
import pytest
from simulated_features import simulated_features

from experiments import diffnet_flickr, diffnet_pp_yelp, diffnet_yelp, features_yelp
from socialjax.data.sets import PUBLISHED, diffnet
from socialjax.models import MODELS
from socialjax.run import execute, results
from socialjax.run.command import read_arguments
from socialjax.run.study import baselines
from socialjax.worlds import planted

# The released code: squared error over 8 negatives, nothing regularised, no bias, Normal(0, 0.01), both directions.
RELEASED = {
    "depth": 2,
    "variant": "released",
    "objective": "squared",
    "negatives": 8,
    "l2": 0.0,
    "feature_l2": 0.0,
    "layer_l2": 0.0,
    "dropout": 0.0,
    "item_bias": False,
    "start": "normal",
    "init_std": 0.01,
    "symmetric": True,
    "use_features": True,
}
DIFFNET = RELEASED | {
    "dim": 32,
    "layers": "all_but_0",
    "pooling": "mean",
    "feature_scale": 0.2,
    "exclude_target": False,
    "cold_bias": None,
}
DIFFNET_PP = RELEASED | {"dim": 64, "feature_scale": 0.1}
UNUSED = {"temperature", "activation", "attention_dim"}  # of another loss, of the paper's form


@pytest.mark.parametrize(
    "experiment, model, training",
    [
        (diffnet_yelp, DIFFNET, (1e-3, 300)),
        (diffnet_flickr, DIFFNET, (1e-3, 300)),
        (diffnet_pp_yelp, DIFFNET_PP, (5e-4, 450)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_preset_authors_is_the_released_setting(experiment, model, training):
    found = read_arguments(experiment.DEFINITION, ["--preset", "authors"])
    fields = dataclasses.asdict(found.model)
    assert {name: value for name, value in fields.items() if name not in UNUSED} == model
    assert (found.train.learning_rate, found.train.epochs) == training
    assert found.train.optimizer == "adam" and found.train.patience == 0
    assert not found.data.published_features


@pytest.mark.parametrize("experiment", [diffnet_yelp, diffnet_pp_yelp], ids=lambda module: module.__name__)
def test_presets_with_features_take_the_published_ones_and_change_no_default(experiment):
    plain = read_arguments(experiment.DEFINITION, [])
    found = read_arguments(experiment.DEFINITION, ["--preset", "features"])
    assert found.data.published_features and not plain.data.published_features
    assert found.data.name == "yelp" and found.model.use_features
    assert (found.train, found.eval, found.model.dim) == (plain.train, plain.eval, 64)


def test_the_authors_width_has_a_preset_with_features():
    found = read_arguments(diffnet_yelp.DEFINITION, ["--preset", "features-32"])
    assert found.model.dim == 32 and found.data.published_features


def test_rows_of_the_table_with_features_are_models_of_these_settings():
    study = features_yelp.STUDY
    made = {row: MODELS[of.model or row](**of.fields) for row, of in study.settings.items()}
    assert study.data.published_features and study.over in made
    controls = {row for row, model in made.items() if not model.use_features}
    assert controls == {f"{row}-ids" for row in ("diffnet", "diffnet-paper", "diffnet_pp", "fm")}
    for row in controls:
        assert dataclasses.replace(made[row], use_features=True) == made[row.removesuffix("-ids")]
        assert study.settings[row].train == study.settings[row.removesuffix("-ids")].train
    with_features = read_arguments(diffnet_yelp.DEFINITION, ["--preset", "features"])
    assert made["diffnet"] == with_features.model


@pytest.fixture
def small_yelp(tmp_path, places, logging_as_before, monkeypatch):
    """A folder with a checkerboard in the files of Yelp, and simulated vectors beside them."""
    folder, made = tmp_path / "yelp", planted.checkerboard(40, 60, links=3)
    folder.mkdir()
    for part, pairs in zip(("train", "val", "test"), made.parts().values()):
        lines = [f"{user}\t{item}\t1\n" for user, item in zip(pairs.user, pairs.item)]
        (folder / f"yelp.{part}.rating").write_text("".join(lines))
    lines = [f"{a}\t{b}\t1\n" for a, b in zip(made.links.follower, made.links.followee)]
    (folder / "yelp.links").write_text("".join(lines))
    for name, table in zip(("user_vector", "item_vector"), simulated_features(made, 4, 5)):
        np.save(folder / f"{name}.npy", table)
    read = lambda folder, seed: diffnet.read(folder, "yelp", None, 40, 60, features=False)  # noqa: E731
    monkeypatch.setitem(PUBLISHED, "yelp", dataclasses.replace(PUBLISHED["yelp"], read=read))
    return folder


SMALL_EVALUATION = [
    *("--eval.protocol", "sampled9-strict", "--eval.validation-protocol", "sampled9-strict"),
    *("--eval.also", "sampled20-official", "--eval.ks", "5", "10"),
]


@pytest.mark.slow
def test_the_preset_with_features_shows_the_run_by_the_protocol_of_the_reported_figure(small_yelp, tmp_path, capsys):
    words = ["--preset", "features-32", "--data.dir", str(small_yelp), "--workdir", str(tmp_path / "run")]
    reported = [row | {"protocol": "sampled20-official"} for row in diffnet_yelp.REPORTED]  # there are 60 items only
    definition = dataclasses.replace(diffnet_yelp.DEFINITION, reported=tuple(reported))
    few = ["--train.epochs", "4", "--train.batch-size", "128", "--train.quiet"]
    assert execute.main(definition, [*words, *few, *SMALL_EVALUATION]) == 0
    said = capsys.readouterr().out
    assert "with features" in said
    assert "DiffNet, the authors' code: with review features, D = 32" in said
    assert "this run: sampled20-official, D = 32" in said


@pytest.mark.slow
def test_rows_of_the_table_with_features_train_on_them_and_stand_above_ids_only(small_yelp, tmp_path, capsys):
    few = lambda setting: dataclasses.replace(  # noqa: E731
        setting, train=dataclasses.replace(setting.train, epochs=1, evaluate_every=1, quiet=True)
    )
    study = dataclasses.replace(
        features_yelp.STUDY,
        settings={row: few(setting) for row, setting in features_yelp.SETTINGS.items()},
        eval=read_arguments(diffnet_yelp.DEFINITION, SMALL_EVALUATION).eval,
    )
    words = ["--data.dir", str(small_yelp), "--workdir", str(tmp_path / "runs"), "--seeds", "0"]
    assert baselines.main(study, [*words, "--only", "diffnet-paper", "diffnet-ids", "fm"]) == 0
    said = capsys.readouterr().out
    assert "NDCG@10 over diffnet-ids" in said and all(f"\n{row} " in said for row in ("diffnet-paper", "fm"))
    for row, features in (("diffnet-paper", "given"), ("diffnet-ids", "none"), ("fm", "given")):
        assert results.read_json(tmp_path / "runs" / row / "result.json")["features"] == features
