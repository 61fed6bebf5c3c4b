"""A table of models: each runs once, one that fails stops no other, and what is out of date is made again."""

import dataclasses
import json

import numpy as np
import pytest
from tiny import TINY, write_folder

from experiments import baselines_flickr, baselines_yelp
from socialjax.data import sources
from socialjax.data.sources import DataSettings
from socialjax.models import MODELS
from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.svdpp import SVDpp
from socialjax.run import workbench
from socialjax.run.settings import EvalSettings
from socialjax.run.study.baselines import main
from socialjax.run.study.settings import Arguments, Setting, Study, rows
from socialjax.train.step import TrainSettings
from socialjax.worlds import planted

pytestmark = pytest.mark.usefixtures("places")
TRAIN = TrainSettings(**TINY)
WILD = dataclasses.replace(TRAIN, optimizer="sgd", learning_rate=1e30)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two models that run, one that diverges, one without a row."""
    folder = tmp_path_factory.mktemp("own") / "own"
    write_folder(folder, "own", user=str, item=str)
    return Study(
        name="small_table",
        summary="A small table.",
        data=DataSettings(name="own", dir=folder),
        settings={
            "bpr": Setting({"dim": 4}, TRAIN),
            "svdpp": Setting({"dim": 4}, WILD),
            "diffnet": Setting({"dim": 4}, TRAIN),
            "nobody": Setting({}, TRAIN),
        },
        sweeps={"dim": (("bpr",), ({"dim": 3}, {"dim": 4}))},
        eval=EvalSettings(protocol="full", also=(), validation_protocol="full"),
    )


@pytest.fixture
def command(study, call):
    """command(*arguments) -> (exit code, the last table with what follows it, standard error)."""

    def run(*arguments, of=study):
        code, out, error = call(main, of, *arguments)
        return code, out[out.rfind("small_table on own") :], error

    return run


def trained(monkeypatch):
    """The names of the models that are trained from now on."""
    names, train = [], workbench.train_seeds

    def noted(model, *rest, **more):
        names.append(type(model).__name__)
        return train(model, *rest, **more)

    monkeypatch.setattr(workbench, "train_seeds", noted)
    return names


def test_every_model_has_its_row_and_one_that_fails_stops_no_other(command, tmp_path, monkeypatch):
    code, out, error = command("--workdir", tmp_path / "runs", "--seeds", 0, 1)
    assert code == 1
    table = out.splitlines()
    assert table[0] == "small_table on own (real), full, test, seeds 0 1"
    assert "of 24 users are evaluated, none of them cold" in table[1]
    assert table[2].split() == ["Hit@10", "Recall@10", "NDCG@10", "MRR@10", "seconds"]
    assert [line.split("  ")[0] for line in table[4:9]] == [
        *("random", "popularity", "friends + popularity", "bpr", "diffnet")
    ]
    assert table[7].count("±") == 4 and table[6].count("±") == 0
    assert [line.partition("@")[0] for line in table[9:13]] == ["Hit", "Recall", "NDCG", "MRR"]
    assert "no row for nobody: not among the models" in out
    assert table[-1] == "failed: svdpp; the same command tries them again"
    assert "svdpp failed: the loss is not finite" in error and "3 of 3 models: diffnet" in error
    names = trained(monkeypatch)
    again = command("--workdir", tmp_path / "runs", "--seeds", 0, 1, "--only", "bpr", "diffnet")
    assert again[0] == 0 and again[1].splitlines()[4:9] == table[4:9] and not names


def test_a_rows_settings_are_what_is_trained(study, tmp_path):
    """Of every row, and of every value of a sweep: the model with those fields, the training, the seeds."""
    data = sources.load(study.data)
    tuned = TrainSettings(epochs=7, learning_rate=0.3, batch_size=32, patience=5, optimizer="sgd")
    settings = {"bpr": Setting({"dim": 4, "l2": 0.3}, TRAIN), "other": Setting({"dim": 6}, tuned, model="svdpp")}
    of = dataclasses.replace(study, settings=settings)
    arguments = Arguments(study.data, seeds=(3, 5), workdir=tmp_path)
    found = {row.label: row.experiment for row in rows(of, arguments, data)[0]}
    assert {label: (each.model, each.train) for label, each in found.items()} == {
        "bpr": (BPR(dim=4, l2=0.3), TRAIN),
        "other": (SVDpp(dim=6), tuned),
    }
    assert all(each.seeds == (3, 5) and each.eval == study.eval and each.workdir == tmp_path for each in found.values())
    swept = rows(of, dataclasses.replace(arguments, sweep="dim"), data)[0]
    assert [row.experiment.model for row in swept] == [BPR(dim=3, l2=0.3), BPR(dim=4, l2=0.3)]


def test_the_table_shows_what_is_reported_beside_the_usual_metrics(command, study, tmp_path):
    rows = tuple({"name": n, "note": "", "metrics": {"Recall@10": 0.1, "HR@5": 0.1, "MRR@99": 0.1}} for n in "ab")
    _, out, _ = command(
        "--workdir", tmp_path, "--seeds", 0, "--only", "bpr", of=dataclasses.replace(study, reported=rows)
    )
    assert out.splitlines()[2].split()[-3:] == ["MRR@10", "HR@5", "seconds"]


def test_what_is_older_than_its_code_or_settings_is_put_aside_and_made_again(command, study, tmp_path, monkeypatch):
    arguments = ("--workdir", tmp_path, "--seeds", 0, "--only", "bpr", "diffnet")
    assert command(*arguments)[0] == 0
    old = json.loads((tmp_path / "bpr" / "result.json").read_text())
    for path in (tmp_path / "bpr" / "result.json", tmp_path / "bpr" / "seed_0" / "result.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "code": "0123456789abcdef"}))
    names = trained(monkeypatch)
    code, _, error = command(*arguments)
    assert (code, names) == (0, ["BPR"])
    assert "bpr: the model's code has changed since; what was there is in bpr.old-" in error
    (aside,) = tmp_path.glob("bpr.old-*")
    assert json.loads((aside / "result.json").read_text())["code"] == "0123456789abcdef"
    assert json.loads((tmp_path / "bpr" / "result.json").read_text())["metrics"] == old["metrics"]

    tuned = dataclasses.replace(study, settings={**study.settings, "bpr": Setting({"dim": 4, "l2": 0.5}, TRAIN)})
    code, _, error = command(*arguments, of=tuned)
    assert (code, names) == (0, ["BPR", "BPR"]) and "other settings (model.l2)" in error
    assert len(list(tmp_path.glob("bpr.old-*"))) == 2 and not list(tmp_path.glob("diffnet.old-*"))


def test_a_run_that_was_begun_by_other_code_is_begun_anew(command, tmp_path, monkeypatch):
    arguments = ("--workdir", tmp_path, "--seeds", 0, "--only", "bpr")
    command(*arguments)
    for path in (tmp_path / "bpr" / "result.json", tmp_path / "bpr" / "seed_0" / "result.json"):
        path.unlink()  # as if it had been stopped
    names = trained(monkeypatch)
    command(*arguments)
    assert names == ["BPR"] and not list(tmp_path.glob("bpr.old-*"))
    for path in (tmp_path / "bpr" / "result.json", tmp_path / "bpr" / "seed_0" / "result.json"):
        path.unlink()
    (tmp_path / "bpr" / "code.json").write_text('{"code": "0123456789abcdef"}')
    command(*arguments)
    assert len(list(tmp_path.glob("bpr.old-*"))) == 1


def test_a_sweep_takes_the_main_tables_own_value_from_there(command, tmp_path, monkeypatch):
    command("--workdir", tmp_path, "--seeds", 0, "--only", "bpr")
    names = trained(monkeypatch)
    code, out, _ = command("--workdir", tmp_path, "--seeds", 0, "--sweep", "dim")
    assert (code, names) == (0, ["BPR"]) and "bpr dim=3" in out and "bpr dim=4" in out
    assert (tmp_path / "sweeps" / "bpr" / "dim=3" / "result.json").exists()
    assert not (tmp_path / "sweeps" / "bpr" / "dim=4").exists()


@pytest.fixture(scope="module")
def in_turn(study):
    """A row that starts from another one, listed before it, and one that starts from a row that fails."""
    settings = {
        "svdpp": Setting({"dim": 4}, TRAIN, start="bpr"),
        "bpr": Setting({"dim": 4}, TRAIN),
        "bpr-on": Setting({"dim": 4}, TRAIN, model="bpr", start="bpr"),
        "wild": Setting({"dim": 4}, WILD, model="bpr"),
        "lost": Setting({"dim": 4}, TRAIN, model="svdpp", start="wild"),
    }
    sweeps = {"pool": (("svdpp",), ({"exponent": 1.0, "tied": True}, {"exponent": 0.5}))}
    return dataclasses.replace(study, settings=settings, sweeps=sweeps, over="bpr-on")


def test_rows_start_from_others_and_are_set_beside_one(in_turn, command, tmp_path):
    code, out, error = command("--workdir", tmp_path, "--seeds", 0, of=in_turn)
    lines = {line.split("  ")[0]: line for line in out.splitlines()}
    assert code == 1 and lines["failed: wild, lost; the same command tries them again"]
    assert "lost failed: wild, from which it starts, has failed" in error
    assert "from " + str(tmp_path / "bpr") + ": item_bias, items, users; drawn anew: nothing" in error
    assert "NDCG@10 over bpr-on" in out and "+0.0%" in lines["bpr-on"] and "%" not in lines["popularity"]
    ours, theirs = (json.loads((tmp_path / row / "result.json").read_text()) for row in ("svdpp", "bpr-on"))
    ratio = ours["metrics"]["NDCG@10"]["mean"] / theirs["metrics"]["NDCG@10"]["mean"] - 1
    assert f"{ratio:+.1%}" in lines["svdpp"]
    assert ours["settings"]["start"] == theirs["settings"]["start"] is not None


def test_a_sweep_of_several_settings_takes_along_what_it_starts_from_and_is_set_beside(in_turn, command, tmp_path):
    code, out, _ = command("--workdir", tmp_path, "--seeds", 0, "--sweep", "pool", of=in_turn)
    labels = [line.split("  ")[0] for line in out.splitlines()[7:11]]
    assert code == 0 and labels == ["bpr", "bpr-on", "svdpp exponent=1.0,tied=True", "svdpp exponent=0.5"]
    assert (tmp_path / "sweeps" / "svdpp" / "exponent=1.0,tied=True" / "result.json").exists()
    assert (tmp_path / "svdpp" / "result.json").exists()
    code, _, error = command("--workdir", tmp_path, "--sweep", "dim", of=in_turn)
    assert code == 1 and "--sweep must be one of pool, got dim" in error


def test_a_start_whose_code_has_changed_is_made_again_first(in_turn, command, tmp_path):
    arguments = ("--workdir", tmp_path, "--seeds", 0, "--only", "bpr-on")
    assert command(*arguments, of=in_turn)[0] == 0
    for path in (tmp_path / "bpr" / "result.json", tmp_path / "bpr" / "seed_0" / "result.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "code": "0123456789abcdef"}))
    (tmp_path / "bpr" / "code.json").unlink(missing_ok=True)
    code, _, error = command(*arguments, of=in_turn)
    assert code == 0 and "bpr: the model's code has changed since" in error


@pytest.mark.slow
def test_models_side_by_side_have_logs_and_one_that_fails_stops_no_other(command, compiled_for_children, tmp_path):
    code, out, error = command("--workdir", tmp_path, "--seeds", 0, "--only", "bpr", "svdpp", "--jobs", 2)
    assert code == 1 and "failed: svdpp" in out and "\nbpr " in out
    assert f"svdpp failed: exit code 1; {tmp_path / 'svdpp' / 'log.txt'} says why" in error
    assert "the loss is not finite" in (tmp_path / "svdpp" / "log.txt").read_text()
    assert "bpr (seeds 0)" in (tmp_path / "bpr" / "log.txt").read_text()


def test_another_data_set_is_refused_and_another_place_of_the_data_is_not(command, study, tmp_path):
    code, _, error = command("--workdir", tmp_path, "--data.name", "mine")
    assert code == 1 and "experiments.small_table is about own, got --data.name mine; python -m" in error
    code, _, error = command("--workdir", tmp_path, "--data.dir", tmp_path / "nowhere")
    assert code == 1 and f"--data.dir names {tmp_path / 'nowhere'}, which is not a folder" in error


def test_names_that_are_not_in_the_table_are_told(command, tmp_path):
    code, _, error = command("--workdir", tmp_path, "--only", "bpr", "nothing")
    assert code == 1 and error.splitlines()[-1] == (
        "error: --only must name some of bpr, svdpp, diffnet, nobody, got nothing"
    )


@pytest.mark.parametrize("study", [baselines_yelp.STUDY, baselines_flickr.STUDY], ids=lambda study: study.name)
def test_the_tables_of_the_paper_hold_every_model_of_its_data_with_settings_that_it_takes(study):
    of_pairs_and_links = {  # Yelp and Flickr have links, but nobody's own items and no images
        name for name, kind in MODELS.items() if set(kind.traits.needs) <= {"links"} and "visual" not in kind.__module__
    }
    assert of_pairs_and_links == {setting.model or row for row, setting in study.settings.items()}
    data = planted.checkerboard(links=3)
    for sweep in (None, *study.sweeps):
        found, skipped = rows(study, Arguments(study.data, sweep=sweep), data)
        assert all(row.experiment.eval == EvalSettings() and row.experiment.seeds == (0, 1, 2, 3, 4) for row in found)
        assert sweep is None or "fm" not in skipped
        assert len({row.place for row in found}) == len(found)
        assert {row.experiment.model.dim for row in found} == ({16, 32, 64} if sweep == "dim" else {64})


@pytest.mark.parametrize("study", [baselines_yelp.STUDY, baselines_flickr.STUDY], ids=lambda study: study.name)
def test_tables_of_ids_alone_refuse_features_and_say_who_takes_them(study, call):
    commands = {"yelp": "experiments.features_yelp", "flickr": "socialjax train MODEL --data.name flickr"}
    where = f"python -m {commands[study.data.name]} takes features"
    for option in (["--data.published-features"], ["--data.features", "look.npy"]):
        code, _, error = call(main, study, *option)
        assert code == 1 and error.startswith(f"error: {study.name} compares models on ids only, got {option[0]}")
        assert where in error
    data = planted.checkerboard(links=3)
    for table, size in (("user_features", data.num_users), ("item_features", data.num_items)):
        with_features = dataclasses.replace(data, **{table: np.ones((size, 2), np.float32)})
        with pytest.raises(ValueError, match=rf"on ids only, got data with {table}; .*{where}"):
            rows(study, Arguments(study.data), with_features)
        rows(dataclasses.replace(study, ids_only=""), Arguments(study.data), with_features)
