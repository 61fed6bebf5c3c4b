"""Whole commands in this process: what they print, what they leave behind, and how they fail."""

import dataclasses
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny import TINY, write_folder

from socialjax import load
from socialjax.commands import compare, recommend
from socialjax.data.schema import interactions
from socialjax.data.sources import DataSettings
from socialjax.eval.protocol import KS, Protocol
from socialjax.models import BPR
from socialjax.models.social.diffnet import DiffNet
from socialjax.run import display, execute
from socialjax.run.execute import few_steps, main
from socialjax.run.record import RunRecord
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.run.workbench import Workbench, chosen_by, protocol_of
from socialjax.train.step import METRIC, TrainSettings
from socialjax.worlds import planted

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    """24 users, 16 items, no links."""
    folder = tmp_path_factory.mktemp("folder") / "own"
    write_folder(folder, "own", user=str, item=str, links=False)
    return folder


@pytest.fixture(scope="module")
def definition(data_folder):
    experiment = Experiment(
        model=BPR(dim=4),
        data=DataSettings(name="own", dir=data_folder),
        train=TrainSettings(**TINY),
        eval=EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10)),
    )
    reported = ({"name": "others", "note": "elsewhere", "metrics": {"HR@10": 0.5, "NDCG@10": 0.25}},)
    return Definition("small", "A small run.", experiment, sweeps={"dim": [{"dim": 3}, {"dim": 4}]}, reported=reported)


@pytest.fixture
def command(definition, call):
    """command(*arguments) -> (exit code, standard output, standard error)."""
    return lambda *arguments, of=definition: call(main, of, *arguments)


