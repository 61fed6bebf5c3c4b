"""A run on items with frames: key frames stand in its result with chance beside them, and in its explanations."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from tiny import TINY

import socialjax
from socialjax.commands import explain
from socialjax.data import sources
from socialjax.data.sources import DataSettings
from socialjax.models.cf.bpr import BPR
from socialjax.models.visual.jifr import JIFR
from socialjax.run import display, saved, workbench
from socialjax.run.execute import main
from socialjax.run.record import RunRecord, SeedRecord
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.train.checkpoint import read_best
from socialjax.train.step import TrainSettings
from socialjax.worlds.frames import frames_world


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A made world as a folder, with names of pictures that are not there."""
    folder = tmp_path_factory.mktemp("data") / "films"
    folder.mkdir()
    made = frames_world(0, users=30, items=40, frames=3, features=4).data
    (folder / "items.tsv").write_text("".join(f"film{i}\t3\n" for i in range(40)))
    np.save(folder / "frames.npy", made.frames.features)
    np.save(folder / "frame_item.npy", made.frames.item)
    (folder / "frame_names.txt").write_text("".join(f"{k}.png\n" for k in range(120)))
    for part, file in (("train", "train"), ("validation", "val"), ("test", "test")):
        pairs = getattr(made, part)
        (folder / f"{file}.tsv").write_text("".join(f"{u}\tfilm{i}\n" for u, i in zip(pairs.user, pairs.item)))
    likes = zip(made.frame_likes.user, made.frame_likes.item, made.frame_likes.frame)
    (folder / "test_frames.tsv").write_text("".join(f"{u}\tfilm{i}\t{k}\n" for u, i, k in likes))
    return folder


