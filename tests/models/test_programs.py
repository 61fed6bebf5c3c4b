"""Programs that leave a run answer as the run does, in processes that do not have this library: every model that
trains, 1,000 users each."""

import dataclasses
import hashlib
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
import worlds
from cases import CASES

from socialjax.data.schema import Links
from socialjax.eval import ranking
from socialjax.models import MODELS
from socialjax.recommender import Run
from socialjax.train.step import on_device

USERS, ITEMS, K = 1000, 60, 10
TRAINED = [name for name in CASES if CASES[name].traits.trains]
# Settings beyond those that models come with take other paths through `score`, which is what is exported, in HASC only.
EXPORTED = [name for name in TRAINED if name in MODELS or name.startswith(("hasc", "jifr", "saers"))]
QUICK = ["bpr", "diffnet_pp", "acf", "context_mf", "hasc", "jifr", "saers"]  # every kind of score, every kind of data

# Nothing of ours and none of the libraries on which only we build may be there.
ALONE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(name + " is not there")
sys.meta_path.insert(0, Missing())
import json
import numpy as np
{load}
users = np.load(sys.argv[1])
for path in sys.argv[2:]:
    answer = program(path)
    parts = [answer(some) for some in (users[:3], users[3:])]  # batches of any size
    item, score = (np.concatenate([np.asarray(part[n]) for part in parts]) for n in (0, 1))
    np.savez(path + ".npz", item=item, score=score)
    beyond = answer(np.array([-1, len(json.load(open(path + ".ids.json"))["users"]), 3], np.int32))
    assert (np.asarray(beyond[0])[:2] == -1).all() and (np.asarray(beyond[0])[2] >= 0).any()
