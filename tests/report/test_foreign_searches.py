"""What a search of somebody else found is kept below the folder of kept runs, or is one clear line."""

import json

import pytest

from socialjax.commands import tables
from socialjax.report import keep

SETTINGS = {"objective": "bpr", "negatives": 1, "l2": 0.1, "dropout": 0.0}
BEST = {
    "dataset": "mine", "data": "real", "model": SETTINGS, "training": {"learning_rate": 0.1}, "trials": 2,
    "rungs": [2, 4],
    "settings": {"model": {"name": "bpr", **SETTINGS}, "train": {"epochs": 4}}, "epoch": [3], "commit": "0123abc",
    "NDCG@10": 0.5,
}  # fmt: skip
TRIAL = {
    "trial": 0, "rung": 0, "epochs": 2, "model": SETTINGS, "training": {}, "NDCG@10": None, "epoch": [], "seconds": 1.5
}  # fmt: skip


@pytest.fixture
def theirs(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "best.json").write_text(json.dumps(BEST))
    (folder / "trials.jsonl").write_text(json.dumps(TRIAL) + "\n")
    return folder


def test_a_search_is_kept_and_read_back(theirs, tmp_path, capsys):
    assert tables.main(["keep-search", str(theirs), "--kept", str(tmp_path / "kept")]) == 0
    found = keep.kept_searches(tmp_path / "kept", "mine")
    assert found == {"bpr": BEST | {"all_trials": [TRIAL]}}


def named(name):
    return lambda best: best["settings"]["model"].update(name=name)


ODD = {
    "data set upwards": (lambda best: best.update(dataset="../.."), "wanted the name of a data set"),
    "data set absolute": (lambda best: best.update(dataset="/tmp/x"), "wanted the name of a data set"),
    "data set a list": (lambda best: best.update(dataset=[]), "dataset wants a text, got a list"),
    "model upwards": (named("../../x"), "wanted the name of a model"),
    "model absolute": (named("/tmp/x"), "wanted the name of a model"),
    "model null": (named(None), "wanted the name of a model"),
    "settings null": (lambda best: best.update(settings=None), "settings wants a record, got None"),
    "epoch null": (lambda best: best.update(epoch=None), "epoch wants a list, got None"),
    "no rungs": (lambda best: best.update(rungs=[]), "at least one number"),
    "metric a text": (lambda best: best.update({"NDCG@10": "x"}), "NDCG@10 wants a number, got 'x'"),
    "commit a number": (lambda best: best.update(commit=3), "commit wants a text, got 3"),
    "empty": (lambda best: best.clear(), "lacks NDCG@10, commit, data"),
}


@pytest.mark.parametrize("case", ODD)
def test_what_no_search_left_is_one_line_and_writes_nothing(theirs, tmp_path, capsys, case):
    change, wanted = ODD[case]
    best = json.loads(json.dumps(BEST))
    change(best)
    (theirs / "best.json").write_text(json.dumps(best))
    before = sorted(map(str, tmp_path.rglob("*")))
    assert tables.main(["keep-search", str(theirs), "--kept", str(tmp_path / "kept")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and wanted in err and "best.json" in err
    assert sorted(map(str, tmp_path.rglob("*"))) == before


@pytest.mark.parametrize("line", ["[1]", "{}", "[" * 10_000, json.dumps(TRIAL | {"seconds": "x"}), '{"a": NaN}', "x"])
def test_trials_that_no_search_left_are_one_line(theirs, tmp_path, capsys, line):
    (theirs / "trials.jsonl").write_text(f"{json.dumps(TRIAL)}\n{line}\n")
    assert tables.main(["keep-search", str(theirs), "--kept", str(tmp_path / "kept")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and "trials.jsonl" in err
    assert not (tmp_path / "kept").exists()


def test_kept_searches_are_checked_and_links_lead_nowhere_else(theirs, tmp_path, capsys):
    kept = tmp_path / "kept"
    (kept / "mine" / "search").mkdir(parents=True)
    (kept / "mine" / "search" / "bpr.json").write_text(json.dumps(BEST | {"commit": None}))
    with pytest.raises(ValueError, match=r"bpr\.json is not what a search leaves: commit wants a text"):
        keep.kept_searches(kept, "mine")
    (kept / "mine" / "search" / "bpr.json").unlink()
    (kept / "mine" / "search").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (kept / "mine" / "search").symlink_to(tmp_path / "elsewhere")
    assert tables.main(["keep-search", str(theirs), "--kept", str(kept)]) == 1
    assert "wanted a path below" in capsys.readouterr().err and not list((tmp_path / "elsewhere").iterdir())