@pytest.fixture(scope="module")
def finished(films, run_home, tmp_path_factory):
    """Runs of seeds 0 and 1 of JIFR and of BPR."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCIALJAX_CACHE", str(run_home / "cache"))
        for name, model in (("jifr", JIFR(dim=4, visual_dim=4, k_max=2)), ("bpr", BPR(dim=4))):
            experiment = Experiment(
                model=model,
                data=DataSettings(name="films", dir=films),
                train=TrainSettings(**TINY),
                eval=EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10)),
                seeds=(0, 1) if name == "jifr" else (0,),
                workdir=folder / name,
            )
            assert main(Definition(name, "A small run.", experiment), []) == 0
    return folder


def test_the_result_has_key_frames_with_chance_beside_them(finished):
    record = json.loads((finished / "jifr" / "result.json").read_text())
    assert record["features"] == "given"
    found = record["key_frames"]
    assert list(found["metrics"]) == ["HR@1", "NDCG@3", "HR@3", "NDCG@5", "HR@5"]
    assert found["records"] > 50 and found["users"] <= 30 and found["truncated"] == pytest.approx(1 / 3)
    assert set(found["skipped"]) == {"a single frame", "all frames liked"}
    for name, metric in found["metrics"].items():
        seeds = [json.loads((finished / "jifr" / f"seed_{s}" / "result.json").read_text()) for s in (0, 1)]
        assert metric["values"] == [seed["key_frames"]["metrics"][name]["mean"] for seed in seeds]
        assert metric["mean"] == pytest.approx(np.mean(metric["values"])) and 0 < metric["random"] <= 1
    with np.load(finished / "jifr" / "seed_0" / "key_frames.npz") as kept:
        assert len(kept["users"]) == found["records"]
        assert kept["NDCG@3"].mean(dtype=float) == pytest.approx(found["metrics"]["NDCG@3"]["values"][0], abs=1e-3)


def test_it_starts_from_a_finished_bpr_and_draws_the_rest(finished, films, places):
    model, data = JIFR(dim=4, visual_dim=3), sources.load(DataSettings(name="films", dir=films))
    fresh = model.init(jax.random.key(5), model.prepare(data))
    taken = saved.from_run(finished / "bpr", 0)(fresh)
    theirs, _ = read_best(finished / "bpr" / "seed_0" / "checkpoints")
    for name in ("users", "items", "item_bias"):
        np.testing.assert_array_equal(taken[name], theirs[name])
    for name in ("visual_users", "projection", "log_sharpness"):
        np.testing.assert_array_equal(taken[name], fresh[name])


def test_a_model_that_ranks_no_frames_has_none(finished):
    assert "key_frames" not in json.loads((finished / "bpr" / "result.json").read_text())
    assert not (finished / "bpr" / "seed_0" / "key_frames.npz").exists()


def test_the_table_shows_chance_above_the_model(finished):
    record = RunRecord.read(finished / "jifr" / "result.json")
    text = display.table(record, finished)
    assert "a training pair does not see 33.3% of the frames" in text
    table = text[text.index("key frames:") :].splitlines()
    assert table[1].split() == ["HR@1", "NDCG@3", "HR@3", "NDCG@5", "HR@5"]
    assert table[3].startswith("random, closed form") and table[4].startswith("jifr, ± over seeds")
    one = SeedRecord.read(finished / "jifr" / "seed_0" / "result.json").key_frames
    half = one["metrics"]["HR@1"]["ci95"]
    alone = dataclasses.replace(record, key_frames=workbench.key_frames_over_seeds([one]), seeds=[0])
    assert f"±{half:.4f}" in display.table(alone, finished) and 0 < half < 0.5


def test_explaining_a_pair_ranks_its_frames_and_draws_them_for_each_user(finished, places, tmp_path, capsys):
    arguments = ["--user", "3", "--user", "5", "--item", "film7", "--out", str(tmp_path / "why")]
    assert explain.main([str(finished / "jifr"), *arguments]) == 0
    said = capsys.readouterr().out
    assert "what its frames look like" in said and "key frame" in said and ".png" in said
    assert "key_frames_item_7.png" in {path.name for path in (tmp_path / "why").iterdir()}
    for record in json.loads((tmp_path / "why" / "explanation.json").read_text())["explanations"]:
        parts = {part["name"]: part["value"] for part in record["parts"]}
        assert sum(parts.values()) == pytest.approx(record["score"], abs=1e-5)
        (frames,) = record["elements"]
        assert sorted(frame["id"] for frame in frames["ranked"]) == [21, 22, 23]
        liked = [frame["preference"] for frame in frames["ranked"]]
        assert liked == sorted(liked, reverse=True)
        assert sum(frame["weight"] for frame in frames["ranked"]) == pytest.approx(1, abs=1e-5)
        total = sum(frame["contribution"] for frame in frames["ranked"])
        assert total == pytest.approx(parts["frames"], abs=1e-5)
        for frame in frames["ranked"]:
            assert frame["contribution"] == pytest.approx(frame["weight"] * frame["preference"], abs=1e-6)


def test_a_run_names_the_frames_of_an_item_that_a_user_likes_best(finished, films, places):
    run = socialjax.load(finished / "jifr")
    number = run.data.items.numbers("film7")[0]
    rows = np.arange(*run.data.frames.offsets[number : number + 2])
    scores = np.asarray(run.model.frame_scores(run.state, run.side, np.array([5]), rows[None]))[0]
    found = run.key_frames("5", "film7", k=2)
    assert [frame.item for frame in found] == np.argsort(-scores)[:2].tolist()
    assert [frame.title for frame in found] == [f"{rows[frame.item]}.png" for frame in found]
    assert len(run.key_frames(5, "film7")) == 1 and len(run.key_frames(5, "film7", k=9)) == 3
    compiled = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(run.model), "frame_scores", lambda *_: compiled.append(1))  # traced, where one is compiled
        for user, film in ((3, "film1"), (4, "film30"), (29, "film39")):
            assert len(run.key_frames(user, film, k=3)) == 3
    assert compiled == []
    with pytest.raises(NotImplementedError, match="BPR does not say which frame a user likes"):
        socialjax.load(finished / "bpr").key_frames(5, "film7")
