"""The command that shows every bar: what it prints, writes and answers."""

import functools
import json

import numpy as np
import pytest

from experiments import planted_all
from socialjax.worlds.bars import Bar, influence


def command(monkeypatch, tmp_path, figure, *words):
    """(exit status, what planted.json holds) with one bar of 0.5 that this figure stands against, as NumPy gives it."""
    one = [Bar("bpr", "AUC", 0.5, np.float32(figure)), Bar("bpr", "away from chance", 0.1, np.float64(0.05), True)]
    monkeypatch.setitem(planted_all.MODELS, "bpr", lambda seeds: one)
    out = tmp_path / "planted.json"
    status = planted_all.main(["--only", "bpr", "--out", str(out), *words])
    return status, json.loads(out.read_text())


def test_bars_that_are_met_are_printed_written_and_end_well(monkeypatch, tmp_path, capsys):
    status, written = command(monkeypatch, tmp_path, 0.75, "--seeds", "3", "5")
    assert status == 0 and written["seeds"] == [3, 5]
    assert [bar["met"] for bar in written["bars"]] == [True, True] and written["bars"][0]["figure"] == 0.75
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["bpr", "AUC", ">=", "0.500", "0.750", "met"] in lines
    assert ["bpr", "away", "from", "chance", "<=", "0.100", "0.050", "met"] in lines


def test_a_bar_that_is_missed_says_so_and_is_an_error(monkeypatch, tmp_path, capsys):
    status, written = command(monkeypatch, tmp_path, 0.25)
    assert status == 1 and [bar["met"] for bar in written["bars"]] == [False, True]
    assert "MISSED" in capsys.readouterr().out


def test_what_is_done_is_kept_when_a_later_model_fails(monkeypatch, tmp_path):
    monkeypatch.setitem(planted_all.MODELS, "fm", functools.partial(influence.bars, name="none of them"))
    with pytest.raises(KeyError):
        command(monkeypatch, tmp_path, 0.75, "--only", "bpr", "fm")
    assert len(json.loads((tmp_path / "planted.json").read_text())["bars"]) == 2


@pytest.mark.parametrize("words", [("--only", "gpt"), ("--seeds", "-1")])
def test_strange_models_and_seeds_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        planted_all.main(list(words))
    assert words[0] in capsys.readouterr().err
