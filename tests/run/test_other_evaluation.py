"""A training that has ended, or half of one, is evaluated by another protocol without training anew."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from tiny import TINY, write_folder

from socialjax.data import sources
from socialjax.data.sources import DataSettings
from socialjax.models import BPR
from socialjax.report.gather import of_run
from socialjax.report.keep import keep, place
from socialjax.run import display, execute, record, results, workbench
from socialjax.run.execute import main
from socialjax.run.record import described, for_evaluation
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.run.study.baselines import stale
from socialjax.stop import Interrupted
from socialjax.train import loop
from socialjax.train.checkpoint import read_best
from socialjax.train.step import TrainSettings

pytestmark = pytest.mark.usefixtures("places")
FULL = EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10))
SAMPLED = ("--eval.protocol", "sampled4-strict", "--eval.also", "full", "--eval.ks", 3, 5)


@pytest.fixture(scope="module", autouse=True)
def without_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(display, "draw_curves", lambda path, *_: path.touch())
        yield


@pytest.fixture(scope="module")
def definition(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder") / "own"
    write_folder(folder, "own", user=str, item=str, links=False)
    experiment = Experiment(BPR(dim=4), DataSettings(name="own", dir=folder), TrainSettings(**TINY), FULL)
    return Definition("small", "A small run.", experiment)


@pytest.fixture
def command(definition, call):
    """command(*arguments) -> standard output and standard error of a command that ends well."""

    def run(*arguments, code=0):
        got, out, error = call(main, definition, *arguments)
        assert got == code, error
        return out, error

    return run


@pytest.fixture(scope="module")
def finished(definition, run_home, tmp_path_factory):
    """By `full`, K = 5 10, and `sampled`, the same training evaluated by SAMPLED from the start; both are only read."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCIALJAX_CACHE", str(run_home / "cache"))
        assert main(definition, ["--workdir", str(folder / "full")]) == 0
        assert main(definition, ["--workdir", str(folder / "sampled"), *map(str, SAMPLED)]) == 0
    return folder


def of(folder):
    """What a seed's result says but for times, of a run."""
    found = json.loads((folder / "seed_0" / "result.json").read_text())
    return {
        name: value for name, value in found.items() if name not in ("seconds", "peak_memory_bytes", "pairs_per_second")
    }


def trained(folder):
    """Bytes of the checkpoints, lines of metrics.jsonl."""
    kept = {path: path.read_bytes() for path in (folder / "seed_0" / "checkpoints").rglob("*") if path.is_file()}
    return kept, (folder / "seed_0" / "metrics.jsonl").read_bytes()


def metrics_of(folder):
    """The metrics of every protocol and cut-off of a run's result."""
    found = json.loads((folder / "result.json").read_text())
    return {"protocol": found["protocol"], "metrics": found["metrics"], "also": found["also"]}


