"""Files that leave a run: the same as it answers, whole or absent, read by other programs."""

import contextlib
import csv
import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas
import polars
import pytest
from pyarrow import parquet

import socialjax
from socialjax.export import files as export
from socialjax.models import ACF, BPR
from socialjax.train.step import TrainSettings
from socialjax.worlds import planted
from socialjax.worlds.bars import train_only

ROOT = Path(__file__).resolve().parent.parent
TRAIN = TrainSettings(epochs=1, batch_size=256, evaluate_every=1, patience=0)


@pytest.fixture(scope="module")
def run():
    """30 users called by words with separators and quotes, 40 items called by numbers."""
    data = planted.checkerboard(num_users=30, num_items=40, links=3)
    names = np.array([f'us,er "{number}"' if number % 2 else f"ö\t{number}" for number in range(30)])
    return train_only(BPR(dim=4, init_std=0.5), dataclasses.replace(data, user_names=names), TRAIN, 0, "full")


@pytest.fixture
def expected(run):
    """(user, rank, item, score) of all users."""
    found = run.recommend(run.data.user_names.tolist(), k=7)
    return [
        (user, rank, each.item, np.float32(each.score))
        for user, ranked in zip(run.data.user_names.tolist(), found)
        for rank, each in enumerate(ranked, start=1)
    ]


def read(path):
    if path.suffix == ".jsonl":
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [
            (line["user"], rank, item, np.float32(score))
            for line in lines
            for rank, (item, score) in enumerate(zip(line["items"], line["scores"], strict=True), start=1)
        ]
    reader = {".parquet": pandas.read_parquet, ".csv": pandas.read_csv, ".tsv": lambda p: pandas.read_csv(p, sep="\t")}
    frame = reader[path.suffix](path)
    assert frame.columns.tolist() == ["user", "rank", "item", "score", "title"]
    frame = frame.drop(columns="title")
    rows = frame.astype({"score": np.float32}).itertuples(index=False)
    return [(user, rank, item, np.float32(score)) for user, rank, item, score in rows]


@pytest.mark.parametrize("ending", export.ENDINGS)
@pytest.mark.parametrize("at_once", [4096, 11])
def test_a_file_holds_what_the_run_recommends(run, expected, tmp_path, monkeypatch, ending, at_once):
    monkeypatch.setattr(export, "USERS_AT_ONCE", at_once)
    path = run.recommend_all(tmp_path / "out" / f"best{ending}", k=7, progress=False)
    assert read(path) == expected and len(expected) == 30 * 7
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_some_users_and_those_with_few_items_left(run, tmp_path):
    names = run.data.user_names
    path = run.recommend_all(tmp_path / "best.parquet", k=40, users=names[[3, 8]], progress=False)
    frame = polars.read_parquet(path)
    left = [40 - len(set(run.data.train.item[run.data.train.user == user].tolist())) for user in (3, 8)]
    assert frame["user"].to_list() == [names[3]] * left[0] + [names[8]] * left[1]
    everything = run.recommend_all(tmp_path / "all.csv", k=40, users=[names[3]], exclude_seen=False, progress=False)
    assert len(read(everything)) == 40


