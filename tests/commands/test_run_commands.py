"""`python -m socialjax recommend` and `python -m socialjax explain` on finished runs."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from socialjax.commands import explain, export, recommend
from socialjax.contract import Model
from socialjax.models.social.diffnet import DiffNet

pytestmark = pytest.mark.usefixtures("places", "logging_as_before")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ask(finished_runs, capsys):
    """(exit status, standard output, standard error) of a command on a run."""

    def ask(command, run, *arguments):
        folder = finished_runs.get(run, run)
        status = command.main([str(folder), *map(str, arguments)])
        return status, *capsys.readouterr()

    return ask


def test_recommend_prints_items_titles_and_scores_that_the_parts_add_up_to(ask):
    status, out, _ = ask(recommend, "diffnet", "--user", "guest3", "--user", "guest4", "--k", "4")
    assert status == 0
    blocks = out.strip().split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["user guest3", "user guest4"]
    head, *rows = blocks[0].splitlines()[1:]
    assert re.split(r"  +", head.strip()) == [
        "item",
        "title",
        "score",
        "own vector",
        "friends at distance 1",
        "friends at distance 2",
        "own history",
        "item bias",
    ]
    assert len(rows) == 4
    for place, row in enumerate(rows, start=1):
        assert re.match(rf"{place}  cafe-\d+ +(Title \d+ \$x_\$ é|cafe-\d+) ", row)
        score, *parts = map(float, re.findall(r"[-+]?\d+\.\d{3}", row))
        assert len(parts) == 5 and sum(parts) == pytest.approx(score, abs=0.003)  # rounded numbers


def test_recommend_takes_in_a_new_user(ask):
    status, out, _ = ask(recommend, "diffnet", "--items", "cafe-0", "cafe-2", "--friends", "guest2", "--k", "3")
    assert status == 0
    assert out.startswith("a new user\n") and len(out.strip().splitlines()) == 5


def test_recommend_says_what_is_wrong(ask, tmp_path):
    for run, arguments, message in [
        ("diffnet", ["--user", "bob"], "error: data set 'cafes' has no user 'bob'; its 24 users are called guest0, "),
        ("diffnet", ["--items", "9"], "error: data set 'cafes' has no item '9'"),
        ("diffnet", ["--user", "guest1", "--k", "17"], r"error: k must be in 1\.\.16"),
        ("diffnet", [], "error: give either --user, or --items and --friends of a new user"),
        ("diffnet", ["--user", "guest1", "--items", "cafe-1"], "error: give either"),
        ("bpr", ["--items", "1", "--friends", "2"], "error: BPR does not use friends"),
        (tmp_path / "nowhere", ["--user", "1"], "error: .*nowhere is no folder of a run"),
    ]:
        status, out, err = ask(recommend, run, *arguments)
        assert (status, out) == (1, "")
        assert re.search(message, err) and "Traceback" not in err


def test_what_a_model_cannot_do_is_said_in_one_line_by_every_command(ask, monkeypatch, tmp_path):
    monkeypatch.setattr(DiffNet, "traits", dataclasses.replace(DiffNet.traits, new_users=False))
    monkeypatch.setattr(DiffNet, "explain", Model.explain)
    monkeypatch.setattr(DiffNet, "vectors", lambda *_: None)
    monkeypatch.setitem(sys.modules, "onnx", None)  # as where the extra is not installed
    for command, arguments, message in [
        (recommend, ["--items", "cafe-1"], "DiffNet cannot take in a new user without training"),
        (explain, ["--user", "guest1"], "DiffNet has no explanation"),
        (export, [tmp_path / "items.faiss"], "DiffNet has no embeddings of items, which exported vectors need"),
    ]:
        status, out, err = ask(command, "diffnet", *arguments)
        assert (status, out, err.splitlines()[-1]) == (1, "", f"error: {message}")
        assert "Traceback" not in err
    status, out, err = ask(export, "bpr", tmp_path / "model.onnx")
    assert (status, out) == (1, "") and re.search(r"^error: .*onnx.* pip install 'socialjax\[onnx\]'$", err, re.M)
    status, out, _ = ask(recommend, "diffnet", "--user", "guest3", "--k", "2")  # without the columns of parts
    assert status == 0 and re.split(r"  +", out.splitlines()[1].strip()) == ["item", "title", "score"]


def test_explain_prints_parts_and_elements_and_writes_json_and_pictures(ask, tmp_path):
    folder = tmp_path / "new" / "why"
    status, out, _ = ask(explain, "diffnet", "--user", "guest3", "--item", "cafe-2", "--shown", "2", "--out", folder)
    assert status == 0
    assert out.startswith('user guest3, item cafe-2 "Title 2 $x_$ é": score ')
    assert re.search(r"friends at distance 1 \([-+]\d\.\d{3}\): \d+ users", out)
    assert re.search(r"own history \([-+]\d\.\d{3}\): \d items", out) and re.search(r"and \d+ more +[-+]\d", out)

    content = json.loads((folder / "explanation.json").read_text())
    assert (content["seed"], content["data"]) == (1, "real")
    (record,) = content["explanations"]
    assert (record["user"], record["item"], record["exact"]) == ("guest3", "cafe-2", True)
    assert sum(part["value"] for part in record["parts"]) == pytest.approx(record["score"], abs=1e-5)
    values = {part["name"]: part["value"] for part in record["parts"]}
    for group in record["elements"]:
        shares = sum(e["contribution"] for e in group["ranked"]) + group["rest"]["contribution"]
        assert shares == pytest.approx(values[group["part"]], abs=1e-5)
    (picture,) = folder.glob("user_*_item_*.png")
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 5000
    assert sorted(path.name for path in folder.iterdir()) == ["explanation.json", picture.name]


def test_explain_without_an_item_takes_the_top_items(ask):
    _, top, _ = ask(recommend, "bpr", "--user", "5", "--k", "2")
    items = [line.split()[1] for line in top.strip().splitlines()[2:]]
    status, out, _ = ask(explain, "bpr", "--user", "5", "--k", "2")
    assert status == 0
    assert re.findall(r"user 5, item (\d+) ", out) == items
    assert "taste" in out and "item bias" in out


def test_a_stand_in_says_so_first_and_last_in_text_json_and_picture(ask, tmp_path):
    warning = "STAND-IN: filmtrust was generated; this says nothing about real users and items"
    for command, arguments in [(recommend, []), (explain, ["--out", tmp_path])]:
        status, out, _ = ask(command, "stand-in", "--user", "3", "--k", "1", *arguments)
        lines = out.strip().splitlines()
        assert (status, lines[0], lines[-1]) == (0, warning, warning)
    content = json.loads((tmp_path / "explanation.json").read_text())
    assert content["data"] == content["explanations"][0]["data"] == "stand-in"


def test_explain_says_what_is_wrong(ask, finished_runs, tmp_path):
    damaged = shutil.copytree(finished_runs["diffnet"], tmp_path / "damaged")
    (damaged / "seed_1" / "result.json").write_text('{"seed": 1, ')
    empty = shutil.copytree(finished_runs["diffnet"], tmp_path / "empty")
    shutil.rmtree(empty / "seed_1" / "checkpoints")
    (tmp_path / "file").write_text("")
    for run, arguments, message in [
        ("diffnet", ["--user", "bob"], "error: data set 'cafes' has no user 'bob'"),
        ("diffnet", ["--user", "guest1", "--item", "x"], "error: data set 'cafes' has no item 'x'; its 16 items"),
        ("diffnet", ["--user", "guest1", "--shown", "0"], "error: --shown must be at least 1"),
        ("diffnet", ["--user", "guest1", "--k", "99"], r"error: k must be in 1\.\.16"),
        ("diffnet", ["--user", "guest1", "--out", tmp_path / "file"], "error: .*file"),
        (tmp_path, ["--user", "guest1"], "error: .* is no folder of a run: .*runs inside it: damaged, empty"),
        (damaged, ["--user", "guest1"], "error: .*seed_1/result.json is damaged"),
        (empty, ["--user", "guest1"], "error: .*checkpoints is missing, so there are no parameters to read"),
    ]:
        status, _, err = ask(explain, run, *arguments)
        assert status == 1
        assert re.search(message, err) and "Traceback" not in err


def test_a_misspelt_field_is_answered_with_the_fields_there_are(finished_runs, capsys):
    with pytest.raises(SystemExit) as stop:
        explain.main([str(finished_runs["bpr"]), "--user", "1", "--itme", "2"])
    assert stop.value.code == 2
    assert "--item" in capsys.readouterr().err


def test_the_command_runs_as_a_process_on_one_device(finished_runs):
    """The run was made on eight devices."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    environment.pop("XLA_FLAGS", None)
    done = subprocess.run(
        [sys.executable, "-m", "socialjax", "recommend", str(finished_runs["diffnet"]), "--user", "guest3", "--k", "2"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip().splitlines()) == 4
    assert "Traceback" not in done.stderr and "WARNING" not in done.stderr
