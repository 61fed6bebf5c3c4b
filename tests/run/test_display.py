"""What the screen says of the data of a run is what its record says."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from records import record_of

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
