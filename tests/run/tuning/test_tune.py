"""Tuning is the same for every model, sees no test pair, and comes back from any stop as if there had been none."""

import dataclasses
import json
import logging
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from tiny import write_folder

from socialjax.commands import tune
from socialjax.contract import Choice, LogUniform
from socialjax.data import sources
from socialjax.data.sources import DataSettings
from socialjax.models import MODELS
from socialjax.models.cf.bpr import BPR
from socialjax.report import keep
from socialjax.report.papers import Paper
from socialjax.run import results, workbench
from socialjax.run.study.settings import Setting
from socialjax.run.tuning import halving, trials
from socialjax.run.tuning import search as space
from socialjax.run.tuning.search import Search
from socialjax.stop import Interrupted
from socialjax.train import log
from socialjax.train.step import METRIC, TrainSettings
from socialjax.worlds import planted


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A search of three trials on 24 users; the best goes on."""
    folder = tmp_path_factory.mktemp("own")
    write_folder(folder / "own", "own", user=str, item=str)
    return Search(
        model=BPR(dim=4, init_std=0.5),
        data=DataSettings(name="own", dir=folder / "own"),
        trials=3,
        rungs=(2, 4),
        protocol="full",
        evaluate_every=1,
        save_seconds=0,
        quiet=True,
    )


@pytest.fixture(scope="module")
def search(small, run_home):
    """search(folder, **changed) -> the report; the folder holds the search afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCIALJAX_CACHE", str(run_home / "cache"))
        patch.delenv("SOCIALJAX_DATA", raising=False)
        yield lambda folder, **changed: halving.tune(dataclasses.replace(small, workdir=folder, **changed))


