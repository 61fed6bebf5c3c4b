"""`socialjax train` on a graph folder: killed runs end alike, memory does not grow with links, others are refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from socialjax.commands import train
from socialjax.data.large.inputs import Columns
from socialjax.data.large.pair_shards import write_training_pairs
from socialjax.data.large.prepare import prepare
from socialjax.data.large.settings import PrepareSettings
from socialjax.run.mapped import is_graph_folder

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--model.dim", "4", "--train.batch-size", "64", "--train.fanouts", "3", "2", "2", "--eval.protocol")
SMALL += ("sampled10-strict", "--eval.ks", "5", "--train.quiet")


def made(path, users=200, items=100, pairs=3000, links=2000, seed=0):
    draw = np.random.default_rng(seed)
    settings = PrepareSettings(ids="row numbers", num_users=users, num_items=items)
    columns = [draw.integers(0, size, count) for size, count in ((users, pairs), (items, pairs), (users, links))]
    links = Columns(columns[2], draw.integers(0, users, links)) if links else None
    return prepare(path, Columns(*columns[:2]), links, settings, progress=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("folders") / "graph").path


def trained(call, folder, workdir, *words, model="lightgcn"):
    words = (model, "--data.dir", folder, "--workdir", workdir, *SMALL, *words)
    code, _, error = call(lambda _, arguments: train.main(arguments), None, *words)
    assert code == 0, error
    return json.loads((workdir / "result.json").read_text())


def test_a_graph_folder_is_trained_and_evaluated_by_the_same_command(call, folder, tmp_path):
    assert is_graph_folder(folder) and not is_graph_folder(tmp_path)
    words = ("diffnet", "--data.dir", folder, "--workdir", tmp_path / "w", *SMALL, "--train.steps", "5")
    code, said, error = call(lambda _, arguments: train.main(arguments), None, *words)
    assert code == 0, error
    result = json.loads((tmp_path / "w" / "result.json").read_text())
    test = np.load(folder / "test_user.npy")
    assert (result["steps"], result["train"]["fanouts"]) == (5, [3, 2, 2])
    assert result["evaluation"]["users"] == len(np.unique(test))
    assert set(result["metrics"]) == {"model", "popularity"} and f"{result['metrics']['model']['AUC']:.4f}" in said
    assert "on 200 users, 100 items" in error and "NDCG@5" in said
    assert np.load(tmp_path / "w" / "vectors" / "users.npy").shape == (200, 4)
    again = trained(call, folder, tmp_path / "w", "--train.steps", "9", model="diffnet")  # goes on
    assert (again["steps"], again["cost"]["steps"]) == (9, 4)
    at_once = trained(call, folder, tmp_path / "v", "--train.steps", "9", model="diffnet")
    assert again["parameters"] == at_once["parameters"] and again["metrics"] == at_once["metrics"]


def test_pairs_of_shards_are_streamed(call, folder, tmp_path):
    pytest.importorskip("grain")
    from socialjax.data.large.layout import open_graph

    write_training_pairs(open_graph(folder), tmp_path / "s")
    shards = ("--data.shards", tmp_path / "s")
    ends = [
        trained(call, folder, tmp_path / name, *shards, "--train.steps", steps)
        for name, steps in (("a", "50"), ("b", "20"), ("b", "50"))
    ]
    assert ends[0]["parameters"] == ends[2]["parameters"] != ends[1]["parameters"]


CHILD = """
import os, sys, threading, time
from socialjax.commands import train
sys.exit(train.main(sys.argv[1:]))
"""


def child(*words, code=CHILD):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_run_ends_as_an_unbroken_one(call, folder, tmp_path, compiled_for_children):
    words = ("--train.steps", "60", "--train.save-every", "5")
    options = ("lightgcn", "--data.dir", folder, "--workdir", tmp_path / "killed", *SMALL, *words)
    saved, kills = tmp_path / "killed" / "checkpoints", 0
    for wanted in (5, 25):
        process = child(*options)
        until = time.monotonic() + 120
        while time.monotonic() < until and process.poll() is None:
            if saved.is_dir() and any(p.name.isdigit() and int(p.name) >= wanted for p in saved.iterdir()):
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 1
    process = child(*options)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "going on from step" in error
    broken = json.loads((tmp_path / "killed" / "result.json").read_text())
    process = child(*options[:3], "--workdir", tmp_path / "unbroken", *SMALL, *words)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    unbroken = json.loads((tmp_path / "unbroken" / "result.json").read_text())
    assert broken["parameters"] == unbroken["parameters"] and broken["metrics"] == unbroken["metrics"]


PEAK = """
import re, sys
from pathlib import Path
from socialjax.commands import train
from socialjax.data.large import friends
from socialjax.ops import mapped
from socialjax.train import host_batches
mapped.BLOCK = friends.BLOCK = 1 << 16  # edges that are worked on at once, fewer than there are in either folder
most, draw = [], host_batches.Draws.__call__
def anonymous():  # what the process holds beside pages of files, KB
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
def watched(self, step):
    most.append(anonymous())
    return draw(self, step)
