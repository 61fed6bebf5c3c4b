"""The settings by which published figures were made, against literals and against what the pages print.

Other ones would run as well, and give other figures: nothing else would notice.
"""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from experiments import baselines_flickr, baselines_yelp, diffnet_flickr, diffnet_yelp
from socialjax.models import MODELS
from socialjax.models.social.diffnet import DiffNet
from socialjax.run.settings import EvalSettings
from socialjax.run.tuning.search import LOSSES, SHARED, TRAINING, Search
from socialjax.train.step import METRIC, TrainSettings

TABLES = Path(__file__).resolve().parents[2] / "docs" / "tables.md"


def differ(settings) -> dict:
    """What a settings dataclass has that its class by itself has not."""
    usual = type(settings)()
    return {name: value for name, value in dataclasses.asdict(settings).items() if value != getattr(usual, name)}


def test_the_defaults_of_training_and_evaluation():
    assert dataclasses.asdict(TrainSettings()) == {
        "epochs": 200,
        "batch_size": 8192,
        "optimizer": "adam",
        "learning_rate": 5e-3,
        "schedule": "constant",
        "warmup": 0,
        "clip": 0.0,
        "ema": 0.0,
        "accumulate": 1,
        "fanouts": (),
        "evaluate_every": 2,
        "patience": 30,
        "plateau": 60,
        "save_seconds": 30.0,
        "backend": "jit",
        "table_shards": 1,
        "together": "off",
        "quiet": False,
        "writers": (),
    }
    assert dataclasses.asdict(EvalSettings()) == {
        "protocol": "sampled1000-strict",
        "also": ("sampled1000-official", "full"),
        "validation_protocol": "sampled1000-strict",
        "ks": (5, 10, 15, 20, 50),
        "metrics": (),
        "seed": 0,
    }
    assert METRIC == "NDCG@10"


def test_the_defaults_of_a_search_and_its_ranges():
    search = Search(MODELS["bpr"]())
    assert (search.trials, search.rungs, search.keep, search.seeds, search.space_seed) == (16, (40, 400), 4, (0,), 0)
    assert (search.protocol, search.evaluate_every, search.patience, search.plateau) == (
        "sampled1000-strict",
        4,
        60,
        60,
    )
    (train,) = {experiment.train for _, experiment in search.experiments()[:1]}
    assert (train.epochs, train.evaluate_every, train.patience, train.plateau) == (400, 4, 60, 60)
    ranges = {name: (of.low, of.high) for name, of in {**SHARED, **TRAINING}.items()}
    assert ranges == {"l2": (1e-3, 0.1), "dropout": (0.0, 0.7), "learning_rate": (2e-4, 2e-2)}
    assert LOSSES.values == (("bpr", 1), ("bce", 4), ("softmax", 16), ("softmax", 32))


def test_the_preset_of_the_authors_has_no_bias_and_their_batches():
    """512 users a batch are about 5,440 pairs on Yelp; what else they have: test_published_settings.py."""
    authors = diffnet_yelp.DEFINITION.presets["authors"]
    model, training = dataclasses.asdict(authors.model), dataclasses.asdict(authors.train)
    wanted = {"dim": 32, "objective": "squared", "negatives": 8, "l2": 0.0, "dropout": 0.0, "item_bias": False}
    wanted |= {"variant": "released", "layers": "all_but_0", "start": "normal", "init_std": 0.01}
    assert type(authors.model) is DiffNet and {name: model[name] for name in wanted} == wanted
    wanted = {"epochs": 300, "batch_size": 5440, "learning_rate": 1e-3, "optimizer": "adam", "patience": 0}
    assert {name: training[name] for name in wanted} == wanted
    assert authors.eval == EvalSettings()


def test_the_setting_that_was_chosen_on_validation():
    best = {"layers": "all", "objective": "softmax", "negatives": 16, "l2": 0.05, "dropout": 0.6}
    for definition in (diffnet_yelp.DEFINITION, diffnet_flickr.DEFINITION):
        assert best.items() <= differ(definition.default.model).items()
        assert definition.default.model.exclude_target and definition.default.eval == EvalSettings()


def printed(head: str) -> dict[str, dict[str, str]]:
    """Model -> the line of a table of what a search found, by the heads of its columns. head: of the first one."""
    text = TABLES.read_text()
    lines = re.search(rf"^\| ?{head} \| validation \| epoch \|.*?(?=\n\n)", text, re.M | re.S)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("|---")]
    return {row[0].strip("`"): dict(zip(cells[0][1:], row[1:])) for row in cells[1:]}


OLDER, YELP = printed(""), printed("Yelp")
SEARCHES = Path(__file__).parents[2] / "docs/results/flickr/search"
OF_FLICKR = {path.stem for path in SEARCHES.glob("*.json")}  # these rows have a search of their own there


@pytest.mark.parametrize("row", sorted(OF_FLICKR))
def test_rows_of_flickr_have_the_settings_that_their_search_found(row):
    setting, found = baselines_flickr.SETTINGS[row], json.loads((SEARCHES / f"{row}.json").read_text())
    model = dataclasses.asdict(MODELS[row](**setting.fields))
    assert {name: value for name, value in found["settings"]["model"].items() if name != "name"} == model
    assert found["settings"]["train"]["learning_rate"] == setting.train.learning_rate


def test_the_tables_of_what_was_found_have_a_line_for_every_row_that_was_searched():
    beside = {"fm"}  # BPR's, whose model it is of ids alone
    assert set(OLDER) == {row for row, of in baselines_yelp.SETTINGS.items() if not of.model} - beside
    assert set(YELP) == {"bpr", "svdpp", "social_mf", "lightgcn", "diffnet", "social_lightgcn"}
    assert baselines_yelp.STUDY.settings is baselines_yelp.SETTINGS
    assert baselines_flickr.STUDY.settings is baselines_flickr.SETTINGS
    assert baselines_yelp.SETTINGS["fm"] == baselines_yelp.SETTINGS["bpr"]
    others = set(baselines_yelp.SETTINGS) - set(YELP)
    assert all(baselines_yelp.SETTINGS[row] == baselines_flickr.SETTINGS[row] for row in others)


@pytest.mark.parametrize(
    "row, line, setting",
    [
        *((row, line, baselines_yelp.SETTINGS[row]) for row, line in YELP.items()),
        *((row, line, baselines_flickr.SETTINGS[row]) for row, line in OLDER.items() if row not in OF_FLICKR),
    ],
)
def test_settings_of_the_tables_are_those_that_the_page_prints(row, line, setting):
    model = MODELS[row](**setting.fields)
    assert line["loss, negatives"] == f"{model.objective} {model.negatives}"
    shared = {"L2": model.l2, "dropout": model.dropout, "learning rate": setting.train.learning_rate}
    assert {head: float(line[head]) for head in shared} == shared
    values = {str(value) for value in dataclasses.asdict(model).values()}
    for said in filter(None, (part.strip(" `") for part in line["its own settings"].split(","))):
        name, _, number = said.rpartition(" ")
        if re.fullmatch(r"[\d.]+", number):
            assert getattr(model, name.replace(" ", "_")) == float(number), said
        else:
            assert said.split()[0] in values, said