@pytest.fixture(scope="module")
def finished(definition, run_home, tmp_path_factory):
    """A finished run of seed 0; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCIALJAX_CACHE", str(run_home / "cache"))
        assert main(definition, ["--workdir", str(folder)]) == 0
    return folder


def last_line(text):
    return text.strip().splitlines()[-1]


def test_a_run_leaves_settings_result_metrics_curves_and_checkpoints(finished):
    assert sorted(path.name for path in finished.iterdir()) == ["data_copy", "result.json", "seed_0", "settings.json"]
    inside = {"checkpoints", "curves.png", "metrics.jsonl", "per_user.npz", "result.json"}
    assert inside <= {path.name for path in (finished / "seed_0").iterdir()}
    record = json.loads((finished / "result.json").read_text())
    assert (record["data"], record["model"], record["protocol"], record["seeds"]) == ("real", "bpr", "full", [0])
    assert record["metrics"]["HR@10"]["values"] == [record["metrics"]["HR@10"]["mean"]]
    assert set(record["references"]) == {"random", "popularity"}  # friends need links
    assert len((finished / "seed_0" / "metrics.jsonl").read_text().splitlines()) == 2
    for name in ("reported", "validation", "epoch", "seconds", "pairs_per_second", "peak_memory_bytes", "settings"):
        assert name in record


def test_a_run_ends_with_the_commands_that_come_next_and_these_can_be_typed(finished, command, capsys, tmp_path):
    status, out, err = command("--workdir", str(finished))
    assert status == 0 and "next:" not in out
    typed = re.findall(r"python -m socialjax (\w+) (.*)", err)
    assert [name for name, _ in typed] == ["recommend", "compare"]
    words = shlex.split(typed[0][1].replace("best.csv", str(tmp_path / "best.csv")))
    assert recommend.main(words) == 0 and (tmp_path / "best.csv").is_file()
    words = shlex.split(typed[1][1].replace(" OTHER_RUN", "").replace("report", str(tmp_path / "report")))
    assert compare.main(words) == 0 and (tmp_path / "report" / "report.html").is_file()
    (curves,) = re.findall(r"curves of the training: (.*)", err)
    assert Path(curves).read_bytes().startswith(b"\x89PNG")


def test_a_folder_with_blanks_is_quoted_in_the_commands_that_come_next():
    said = display.next_steps(Path("my runs/it's one"), (3, 4))
    assert shlex.split(said.splitlines()[0])[5] == "my runs/it's one"
    assert said.endswith("my runs/it's one/seed_3/curves.png")


@pytest.mark.parametrize(
    "pairs, batch, said",
    [
        (6211, 8192, "one step an epoch, of 8,192 pairs: --train.batch-size 512 would make 13"),
        (20000, 8192, "3 steps an epoch, of 8,192 pairs: --train.batch-size 512 would make 40"),
        (8 * 8192, 8192, None),
        (300, 512, None),  # smaller still is no better
    ],
)
def test_few_steps_an_epoch_are_said_with_the_option_for_more(definition, pairs, batch, said):
    ids = np.arange(pairs, dtype=np.int32)
    data = dataclasses.replace(planted.checkerboard(num_users=12, num_items=8, links=3), train=interactions(ids, ids))
    train = dataclasses.replace(definition.default.train, batch_size=batch)
    lines = few_steps(dataclasses.replace(definition.default, train=train), data)
    assert lines == ([said] if said else [])


def test_a_finished_run_prints_its_table_again_without_training(finished, command, monkeypatch):
    before = {path: path.read_bytes() for path in finished.rglob("*.json*") if path.name != "settings.json"}

    def no_training(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("socialjax.run.workbench.train_seeds", no_training)
    code, out, error = command("--workdir", finished)
    assert code == 0 and "finished before" in error
    assert "bpr (seeds 0)" in out and "popularity" in out and "others: elsewhere" in out
    assert before == {path: path.read_bytes() for path in before}


def test_a_picture_that_fails_costs_no_result_and_is_drawn_by_the_next_start(finished, command, tmp_path, monkeypatch):
    def fail(path, *rest):
        raise RuntimeError("no font\nanywhere")

    with monkeypatch.context() as patch:
        patch.setattr(display, "draw_curves", fail)
        code, out, error = command("--workdir", tmp_path / "run")
    picture = tmp_path / "run" / "seed_0" / "curves.png"
    assert code == 0 and "bpr (seeds 0)" in out and not picture.exists()
    assert f"{picture} could not be made (RuntimeError: no font anywhere); the results are kept" in error
    for name in ("result.json", "seed_0/result.json", "seed_0/per_user.npz"):
        assert (tmp_path / "run" / name).exists()
    assert "finished before" in command("--workdir", tmp_path / "run")[2]
    assert picture.read_bytes() == (finished / "seed_0" / "curves.png").read_bytes()


def test_a_picture_that_fails_does_not_stop_the_seeds_that_follow(command, tmp_path, monkeypatch):
    draw, seeds = display.draw_curves, []

    def fail_once(path, *rest):
        seeds.append(path.parent.name)
        if len(seeds) == 1:
            raise MemoryError
        draw(path, *rest)

    monkeypatch.setattr(display, "draw_curves", fail_once)
    code, out, error = command("--workdir", tmp_path / "run", "--seeds", 0, 1)
    assert code == 0 and "bpr (seeds 0 1)" in out and "(MemoryError:)" in error
    assert seeds == ["seed_0", "seed_1"] and (tmp_path / "run" / "seed_1" / "curves.png").exists()


def test_a_finished_run_prints_its_table_and_writes_nothing(finished, command, tmp_path):
    """So that it can be shown from a disk that cannot be written."""
    folder = shutil.copytree(finished, tmp_path / "run")
    times = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}  # of folders: no file came or went
    code, out, _ = command("--workdir", folder)
    assert code == 0 and "bpr (seeds 0)" in out
    assert times == {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_seeds_are_added_to_a_finished_run(finished, command, definition, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    first = (folder / "seed_0" / "result.json").read_bytes()
    code, out, error = command("--workdir", folder, "--seeds", 0, 3)
    assert code == 0 and "seed 0: finished before" in error and "bpr (seeds 0 3)" in out
    assert (folder / "seed_0" / "result.json").read_bytes() == first
    record = json.loads((folder / "result.json").read_text())
    assert record["seeds"] == [0, 3] and len(record["metrics"]["HR@10"]["values"]) == 2
    assert (folder / "seed_3" / "result.json").exists()
    courses = [(folder / f"seed_{seed}" / "metrics.jsonl").read_text().splitlines() for seed in (0, 3)]
    losses = [[json.loads(line)["loss"] for line in course] for course in courses]
    assert losses[0] != losses[1], "another seed is another training"
    assert json.loads((folder / "settings.json").read_text())["settings"]["seeds"] == [0, 3]


def test_other_settings_in_a_used_folder_are_refused_with_the_difference(finished, command):
    code, out, error = command("--workdir", finished, "--model.dim", 5, "--train.epochs", 9)
    assert (code, out) == (1, "")
    assert last_line(error).startswith(f"error: {finished} holds a run with other settings (")
    assert "model.dim: 4 there, 5 now" in error and "train.epochs: 2 there, 9 now" in error


def test_a_run_that_was_begun_before_a_setting_was_there_goes_on_and_opens(command, finished, tmp_path):
    folder = tmp_path / "run"
    (folder / "seed_0" / "checkpoints").mkdir(parents=True)  # training had begun
    record = json.loads((finished / "settings.json").read_text())
    del record["settings"]["train"]["plateau"], record["settings"]["model"]["item_bias"]
    (folder / "settings.json").write_text(json.dumps(record))
    assert command("--workdir", str(folder))[0] == 0
    kept = json.loads((folder / "settings.json").read_text())["settings"]
    assert "plateau" not in kept["train"] and "item_bias" not in kept["model"]
    theirs, ours = (json.loads((place / "result.json").read_text())["metrics"] for place in (finished, folder))
    assert ours == theirs
    assert len(load(folder).recommend(["0"], 3)) == 1  # its checkpoint is known by the settings that it was begun with
    code, _, error = command("--workdir", str(folder), "--model.no-item-bias")
    assert code == 1 and "model.item_bias: True there, False now" in error


def test_a_sweep_has_a_folder_for_each_value(command, tmp_path):
    code, out, _ = command("--workdir", tmp_path / "run", "--sweep", "dim", "--train.epochs", 1)
    assert code == 0 and out.count("bpr (seeds 0)") == 2
    for value in (3, 4):
        settings = json.loads((tmp_path / "run" / f"dim={value}" / "settings.json").read_text())["settings"]
        assert settings["model"]["dim"] == value


FAILURES = [
    (("--eval.ks", 10, 17), "K = 17 is larger than the catalogue (16 items"),
    (("--train.learning-rate", 1e30, "--train.optimizer", "sgd"), "the loss is not finite between steps"),
    (("--data.name", "nowhere", "--data.dir", "/nonexistent"), "/nonexistent, which is not a folder"),
    (("--sweep", "width"), "--sweep must be one of dim, got 'width'"),
    (("--preset", "big"), "--preset must be one of none, got 'big'"),
    (("--train.batch-size", 63), "multiple of the 8 devices"),
    (("--train.table-shards", 3), "table shards must divide the 8 devices, got 3"),
]


@pytest.mark.parametrize("arguments, said", FAILURES, ids=lambda value: str(value)[:24])
def test_failures_are_one_clear_line(command, tmp_path, arguments, said):
    code, out, error = command("--workdir", tmp_path / "run", *arguments)
    assert (code, out) == (1, "")
    errors = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and errors[0] == last_line(error) and said in errors[0], error


def test_a_folder_that_failed_at_the_start_can_be_used_afterwards(command, tmp_path):
    assert command("--workdir", tmp_path / "run", "--train.batch-size", 63)[0] == 1
    assert command("--workdir", tmp_path / "run", "--eval.ks", 10, 17)[0] == 1
    assert command("--workdir", tmp_path / "run")[0] == 0


def test_a_work_folder_below_a_file_is_told(command, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, out, error = command("--workdir", tmp_path / "file" / "run")
    assert (code, out) == (1, "")
    assert last_line(error).startswith(f"error: the work folder {tmp_path / 'file' / 'run'} cannot be written")


def test_a_model_that_needs_links_says_so(command, definition, tmp_path):
    social = dataclasses.replace(definition, default=dataclasses.replace(definition.default, model=DiffNet(dim=4)))
    code, _, error = command("--workdir", tmp_path / "run", of=social)
    assert code == 1
    assert last_line(error).startswith("error: DiffNet needs links, which data set 'own' does not have")
    assert last_line(error).endswith("runs without: own.links with a line `follower followee` for each")


def test_a_checkpoint_of_another_run_is_refused(finished, command, tmp_path):
    folder = tmp_path / "run"
    (folder / "seed_0").mkdir(parents=True)
    shutil.copytree(finished / "seed_0" / "checkpoints", folder / "seed_0" / "checkpoints")
    code, _, error = command("--workdir", folder, "--model.dim", 5)
    assert code == 1
    assert "belongs to a run with other settings" in last_line(error)


def test_damaged_checkpoints_are_told(finished, command, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    for path in (folder / "result.json", folder / "seed_0" / "result.json"):
        path.unlink()
    for path in (folder / "seed_0" / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\0" * 9)
    for _ in range(2):
        code, _, error = command("--workdir", folder)
        assert code == 1 and last_line(error).startswith("error: none of the checkpoints in ")


def test_a_damaged_result_is_named(finished, command, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / "result.json").write_text("{")
    code, _, error = command("--workdir", folder)
    assert code == 1 and "result.json is damaged" in last_line(error) and "delete it" in last_line(error)


def test_without_validation_the_last_epoch_is_tested(command, tmp_path):
    code, out, _ = command("--workdir", tmp_path / "run", "--data.validation", "none")
    assert code == 0 and "epoch 2" in out
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["epoch"] == [2] and record["validation"] == {}
    assert "test, epoch 2 the last, without validation" in out and "chosen on validation" not in out


def test_a_stand_in_is_named_first_last_and_everywhere(command, definition, tmp_path, monkeypatch):
    data = DataSettings(name="filmtrust", offline=True)
    training = TrainSettings(epochs=1, batch_size=8192, quiet=True)
    own = dataclasses.replace(definition, default=dataclasses.replace(definition.default, data=data, train=training))
    titles, draw = [], display.draw_curves

    def noted(path, lines, title, *rest):
        titles.append(title)
        draw(path, lines, title, *rest)

    monkeypatch.setattr(display, "draw_curves", noted)
    code, out, error = command("--workdir", tmp_path / "run", of=own)
    assert code == 0, error
    assert "stand-in" in error.splitlines()[0].lower()
    assert "STAND-IN" in last_line(out)
    assert "others: elsewhere" not in out, "real figures do not stand beside generated ones"
    folder = tmp_path / "run-stand-in"
    assert json.loads((folder / "settings.json").read_text())["data"]["kind"] == "stand-in"
    assert json.loads((folder / "result.json").read_text())["data"] == "stand-in"
    assert len(titles) == 1 and "stand-in" in titles[0]
    assert not (tmp_path / "run").exists()
    again = command("--workdir", tmp_path / "run", of=own)
    assert "stand-in" in again[2].splitlines()[0].lower() and "STAND-IN" in last_line(again[1])
    code, _, error = command("--workdir", tmp_path / "run", "--data.require-real", of=own)
    assert code == 1 and last_line(error).startswith("error: the files of filmtrust were not found")


def test_default_cut_offs_shrink_with_a_small_catalogue_and_others_are_refused():
    data = planted.checkerboard(num_items=20)
    full = EvalSettings(protocol="full", also=(), validation_protocol="full")
    assert Workbench(data).candidates(full, "full").protocol.ks == (5, 10, 15, 20)
    with pytest.raises(ValueError, match=r"K = 50 is larger than the catalogue .*--eval\.ks"):
        Workbench(data).candidates(dataclasses.replace(full, ks=(10, 50)), "full")


@pytest.mark.parametrize(
    "name, size, ks",
    [
        ("full", 8, (5, 8)),
        ("full", 4, (4,)),
        ("full", 12, (5, 10)),
        ("sampled6-strict", 20, (5, 7)),
        ("sampled14-strict", 20, (5, 10, 15)),
    ],
)
def test_default_cut_offs_fit_the_longest_list_and_so_does_the_one_that_chooses(name, size, ks):
    assert Protocol(name).within(size).ks == ks
    data = planted.checkerboard(num_items=20)
    few = EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(7, 20))
    assert protocol_of(few, data, "full").ks == (7, 20), "as asked"
    assert protocol_of(few, data, "full", "validation").ks == (7, 20, 10)
    assert protocol_of(few, data, "sampled6-strict", "validation").ks == (7,)
    assert chosen_by(Protocol("sampled6-strict"), data) == "NDCG@7" and chosen_by(Protocol("full"), data) == METRIC


def write_bank(folder):
    """60 users, 8 products."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = [f"c{u}\tp{i}\n" for u in range(60) for i in rng.permutation(8)[: 4 + u % 2]]
    (folder / "bank.rating").write_text("".join(lines))
    return folder


