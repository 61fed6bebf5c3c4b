"""The record of a run: what result.json holds, and what older and damaged files hold."""

import dataclasses
import json
from pathlib import Path

import pytest

from socialjax.run.record import RunRecord, SeedRecord

KEPT = sorted((Path(__file__).resolve().parents[2] / "docs" / "results").glob("*/*/result.json"))
LATER = {"experiment", "corrected", "validation", "chosen_on", "reported", "references_also", "references_corrected"}
SEED = {
    "seed": 3,
    "metrics": {"NDCG@10": 0.5},
    "also": {},
    "corrected": {},
    "groups": {},
    "validation": {},
    "epoch": 4,
    "seconds": {"train": 1.0, "eval": 0.5, "test": 0.25, "total": 2.0},
    "pairs_per_second": 10.0,
    "peak_memory_bytes": 5,
    "popularity_validation": None,
    "chosen_on": None,
    "code": "0123",
}


@pytest.mark.parametrize("path", KEPT, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_kept_results_are_read_and_written_as_they_are(path):
    kept = json.loads(path.read_text())
    record = RunRecord.read(path)
    assert record.model == kept["model"] and record.metrics == kept["metrics"]
    written = record.to_json()
    assert {name: written[name] for name in kept} == kept
    assert written.keys() - kept.keys() <= LATER


def test_what_is_written_has_the_keys_of_a_seed_in_their_order():
    record = SeedRecord.from_json(SEED, Path("result.json"))
    assert list(record.to_json()) == list(SEED) and record.to_json() == SEED
    with_frames = dataclasses.replace(record, key_frames={"metrics": {}}).to_json()
    assert list(with_frames) == [*SEED, "key_frames"]


def test_keys_that_came_later_have_their_defaults_and_strange_ones_are_passed_over():
    before = {name: value for name, value in SEED.items() if name not in ("corrected", "chosen_on", "code")}
    record = SeedRecord.from_json(before | {"tomorrow": 1}, Path("result.json"))
    assert (record.corrected, record.chosen_on, record.code) == ({}, None, None)
    assert "tomorrow" not in record.to_json() and "code" not in record.to_json()


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"epoch": "4"}, "epoch wants a whole number, got '4'"),
        ({"metrics": None}, "metrics wants a record, got None"),
        ({"metrics": {"HR@10": []}}, "metrics.HR@10 wants a number, got a list"),
        ({"seconds": {"train": 1.0}}, "seconds lacks eval, test"),
        ({"code": 3}, "code wants a text or null, got 3"),
    ],
)
def test_nonsense_is_refused_by_file_and_key(changed, said):
    with pytest.raises(ValueError) as error:
        SeedRecord.from_json(SEED | changed, Path("runs/result.json"))
    assert (
        str(error.value) == f"runs/result.json is not the result of a seed: {said}; delete it and start the run again"
    )


def test_what_is_missing_or_no_record_is_told():
    with pytest.raises(ValueError, match=r"the file lacks also, epoch, groups, metrics, "):
        SeedRecord.from_json({"seed": 1}, Path("result.json"))
    with pytest.raises(ValueError, match=r"the file wants a record, got a list"):
        RunRecord.from_json([], Path("result.json"))


def test_metrics_beyond_accuracy_are_checked_as_all_and_absent_where_they_were_not_measured():
    kept = json.loads(KEPT[0].read_text())
    seeds = len(kept["seeds"])
    good = {"mean": 0.5, "ci95": None if seeds == 1 else 0.0, "values": [0.5] * seeds}
    record = RunRecord.from_json(kept | {"beyond": {"Gini@10": good}}, Path("result.json"))
    assert record.to_json()["beyond"] == {"Gini@10": good}
    assert not {"beyond", "references_beyond"} & RunRecord.read(KEPT[0]).to_json().keys()
    for name, changed, said in (
        ("Gini@10", {"mean": 0.75}, "Gini@10 is 0.75, and the mean of its seeds is 0.5"),
        ("<b>", {}, "metrics wants names such as NDCG@10"),
    ):
        with pytest.raises(ValueError, match=said):
            RunRecord.from_json(kept | {"beyond": {name: good | changed}}, Path("result.json"))