host_batches.Draws.__call__ = watched
code = train.main(sys.argv[1:])
print("peak", max(*most, anonymous()))
sys.exit(code)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say what a process holds")
def test_memory_does_not_grow_with_links_and_pairs(tmp_path):
    """Ten times the edges, 47 MB of files more: what the process itself holds stays where it was."""
    peaks, sizes = [], []
    for name, edges in (("few", 200_000), ("many", 2_000_000)):
        graph = made(tmp_path / name, users=20_000, items=10_000, pairs=edges, links=edges)
        words = ("--train.steps", "12", "--train.batch-size", "128", "--model.dim", "4", "--train.fanouts", "5", "3")
        words += ("--eval.users", "100", "--eval.protocol", "sampled10-strict", "--eval.ks", "5", "--train.quiet")
        process = child("diffnet", "--data.dir", graph.path, "--workdir", tmp_path / f"{name}-w", *words, code=PEAK)
        said, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
        peaks.append(int(said.split("peak ")[-1]) / 1024)
        files = [*graph.path.glob("*.npy"), *(tmp_path / f"{name}-friends").glob("*.npy")]
        sizes.append(sum(path.stat().st_size for path in files) / 2**20)
    assert sizes[1] - sizes[0] > 40
    assert peaks[1] - peaks[0] < 20, (peaks, sizes)


@pytest.mark.parametrize(
    "model, words, wanted",
    [
        ("pinsage", (), "choose bpr, svdpp, lightgcn, social_lightgcn or diffnet"),
        ("gcmc", (), "choose bpr, svdpp, lightgcn, social_lightgcn or diffnet"),
        ("vbpr", (), "choose bpr, svdpp, lightgcn, social_lightgcn or diffnet"),
        ("lightgcn", ("--train.fanouts", "3"), "needs a number for each layer"),
        ("lightgcn", ("--eval.protocol", "full"), "--eval.protocol full ranks every item"),
        ("lightgcn", ("--eval.ks", "500"), "K = 500 is larger"),
        ("lightgcn", ("--seed", "-1"), "--seed must be in"),
        ("lightgcn", ("--data.shards", "."), "wanted"),
    ],
)
def test_what_a_graph_folder_cannot_have_is_refused(call, folder, tmp_path, capsys, model, words, wanted):
    words = (model, "--data.dir", folder, "--workdir", tmp_path / "w", *SMALL, "--train.steps", "2", *words)
    try:
        code, _, error = call(lambda _, arguments: train.main(arguments), None, *words)
    except SystemExit as ended:  # tyro
        code, error = ended.code, " ".join(re.findall(r"[^│╭╮╰╯─\s]+", capsys.readouterr().err))  # out of its frame
    assert code in (1, 2) and wanted in error


def test_a_folder_in_which_another_process_works_is_refused_and_one_in_a_store(call, folder, tmp_path):
    hold = "import sys, pathlib; from socialjax.run.processes import only_one\n"
    hold += "with only_one(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    words = ("lightgcn", "--data.dir", folder, *SMALL, "--train.steps", "1", "--workdir")
    with subprocess.Popen(
        [sys.executable, "-c", hold, tmp_path / "w"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        code, _, error = call(lambda _, arguments: train.main(arguments), None, *words, tmp_path / "w")
        assert code == 1 and "another run is at work in" in error
        other.communicate("")
    assert not (tmp_path / "w" / "result.json").exists()
    code, _, error = call(lambda _, arguments: train.main(arguments), None, *words, "s3://bucket/run")
    assert code == 1 and "a work folder must be local, got s3://bucket/run" in error


def test_options_of_trainings_in_memory_are_refused(folder, capsys):
    for words in (("--train.optimizer", "adam"), ("--train.patience", "3"), ("--seeds", "0", "1")):
        with pytest.raises(SystemExit):
            train.main(["lightgcn", "--data.dir", str(folder), *words])
        assert words[0] in capsys.readouterr().err


def test_links_are_wanted_by_models_of_links(call, tmp_path):
    lonely = made(tmp_path / "lonely", links=0).path
    words = ("diffnet", "--data.dir", lonely, "--workdir", tmp_path / "w", *SMALL)
    code, _, error = call(lambda _, arguments: train.main(arguments), None, *words)
    assert code == 1 and "DiffNet needs links" in error
    assert trained(call, lonely, tmp_path / "v", "--train.steps", "3")["steps"] == 3


def test_folders_that_are_damaged_or_changed_are_refused(call, folder, tmp_path):
    broken = made(tmp_path / "broken", seed=1).path
    trained(call, broken, tmp_path / "w", "--train.steps", "3")
    other = made(tmp_path / "other", seed=2).path
    words = ("--workdir", tmp_path / "w", *SMALL, "--train.steps", "4")
    code, _, error = call(lambda _, arguments: train.main(arguments), None, "lightgcn", "--data.dir", other, *words)
    assert code == 1 and "belongs to a run with other settings" in error
    (broken / "user_item_columns.npy").write_bytes(b"\x93NUMPY")
    code, _, error = call(lambda _, arguments: train.main(arguments), None, "lightgcn", "--data.dir", broken, *words)
    assert code == 1 and "wanted a plain file" in error
