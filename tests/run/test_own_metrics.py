"""Metrics of one's own: measured where the library's are, and evaluated anew when their function changes."""

import json

import numpy as np
import pytest

import socialjax
from socialjax.eval.beyond import METRICS
from socialjax.run.settings import EvalSettings
from socialjax.worlds import planted

DATA = planted.checkerboard()


@pytest.fixture(autouse=True, scope="module")
def as_it_was():
    """Takes back what these tests register."""
    before = set(METRICS)
    yield
    for name in set(METRICS) - before:
        del METRICS[name]


def even(lists):
    """The share of each list's items that have an even number."""
    return lists.mean_of(np.arange(lists.data.num_items) % 2 == 0)


def hits(lists):
    """The number of hits of all lists, from the test items."""
    rows = zip(lists.items, lists.positives.offsets[:-1], lists.positives.offsets[1:])
    return float(sum(np.isin(row, lists.positives.items[a:b]).sum() for row, a, b in rows))


def fit(folder=None, **more):
    return socialjax.fit("bpr", DATA, epochs=2, seeds=2, folder=folder, progress=False, **more)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / "run"
    return fit(folder, metrics={"Even": even, "Hits": hits})


def test_it_equals_the_lists_of_the_run(measured):
    frame = measured.evaluate().to_pandas()
    for k in (10, 20):
        shares, found = [], []
        for seed in (0, 1):
            run = measured.of_seed(seed)
            users = np.unique(DATA.test.user)
            lists = [[ranked.item for ranked in row] for row in run.recommend(users, k=k)]
            shares.append(np.mean([np.mean([int(item) % 2 == 0 for item in row]) for row in lists]))
            tested = [set(DATA.test.item[DATA.test.user == user]) for user in users]
            found.append(sum(len(of & {int(item) for item in row}) for of, row in zip(tested, lists)))
        assert frame.loc["bpr", f"Even@{k}"] == pytest.approx(np.mean(shares))
        assert frame.loc["bpr", f"Hits@{k}"] == pytest.approx(np.mean(found))
    assert min(frame.loc["bpr", "Hits@10"], frame.loc["random", "Hits@10"]) > 0


def test_it_stands_in_the_table_and_in_comparisons(measured, tmp_path):
    assert "Even@10" in str(measured.evaluate()) and "Hits@10" in str(measured.evaluate())
    report = socialjax.compare([measured], out=tmp_path / "report")
    assert "Even@10" in str(report) and "Even,10" in (tmp_path / "report" / "figures.csv").read_text()
    group = json.loads((measured.folder / "seed_0" / "result.json").read_text())["groups"]["interactions"]
    assert all("Even@10" in figures for figures in group.values() if figures["users"])


def test_a_finished_run_is_evaluated_anew_by_another_function_of_that_name(measured, caplog):
    before = measured.evaluate().to_pandas()
    parameters = measured.score(0, range(5))
    again = fit(measured.folder, metrics={"Even": lambda lists: 1 - even(lists), "Hits": hits})
    after = again.evaluate().to_pandas()
    assert after.loc["bpr", "Even@10"] == pytest.approx(1 - before.loc["bpr", "Even@10"])
    assert after.loc["bpr", "Hits@10"] == before.loc["bpr", "Hits@10"]
    assert after.loc["bpr", "NDCG@10"] == before.loc["bpr", "NDCG@10"]
    np.testing.assert_array_equal(again.score(0, range(5)), parameters)
    without = fit(measured.folder).evaluate().to_pandas()
    assert "Even@10" not in without and "Coverage@10" in without
    back = fit(measured.folder, metrics={"Even": even, "Hits": hits}).evaluate().to_pandas()
    np.testing.assert_array_equal(back.to_numpy(float), before.to_numpy(float))


def test_what_is_wrong_is_refused_before_training(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no metric is called 'Nobody'; there are Coverage, Gini"):
        fit(tmp_path / "run", metrics=["Nobody"])
    with pytest.raises(ValueError, match="metric Even: wanted a function of the lists, got int"):
        fit(tmp_path / "run", metrics={"Even": 3})
    with pytest.raises(ValueError, match="'Coverage' is a metric of the library"):
        fit(tmp_path / "run", metrics={"Coverage": even})
    with pytest.raises(ValueError, match="wanted a list of names of metrics"):
        fit(tmp_path / "run", metrics="Even")
    monkeypatch.setitem(METRICS, "Even-share", even)
    with pytest.raises(ValueError, match="could not be the heading of a column"):
        EvalSettings(metrics=("Even-share",)).further()
    assert not (tmp_path / "run" / "seed_0").exists()


def test_another_shape_is_an_error_that_names_the_metric():
    with pytest.raises(ValueError, match=r"metric Wrong must give a number, or one for each of \d+ users"):
        fit(metrics={"Wrong": lambda lists: np.zeros(3)})