def test_a_catalogue_below_ten_items_trains_and_is_evaluated_up_to_its_size(command, tmp_path):
    words = (
        "--workdir",
        tmp_path / "run",
        "--data.name",
        "bank",
        "--data.dir",
        write_bank(tmp_path / "bank"),
        "--data.split",
        "leave-one-out",
        "--eval.ks",
        *KS,
    )
    code, out, error = command(*words)
    assert code == 0, error
    assert "cut-offs of full: 5 8; 10 15 20 50 exceed lists of 8 items (the catalogue has 8)" in error
    assert "epochs are chosen by validation NDCG@8 in place of NDCG@10" in error and "NDCG@8" in out
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {"NDCG@5", "NDCG@8"} <= set(record["metrics"]) and "NDCG@10" not in record["metrics"]
    assert record["chosen_on"]["metric"] == "NDCG@8" and "NDCG@8" in record["validation"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "seed_0" / "metrics.jsonl").read_text().splitlines()]
    best = max(lines, key=lambda line: line["validation"]["NDCG@8"])
    assert record["epoch"] == [best["epoch"]] and (tmp_path / "run" / "seed_0" / "curves.png").exists()
    assert "finished before" in command(*words)[2]


@pytest.fixture(scope="module")
def crowded():
    """24 users, 16 items; user 7, not the first, took all items but three."""
    data = planted.checkerboard(num_users=24, num_items=16)
    taken = {part: pairs.item[pairs.user == 7] for part, pairs in data.parts().items()}
    more = np.setdiff1d(np.arange(16), np.concatenate(list(taken.values())))[3:]
    train = interactions(np.append(data.train.user, np.full(len(more), 7)), np.append(data.train.item, more))
    return dataclasses.replace(data, train=train)


