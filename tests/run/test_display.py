"""What the screen says of the data of a run is what its record says."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from records import record_of

from socialjax.eval.metrics import MEANINGS, Counts, legend, per_user
from socialjax.models import BPR
from socialjax.models.social.diffnet import DiffNet
from socialjax.run import display
from socialjax.worlds import planted

DATA = planted.checkerboard(num_users=12, num_items=8, links=3)
WITH = dataclasses.replace(DATA, item_features=np.ones((8, 2), np.float32))


@pytest.mark.parametrize(
    "data, model, said",
    [
        (DATA, None, "ids only"),
        (WITH, None, "with features"),
        (DATA, DiffNet(), "ids only"),
        (WITH, DiffNet(), "with features"),
        (WITH, DiffNet(use_features=False), "ids only, features not used"),
        (WITH, BPR(), "ids only, features not used"),
    ],
)
def test_the_line_of_the_data_says_whether_features_are_used(data, model, said):
    assert display.describe(data, model).startswith(f"checkerboard, planted, {said}: 12 users")
    if model is not None:
        assert display.takes_features(model, data) == (said == "with features")


def record(**changed):
    """What the table reads of a result."""
    metrics = lambda ndcg: {"HR@10": {"mean": ndcg, "ci95": None}, "NDCG@10": {"mean": ndcg, "ci95": None}}  # noqa: E731
    measured = {"metrics": metrics(0.5), "also": {"sampled1000-official": metrics(0.25), "full": metrics(0.125)}}
    return record_of(model="diffnet", **measured, settings={"model": {"dim": 32}}, **changed)


@pytest.mark.parametrize("protocol, ours", [("sampled1000-official", "0.2500"), ("sampled1000-strict", "0.5000")])
def test_a_reported_figure_stands_beside_the_run_measured_by_the_same_protocol(protocol, ours):
    theirs = {"name": "theirs", "note": "D = 32", "protocol": protocol, "metrics": {"NDCG@10": 0.2095}}
    text = display.table(record(reported=[theirs, theirs]), Path("runs"))
    below = text[text.index("reported elsewhere") :]
    (line,) = [line for line in below.splitlines() if line.startswith("this run")]
    assert line.split() == ["this", "run:", f"{protocol},", "D", "=", "32", ours]


@pytest.mark.parametrize("named", [{}, {"protocol": "sampled100-strict"}])
def test_nothing_stands_beside_a_figure_of_no_protocol_or_one_that_was_not_measured(named):
    theirs = {"name": "theirs", "note": "D = 32", "metrics": {"NDCG@10": 0.2095}, **named}
    assert "this run" not in display.table(record(reported=[theirs]), Path("runs"))


def measured(*names):
    return {name: {"mean": 0.5, "ci95": None, "values": [0.5]} for name in names}


EVERY = [f"{name}@{k}" for k in (5, 10, 15, 20, 50) for name in ("HR", "Hit", "Recall", "NDCG", "MRR", "MAP")]
USERS = {"all": 1642, "evaluated": 1200, "cold": 7, "validation": 30}


@pytest.mark.parametrize(
    "dataset, names, shown",
    [
        ("yelp", EVERY, "HR@5 HR@10 HR@15 NDCG@5 NDCG@10 NDCG@15"),
        ("gowalla", EVERY, "HR@5 HR@10 HR@15 NDCG@5 NDCG@10 NDCG@15"),
        ("mine", EVERY, "Hit@10 Hit@20 Recall@10 Recall@20 NDCG@10 NDCG@20 MRR@10 MRR@20"),
        ("mine", [name for name in EVERY if name.endswith("@5")], "Hit@5 Recall@5 NDCG@5 MRR@5"),
        ("mine", ["Hit@5", "NDCG@5", "HR@8", "Hit@8", "NDCG@8"], "Hit@5 Hit@8 NDCG@5 NDCG@8"),
    ],
)
def test_published_sets_keep_their_columns_and_other_data_have_hit_recall_ndcg_and_mrr(dataset, names, shown):
    found = record_of(dataset=dataset, metrics=measured(*names), also={"full": measured(*names)}, users=USERS)
    lines = display.table(found, Path("runs")).splitlines()
    (head,) = [place for place, line in enumerate(lines) if set(line) == {"-"}]
    assert lines[head - 1].split() == shown.split()
    assert (
        lines[head - 2] == "1,200 of 1,642 users are evaluated, 7 of them cold (no training pair); 30 choose the epoch"
    )
    for kind in dict.fromkeys(name.partition("@")[0] for name in shown.split()):
        assert any(line.startswith(f"{kind}@K: ") for line in lines[head:]), kind
    told = "HR@K: hits among the first K / min(K, number of test items), as in DiffNet's code"
    assert any(line.startswith(told) for line in lines) == ("HR@10" in shown), "named where it is shown"
    assert dataset == "yelp" or any(line.startswith("full: ") for line in lines)


def test_a_result_of_before_says_how_many_users_its_groups_have():
    groups = [{"interactions": {"[0, 8)": {"users": 3}, "[8, 16)": {"users": 40}}}]
    assert "\n43 users are evaluated\n" in display.table(
        record_of(metrics=measured("HR@10"), groups=groups), Path("runs")
    )


def test_a_sweep_has_the_columns_and_the_users_of_its_data(tmp_path):
    for dataset, columns in (("yelp", ["HR@10", "NDCG@10"]), ("mine", ["Hit@10", "NDCG@10"])):
        metrics = measured(*EVERY)
        references = {"popularity": {name: 0.1 for name in metrics}}
        found = {"dim=4": record_of(dataset=dataset, metrics=metrics, users=USERS, references=references)}
        text = display.summary("dim", found, tmp_path)
        assert any(line.split() == columns for line in text.splitlines()) and "1,200 of 1,642 users" in text
        display.draw_sweep(tmp_path / f"{dataset}.png", "dim", found)


def test_in_a_notebook_the_table_is_html_with_the_same_cells_and_nothing_of_it_is_obeyed():
    found = record_of(
        dataset="mine",
        model="<script>alert(1)</script>",
        metrics=measured("Hit@10", "NDCG@10"),
        references={"popularity": {"Hit@10": 0.125, "NDCG@10": 0.25}, "a&b\x1b[2J": {"Hit@10": 0.5, "NDCG@10": 0.5}},
        users=USERS,
    )
    result = display.ResultTable(found, Path("runs/<b>mine</b>"))
    html = result._repr_html_()
    assert "0.1250" in repr(result) and "<td>0.1250</td><td>0.2500</td>" in html and "<th>Hit@10</th>" in html
    assert "&lt;script&gt;" in html and "a&amp;b" in html and "&lt;b&gt;mine" in html
    assert set(re.findall(r"<(\w+)", html)) == {"div", "table", "thead", "tbody", "tr", "th", "td"}
    assert "\x1b" not in html
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    for line in ("1,200 of 1,642 users are evaluated", "Hit@K: 1 if a test item", "kept in runs"):
        assert line in text


def test_every_metric_has_a_meaning():
    counts = Counts(np.array([0, 1]), np.ones(1, np.float32), np.zeros(1, int), np.zeros(1, int), np.ones(1, int))
    assert {name.partition("@")[0] for name in per_user(counts, (2,))} == set(MEANINGS)
    assert legend(["HR@5", "HR@10", "AUC"]) == [f"HR@K: {MEANINGS['HR']}", f"AUC: {MEANINGS['AUC']}"]


LISTS = {"Coverage@10": 0.25, "Gini@10": 0.9, "Novelty@10": 7.5, "Lift@10": -0.125, "Coverage@20": 0.375}


def with_lists(**changed):
    seeds = {name: {"mean": value, "ci95": 0.0625, "values": [value]} for name, value in LISTS.items()}
    found = {"metrics": measured("HR@10", "NDCG@10"), "references": {"popularity": {"HR@10": 0.5, "NDCG@10": 0.5}}}
    return record_of(
        **{"dataset": "mine", **found, "beyond": seeds, "references_beyond": {"popularity": {"Lift@10": 8.0}}} | changed
    )


def test_metrics_beyond_accuracy_are_a_second_table_with_the_baselines_and_what_they_mean():
    lines = display.table(with_lists(), Path("runs")).splitlines()
    start = lines.index("beyond accuracy, the first 10 of all items but those taken in training:")
    head, _, popularity, ours, *meanings = lines[start + 1 : start + 9]
    assert head.split() == ["Coverage@10", "Gini@10", "Novelty@10", "Lift@10"]
    assert popularity.split() == ["popularity", *["not", "available"] * 3, "8.0000"]
    assert ours.split() == ["bpr", "0.2500", "±0.0625", "0.9000", "±0.0625", "7.5000", "±0.0625", "-0.1250", "±0.0625"]
    assert [line.partition(":")[0] for line in meanings] == ["Coverage@K", "Gini@K", "Novelty@K", "Lift@K"]
    generated = display.table(with_lists(data="stand-in"), Path("runs"))
    assert generated.count("bpr (seeds 0), STAND-IN") == 1 and "\nbpr, STAND-IN" in generated


@pytest.mark.parametrize("absent", [{"beyond": None, "references_beyond": None}, {"beyond": {}}])
def test_results_of_before_have_no_second_table(absent):
    assert "beyond" not in display.table(with_lists(**absent), Path("runs"))


def test_lists_of_another_length_are_shown_where_ten_was_not_measured():
    short = {name.replace("@10", "@5"): of for name, of in with_lists().beyond.items()}
    assert "the first 5 of all items" in display.table(with_lists(beyond=short), Path("runs"))


def test_the_frame_has_both_tables():
    frame = display.ResultTable(with_lists(), Path("runs")).to_pandas()
    assert frame.loc["bpr", "Coverage@20"] == 0.375 and frame.loc["bpr", "Coverage@20 ci95"] == 0.0625
    assert frame.loc["popularity", "Lift@10"] == 8.0 and frame.loc["popularity", "NDCG@10"] == 0.5