def test_a_finished_training_is_evaluated_anew_and_both_results_are_kept(finished, command, tmp_path, monkeypatch):
    folder = shutil.copytree(finished / "full", tmp_path / "run")
    before, earlier = trained(folder), {n: (folder / n).read_bytes() for n in ("result.json", "settings.json")}
    users = (folder / "seed_0" / "per_user.npz").read_bytes()
    monkeypatch.setattr(loop, "_advance", lambda *_: pytest.fail("trained"))
    out, error = command("--workdir", folder, *SAMPLED)
    aside = folder / "evaluation-full"
    assert f"the result by full; K = 5 10 is kept in {aside}" in error
    assert "are kept, nothing was trained; evaluated anew by sampled4-strict, full; K = 3 5" in error
    assert "sampled4-strict, test, epoch" in out and "NDCG@3" in out
    assert trained(folder) == before and (folder / "settings.json").read_bytes() == earlier["settings.json"]
    assert (aside / "result.json").read_bytes() == earlier["result.json"]
    assert (
        (aside / "seed_0" / "per_user.npz").read_bytes() == users != (folder / "seed_0" / "per_user.npz").read_bytes()
    )
    # The same as evaluated so from the start, and the two agree where they measure the same.
    ours, theirs = of(folder), of(finished / "sampled")
    assert {**ours, "validation": 0} == {**theirs, "validation": 0}
    both = ours["also"]["full"], json.loads(earlier["result.json"])["metrics"]
    assert both[0]["NDCG@5"] == both[1]["NDCG@5"]["mean"]
    # What says by what it was measured says so everywhere.
    assert (
        metrics_of(folder)["protocol"] == "sampled4-strict" == of_run(folder, "x").record.settings["eval"]["protocol"]
    )
    assert metrics_of(aside)["protocol"] == "full" == of_run(aside, "x").record.settings["eval"]["protocol"]
    # The same command again, and the first one again.
    assert "finished before" in command("--workdir", folder, *SAMPLED)[1]
    monkeypatch.setattr(workbench, "measured", lambda *_: pytest.fail("evaluated"))
    out, error = command("--workdir", folder)
    assert f"the result by sampled4-strict, full; K = 3 5 is kept in {folder / 'evaluation-sampled4-strict'}" in error
    assert "finished before" in error and "full, test, epoch" in out
    assert (folder / "result.json").read_bytes() == earlier["result.json"]
    assert (folder / "seed_0" / "per_user.npz").read_bytes() == users
    assert "sampled4-strict, test" in command("--workdir", folder, *SAMPLED)[0]


def test_each_result_is_kept_in_a_table_of_its_own_protocol(finished, command, tmp_path):
    folder = shutil.copytree(finished / "full", tmp_path / "run")
    command("--workdir", folder, *SAMPLED)
    targets = [place(folder, tmp_path / "kept", "sampled", dirty_ok=True)]
    targets.append(place(folder / "evaluation-full", tmp_path / "kept", "full", dirty_ok=True))
    for target in targets:
        keep(target)
    assert [metrics_of(target.folder)["protocol"] for target in targets] == ["sampled4-strict", "full"]


@pytest.mark.parametrize("when", ["in training", "in evaluation"])
def test_half_a_run_goes_on_under_another_protocol_and_ends_as_one_that_was_not_stopped(
    finished, command, tmp_path, monkeypatch, when
):
    train = workbench.train_seeds

    def stopped(*rest, **more):
        train(*rest, **more | ({"stop_after": 1} if when == "in training" else {}))
        raise Interrupted(15)

    with monkeypatch.context() as patch:
        patch.setattr(workbench, "train_seeds", stopped)
        command("--workdir", tmp_path / "run", code=143)
    lines = (tmp_path / "run" / "seed_0" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == (1 if when == "in training" else 2)
    command("--workdir", tmp_path / "run", *SAMPLED)
    assert metrics_of(tmp_path / "run") == metrics_of(finished / "sampled")
    unbroken = finished / "full" / "seed_0"
    without = lambda path: [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()]  # noqa: E731
    assert without(tmp_path / "run" / "seed_0" / "metrics.jsonl") == without(unbroken / "metrics.jsonl")
    both = (read_best(folder / "checkpoints")[0] for folder in (unbroken, tmp_path / "run" / "seed_0"))
    jax.tree.map(np.testing.assert_array_equal, *both)
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]["eval"]["protocol"] == "full"
    assert "finished before" in command("--workdir", tmp_path / "run", *SAMPLED)[1]


def test_what_chooses_the_epoch_is_still_refused(finished, command):
    words = ("--eval.validation-protocol", "sampled4-strict", *SAMPLED)
    _, error = command("--workdir", finished / "full", *words, code=1)
    said = error.strip().splitlines()[-1]
    assert "(eval.validation_protocol: full there, sampled4-strict now)" in said
    assert "seed_0" in {path.name for path in (finished / "full").iterdir()}
    assert not list((finished / "full").glob("evaluation-*"))


