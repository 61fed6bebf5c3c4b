"""Every setting of every model is explained on the command line, in the words of its docstring."""

import dataclasses

import pytest

from socialjax.models import MODELS
from socialjax.run.command import read_arguments
from socialjax.run.field_help import field_texts
from socialjax.run.settings import Definition, Experiment


@dataclasses.dataclass(frozen=True)
class Base:
    """A base.

    dim: width D. l2: of the base; not of the other.
    """

    dim: int = 2
    l2: float = 0.1


@dataclasses.dataclass(frozen=True)
class Derived(Base):
    """Summary: no field.

    l2: its own, with note: of no field. low, high: bounds
    of something. Sums are weighted by `weight`; the rest is not.
    """

    low: int = 0
    high: int = 1
    weight: float = 1.0
    silent: bool = False


def test_texts_come_from_the_docstrings_and_the_nearest_class_has_the_word():
    assert field_texts(Derived) == {
        "dim": "width D",
        "l2": "its own, with note: of no field",
        "low": "bounds of something. Sums are weighted by `weight`; the rest is not",
        "high": "bounds of something. Sums are weighted by `weight`; the rest is not",
        "weight": "Sums are weighted by `weight`",
    }


@pytest.mark.parametrize("name", MODELS)
def test_no_setting_of_a_model_is_left_unexplained(name):
    silent = {field.name for field in dataclasses.fields(MODELS[name])} - set(field_texts(MODELS[name]))
    assert not silent, f"name them in the docstring of {name}: `field: what it means.`"


@pytest.mark.parametrize("name", MODELS)
def test_models_come_back_from_the_command_line_as_they_are(name):
    definition = Definition(name=name, summary="", default=Experiment(model=MODELS[name]()))
    assert read_arguments(definition, []).model == MODELS[name]()
    changed = read_arguments(definition, ["--model.dim", "3", "--seeds", "1"])
    assert changed.model == MODELS[name](dim=3) and changed.seeds == (1,)
