"""The comparison of runs with and without features, on folders made by hand."""

from pathlib import Path

import numpy as np
import pytest

from experiments import features_yelp_hin as features
from socialjax.eval.significance import mean_interval
from socialjax.report.gather import of_run
from socialjax.report.papers import DIFFNET
from socialjax.run import results

KEPT = Path(__file__).resolve().parents[2] / "docs" / "results" / "yelp_hin" / "diffnet" / "result.json"
USERS = np.arange(40, dtype=np.int32)


def finish(folder, all_users, cold, users=USERS):
    """A run of two seeds whose metrics are these, seed 1 as much above as seed 0 lies below."""
    for seed, shift in ((0, -0.125), (1, 0.125)):
        (folder / f"seed_{seed}").mkdir(parents=True)
        for name, values, mine in (("per_user", all_users, users), ("cold_per_user", cold, users[: len(cold)])):
            metrics = {metric: values + shift for metric in DIFFNET.metrics}
            results.write_per_user(folder / f"seed_{seed}" / f"{name}.npz", mine, metrics)
    cold_means = [
        {"item interactions": {"[0, 1)": {"users": 10} | dict.fromkeys(DIFFNET.metrics, m)}} for m in (0.1, 0.3)
    ]
    values = [float((all_users + shift).astype(np.float16).astype(np.float64).mean()) for shift in (-0.125, 0.125)]
    mean, half = mean_interval(values)
    means = {metric: {"mean": mean, "ci95": half, "values": values} for metric in DIFFNET.metrics}
    one = results.read_json(KEPT)  # the rest of a record is that of some run
    few = {"seeds": [0, 1], "metrics": means, "also": {}, "groups": cold_means, "chosen_on": {}, "epoch": [1, 1]}
    record = {key: one[key] for key in one if key not in ("corrected", "validation")} | few
    results.write_json(folder / "result.json", record)


@pytest.fixture
def runs(tmp_path):
    """DiffNet gains 0.25 for half the users and nothing for the rest; on cold items it gains nothing at all."""
    gain, without = np.tile([0.25, 0.0], 20), np.linspace(0.25, 0.5, 40)
    finish(tmp_path / "with", without + gain, without[:10])
    finish(tmp_path / "without", without, without[:10])
    return [of_run(tmp_path / "with", "diffnet-features"), of_run(tmp_path / "without", "diffnet")]


def test_differences_are_of_means_over_seeds_user_by_user(runs):
    rows = {(row["group"], row["metric"]): row for row in features.compared(runs)}
    assert len(rows) == 4 and {row["model"] for row in rows.values()} == {"diffnet"}
    gained, same = rows["all", "NDCG@10"], rows["cold items", "NDCG@10"]
    again, gained, same = gained["over_trainings"], gained["over_users"], same["over_users"]
    assert gained["difference"] == pytest.approx(0.125, abs=1e-3) and gained["num_users"] == 40
    # Seeds lie .125 below and above: t = .125 / sqrt(.03125 / 2 + .03125 / 2) = .7071 on two degrees of freedom.
    assert (again["num_a"], again["num_b"]) == (2, 2) and again["p"] == pytest.approx(0.5528, abs=1e-3)
    # t = 0.125 / (0.125 sqrt(40 / 39) / sqrt(40)) = sqrt(39)
    assert gained["p_t"] == pytest.approx(2.4e-7, rel=0.1) and gained["low"] > 0
    assert (same["difference"], same["p_t"], same["num_users"]) == (0.0, 1.0, 10)
    assert gained["p_holm"] == pytest.approx(2 * gained["p_t"])  # a table for all items and one for cold ones


def test_the_tables_have_a_row_for_each_variant_and_test(runs):
    text = features.tables(runs)
    assert "\nDiffNet, with features " in text and "\nDiffNet  " in text
    assert text.count("\nDiffNet, NDCG@10 ") == text.count("\nDiffNet, HR@10 ") == 2 and "+0.1250" in text
    assert "\ncold items:\n" in text and "over 10 test users" in text and "other trainings: p" in text
    assert "0.2000 ±1.2706" in text  # 0.1 and 0.3: t = 12.706 on one degree of freedom, times 0.1


def test_runs_of_different_users_are_not_paired(runs, tmp_path):
    finish(tmp_path / "other", np.zeros(40), np.zeros(10), USERS + 1)
    with pytest.raises(ValueError, match="diffnet-features and diffnet evaluated different users"):
        features.compared([runs[0], of_run(tmp_path / "other", "diffnet")])


def test_variants_differ_in_the_features_alone_and_names_are_checked():
    made = features.variants(features.Arguments())
    assert {name for name, _ in made} == set(features.MODELS)
    for name, given in made:
        assert made[name, given].model.use_features is given
    assert {name for name, _ in features.variants(features.Arguments(only=("fm",)))} == {"fm"}
    with pytest.raises(ValueError, match="--only must name some of diffnet, diffnet_pp, fm, got svd"):
        features.Arguments(only=("diffnet", "svd"))
