"""`socialjax.fit`: from a model and data to a recommender, with a folder of a run or without one."""

import ast
import dataclasses
import gc
import inspect
import logging

import jax
import numpy as np
import pytest

import socialjax
from socialjax.commands import train
from socialjax.data.schema import Dataset, no_interactions
from socialjax.data.sources import DataSettings
from socialjax.formats.file_bytes import DataError
from socialjax.models import BPR, DiffNet
from socialjax.models.cf.reference import Popular
from socialjax.run import workbench
from socialjax.train.step import TrainSettings
from socialjax.worlds import planted

MODEL = BPR(dim=4, init_std=0.5)
TRAIN = TrainSettings(epochs=4, batch_size=256, evaluate_every=1, patience=0, save_seconds=1e6)


@pytest.fixture(scope="module")
def data():
    """30 users, 40 items, links, with names of its own."""
    made = planted.checkerboard(num_users=30, num_items=40, links=3)
    return dataclasses.replace(made, item_names=np.array([f"item {number}" for number in range(40)]))


def fit(data, model=MODEL, **more):
    return socialjax.fit(model, data, TRAIN, **{"protocol": "full", "progress": False, **more})


def assert_same_answers(one, other):
    jax.tree.map(np.testing.assert_array_equal, one.state, other.state)
    assert one.recommend([0, 7], k=5) == other.recommend([0, 7], k=5)


@pytest.fixture(scope="module")
def fitted(data):
    return fit(data)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """(folder, recommender)."""
    folder = tmp_path_factory.mktemp("fit") / "run"
    return folder, fit(data, folder=folder)


def test_a_model_and_data_give_a_recommender(fitted):
    best = fitted.recommend(4, k=3)[0]
    assert len(best) == 3 and best[0].item.startswith("item ") and best[0].score >= best[1].score
    assert 1 <= fitted.result.epoch <= 4 and fitted.result.validation["NDCG@10"] > 0
    assert set(fitted.result.metrics) == set(fitted.evaluate().record.metrics)


def test_the_same_training_with_a_folder_gives_the_same_answers_and_so_does_what_is_loaded(fitted, run):
    folder, made = run
    assert_same_answers(fitted, made)
    loaded = socialjax.load(folder)
    assert_same_answers(made, loaded)
    assert loaded.result == made.result and loaded.model == MODEL and loaded.seed == 0
    assert loaded.data.item_names.tolist() == made.data.item_names.tolist()
    left = {"settings.json", "result.json", "seed_0"}
    assert left <= {path.name for path in folder.iterdir()}
    assert {"curves.png", "metrics.jsonl", "result.json"} <= {path.name for path in (folder / "seed_0").iterdir()}


def test_the_same_call_trains_nothing_and_another_seed_stands_beside_it(run, data, monkeypatch):
    folder, made = run
    other = fit(data, folder=folder, seeds=[1])
    assert other.seed == 1 and other.result.metrics != made.result.metrics
    assert_same_answers(other, socialjax.load(folder, seed=1))
    monkeypatch.setattr(workbench, "train_seeds", None)
    assert_same_answers(made, fit(data, folder=folder))


