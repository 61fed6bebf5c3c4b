"""The comparison of runs with and without features, on folders made by hand."""

import numpy as np
import pytest

from experiments import features_yelp_hin as features
from socialjax.run import results

USERS = np.arange(40, dtype=np.int32)


def keep(folder, all_users, cold, users=USERS):
    """A run of two seeds whose metrics are these, seed 1 as much above as seed 0 lies below."""
    for seed, shift in ((0, -0.125), (1, 0.125)):
        (folder / f"seed_{seed}").mkdir(parents=True)
        for name, values, mine in (("per_user", all_users, users), ("cold_per_user", cold, users[: len(cold)])):
            metrics = {metric: values + shift for metric in features.METRICS}
            results.write_per_user(folder / f"seed_{seed}" / f"{name}.npz", mine, metrics)
    cold_means = [{"item interactions": {"[0, 1)": dict.fromkeys(features.METRICS, m)}} for m in (0.1, 0.3)]
    means = {metric: {"mean": 0.5, "ci95": 0.01} for metric in features.METRICS}
    return {"seeds": [0, 1], "metrics": means, "groups": cold_means}


@pytest.fixture
def runs(tmp_path):
    """DiffNet gains 0.25 for half the users and nothing for the rest; on cold items it gains nothing at all."""
    folders = {("diffnet", given): tmp_path / str(given) for given in (True, False)}
    gain, without = np.tile([0.25, 0.0], 20), np.linspace(0.25, 0.5, 40)
    records = {key: keep(folder, without + (gain if key[1] else 0), without[:10]) for key, folder in folders.items()}
    return records, folders


def test_differences_are_of_means_over_seeds_user_by_user(runs):
    rows = {(row["group"], row["metric"]): row for row in features.compare(*runs)}
    assert len(rows) == 4
    gained, same = rows["all", "NDCG@10"], rows["cold items", "NDCG@10"]
    assert gained["difference"] == pytest.approx(0.125, abs=1e-3) and gained["num_users"] == 40
    # t = 0.125 / (0.125 sqrt(40 / 39) / sqrt(40)) = sqrt(39)
    assert gained["p_t"] == pytest.approx(2.4e-7, rel=0.1) and gained["low"] > 0
    assert (same["difference"], same["p_t"], same["num_users"]) == (0.0, 1.0, 10)
    assert gained["p_holm"] == pytest.approx(4 * gained["p_t"])


def test_the_table_has_a_row_for_each_variant_and_test(runs):
    records, folders = runs
    text = features.table(records, features.compare(records, folders))
    assert "diffnet, with features" in text and "diffnet, without" in text and "+0.1250" in text
    assert "0.2000 ±1.2706" in text  # 0.1 and 0.3: t = 12.706 on one degree of freedom, times 0.1


def test_runs_of_different_users_are_not_paired(runs, tmp_path):
    records, folders = runs
    folders["diffnet", False] = tmp_path / "other"
    keep(folders["diffnet", False], np.zeros(40), np.zeros(10), USERS + 1)
    with pytest.raises(ValueError, match="evaluated different users"):
        features.compare(records, folders)


def test_variants_differ_in_the_features_alone_and_names_are_checked():
    made = features.variants(features.Arguments())
    assert {name for name, _ in made} == set(features.MODELS)
    for name, given in made:
        assert made[name, given].model.use_features is given
    with pytest.raises(ValueError, match="--models wants some of diffnet"):
        features.Arguments(models=("diffnet", "svd"))
