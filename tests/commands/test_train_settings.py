"""`socialjax train --settings FILE`: what a run or a search wrote down is typed again by one word."""

import json

import pytest

from socialjax.commands import train
from socialjax.run import results
from socialjax.run.record import RunRecord
from socialjax.run.saved import read_experiment

WORDS = ["--train.epochs", "2", "--model.dim", "4", "--eval.ks", "5", "10", "--seeds", "3"]


@pytest.fixture
def first(tmp_path, monkeypatch, logging_as_before, capsys):
    """The folder of a run that was typed in full."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(
        "user,item\n" + "".join(f"u{u},i{(u + k) % 17}\n" for u in range(12) for k in range(8))
    )
    assert train.main(["bpr", "--data.name", "mine", "--data.dir", ".", *WORDS, "--workdir", "first"]) == 0
    return tmp_path / "first"


def metrics(folder):
    return RunRecord.read(folder / "result.json").metrics


def test_the_settings_of_a_run_give_its_figures(first, tmp_path):
    assert train.main(["--settings", str(first / "settings.json"), "--workdir", "again"]) == 0
    assert train.main(["bpr", f"--settings={first / 'settings.json'}", "--workdir", "named"]) == 0
    assert metrics(tmp_path / "again") == metrics(tmp_path / "named") == metrics(first)
    experiment = read_experiment(first / "settings.json")
    assert (experiment.model.dim, experiment.train.epochs, experiment.eval.ks, experiment.seeds) == (
        4,
        2,
        (5, 10),
        (3,),
    )


def test_what_is_typed_goes_before_what_the_file_says(first, tmp_path):
    assert train.main(["--settings", str(first / "settings.json"), "--model.dim", "5", "--workdir", "other"]) == 0
    assert read_experiment(tmp_path / "other" / "settings.json").model.dim == 5


def test_a_searchs_best_is_read_as_well(first, tmp_path):
    best = {"trial": 4, "settings": json.loads((first / "settings.json").read_text())["settings"], "python": []}
    results.write_json(tmp_path / "best.json", best)
    assert read_experiment(tmp_path / "best.json") == read_experiment(first / "settings.json")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--settings"], "--settings wants a file"),
        (["svdpp", "--settings", "first/settings.json"], "has the settings of bpr, not of svdpp"),
        (["--settings", "nowhere.json"], "nowhere.json"),
        (["--settings", "list.json"], "list.json holds no settings"),
        (["--settings", "model.json"], "names model 'os.system', which is none of bpr"),
        (["--settings", "value.json"], "settings.model.dim wants a whole number, got 'x'"),
    ],
)
def test_other_files_are_refused_in_one_line(first, tmp_path, capsys, words, message):
    settings = json.loads((first / "settings.json").read_text())["settings"]
    wrong = {"list": [1], "model": {"settings": settings | {"model": {"name": "os.system"}}}}
    wrong["value"] = {"settings": settings | {"model": settings["model"] | {"dim": "x"}}}
    for name, content in wrong.items():
        results.write_json(tmp_path / f"{name}.json", content)
    capsys.readouterr()
    assert train.main(words) in (1, 2)
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and message in error and "\n" not in error