def test_other_data_or_settings_in_a_used_folder_are_refused(run, data):
    folder = run[0]
    held = sorted(path.name for path in folder.iterdir())
    moved = dataclasses.replace(data, item_names=data.item_names[::-1])
    with pytest.raises(ValueError, match=r"other settings \(data\.files: columns differs"):
        fit(moved, folder=folder)
    with pytest.raises(ValueError, match=r"other settings \(model\.dim: 4 there, 5 now"):
        fit(data, BPR(dim=5), folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == held


def test_kept_data_that_are_damaged_are_told(data, tmp_path):
    fit(data, folder=tmp_path / "run")
    (kept,) = (tmp_path / "run").glob("data-*")
    next(kept.glob("*test*")).write_bytes(b"")
    with pytest.raises(DataError, match=r"the data of .*run cannot be read: .*not as SHA256SUMS has it"):
        socialjax.load(tmp_path / "run")


def test_without_a_validation_part_all_epochs_are_trained(data, tmp_path):
    data = dataclasses.replace(data, validation=no_interactions())
    found = fit(data)
    assert found.result.epoch == TRAIN.epochs and found.result.validation == {}
    assert_same_answers(found, fit(data, folder=tmp_path / "run"))


def test_data_of_files_are_read_again_and_not_kept(tmp_path):
    lines = [f"{user}\t{(user + step) % 20}" for user in range(12) for step in range(8)]
    (tmp_path / "mine.rating").write_text("\n".join(lines) + "\n")
    made = fit(DataSettings(name="mine", dir=tmp_path), folder=tmp_path / "run")
    assert not list((tmp_path / "run").glob("data-*"))
    assert_same_answers(made, socialjax.load(tmp_path / "run"))


def test_what_cannot_be_trained_is_told(data):
    with pytest.raises(ValueError, match="Popular does not train"):
        fit(data, Popular())
    with pytest.raises(ValueError, match="links"):
        fit(dataclasses.replace(data, links=None), DiffNet(dim=4))
    with pytest.raises(ValueError, match="a protocol is 'full'"):
        fit(data, protocol="some")
    with pytest.raises(DataError):
        fit(dataclasses.replace(data, num_items=3))


def test_without_a_folder_a_temporary_one_goes_with_the_last_run_that_holds_it(data):
    run = fit(data, seeds=2)
    folder, other = run.folder, run.of_seed(1)
    assert run.seeds == [0, 1] and other.seed == 1 and other.result.metrics != run.result.metrics
    del run
    gc.collect()
    assert folder.is_dir() and other.evaluate().record.seeds == [0, 1]
    del other
    gc.collect()
    assert not folder.exists()


def test_names_paths_and_numbers_stand_for_models_data_and_seeds(tmp_path):
    lines = [f"u{user},i{(user + step) % 20}" for user in range(12) for step in range(8)]
    (tmp_path / "shop.csv").write_text("user,item\n" + "\n".join(lines) + "\n")
    train = dataclasses.replace(TRAIN, batch_size=32)
    made = socialjax.fit("bpr", tmp_path, train, epochs=2, seeds=2, progress=False)
    assert made.model == BPR() and made.seeds == [0, 1] and made.data.name == "shop" and made.result.epoch <= 2
    again = socialjax.fit(BPR(), Dataset.from_folder(tmp_path), train, epochs=2, seeds=(0, 1), progress=False)
    assert again.evaluate().record.metrics == made.evaluate().record.metrics
    typed = socialjax.fit("bpr", str(tmp_path), train, epochs=2, seeds=np.int64(2), progress=False)
    assert typed.seeds == [0, 1] and typed.evaluate().record.metrics == made.evaluate().record.metrics
    assert socialjax.fit("bpr", tmp_path, train, epochs=1, seeds=np.array([4]), progress=False).seeds == [4]
    with pytest.raises(ValueError, match="no model is called 'bprr'; there are bpr, fm"):
        socialjax.fit("bprr", tmp_path)
    with pytest.raises(ValueError, match=r"--seeds wants different numbers"):
        fit(made.data, seeds=0)


def test_the_command_and_python_give_the_same_table(tmp_path, capsys, logging_as_before):
    rows = [f"u{user},i{(3 * user + step * step) % 20},{100 * step + user}" for user in range(15) for step in range(9)]
    (tmp_path / "shop.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    (tmp_path / "shop.links").write_text("".join(f"u{user},u{(user + 3) % 15}\n" for user in range(15)))
    words = ["lightgcn", "--data.name", "shop", "--data.dir", str(tmp_path), "--train.epochs", "3", "--seeds", "0", "1"]
    assert train.main([*words, "--workdir", str(tmp_path / "typed")]) == 0
    printed = capsys.readouterr().out
    run = socialjax.fit("lightgcn", tmp_path, epochs=3, seeds=2, folder=tmp_path / "called", progress=False)
    typed = socialjax.load(tmp_path / "typed")
    assert run.evaluate().record.metrics == typed.evaluate().record.metrics
    table = [line for line in str(run.evaluate()).splitlines() if " s in all, " not in line]
    assert len(table) > 8 and all(line in printed.splitlines() for line in table)
    assert run.recommend(["u3"], k=5) == typed.recommend(["u3"], k=5)


def test_a_table_is_a_frame_for_whoever_has_pandas(run):
    frame = run[1].evaluate().to_pandas()
    record = run[1].evaluate().record
    assert frame.index.tolist() == [*record.references, "bpr"]
    assert frame.loc["bpr", "NDCG@10"] == record.metrics["NDCG@10"]["mean"]
    assert frame.loc["popularity", "Hit@5"] == record.references["popularity"]["Hit@5"]


def test_what_a_command_would_show_is_shown_in_python_and_nothing_without_progress(data, capfd, logging_as_before):
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("socialjax").setLevel(logging.NOTSET)
    fit(data, progress=True)
    shown = capfd.readouterr().err
    for line in ("data: ", "model: bpr dim=4", "30 of 30 users are evaluated", "first step"):
        assert line in shown
    assert not logging.getLogger("socialjax").handlers
    fit(data)
    assert capfd.readouterr() == ("", "")


def test_the_door_names_what_there_is():
    assert {"fit", "load", "load_dataset", "Dataset", "MODELS", "Run"} <= set(dir(socialjax))
    assert socialjax.MODELS["bpr"] is BPR and socialjax.Dataset is Dataset
    with pytest.raises(AttributeError, match="has no attribute 'fitt'; it has"):
        socialjax.fitt  # noqa: B018


def test_type_checkers_and_editors_read_the_same_names_from_the_same_places():
    (block,) = [
        node
        for node in ast.parse(inspect.getsource(socialjax)).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "typing.TYPE_CHECKING"
    ]
    declared = {alias.asname: line.module for line in block.body for alias in line.names}
    assert declared == socialjax._PLACES
    assert set(declared) | {"__version__"} == set(socialjax.__all__) <= set(dir(socialjax))
    for function in (socialjax.fit, socialjax.load, socialjax.compare, socialjax.Dataset.from_pairs):
        signature = inspect.signature(function)
        untyped = [name for name, of in signature.parameters.items() if of.annotation is of.empty]
        assert untyped == [] and signature.return_annotation is not signature.empty and function.__doc__, function


def test_callbacks_get_every_validation_and_what_they_raise_ends_the_training(data, tmp_path):
    lines = []
    run = fit(data, seeds=2, callbacks=[lines.append])
    assert [(line["seed"], line["epoch"]) for line in lines] == [
        (seed, epoch) for seed in (0, 1) for epoch in (1, 2, 3, 4)
    ]
    assert max(line["validation"]["NDCG@10"] for line in lines[:4]) == run.result.validation["NDCG@10"]

    def enough(line):
        lines.append(line)
        if line["epoch"] == 2:
            raise RuntimeError("enough")

    lines.clear()
    with pytest.raises(RuntimeError, match="enough"):
        fit(data, folder=tmp_path / "run", callbacks=[enough])
    assert [line["epoch"] for line in lines] == [1, 2]
    again = fit(data, folder=tmp_path / "run")
    assert again.result.metrics == run.result.metrics
    before = len(lines)
    fit(data, folder=tmp_path / "run", callbacks=[lines.append])
    assert len(lines) == before, "a finished run trains nothing"