@pytest.fixture(scope="module")
def unbroken(search, tmp_path_factory):
    """(folder, report) of a search that was not stopped; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("searches") / "unbroken"
    return folder, search(folder)


def ledger(folder):
    """trials.jsonl but for the times."""
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def metrics(folder, trial):
    lines = (folder / "trials" / f"{trial:03d}" / "seed_0" / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


def test_the_shared_settings_of_a_trial_are_those_of_every_other_model():
    wanted = space.points("bpr", MODELS["bpr"](), 27, 0)
    for name, model in MODELS.items():
        own = model.search_space
        found = space.points(name, model(), 27, 0)
        assert [p.training for p in found] == [p.training for p in wanted]
        assert [{k: v for k, v in p.model.items() if k not in own} for p in found] == [p.model for p in wanted]
        assert all(set(own) <= set(p.model) for p in found)
        for point in found:
            model(**point.model)  # every value is one that the model takes


def test_points_depend_on_their_number_and_the_seed_alone_and_fill_the_space():
    known = len(space.KNOWN)
    many, few, other = (
        space.points("diffnet", MODELS["diffnet"](), known + n, s) for n, s in ((64, 5), (3, 5), (3, 6))
    )
    assert many[: known + 3] == few and few[:known] == other[:known] and few[known:] != other[known:]
    assert [point.model["l2"] for point in few[:known]] == [shared["l2"] for shared, _ in space.KNOWN]
    many = many[known:]
    losses = [(point.model["objective"], point.model["negatives"]) for point in many]
    assert {loss: losses.count(loss) for loss in losses} == dict.fromkeys(space.LOSSES.values, 16)
    assert {point.model["depth"] for point in many} == {1, 2, 3}
    for name, low, high in (("l2", 0.001, 0.1), ("dropout", 0.0, 0.7), ("learning_rate", 2e-4, 2e-2)):
        drawn = [{**point.model, **point.training}[name] for point in many]
        assert low <= min(drawn) < low * 1.2 + 0.05 and high * 0.9 < max(drawn) <= high
    assert np.median([point.model["l2"] for point in many]) == pytest.approx((0.001 * 0.1) ** 0.5, rel=0.15)
    # A model's own settings are drawn apart from the shared ones: every depth meets every loss.
    assert len({(loss, point.model["depth"]) for loss, point in zip(losses, many)}) == 12


@pytest.mark.parametrize("name", [name for name, kind in MODELS.items() if kind.search_space or name == "bpr"])
def test_every_searched_setting_reaches_both_ends_of_its_range_and_goes_its_own_way(name):
    """Drawn trials differ in every dimension, the learning rate among them, and no two rise and fall together."""
    known, own = len(space.KNOWN), MODELS[name].search_space
    drawn = space.points(name, MODELS[name](), known + 64, 0)[known:]
    found = {"loss": [(p.model["objective"], p.model["negatives"]) for p in drawn]}
    found |= {
        field: [{**p.model, **p.training}[field] for p in drawn] for field in (*space.SHARED, *space.TRAINING, *own)
    }
    places = {}
    for field, of in {"loss": space.LOSSES, **space.SHARED, **space.TRAINING, **own}.items():
        if isinstance(of, Choice):
            assert set(found[field]) == set(of.values), field
            assert max(map(found[field].count, of.values)) <= 64 // len(of.values) + 2, field
            places[field] = [of.values.index(value) for value in found[field]]
            continue
        places[field] = np.log(found[field]) if isinstance(of, LogUniform) else np.array(found[field])
        low, high = np.log([of.low, of.high]) if isinstance(of, LogUniform) else (of.low, of.high)
        share = (places[field] - low) / (high - low)
        assert -1e-9 <= share.min() < 0.1 and 0.9 < share.max() <= 1 + 1e-9 and len(set(found[field])) > 20, field
    alike = np.abs(np.corrcoef(list(places.values())) - np.eye(len(places)))
    assert alike.max() < 0.5, sorted(places)
    experiments = Search(MODELS[name](), trials=known + 64).experiments()
    for point, experiment in experiments:  # and what is drawn is what is trained
        assert all(getattr(experiment.model, field) == value for field, value in point.model.items())
        assert all(getattr(experiment.train, field) == value for field, value in point.training.items())


def test_a_setting_that_the_model_has_not_is_told(monkeypatch):
    monkeypatch.setattr(BPR, "search_space", {"width": Choice((1, 2))})
    with pytest.raises(ValueError, match=r"search space of bpr names width, and it has only dim, objective"):
        space.points("bpr", BPR(), 2, 0)


def test_no_trial_can_see_the_test_part(small):
    data = planted.checkerboard(num_users=24, num_items=200)
    moved = dataclasses.replace(data, test=dataclasses.replace(data.test, item=(data.test.item + 5) % 200))
    for name in ("full", "sampled60-strict"):  # strict lists leave out a user's test items, but not here
        experiment = dataclasses.replace(small, protocol=name).experiments()[0][1]
        one, other = (trials.bench(each, experiment) for each in (data, moved))
        assert len(data.test) and not len(one.work.data.test)
        assert one.validation.floor == other.validation.floor
        np.testing.assert_array_equal(one.validation.candidates.negatives, other.validation.candidates.negatives)
        with pytest.raises(ValueError, match="has a test pair"):
            one.work.candidates(experiment.eval, name, "test")


def test_halving_keeps_the_best_and_of_equals_the_earlier():
    values = [0.1, 0.3, None, 0.3, 0.2, 0.3, 0.0]
    records = [{"trial": trial, METRIC: value} for trial, value in enumerate(values)]
    assert halving.promoted(records, 3) == [1, 3] and halving.promoted(records, 10) == [1]
    assert [record["trial"] for record in halving.ranked(records)] == [1, 3, 5, 4, 0, 6, 2]
    assert Search(BPR(), trials=27, rungs=(4, 8, 12), keep=3).planned() == [27, 9, 3]
    assert Search(BPR(), trials=2).planned() == [2, 1]


def test_a_search_leaves_a_ledger_the_best_trial_a_picture_and_no_parameters(unbroken):
    folder, report = unbroken
    lines = ledger(folder)
    assert [(line["rung"], line["trial"], line["epochs"]) for line in lines[:3]] == [(0, 0, 2), (0, 1, 2), (0, 2, 2)]
    winner = max(lines[:3], key=lambda line: line[METRIC])["trial"]
    assert [(line["rung"], line["trial"], line["epochs"]) for line in lines[3:]] == [(1, winner, 4)]
    best = json.loads((folder / "best.json").read_text())
    assert best["trial"] == winner and best["seeds"] == [0] and best["settings"]["model"]["l2"] == best["model"]["l2"]
    assert best[METRIC] == max(line["validation"][METRIC] for line in metrics(folder, winner))
    assert best["python"][0].startswith("model=BPR(dim=4, ") and eval(best["python"][0][6:], {"BPR": BPR}).dim == 4
    names = {"Setting": Setting, "TrainSettings": TrainSettings}
    ((name, setting),) = eval("{" + best["table"] + "}", names).items()
    fields, training = setting.fields, setting.train
    assert name == "bpr" and results.plain(BPR(**fields)) | {"name": "bpr"} == best["settings"]["model"]
    assert results.plain(training) | {"quiet": True, "save_seconds": 0} == best["settings"]["train"]
    assert "'" not in best["table"] and f"\n    {best['table']}\n" in report and "finished before" not in report
    assert all(line in report for line in best["python"]) and f"trial {winner} is the best" in report
    assert (folder / "trials.png").stat().st_size > 1000
    assert not list(folder.glob("trials/*/seed_*/checkpoints")) and not list(folder.glob("**/.*"))


def test_going_on_from_a_rung_equals_never_having_stopped(search, unbroken, tmp_path):
    search(tmp_path / "at-once", rungs=(4,))
    winner = ledger(unbroken[0])[-1]["trial"]
    assert metrics(tmp_path / "at-once", winner) == metrics(unbroken[0], winner)


def stop_at(patch, evaluation):
    """SIGTERM at the given number of an evaluation in this process."""
    seen, line = [], log.TrainingLog.line

    def noted(self, found):
        line(self, found)
        seen.append(found)
        if len(seen) == evaluation:
            os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(log.TrainingLog, "line", noted)


@pytest.mark.slow
def test_a_search_that_is_stopped_again_and_again_ends_the_same(search, unbroken, tmp_path, monkeypatch):
    for evaluation in (3, 2, 2):  # within the second trial, at its end, in the last rung
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            stop_at(patch, evaluation)
            search(tmp_path / "run")
    report = search(tmp_path / "run")
    assert ledger(tmp_path / "run") == ledger(unbroken[0])
    assert report.splitlines()[-6:-1] == unbroken[1].splitlines()[-6:-1] and "finished before" not in report


def test_a_finished_search_is_read_and_more_trials_add_to_it(search, unbroken, tmp_path, monkeypatch):
    folder = shutil.copytree(unbroken[0], tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(workbench, "train_seeds", None)
        assert f"finished before, nothing was trained; delete {folder} to search anew" in search(folder)
    assert ledger(folder) == ledger(unbroken[0])
    search(folder, trials=4)
    assert ledger(folder)[:3] == ledger(unbroken[0])[:3]
    assert [line["trial"] for line in ledger(folder)[:4]] == [0, 1, 2, 3] and len(ledger(folder)) == 5


@pytest.mark.slow
def test_two_processes_find_the_same(search, unbroken, compiled_for_children, tmp_path):
    search(tmp_path / "run", jobs=2, trials=2, rungs=(2,))
    found = ledger(tmp_path / "run")
    for line, wanted in zip(found, ledger(unbroken[0])[:2], strict=True):
        assert line[METRIC] == pytest.approx(wanted[METRIC], abs=1e-6)
        assert {**line, METRIC: 0, "values": 0} == {**wanted, METRIC: 0, "values": 0}


@pytest.mark.slow
def test_a_trial_that_another_process_has_is_waited_for(search, unbroken, tmp_path, caplog):
    """The best of the others must not be called the best."""
    folder = tmp_path / "run"
    code = "import sys, time; from pathlib import Path; from socialjax.run.processes import only_one\n"
    code += "with only_one(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, str(folder / "trials" / "001")], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"

    class EndsIt(logging.Handler):
        def emit(self, record):
            if "another process is at trial 1" in record.getMessage():
                assert halving.results.read_json(folder / "trials" / "000" / "rung_0.json")["trial"] == 0
                other.kill()

    log, handler = logging.getLogger("socialjax.run.processes"), EndsIt()
    log.addHandler(handler)
    try:
        search(folder)
    finally:
        log.removeHandler(handler)
        other.kill()
        other.communicate()
    assert ledger(folder) == ledger(unbroken[0]) and "another process is at trial 1" in caplog.text


def test_a_rung_without_all_of_its_trials_has_no_best(unbroken, tmp_path):
    folder = shutil.copytree(unbroken[0], tmp_path / "run")
    (folder / "trials" / "001" / "rung_0.json").unlink()
    with pytest.raises(ValueError, match=r"rung 1 has no figures of trial 1 in .*, so no trial can be called the best"):
        halving.complete(halving.Ledger(folder), [0, 1, 2], 0)


def test_a_worker_that_fails_is_told_with_what_it_said_last(search, tmp_path, compiled_for_children):
    (tmp_path / "run" / "trials" / "000").mkdir(parents=True)
    (tmp_path / "run" / "trials" / "000" / "seed_0").write_text("in the way")
    with pytest.raises(
        ValueError, match=r"worker_0 ended with exit code 1; .*worker_0.log says why, at its end: .*error: "
    ):
        search(tmp_path / "run", jobs=2, trials=1, rungs=(2,))


def test_another_search_in_the_folder_is_refused_with_the_difference(search, unbroken):
    with pytest.raises(
        ValueError, match=r"holds a search with other settings \(seeds_of_trials: \[0\] there, \[1\] now"
    ):
        search(unbroken[0], seeds=(1,))
    with pytest.raises(ValueError, match=r"model.dim: 4 there, 5 now"):
        search(unbroken[0], model=BPR(dim=5, init_std=0.5))


def test_a_search_of_another_space_is_refused(search, unbroken, monkeypatch):
    shared, training = space.KNOWN[0]
    monkeypatch.setattr(space, "KNOWN", (({**shared, "l2": 0.3}, training), *space.KNOWN[1:]))
    with pytest.raises(ValueError, match=r"trial 0 in .* was made with .*'l2': 0\.02.* and the space has .*'l2': 0\.3"):
        search(unbroken[0])


def test_trials_of_other_code_are_refused(search, unbroken, tmp_path):
    folder = shutil.copytree(unbroken[0], tmp_path / "run")
    path = folder / "trials" / "001" / "rung_0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"code": "0123456789abcdef"}))
    with pytest.raises(ValueError, match=r"trial 1 in .* by other code of the model \(0123456789abcdef, today it is"):
        search(folder)


def test_the_seconds_of_a_trial_are_those_of_all_its_starts(unbroken):
    lines = [json.loads(line) for line in (unbroken[0] / "trials.jsonl").read_text().splitlines()]
    folder = unbroken[0] / "trials" / f"{lines[-1]['trial']:03d}" / "seed_0"
    written = [json.loads(line)["seconds"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["seconds"] == pytest.approx(written[-1], abs=0.01)  # both rungs, each a start of its own
    first = next(line for line in lines if line["trial"] == lines[-1]["trial"])
    assert first["seconds"] == pytest.approx(written[1], abs=0.01) and written[1] < written[-1]


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ValueError, match=r"--model\.l2 is searched and cannot be set"):
        Search(BPR(l2=0.5))
    with pytest.raises(
        ValueError, match=r"--rungs must rise and be multiples of --evaluate-every \(4\), got \(5, 10\)"
    ):
        Search(BPR(), rungs=(5, 10))
    for rungs in ((), (0, 40), (-4, 40), (40, 40)):
        with pytest.raises(ValueError, match="--rungs must rise"):
            Search(BPR(), rungs=rungs)
    with pytest.raises(ValueError, match="--seeds wants at least one number"):
        Search(BPR(), seeds=())
    with pytest.raises(ValueError, match="--evaluate-every must be at least 1, got 0"):
        Search(BPR(), evaluate_every=0)
    with pytest.raises(ValueError, match="--trials must be at least 1, got 0"):
        Search(BPR(), trials=0)


def test_data_without_validation_is_told(small, tmp_path, monkeypatch):
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path))
    data = dataclasses.replace(small.data, validation="none")
    with pytest.raises(ValueError, match="tuning chooses by validation, and data set 'own' has no validation part"):
        trials.bench(sources.load(data), small.experiments()[0][1])


def test_a_kept_search_says_what_was_found_and_tried_and_by_which_runs_it_was_followed(unbroken, tmp_path):
    folder, _ = unbroken
    path = keep.keep_search(folder, tmp_path)
    assert path == tmp_path / "own" / "search" / "bpr.json"
    best = results.read_json(folder / "best.json")
    found = keep.kept_searches(tmp_path, "own")["bpr"]
    assert found["model"] == best["model"] and found[METRIC] == best[METRIC]
    assert [line["trial"] for line in found["all_trials"]] == [line["trial"] for line in ledger(folder)]
    assert str(folder) not in path.read_text() and "workdir" not in found["settings"]
    followed = best["settings"] | {"seeds": [0, 1, 2], "eval": {}}
    assert keep.is_of(found, followed)
    model = best["settings"]["model"]
    assert not keep.is_of(found, followed | {"model": model | {"l2": model["l2"] * 2}})
    paper = Paper("p", "P", ("own",), {"bpr": "BPR"})
    row = keep.settings_table(paper, {"bpr": found})[1]
    shared = [f"{model['objective']} {model['negatives']}", str(model["l2"]), str(model["dropout"])]
    assert row[:1] + row[3:7] == ["BPR", "3", *shared]
    assert "cap" in keep.caption({"bpr": found | {"epoch": [3]}})
    assert keep.caption({"bpr": found | {"epoch": [4]}}).endswith("so cut: bpr.")  # the last rung ends at epoch 4
    with pytest.raises(ValueError, match=r"best\.json is missing"):
        keep.keep_search(tmp_path, tmp_path)


def test_a_search_is_judged_as_its_training_will_be(monkeypatch):
    """`socialjax train` ranks all items of one's own data; tables of published sets have sampled lists."""
    assert Search(BPR(), data=DataSettings(name="mine")).protocol == "full"
    made = []
    monkeypatch.setattr(tune, "run_search", lambda search: made.append(search) or 0)
    for words in (["--data.name", "mine"], ["--data.name", "yelp"], ["--protocol", "sampled9-strict"]):
        assert tune.main(["bpr", *words]) == 0
    assert [search.protocol for search in made] == ["full", "sampled1000-strict", "sampled9-strict"]
    assert Search(BPR(), data=DataSettings(name="yelp")).protocol == "sampled1000-strict"
    asked = Search(BPR(), data=DataSettings(name="mine"), protocol="sampled100-strict")
    assert asked.experiments()[0][1].eval.validation_protocol == "sampled100-strict"