REFUSED = [
    ({"protocol": "sampled4-strict"}, "--eval.protocol sampled4-strict, test part"),
    ({"also": ("full", "sampled4-strict")}, "--eval.also sampled4-strict, test part"),
    ({"validation_protocol": "sampled9-strict"}, "--eval.validation-protocol sampled9-strict, validation part"),
    ({"also": ("sampled16-official",)}, "draws 16 times from 16 items"),
    ({"ks": (3, 17)}, "K = 17 is larger than the catalogue (16 items"),
]


@pytest.mark.parametrize("fields, said", REFUSED, ids=lambda value: str(value)[:40])
def test_lists_that_some_user_cannot_have_are_refused_before_the_first_step(
    crowded, tmp_path, monkeypatch, fields, said
):
    monkeypatch.setattr("socialjax.run.workbench.train_seeds", lambda *_, **__: pytest.fail("trained"))
    asked = {"protocol": "full", "also": (), "validation_protocol": "full", "ks": (3,)} | fields
    experiment = Experiment(model=BPR(dim=4), train=TrainSettings(**TINY), eval=EvalSettings(**asked))
    with pytest.raises(ValueError) as error:
        execute.run_in(tmp_path / "run", Definition("small", "", experiment), experiment, Workbench(crowded))
    assert said in str(error.value)
    if "strict" in said and "test" in said:
        assert "user 7 has only 3 of 16 items left; choose a protocol with at most 3 negatives, or 'full'" in str(
            error.value
        )
    assert not (tmp_path / "run").exists()