def test_nothing_half_written_stays(run, tmp_path):
    with pytest.raises(ValueError, match=r"best\.xlsx must end in \.parquet, \.csv, \.tsv, \.jsonl"):
        run.recommend_all(tmp_path / "best.xlsx")
    with pytest.raises(ValueError, match=r"wanted at least one user whose items are written to .*best\.csv, got none"):
        run.recommend_all(tmp_path / "best.csv", users=[])
    with pytest.raises(ValueError, match=r"k must be in 1\.\.40"):
        run.recommend_all(tmp_path / "best.csv", k=41)
    calls = []

    def best(users):
        calls.append(users)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return np.zeros((len(users), 1), np.int32), np.ones((len(users), 1), np.float32)

    users = np.zeros(export.USERS_AT_ONCE + 1, np.int32)
    with pytest.raises(KeyboardInterrupt):
        export.write_recommendations(tmp_path / "best.csv", run.data, users, best, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_vectors_are_the_scores_and_say_whose_they_are(run, tmp_path):
    vectors = run.vectors()
    scores = vectors.users @ vectors.items.T + vectors.bias
    np.testing.assert_allclose(scores, run.score(vectors.user_ids, vectors.item_ids), rtol=1e-5, atol=1e-6)
    users, items = vectors.write(tmp_path / "vectors")
    table = parquet.read_table(users)
    assert table["id"].to_pylist() == run.data.user_names.tolist()
    np.testing.assert_array_equal(np.stack(table["vector"].to_numpy()), vectors.users)
    table = parquet.read_table(items)
    assert table["id"].to_pylist() == list(range(40))
    np.testing.assert_array_equal(table["bias"].to_numpy(), vectors.bias)


def test_a_model_whose_score_is_no_product_has_no_vectors_but_recommends(tmp_path):
    data = planted.checkerboard(num_users=12, num_items=10, links=2)
    looks = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    run = train_only(ACF(dim=4), dataclasses.replace(data, item_features=looks), TRAIN, 0, "full")
    if run.model.vectors(run.state) is None:
        with pytest.raises(NotImplementedError, match="ACF has no embeddings"):
            run.vectors()
    assert len(read(run.recommend_all(tmp_path / "best.jsonl", k=2, progress=False))) == 24


def test_the_command_writes_the_same_file(finished_runs, places, tmp_path, capsys, logging_as_before):
    from socialjax.commands import recommend

    assert recommend.main([str(finished_runs["diffnet"]), "--all", str(tmp_path / "typed.csv"), "--k", "3"]) == 0
    assert "typed.csv: 3 items for each of 24 users" in capsys.readouterr().out
    called = socialjax.load(finished_runs["diffnet"]).recommend_all(tmp_path / "called.csv", k=3, progress=False)
    assert (tmp_path / "typed.csv").read_bytes() == called.read_bytes()
    assert recommend.main([str(finished_runs["diffnet"]), "--all", str(tmp_path / "x.csv"), "--user", "guest1"]) == 1


TITLES = ["plain", "", "with, a comma", 'a "quote"', "tab\there", "two\nlines", "Käse; geölt", " blanks "]


@pytest.mark.parametrize("ending", export.ENDINGS)
def test_titles_stand_last_and_only_fields_that_need_it_are_quoted(run, tmp_path, ending):
    titles = np.array([TITLES[item % len(TITLES)] for item in range(run.data.num_items)])
    titled = dataclasses.replace(run, data=dataclasses.replace(run.data, item_titles=titles))
    path = titled.recommend_all(tmp_path / f"best{ending}", k=40, exclude_seen=False, progress=False)
    plain = titled.recommend_all(tmp_path / f"plain{ending}", k=40, exclude_seen=False, progress=False, titles=False)
    untitled = dataclasses.replace(run, data=dataclasses.replace(run.data, item_titles=None))
    without = untitled.recommend_all(tmp_path / f"without{ending}", k=40, exclude_seen=False, progress=False)
    assert plain.read_bytes() == without.read_bytes()
    if ending == ".jsonl":
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert list(lines[0]) == ["user", "items", "scores", "titles"]
        pairs = [pair for line in lines for pair in zip(line["items"], line["titles"], strict=True)]
    elif ending == ".parquet":
        frame = pandas.read_parquet(path)
        assert frame.columns.tolist() == ["user", "rank", "item", "score", "title"]
        pairs = list(zip(frame["item"], frame["title"]))
    else:
        text, mark = path.read_bytes().decode(), "\t" if ending == ".tsv" else ","
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file, delimiter=mark, strict=True)
        assert head == ["user", "rank", "item", "score", "title"]
        assert {row[0] for row in rows} == set(run.data.user_names.tolist())
        pairs = [(int(row[2]), row[4]) for row in rows]
        again = io.StringIO(newline="")
        csv.writer(again, delimiter=mark, lineterminator="\n").writerows([head, *rows])
        assert text == again.getvalue()  # Python's writer quotes only where it must
    assert len(pairs) == 30 * 40 and all(title == titles[item] for item, title in pairs)


