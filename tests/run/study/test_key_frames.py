"""The table of key frames beside the table of items, on small worlds and on the folder of somebody's own frames."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from tiny import TINY

from experiments import jifr_douban
from socialjax.data.sources import DataSettings
from socialjax.eval import keyframes
from socialjax.models.visual.vbpr import VBPR
from socialjax.run.results import read_json
from socialjax.run.settings import EvalSettings
from socialjax.run.study import key_frames
from socialjax.run.study.baselines import compare_on
from socialjax.run.study.settings import Arguments, Setting, Study, rows
from socialjax.train.checkpoint import CheckpointError, read_best
from socialjax.train.step import TrainSettings
from socialjax.worlds.frames import frames_world

pytestmark = pytest.mark.usefixtures("places")
SETTINGS = DataSettings(name="douban-frames")
TRAIN = TrainSettings(**TINY)
STUDY = Study(
    name="small_frames",
    summary="A small table.",
    data=SETTINGS,
    settings={
        "bpr": Setting({"dim": 4}, TRAIN),
        "vbpr": Setting({"dim": 4, "visual_dim": 3}, TRAIN),
        "vpoi": Setting({"dim": 4}, TRAIN),
        "hasc": Setting({"dim": 4}, TRAIN),
    },
    only_with_features={"vpoi": "has nothing to look at"},
    eval=EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10)),
)


@pytest.fixture(scope="module")
def world():
    return frames_world(0, users=40, items=50, frames=4, features=6).data


@pytest.fixture(scope="module")
def ended(world, tmp_path_factory):
    """(folder, rows that have finished), two seeds."""
    folder = tmp_path_factory.mktemp("study")
    arguments = Arguments(data=SETTINGS, seeds=(0, 3), workdir=folder, only=("vbpr",))
    found, failed = compare_on(STUDY, arguments, world)
    assert not failed
    return folder, found


def test_models_that_look_at_images_take_frames_in_place_of_them(world, ended):
    found, skipped = rows(STUDY, Arguments(data=SETTINGS), world)
    assert [row.label for row in found] == ["bpr", "vbpr", "vpoi"] and skipped == {"hasc": "needs links and owners"}
    blind = dataclasses.replace(world, frames=None, frame_likes=None)
    assert rows(STUDY, Arguments(data=SETTINGS), blind)[1]["vpoi"] == "needs item_features"
    assert read_json(ended[0] / "vbpr" / "result.json")["features"] == "given"


def test_frames_are_ranked_by_the_best_parameters_of_each_seed(world, ended):
    folder, done = ended
    found = key_frames.measured(done, world, style="vbpr")
    assert list(found) == ["RND", "FIRST", "CENTROID", "POPSTYLE", "vbpr"]
    of, model, each = keyframes.records(world), VBPR(dim=4, visual_dim=3), []
    for seed in (0, 3):
        params, side = read_best(folder / "vbpr" / f"seed_{seed}" / "checkpoints")[0], model.prepare(world)
        state = jax.jit(model.encode)(params, side)
        result = keyframes.frame_metrics(keyframes.record_scores(model, state, side, of), of)
        each.append(result.values["NDCG@3"])
    got = found["vbpr"]["metrics"]["NDCG@3"]
    np.testing.assert_allclose(got["values"], [one.mean() for one in each], rtol=1e-6)
    mean, half = keyframes.clustered_interval(np.mean(each, axis=0), of.users)
    assert (got["mean"], got["ci95"]) == (pytest.approx(mean), pytest.approx(half))
    assert got["random"] == pytest.approx(keyframes.chance(of)["NDCG@3"].mean())
    assert len(found["FIRST"]["metrics"]["HR@1"]["values"]) == 1 and len(found["RND"]["metrics"]["HR@1"]["values"]) == 2
    text = key_frames.table(found, "small")
    assert f"{len(of):,} records of" in text and text.count(f"({got['random']:.3f})") == 5  # beside every row
    assert f"{got['mean']:.3f} ±{got['ci95']:.3f} ({got['random']:.3f})" in text


def test_data_without_likes_have_no_such_table_and_lost_parameters_are_an_error(world, ended, tmp_path):
    assert key_frames.measured(ended[1], dataclasses.replace(world, frame_likes=None)) is None
    row = ended[1]["vbpr"]
    moved = dataclasses.replace(row.definition, default=dataclasses.replace(row.experiment, workdir=tmp_path))
    with pytest.raises(CheckpointError, match="are no parameters to rank frames with"):
        key_frames.measured({"vbpr": dataclasses.replace(row, definition=moved)}, world)


@pytest.fixture
def short(monkeypatch):
    """The experiment with two epochs."""
    for name in ("STUDY", "PLANTED"):
        study = getattr(jifr_douban, name)
        rows = {label: dataclasses.replace(row, train=TRAIN) for label, row in study.settings.items()}
        monkeypatch.setattr(jifr_douban, name, dataclasses.replace(study, settings=rows))


@pytest.mark.slow
def test_the_experiment_says_loudly_when_its_world_is_planted(short, call, tmp_path, monkeypatch):
    monkeypatch.setattr(jifr_douban, "frames_world", lambda *_, **__: frames_world(0, users=60, items=160, frames=3))
    code, out, error = call(
        lambda _, words: jifr_douban.main(words), None,
        "--only", "vbpr", "--seeds", "0", "--workdir", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, error
    assert error.startswith("PLANTED") and out.strip().endswith(jifr_douban.BANNER)
    assert "(planted), sampled100-strict" in out and "(planted), key frames" in out
    kept = json.loads((tmp_path / "run" / "key_frames.json").read_text())
    assert kept["data"] == "planted" and set(kept["rows"]) == {"RND", "FIRST", "CENTROID", "vbpr"}


def write(folder, data, width):
    """The data in the format of a folder, with features of that many numbers."""
    folder.mkdir()
    rng, offsets = np.random.default_rng(0), data.frames.offsets
    lines = [f"film{i}\t{n}" for i, n in enumerate(np.diff(offsets))]
    (folder / "items.tsv").write_text("\n".join(lines) + "\n")
    np.save(folder / "frames.npy", rng.normal(size=(offsets[-1], width)).astype(np.float16))
    for part, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        pairs = data.parts()[part]
        lines = [f"{u}\tfilm{i}" for u, i in zip(pairs.user, pairs.item)]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    likes = data.frame_likes
    lines = [f"{u}\tfilm{i}\t{k}" for u, i, k in zip(likes.user, likes.item, likes.frame)]
    (folder / "test_frames.tsv").write_text("\n".join(lines) + "\n")


def test_the_experiment_takes_a_folder_and_reduces_wide_features_once(short, world, call, tmp_path):
    write(tmp_path / "mine", frames_world(0, users=60, items=160, frames=3).data, 300)
    read = jifr_douban.prepared(DataSettings(name="douban-frames", dir=tmp_path / "mine"))
    assert read.frames.features.shape == (480, 256) and "from 300 to 256" in read.provenance.repairs[-1]
    code, out, error = call(
        lambda _, words: jifr_douban.main(words), None,
        "--only", "vbpr", "--seeds", "0", "--workdir", tmp_path / "run", "--data.dir", tmp_path / "mine",
    )  # fmt: skip
    assert code == 0 and "PLANTED" not in out + error and "(real), key frames" in out
    code, _, error = call(lambda _, words: jifr_douban.main(words), None, "--jobs", "2")
    assert code == 1 and "--jobs must be 1" in error