def test_what_cannot_be_evaluated_leaves_the_result_that_is_there(finished, command, tmp_path):
    folder = shutil.copytree(finished / "full", tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert (
        "items left" in command("--workdir", folder, "--eval.protocol", "sampled12-strict", "--eval.ks", 3, code=1)[1]
    )
    shutil.rmtree(folder / "seed_0" / "checkpoints")
    _, error = command("--workdir", folder, *SAMPLED, code=1)
    assert "has a result by another evaluation and no parameters to evaluate anew" in error
    assert all(path.read_bytes() == before[path] for path in folder.rglob("*") if path.is_file())
    assert "finished before" in command("--workdir", folder)[1]


def test_a_result_says_by_which_code_it_was_trained(finished, command, tmp_path, monkeypatch):
    folder = shutil.copytree(finished / "full", tmp_path / "run")
    monkeypatch.setattr(execute, "code_digest", lambda model: "another")
    command("--workdir", folder, *SAMPLED)
    assert of(folder)["code"] == of(finished / "full")["code"] != "another"


def test_a_table_of_models_does_not_put_a_run_aside_for_its_test_protocol(finished, definition):
    experiment, data = definition.default, sources.load(definition.default.data)
    other = dataclasses.replace(experiment, eval=dataclasses.replace(FULL, protocol="sampled4-strict", ks=(3,)))
    assert stale(finished / "full", other, data) is None
    chosen = dataclasses.replace(experiment, eval=dataclasses.replace(FULL, validation_protocol="sampled4-strict"))
    assert stale(finished / "full", chosen, data) == "other settings (eval.validation_protocol)"


def test_wherever_it_is_stopped_both_results_come_out_whole(finished, tmp_path, monkeypatch):
    """Every file that is copied or taken away may be the last one before an end."""
    full, asked = results.evaluation_of({"eval": results.plain(FULL)}), {"protocol": "full", "also": [], "ks": [5]}
    copy, unlink = shutil.copyfile, type(tmp_path).unlink
    wanted = {name: (finished / "full" / name).read_bytes() for name in ("result.json", "seed_0/result.json")}
    for moment in range(8):
        folder = shutil.copytree(finished / "full", tmp_path / f"run{moment}")
        left = [moment]

        def counted(act, left=left):
            def acts(*arguments, **named):
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
                return act(*arguments, **named)

            return acts

        with monkeypatch.context() as patch:
            patch.setattr(record.shutil, "copyfile", counted(copy))
            patch.setattr(
                type(tmp_path),
                "unlink",
                lambda path, missing_ok=False: (
                    unlink(path, missing_ok=missing_ok) if path.name.startswith(".") else counted(unlink)(path)
                ),
            )
            with pytest.raises(KeyboardInterrupt) if moment < 6 else monkeypatch.context():
                for_evaluation(folder, asked)
        for_evaluation(folder, asked)
        assert not (folder / "result.json").exists() and not (folder / "seed_0" / "result.json").exists()
        for_evaluation(folder, full)
        assert wanted == {name: (folder / name).read_bytes() for name in wanted}
        assert of_run(folder, "x").record.protocol == "full"


def test_evaluations_of_one_protocol_have_folders_of_their_own(finished, tmp_path):
    folder = shutil.copytree(finished / "full", tmp_path / "run")
    first, others = results.evaluation_of({"eval": results.plain(FULL)}), []
    for ks in ([5], [3]):
        others.append({**first, "ks": ks})
        for_evaluation(folder, others[-1])
        for name in ("", "seed_0/"):
            found = json.loads((finished / "full" / f"{name}result.json").read_text())
            found["settings" if not name else "evaluation"] = {"eval": others[-1]} if not name else others[-1]
            (folder / f"{name}result.json").write_text(json.dumps(found))
    for_evaluation(folder, first)
    names = sorted(path.name for path in folder.glob("evaluation-*"))
    assert names == ["evaluation-full", "evaluation-full-2", "evaluation-full-3"]
    assert described(others[0]) == "full; K = 5"
