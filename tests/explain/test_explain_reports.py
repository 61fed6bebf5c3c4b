"""Explanations as records, text and picture."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from socialjax.contract import OF_USERS, Explanation, Kind, Ragged
from socialjax.data import schema
from socialjax.explain import picture
from socialjax.explain.record import label, records
from socialjax.explain.text import report as as_text
from socialjax.models.history import HISTORY

NOTHING = schema.no_interactions()
REAL = schema.Provenance("real", "test")
# Nasty on purpose: mathematics that is none, letters the font has not, a very long title.
TITLES = np.array(["Tea $\\frac$ Room", "茶館 $x", "A" * 180, ""])
DATA = schema.Dataset("cafes", 3, 4, NOTHING, NOTHING, NOTHING, REAL, item_titles=TITLES)
NAMED = dataclasses.replace(DATA, user_names=np.array(["ann", "bob", "cy"]), item_names=np.array(list("wxyz")))


FRIENDS = Kind(("user",), "friends at distance 2")


def ragged(kind, *rows, exact=True):
    """Rows of (id, weight, contribution)."""
    flat = [element for row in rows for element in row]
    offsets = np.cumsum([0, *map(len, rows)])
    columns = np.array(flat, float).reshape(-1, 3).T
    return Ragged(offsets, columns[0].astype(np.int32), *columns[1:].astype(np.float32), kind, exact=exact)


def example(exact=True):
    return Explanation(
        users=np.array([1, 2]),
        items=np.array([0, 3]),
        score=np.array([0.75, -0.5], np.float32),
        parts={"friends_2": np.array([1.0, 0.0], np.float32), "history": np.array([-0.25, -0.5], np.float32)},
        elements={
            "friends_2": ragged(FRIENDS, [(0, 0.5, 0.125), (1, 0.25, 1.0), (2, 0.25, -0.125)], [], exact=exact),
            "history": ragged(HISTORY, [(1, 1.0, -0.25)], [(2, 0.5, 0.25), (3, 0.5, -0.75)]),
        },
    )


def two_hops():
    """Why bob got the third item: over a friend's friend who took it, and over himself."""
    paths = Ragged(
        np.array([0, 3]),
        np.array([[1, 0, 2, 2], [1, 2, 1, 2], [1, 2, 0, 2]], np.int32),
        np.array([0.5, 0.25, 0.25], np.float32),
        np.array([0.25, -0.5, 0.125], np.float32),
        Kind(("user", "user", "user", "item"), "over two friends", part="friends", words={"weight": "share"}),
        {"strength": np.array([1.0, 2.0, 3.0], np.float32)},
    )
    part = np.array([-0.125], np.float32)
    return Explanation(np.array([1]), np.array([2]), part, {"friends": part}, {"paths": paths})


def test_records_name_what_they_can_rank_by_size_and_sum_up_the_rest():
    first, second = records(example(), NAMED, kept=2)
    assert (first["user"], first["item"], first["title"], first["data"]) == ("bob", "w", TITLES[0], "real")
    assert first["parts"] == [
        {"name": "friends_2", "label": "friends at distance 2", "value": 1.0},
        {"name": "history", "label": "own history", "value": -0.25},
    ]
    friends, history = first["elements"]
    assert [(e["id"], e["is_user"], e["contribution"]) for e in friends["ranked"]] == [
        ("bob", True, 1.0),
        ("ann", False, 0.125),
    ]
    assert (friends["count"], friends["rest"]) == (3, {"count": 1, "contribution": -0.125})
    assert history["ranked"] == [
        {"id": "x", "title": TITLES[1], "is_user": False, "weight": 1.0, "contribution": -0.25}
    ]
    assert second["title"] == "z" and second["elements"][0]["ranked"] == []
    json.dumps([first, second], allow_nan=False)


def test_ids_are_numbers_where_the_data_has_no_names():
    first = records(example(), DATA)[0]
    assert (first["user"], first["item"]) == (1, 0)
    assert [e["id"] for e in first["elements"][0]["ranked"]] == [1, 0, 2]


def test_parts_have_the_words_of_their_model_or_their_own_names():
    why = dataclasses.replace(example(), labels={"interest": "own interest"})
    words = ["friends at distance 2", "own history", "own interest", "item bias", "top 5"]
    assert [label(name, why) for name in ("friends_2", "history", "interest", "item_bias", "top_5")] == words
    assert label("friends", two_hops()) == "over two friends"  # the part that the paths add up to
    bare = Explanation(*(np.zeros(1, np.int32),) * 3, {}, {"friends": ragged(OF_USERS, [(0, 1, 1)])})
    assert records(bare, DATA)[0]["elements"][0]["label"] == "friends"


