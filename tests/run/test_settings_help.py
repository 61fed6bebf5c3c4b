"""Every setting is explained on the command line, in the words of the nearest class that documents it."""

import dataclasses
import inspect
import re

import pytest

from socialjax.data.sources import DataSettings
from socialjax.models import MODELS
from socialjax.run.command import read_arguments
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.run.tuning.search import Search
from socialjax.train.step import TrainSettings

SETTINGS = {**MODELS, "train": TrainSettings, "eval": EvalSettings, "data": DataSettings}


def attributes(kind: type) -> dict[str, str]:
    """Field -> text in the `Attributes:` block of the class itself, on one line."""
    block = inspect.cleandoc(vars(kind).get("__doc__") or "").partition("Attributes:\n")[2]
    entries = re.split(r"^  (?=\w+: )", block, flags=re.MULTILINE)[1:]
    return {name: " ".join(text.split()) for name, _, text in (entry.partition(": ") for entry in entries)}


def expected(kind: type) -> dict[str, str]:
    """Field -> its text in the first class, in the order of inheritance, that documents it."""
    return {name: text for base in reversed(kind.__mro__) for name, text in attributes(base).items()}


def shown(model: str, capsys) -> dict[str, str]:
    """Option, such as `model.dim` -> what --help prints beside it, on one line."""
    definition = Definition(name=model, summary="", default=Experiment(model=MODELS[model]()))
    with pytest.raises(SystemExit):
        read_arguments(definition, ["--help"])
    lines = [line.strip("│╭╮╰╯─ ") for line in capsys.readouterr().out.splitlines()]
    options = re.split(r"^--", "\n".join(lines), flags=re.MULTILINE)[1:]
    heads = (option.partition("\n") for option in options)
    return {re.split(r"[ ,]", head)[0].replace("-", "_"): " ".join(text.split()) for head, _, text in heads}


@pytest.mark.parametrize("kind", [*SETTINGS.values(), Experiment, Search], ids=lambda kind: kind.__name__)
def test_every_field_is_documented_by_the_class_that_makes_it_or_one_that_inherits_it(kind):
    fields, texts = {field.name for field in dataclasses.fields(kind)}, expected(kind)
    assert {name for name in fields if texts.get(name)} == fields
    for base in kind.__mro__:
        assert attributes(base).keys() <= fields, f"{base.__name__} documents what is no field"


@pytest.mark.parametrize("model", MODELS)
def test_help_of_every_setting_is_that_of_the_nearest_class(model, capsys):
    printed = shown(model, capsys)
    for part, kind in (("model", MODELS[model]), ("train", TrainSettings), ("eval", EvalSettings)):
        for name, text in expected(kind).items():
            assert printed[f"{part}.{name}"].startswith(text), name


@pytest.mark.parametrize(
    "model, field, words",
    [
        ("cdl", "negatives", "with fit pointwise they do not matter"),
        ("cdl", "l2", "in place of lambda_u / 2 |U|^2"),
        ("vbpr", "l2", "lambda_w"),
        ("lr_gccf", "l2", "l2_on"),
        ("jifr", "dropout", "0 with fusion gate"),
        ("fm", "item_bias", "w of item features"),
    ],
)
def test_a_subclass_that_changes_the_meaning_of_a_field_has_the_word(model, field, words, capsys):
    assert words in shown(model, capsys)[f"model.{field}"]
    assert words not in expected(MODELS["bpr"])[field]


@pytest.mark.parametrize("model", ("diffnet", "gcmc", "vbpr", "saers", "diffnet_pp"))
def test_a_field_that_no_subclass_changes_has_the_text_of_its_base(model, capsys):
    assert shown(model, capsys)["model.negatives"].startswith(expected(MODELS["bpr"])["negatives"])


@pytest.mark.parametrize("name", MODELS)
def test_models_come_back_from_the_command_line_as_they_are(name):
    definition = Definition(name=name, summary="", default=Experiment(model=MODELS[name]()))
    assert read_arguments(definition, []).model == MODELS[name]()
    changed = read_arguments(definition, ["--model.dim", "3", "--seeds", "1"])
    assert changed.model == MODELS[name](dim=3) and changed.seeds == (1,)