@pytest.fixture
def trained_on_files(tmp_path):
    """A run on files that have titles and features; (run, folder of the files)."""
    mine = tmp_path / "mine"
    mine.mkdir()
    rows = [f"u{user},i{(3 * user + step * step) % 20}" for user in range(15) for step in range(9)]
    (mine / "mine.csv").write_text("user,item\n" + "\n".join(rows) + "\n")
    (mine / "mine.links").write_text("".join(f"u{user},u{(user + 3) % 15}\n" for user in range(15)))
    (mine / "mine.items").write_text("".join(f"i{item},Film {item}\n" for item in range(20)))
    return socialjax.fit("diffnet", mine, epochs=2, seeds=2, folder=tmp_path / "run", progress=False), mine


def test_a_saved_run_answers_elsewhere_without_the_data_it_was_trained_on(trained_on_files, tmp_path):
    run, mine = trained_on_files
    asked = "r.recommend(['u3', 'u9'], k=4), r.explain('u3', 'Film 5'), r.recommend_new(friends=['u1'], k=2)"
    expected = repr(
        (run.recommend(["u3", "u9"], k=4), run.explain("u3", "Film 5"), run.recommend_new(friends=["u1"], k=2))
    )
    path = run.save(tmp_path / "out" / "best.zip")
    shutil.rmtree(mine)
    shutil.rmtree(run.folder)
    program = (
        f"import socialjax; r = socialjax.load({str(path)!r}); print(({asked})); print(r.seeds, r.of_seed(1).seed)"
    )
    elsewhere = {"PATH": "", "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    elsewhere |= {
        name: os.environ[name] for name in ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS") if name in os.environ
    }
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=elsewhere, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [expected, "[0, 1] 1"]
    assert [each.name for each in path.parent.iterdir()] == ["best.zip"]
    with pytest.raises(ValueError, match=r"best\.tar must end in \.zip"):
        run.save(tmp_path / "best.tar")


def zipped(path, members, kinds=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (kinds or {}).get(name, 0o100600) << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


WRONG = {
    "upwards": ({"seed_0/../../x": b""}, r"holds seed_0/\.\./\.\./x|wanted a path below"),
    "absolute": ({"/etc/x": b""}, "holds /etc/x, which is no file of a run"),
    "a program": ({"setup.py": b""}, "holds setup.py, which is no file of a run"),
    "escapes": ({"seed_0/\x1b[31m": b"", "../y": b""}, r"holds \.\./y"),
    "twice": ({"seed_0/a": b"", "seed_0/./a": b""}, "is no run that was saved, or is damaged|wanted a path below"),
    "a bomb": ({"seed_0/a": bytes(300 << 20)}, "unpacks to more than its size allows"),
    "nothing": ({"seed_0/a": b""}, "is no folder of a run"),
}


@pytest.mark.parametrize("what", WRONG)
def test_files_of_strangers_write_nowhere_else(tmp_path, what):
    members, message = WRONG[what]
    before = {path for path in tmp_path.parent.iterdir()}
    path = zipped(tmp_path / "theirs.zip", members)
    with pytest.raises(ValueError, match=message):
        socialjax.load(path)
    assert {each for each in tmp_path.parent.iterdir()} == before
    assert list(tmp_path.iterdir()) == [path]


def test_links_and_damage_are_refused(tmp_path, trained_on_files):
    link = zipped(tmp_path / "link.zip", {"seed_0/a": b"/etc/passwd"}, {"seed_0/a": 0o120777})
    with pytest.raises(ValueError, match="holds seed_0/a, which is no file of a run"):
        socialjax.load(link)
    path = trained_on_files[0].save(tmp_path / "whole.zip")
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(20):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged[: rng.integers(1, len(damaged))] if rng.random() < 0.5 else damaged)
        with contextlib.suppress(ValueError):  # what still fits is as it was
            assert socialjax.load(path).recommend("u3", k=3) == trained_on_files[0].recommend("u3", k=3)
