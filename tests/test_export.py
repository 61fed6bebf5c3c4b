"""Files that leave a run: the same as it answers, whole or absent, read by other programs."""

import dataclasses
import json

import numpy as np
import pandas
import polars
import pytest
from pyarrow import parquet

import socialjax
from socialjax import export
from socialjax.models import ACF, BPR
from socialjax.recommender import train_only
from socialjax.train.step import TrainSettings
from socialjax.worlds import planted

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
    assert frame.columns.tolist() == ["user", "rank", "item", "score"]
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
