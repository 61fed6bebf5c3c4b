"""A table of models on several data sets: each set once, one that is missing stops no other, all beside each other."""

import dataclasses

import pytest
from tiny import TINY, write_folder

from experiments import baselines, baselines_yelp
from socialjax.data.sources import DataSettings
from socialjax.run import workbench
from socialjax.run.results import read_json
from socialjax.run.settings import EvalSettings
from socialjax.run.study import data_sets
from socialjax.run.study.baselines import main
from socialjax.run.study.settings import Setting, Study
from socialjax.train.step import TrainSettings

pytestmark = pytest.mark.usefixtures("places")
TRAIN = TrainSettings(**TINY)


@pytest.fixture
def studies(tmp_path, monkeypatch):
    """The same two models on two sets that $SOCIALJAX_DATA has, and on one that nobody has."""
    for name in ("one", "two"):
        write_folder(tmp_path / "data" / name, name, user=str, item=str)
    monkeypatch.setenv("SOCIALJAX_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    one = Study(
        name="small_one",
        summary="A small table.",
        data=DataSettings(name="one"),
        settings={"bpr": Setting({"dim": 4}, TRAIN), "svdpp": Setting({"dim": 4}, TRAIN)},
        sweeps={"dim": (("bpr",), ({"dim": 3}, {"dim": 4}))},
        eval=EvalSettings(protocol="full", also=(), validation_protocol="full"),
    )
    others = ("two", "nowhere")
    return {"one": one} | {
        name: dataclasses.replace(one, name=f"small_{name}", data=DataSettings(name=name)) for name in others
    }


@pytest.fixture
def command(studies, call):
    """command(*words) -> (exit code, standard output, standard error)."""
    return lambda *words: call(
        lambda of, words: data_sets.main(of, "python -m small", "Small.", words), studies, *words
    )


@pytest.fixture
def trainings(monkeypatch):
    """(data set, model) of what is trained from now on."""
    seen, before = [], workbench.train_seeds

    def noted(model, *rest, **named):
        seen.append(type(model).__name__)
        return before(model, *rest, **named)

    monkeypatch.setattr(workbench, "train_seeds", noted)
    return seen


def test_each_set_is_trained_once_and_all_stand_beside_each_other(command, trainings, tmp_path):
    code, out, error = command("--data", "two", "one", "--seeds", "0", "1", "--workdir", str(tmp_path / "w"))
    assert code == 0 and sorted(trainings) == ["BPR"] * 4 + ["SVDpp"] * 4
    assert "data set 1 of 2: two" in error and "data set 2 of 2: one" in error
    title, head, *lines = out[out.rfind("\nNDCG@10") :].strip().splitlines()
    assert title == "NDCG@10, full, test" and head.split() == ["two", "one"]
    for line, label in zip([line for line in lines if "±" in line], ("bpr", "svdpp"), strict=True):
        figures = [
            read_json(tmp_path / "w" / name / label / "result.json")["metrics"]["NDCG@10"] for name in ("two", "one")
        ]
        assert line.split() == [label, *(w for f in figures for w in (f"{f['mean']:.4f}", f"±{f['ci95']:.4f}"))]
    trainings.clear()
    again = command("--data", "two", "one", "--seeds", "0", "1", "--workdir", str(tmp_path / "w"))
    assert again[0] == 0 and trainings == [] and again[1] == out


def test_what_the_command_of_one_set_has_finished_is_read(studies, command, trainings, call):
    assert call(main, studies["one"], "--seeds", "0", "--only", "bpr")[0] == 0
    trainings.clear()
    assert command("--data", "one", "two", "--seeds", "0", "--only", "bpr")[0] == 0
    assert trainings == ["BPR"]


def test_a_set_that_is_missing_stops_no_other(command, trainings, tmp_path):
    code, out, error = command(
        "--data", "nowhere", "one", "--seeds", "0", "--only", "bpr", "--workdir", str(tmp_path / "w")
    )
    assert code == 1 and trainings == ["BPR"]
    assert "nowhere failed: " in error and "failed: nowhere; the same command tries them again" in out


@pytest.mark.parametrize(
    "words, said",
    [
        (["--data", "one", "three"], "--data must name some of one, two, nowhere, got three"),
        (["--data", "one", "two", "one"], "--data names one more than once"),
        (["--only", "bpr", "bqr"], "--only must name some of bpr, svdpp, got bqr"),
        (["--sweep", "width"], "--sweep must be one of dim, got width"),
        (["--data", "one", "--jobs", "0"], "--jobs must be at least 1, got 0"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_trained(command, trainings, words, said):
    code, _, error = command(*words)
    assert code == 1 and trainings == [] and said in error


def test_the_experiment_has_the_tables_of_one_set_and_their_folders():
    assert list(baselines.STUDIES) == ["yelp", "flickr", "lastfm", "filmtrust"]
    for name, study in baselines.STUDIES.items():
        assert (study.name, study.data) == (f"baselines_{name}", DataSettings(name=name))
        with pytest.raises(ValueError, match="on ids only"):
            study.refuse_features("features")
    assert baselines.STUDIES["lastfm"].settings is baselines_yelp.SETTINGS