def test_elements_that_are_paths_have_all_their_nodes_in_records_text_and_picture(tmp_path):
    (record,) = records(two_hops(), NAMED, kept=2)
    (group,) = record["elements"]
    assert (group["kind"], group["nodes"], group["part"]) == ("path", ["user", "user", "user", "item"], "friends")
    assert [e["id"] for e in group["ranked"]] == [["bob", "cy", "bob", "y"], ["bob", "ann", "cy", "y"]]
    assert group["ranked"][1]["title"] == f"user bob > user ann > user cy > item {'A' * 180}"
    figures = [[e[name] for name in ("contribution", "weight", "strength")] for e in group["ranked"]]
    assert figures == [[-0.5, 0.25, 2], [0.25, 0.5, 1]]
    assert (group["count"], group["rest"]) == (3, {"count": 1, "contribution": 0.125})
    assert not any(e["is_user"] for e in group["ranked"])
    json.dumps(record, allow_nan=False)
    numbered = records(two_hops(), DATA)[0]["elements"][0]["ranked"]
    assert [e["id"] for e in numbered] == [[1, 2, 1, 2], [1, 0, 2, 2], [1, 2, 0, 2]]
    report = as_text([record])
    assert "over two friends (-0.125): 3 paths" in report
    assert f"user bob > user cy > user bob > item {'A' * 10}... " in report and "share 0.250" in report
    assert "strength" not in report  # a column without a word is for programs alone
    picture.draw(tmp_path / "paths.png", record)
    strongest, others = picture._strongest(record, 1)
    assert strongest[0][0].startswith("user bob > user cy") and others == (2, 0.375)
    assert (tmp_path / "paths.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_ranks_draws_bars_and_adds_up():
    report = as_text(records(example(), NAMED), limit=2)
    first, second = report.split("\n\nuser ")
    lines = [line.rstrip() for line in first.splitlines()]
    assert lines[:4] == [
        'user bob, item w "Tea $\\frac$ Room": score +0.750',
        f"  friends at distance 2    +1.000  {'#' * 32}",
        f"  own history              -0.250  {'-' * 8}",
        "  sum                      +0.750",
    ]
    assert "  friends at distance 2 (+1.000): 3 users" in lines
    assert f"    user bob, through friends  weight 0.25        +1.000  {'#' * 32}" in lines
    assert any(line.startswith("    and 1 more") and line.endswith("-0.125") for line in lines)
    assert "  own history (-0.250): 1 item" in lines and any("茶館" in line for line in lines)
    assert "friends at distance 2 (" not in second  # nobody there
    assert "A" * 41 + "..." in second and "A" * 45 not in second


def test_estimates_are_called_so_but_not_those_of_the_history():
    lines = as_text(records(example(exact=False), DATA)).splitlines()
    estimated = [line for line in lines if "estimated" in line]
    assert len(estimated) == 1 and "friends at distance 2" in estimated[0]
    assert "estimated" not in as_text(records(example(), DATA))


def test_what_is_generated_says_so_first_and_last():
    data = dataclasses.replace(DATA, provenance=schema.Provenance("stand-in", "generated"))
    lines = as_text(records(example(), data)).splitlines()
    assert lines[0] == lines[-1] == "STAND-IN: cafes was generated; this says nothing about real users and items"
    assert "STAND-IN" not in as_text(records(example(), DATA))


@pytest.mark.parametrize("elements", [True, False])
def test_pictures_are_drawn_whole_whatever_the_titles_and_signs_are(tmp_path, elements):
    for place, record in enumerate(records(example(exact=False), DATA)):
        if not elements:
            record = {**record, "elements": []}
        path = tmp_path / f"{place}.png"
        picture.draw(path, record)
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pair_whose_parts_are_all_zero_is_drawn(tmp_path):
    zero = {"name": "taste", "label": "taste", "value": 0.0}
    record = {**records(example(), DATA)[0], "score": 0.0, "parts": [zero], "elements": []}
    picture.draw(tmp_path / "zero.png", record)
    assert "taste    +0.000" in as_text([record])


def test_a_picture_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OSError):
        picture.draw(tmp_path / "taken.png", records(example(), DATA)[0])
    assert [path.name for path in tmp_path.iterdir()] == ["taken.png"]


def test_importing_socialjax_is_cheap_and_load_is_there():
    program = "import sys, socialjax; assert 'load' in dir(socialjax); print(*({'jax', 'numpy'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
