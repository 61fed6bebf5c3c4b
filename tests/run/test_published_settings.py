"""Presets that promise a published setting hold what was published."""

import dataclasses

import pytest

from experiments import diffnet_flickr, diffnet_pp_yelp, diffnet_yelp, features_yelp
from socialjax.models import MODELS
from socialjax.run.command import read_arguments

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
    assert [row for row, model in made.items() if not model.use_features] == ["diffnet-ids"]
    with_features = read_arguments(diffnet_yelp.DEFINITION, ["--preset", "features"])
    assert made["diffnet"] == with_features.model
    assert dataclasses.replace(made["diffnet-ids"], use_features=True) == made["diffnet"]