assert not any(name.partition(".")[0] in {blocked} for name in sys.modules)
"""
JAX_ALONE = (
    ("socialjax", "flax", "optax", "orbax", "tensorflow_datasets"),
    "from jax import export\n"
    "def program(path):\n"
    "    with open(path, 'rb') as file:\n"
    "        return export.deserialize(bytearray(file.read())).call",
)
ONNX_RUNTIME = (
    ("socialjax", "jax", "jaxlib", "flax", "onnx"),
    "import onnxruntime\n"
    "def program(path):\n"
    "    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])\n"
    "    return lambda users: session.run(['item', 'score'], {'user': users})",
)


@pytest.fixture(scope="module")
def data():
    """A thousand users, of whom one took nothing, one all but three items, and one everything."""
    rng = np.random.default_rng(0)
    taken = rng.random((USERS, ITEMS)) < 0.1
    taken[5], taken[6], taken[7] = False, np.arange(ITEMS) >= 3, True
    draw = lambda rows: (rng.normal(size=(rows, 4)) * 2 + 1).astype(np.float32)  # noqa: E731
    made = worlds.dataset(
        USERS,
        ITEMS,
        np.argwhere(taken),
        user_features=draw(USERS),
        item_features=draw(ITEMS),
        owners=rng.integers(-1, USERS, ITEMS),
    )
    pairs = np.argwhere(rng.random((USERS, USERS)) < 0.005)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]].astype(np.int32)
    made = worlds.with_attributes(worlds.with_frames(dataclasses.replace(made, links=Links(*pairs.T.copy()))))
    ids = {
        "user_names": np.array([f'u"{n}' for n in range(USERS)]),
        "item_names": np.array([f"ö{n}" for n in range(ITEMS)]),
    }
    return dataclasses.replace(made, **ids)


@pytest.fixture(scope="module")
def run_of(data):
    def run_of(name):
        model = CASES[name]
        side = on_device(model.prepare(data))
        state = ranking.encode(model, worlds.random_params(model, side, std=0.3), side)
        return Run(None, 0, model, data, None, side, state)

    return run_of


def assert_same_answers(item, score, run, users, exclude_seen=True):
    """The run's first K of each user: the same scores, and the same items but for neighbours whose scores are tied in
    float32, which another summation order may swap."""
    expected = run.recommend(run.data.user_names[users].tolist(), k=K, exclude_seen=exclude_seen)
    of_name = {name: number for number, name in enumerate(run.data.item_names.tolist())}
    swapped = 0
    for found, found_score, wanted in zip(item[:, :K], score[:, :K], expected, strict=True):
        there = found >= 0
        assert there.sum() == len(wanted) and (found_score[~there] == -np.inf).all()
        numbers = np.array([of_name[each.item] for each in wanted], int)
        scores = np.array([each.score for each in wanted], np.float32)
        size = np.abs(scores).max(initial=1.0)
        np.testing.assert_allclose(found_score[there], scores, rtol=1e-5, atol=1e-5 * size)
        for place in np.flatnonzero(found[there] != numbers):
            tied = np.abs(scores - scores[place]) <= 2e-5 * size
            last = abs(scores[-1] - scores[place]) <= 2e-5 * size  # tied with one that was cut off
            assert found[place] in numbers[tied] or last, (found, numbers, scores)
            swapped += 1
    assert swapped <= 0.005 * item[:, :K].size, "ties explain a handful, not this"


def answers_elsewhere(how, paths, users, tmp_path):
    blocked, load = how
    np.save(tmp_path / "users.npy", users)
    program = ALONE.format(blocked=blocked, load=load)
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", program, str(tmp_path / "users.npy"), *map(str, paths)],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for path in paths:
        with np.load(f"{path}.npz") as found:
            yield found["item"], found["score"]


@pytest.mark.parametrize("names", [QUICK, pytest.param(EXPORTED, marks=pytest.mark.slow)], ids=["some", "all"])
def test_jax_alone_answers_as_every_model_does(run_of, tmp_path, names):
    users = np.random.default_rng(1).permutation(USERS).astype(np.int32)
    runs = {name: run_of(name) for name in names}
    paths = [run.export(tmp_path / f"{n}.stablehlo", k=20) for n, run in enumerate(runs.values())]
    for run, (item, score) in zip(runs.values(), answers_elsewhere(JAX_ALONE, paths, users, tmp_path), strict=True):
        assert item.shape == score.shape == (USERS, 20) and item.dtype == np.int32 and score.dtype == np.float32
        assert_same_answers(item, score, run, users)
        seen = {*zip(run.data.train.user.tolist(), run.data.train.item.tolist())}
        assert not seen & {(int(u), int(i)) for u, row in zip(users, item) for i in row}


def test_onnx_runtime_answers_as_every_dot_product_model_does(run_of, tmp_path):
    pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    users = np.random.default_rng(1).permutation(USERS).astype(np.int32)
    runs = {name: run_of(name) for name in TRAINED if name in MODELS}
    dots = {name: run for name, run in runs.items() if run.model.vectors(run.state) is not None}
    assert {"bpr", "lightgcn", "diffnet", "vbpr", "acf"} <= {*dots} and len(dots) < len(runs)
    paths = [run.export(tmp_path / f"{n}.onnx", k=20) for n, run in enumerate(dots.values())]
    for run, (item, score) in zip(dots.values(), answers_elsewhere(ONNX_RUNTIME, paths, users, tmp_path), strict=True):
        assert item.shape == score.shape == (USERS, 20) and item.dtype == np.int32 and score.dtype == np.float32
        assert_same_answers(item, score, run, users)
    for name in {*runs} - {*dots}:
        with pytest.raises(NotImplementedError, match=r"no dot product, .* export x\.stablehlo, which holds any model"):
            runs[name].export(tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_training_items_stay_in_when_asked_and_all_items_fit(run_of, tmp_path):
    run, users = run_of("bpr"), np.arange(USERS, dtype=np.int32)
    path = run.export(tmp_path / "all.stablehlo", k=ITEMS, exclude_seen=False, platforms=("cpu",))
    ((item, score),) = answers_elsewhere(JAX_ALONE, [path], users, tmp_path)
    assert (np.sort(item, axis=1) == np.arange(ITEMS)).all()
    assert_same_answers(item, score, run, users, exclude_seen=False)
    pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    path = run.export(tmp_path / "all.onnx", k=ITEMS, exclude_seen=False)
    ((item, score),) = answers_elsewhere(ONNX_RUNTIME, [path], users, tmp_path)
    assert (np.sort(item, axis=1) == np.arange(ITEMS)).all()
    assert_same_answers(item, score, run, users, exclude_seen=False)


@pytest.mark.parametrize("ending", [".stablehlo", ".onnx"])
def test_ids_lie_beside_and_say_of_which_file_they_are(run_of, data, tmp_path, ending):
    pytest.importorskip("onnx")
    path = run_of("bpr").export(tmp_path / "new" / f"model{ending}", k=7)
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name, f"{path.name}.ids.json"]
    beside = json.loads(path.with_name(f"{path.name}.ids.json").read_text(encoding="utf-8"))
    assert beside["users"] == data.user_names.tolist() and beside["items"] == data.item_names.tolist()
    assert beside["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest() and beside["k"] == 7


def test_a_failed_export_leaves_nothing(run_of, tmp_path, monkeypatch):
    run = run_of("bpr")
    for path, message, more in (
        ("m.pickle", r"must end in \.stablehlo, \.onnx, \.faiss or \.zip", {}),
        ("m.stablehlo", rf"k must be in 1\.\.{ITEMS}", {"k": ITEMS + 1}),
        ("m.stablehlo", r"k must be in", {"k": 0}),
        ("m.stablehlo", r"platforms must be some of cpu, cuda, rocm, tpu, got gpu", {"platforms": ("cpu", "gpu")}),
        ("m.stablehlo", r"platforms must be some of .*, got none", {"platforms": ()}),
    ):
        with pytest.raises(ValueError, match=message):
            run.export(tmp_path / path, **more)
    monkeypatch.setattr("socialjax.export.answers.LARGEST", 1000)
    for ending in (".stablehlo", ".onnx"):
        with pytest.raises(ValueError, match=r"would have [\d,]+ bytes, and at most 999 fit"):
            run.export(tmp_path / f"m{ending}")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"needs the package onnx, .* pip install 'socialjax\[onnx\]'"):
        run.export(tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_program_says_for_which_platforms_it_was_made(run_of, tmp_path):
    from jax import export

    path = run_of("bpr").export(tmp_path / "m.stablehlo", platforms=("cpu", "tpu"))
    program = export.deserialize(bytearray(path.read_bytes()))
    assert program.platforms == ("cpu", "tpu")
    assert [str(aval) for aval in program.in_avals] == ["int32[b]"]
    assert [str(aval) for aval in program.out_avals] == [f"int32[b,{ITEMS}]", f"float32[b,{ITEMS}]"]
    assert jax.default_backend() == "cpu"