def test_a_start_that_lacks_a_seed_is_refused_before_the_first_one_trains(finished, crowded, tmp_path, monkeypatch):
    monkeypatch.setattr("socialjax.run.workbench.train_seeds", lambda *_, **__: pytest.fail("trained"))
    of = EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(3, 10))
    experiment = Experiment(BPR(dim=4), train=TrainSettings(**TINY), eval=of, seeds=(0, 5), start_from=finished)
    with pytest.raises(ValueError, match="has no finished seed 5"):
        execute.run_in(tmp_path / "run", Definition("small", "", experiment), experiment, Workbench(crowded))


def test_a_preset_has_a_folder_of_its_own(definition):
    data = planted.checkerboard()
    plain = dataclasses.replace(definition.default, workdir=None)
    folders = [
        execute.work_folder(definition, dataclasses.replace(plain, preset=preset), data, "")
        for preset in (None, "authors")
    ]
    assert [folder.name for folder in folders] == ["checkerboard", "checkerboard-authors"]


def test_a_run_on_files_that_have_changed_since_is_refused_by_their_names(command, data_folder, finished, tmp_path):
    """Of one's own files and of features that are given beside them."""
    folder, work = shutil.copytree(data_folder, tmp_path / "own"), shutil.copytree(finished, tmp_path / "run")
    assert command("--data.dir", folder, "--workdir", work)[0] == 0
    np.save(tmp_path / "look.npy", np.ones((16, 2), np.float32))
    code, _, error = command("--data.features", tmp_path / "look.npy", "--workdir", work)
    assert code == 1 and "other settings (data.files: features look.npy differs)" in error
    with (folder / "own.rating").open("a") as file:
        file.write("0\t0\t1\n")
    code, _, error = command("--data.dir", folder, "--workdir", work)
    assert code == 1 and "other settings (data.files: own.rating differs)" in error


def test_the_table_of_a_run_on_altered_files_says_so(finished):
    record = RunRecord.read(finished / "result.json")
    assert record.provenance["published"] == "" and "small on own (real, ids only)" in display.table(record, finished)
    record.provenance["published"] = "altered: own.rating"
    assert "small on own (real, ALTERED: own.rating, ids only)" in display.table(record, finished)
