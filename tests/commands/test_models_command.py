"""`socialjax models`: what each model needs and takes, as its class says."""

import dataclasses
import itertools

import pytest

from socialjax.__main__ import run
from socialjax.commands import models as command
from socialjax.commands.models import described
from socialjax.contract import Traits
from socialjax.models import BPR, LISTED, MODELS


def test_every_model_is_listed_with_what_it_needs(capsys):
    assert run(["models"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.split()}
    assert set(LISTED) <= set(lines)
    assert "links" in lines["diffnet"] and "owners of items" in lines["hasc"] and "frames" in lines["jifr"]
    assert "links" not in lines["bpr"]


@pytest.mark.parametrize("columns", [80, 100, 120, 160, 220])
def test_no_line_of_the_table_is_longer_than_the_terminal(capsys, monkeypatch, columns):
    run(["models"])
    whole = capsys.readouterr().out
    monkeypatch.setattr(command, "_width", lambda: columns)
    assert run(["models"]) == 0
    table = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert max(map(len, table)) <= columns < max(map(len, whole.splitlines()))
    assert [line.split()[0] for line in table[2:] if not line.startswith(" ")] == list(MODELS)
    (hasc,) = [place for place, line in enumerate(table) if line.startswith("hasc ")]
    own = itertools.takewhile(lambda line: line.startswith(" "), table[hasc + 1 :])
    words = " ".join([table[hasc], *own])
    for part in ("links,", "owners", "user", "social", "parts add up"):
        assert part in words
    if columns >= 160:
        assert "..." in table[hasc]


@pytest.mark.parametrize("name", LISTED)
def test_every_setting_has_its_default_and_a_sentence(name, capsys):
    assert run(["models", name]) == 0
    out = capsys.readouterr().out
    kind = LISTED[name]
    help_of = described(kind)[1]
    for field in dataclasses.fields(kind):
        flag = f"--model.{field.name.replace('_', '-')}"
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [flag]]
        assert str(field.default) in line
        assert len(help_of[field.name]) > 10 and help_of[field.name] in line
    for need in kind.traits.needs:
        assert need.replace("_", " ")[:5] in out


def test_a_wrong_name_says_which_there_are(capsys):
    assert run(["models", "bqr"]) == 2
    assert "no model is called 'bqr'; there are bpr, fm" in capsys.readouterr().err
    assert run(["models", "bpr", "fm"]) == 2
    assert "one model" in capsys.readouterr().err


def test_models_of_others_stand_below_with_their_package(capsys, monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Mine(BPR):
        """A model of mine.

        Attributes:
          share: Weight of something.
        """

        traits = Traits(needs=("links",))
        share: float = 0.25

    monkeypatch.setitem(MODELS, "mine", Mine)
    assert run(["models"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("mine "))
    assert "links" in line and "A model of mine. (test_models_command)" in line
    assert run(["models", "mine"]) == 0
    out = capsys.readouterr().out
    assert "--model.share" in out and "0.25" in out and "Weight of something." in out
