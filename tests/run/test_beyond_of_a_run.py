"""Every run measures its lists beyond accuracy: those of the full catalogue, by each seed, for each group of users."""

import json

import numpy as np
import pytest

import socialjax
from socialjax.eval import beyond, groups
from socialjax.train.step import TrainSettings

TRAIN = TrainSettings(epochs=3, batch_size=64, evaluate_every=3, patience=0)


def data_of(features=True):
    """50 users and 80 items, of which the first are popular."""
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((50, 80)) < np.linspace(0.5, 0.02, 80))
    names = [f"u{user}" for user in users], [f"i{item}" for item in items]
    links = ([f"u{user}" for user in range(50)], [f"u{(user * 7 + 3) % 50}" for user in range(50)])
    numbers = [f"i{item}" for item in range(80)], rng.normal(size=(80, 3))
    return socialjax.Dataset.from_pairs(*names, links=links, item_features=numbers if features else None, name="shop")


@pytest.fixture(scope="module")
def data():
    return data_of()


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return socialjax.fit("bpr", data, TRAIN, seeds=2, folder=folder, progress=False)


def test_figures_are_those_of_what_the_run_recommends(run, data):
    """Coverage and popularity once more, from `recommend` and the training pairs."""
    tested = np.unique(data.test.user)
    counts = groups.item_counts(data)
    for seed in (0, 1):
        of_seed = run.of_seed(seed)
        answers = of_seed.recommend([data.users.typed(user) for user in tested], k=10)
        rows = [data.items.numbers([one.item for one in answer]) for answer in answers]
        wanted = {
            "Coverage@10": len({item for row in rows for item in row}) / data.num_items,
            "Popularity@10": np.mean([counts[row].mean() for row in rows]),
        }
        for name, value in wanted.items():
            assert of_seed.result.beyond[name] == pytest.approx(value)
    table = run.evaluate().record
    for name, summary in table.beyond.items():
        assert summary["values"] == [run.of_seed(seed).result.beyond[name] for seed in (0, 1)]
    assert set(table.beyond) == {f"{name}@{k}" for name in beyond.METRICS for k in (10, 20)}


def test_baselines_have_them_as_well_and_popularity_is_the_most_popular(run):
    lists = run.evaluate().record.references_beyond
    assert set(lists) == {"random", "popularity", "friends + popularity"}
    assert lists["popularity"]["Lift@10"] > lists["random"]["Lift@10"]
    assert lists["popularity"]["Coverage@10"] < lists["random"]["Coverage@10"]


def test_groups_of_users_have_them_beside_accuracy(run, data):
    for kind in ("interactions", "social degree"):
        found = run.result.groups[kind]
        filled = [label for label, figures in found.items() if figures["users"]]
        assert filled and all({"NDCG@10", "Lift@10", "Coverage@20"} <= found[label].keys() for label in filled)
        assert all(list(figures) == ["users"] for label, figures in found.items() if label not in filled)
    # A group's popularity is the mean over its users, so that the groups' add up to the whole.
    by_group = run.result.groups["interactions"].values()
    total = sum(figures["users"] * figures.get("Popularity@10", 0) for figures in by_group)
    assert total / len(np.unique(data.test.user)) == pytest.approx(run.result.beyond["Popularity@10"])
    assert all("Lift@10" not in figures for figures in run.result.groups["item interactions"].values())


def test_sampled_protocols_have_the_same_lists_and_shorter_cut_offs_are_kept(run, data, tmp_path):
    sampled = socialjax.fit(
        "bpr", data, TRAIN, folder=tmp_path / "sampled", protocol="sampled2-official", ks=(2, 3), progress=False
    )
    assert set(sampled.result.beyond) == {f"{name}@{k}" for name in beyond.METRICS for k in (2, 3)}


def test_data_without_features_have_no_diversity_of_features(tmp_path):
    plain = socialjax.fit("bpr", data_of(features=False), TRAIN, progress=False)
    assert "ILD@10" in plain.result.beyond and not any(name.startswith("Feature") for name in plain.result.beyond)


def test_a_run_with_a_seed_of_before_is_shown_without(run, data):
    """A result that was made before these metrics came is read, shown and joined by further seeds."""
    for path in (run.folder / "seed_0" / "result.json", run.folder / "result.json"):
        before = json.loads(path.read_text())
        path.write_text(json.dumps({name: of for name, of in before.items() if "beyond" not in name}))
    again = socialjax.fit("bpr", data, TRAIN, seeds=2, folder=run.folder, progress=False)
    assert "beyond accuracy" not in repr(again.evaluate()) and again.evaluate().record.beyond is None
    more = socialjax.fit("bpr", data, TRAIN, seeds=3, folder=run.folder, progress=False)
    assert more.evaluate().record.beyond is None and more.of_seed(2).result.beyond["Coverage@10"] > 0
    assert np.isnan(more.evaluate().to_pandas().loc["bpr", "Coverage@10"])
