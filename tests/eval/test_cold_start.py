"""AUC and NDCG of pairs one by one equal loops over pairs and negatives, overall and on cold items."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.contract import Model, Traits
from socialjax.data.schema import Dataset, Provenance, interactions
from socialjax.eval import groups

USERS, ITEMS = 30, 40


@dataclasses.dataclass(frozen=True)
class Table(Model):
    """Scores that are known: the state is the table f32[U, I]."""

    traits = Traits(trains=False)

    def prepare(self, columns):
        return None

    def init(self, rng, side):
        return {}

    def encode(self, params, side):
        return None

    def loss(self, params, side, batch, rng):
        raise NotImplementedError

    def score(self, state, users, items):
        return jnp.take_along_axis(jnp.asarray(state)[users], jnp.asarray(items), axis=1)


def world(seed=0) -> Dataset:
    """Every user took ten items; the last ten items are in nobody's training part."""
    rng = np.random.default_rng(seed)
    parts = [[], [], []]
    for user in range(USERS):
        drawn = rng.permutation(30)
        for part, items in zip(parts, (drawn[:6], drawn[6:7], [drawn[7], *(30 + rng.permutation(10)[:2])])):
            part += [(user, item) for item in items]
    columns = [interactions(*np.array(part).T) for part in parts]
    return Dataset("known", USERS, ITEMS, *columns, Provenance("planted", "a test"))


def scores(seed=1):
    """Some of them tie."""
    return np.random.default_rng(seed).integers(0, 15, (USERS, ITEMS)).astype(np.float32)


def slow(table, pairs, taken, among):
    """AUC against everything that may be a negative, one pair at a time."""
    values = []
    for user, item in pairs:
        others = [j for j in range(ITEMS) if among[j] and (user, j) not in taken]
        below = [
            1.0 if table[user, j] < table[user, item] else 0.5 * (table[user, j] == table[user, item]) for j in others
        ]
        values.append(sum(below) / len(others))
    return np.array(values)


def pairs_of(part):
    return list(zip(part.user.tolist(), part.item.tolist()))


def overall_and_cold(table, data):
    """All test pairs, and those of items without training pairs among such items."""
    cold = groups.cold_start_items(data, below=1)
    pairs = data.test.take(cold[data.test.item])
    return {
        "overall": groups.evaluate_pairs(Table(), table, data, data.test),
        "cold": groups.evaluate_pairs(Table(), table, data, pairs, among=cold),
    }


def test_auc_equals_a_loop_over_pairs_and_items_overall_and_among_cold_ones():
    data, table = world(), scores()
    taken = {pair for part in data.parts().values() for pair in pairs_of(part)}
    found = overall_and_cold(table, data)
    cold = np.arange(ITEMS) >= 30
    assert (groups.cold_start_items(data, 1) == cold).all()
    for name, among in (("overall", np.ones(ITEMS, bool)), ("cold", cold)):
        got = found[name]
        pairs = list(zip(got.user.tolist(), got.item.tolist()))
        assert sorted(pairs) == sorted(pair for pair in pairs_of(data.test) if among[pair[1]])
        np.testing.assert_allclose(got.values["AUC"], slow(table, pairs, taken, among), rtol=1e-6)
        assert got.negatives["AUC"] is None and got.mean()["AUC"] == pytest.approx(got.values["AUC"].mean())


def test_cold_start_items_are_those_with_few_training_pairs():
    data = world()
    count = [np.sum(data.train.item == i) for i in range(ITEMS)]
    np.testing.assert_array_equal(groups.cold_start_items(data), np.array(count) < 5)


def test_pairs_do_not_see_each_other_and_sampled_negatives_are_as_many_as_there_are():
    """500 are wanted, the fewest that a user of the cold items has are 8: then NDCG is against all but those drawn."""
    data, table = world(), scores()
    cold = groups.cold_start_items(data, 1)
    pairs = data.test.take(cold[data.test.item])
    got = groups.evaluate_pairs(Table(), table, data, pairs, among=cold)
    assert got.negatives["NDCG@10"] == 8
    taken = {pair for part in data.parts().values() for pair in pairs_of(part)}
    for user, item, value in zip(got.user, got.item, got.values["NDCG@10"]):
        others = [j for j in range(30, 40) if (user, j) not in taken]
        assert len(others) == 8
        above = sum(table[user, j] > table[user, item] for j in others)
        tied = sum(table[user, j] == table[user, item] for j in others)
        gain = [1 / np.log2(place + 2) for place in range(above, above + tied + 1)]
        assert value == pytest.approx(np.mean(gain), rel=1e-5)


def test_a_model_that_scores_everything_alike_is_at_chance():
    data = world()
    for found in overall_and_cold(np.zeros((USERS, ITEMS), np.float32), data).values():
        np.testing.assert_allclose(found.values["AUC"], 0.5, atol=1e-6)
        assert (found.values["NDCG@10"] < 0.7).all()  # expected over the order of ties, not the best of it


def test_a_sample_of_negatives_estimates_what_all_of_them_say(monkeypatch):
    """Two thirds of a user's negatives are drawn: none twice, none that the user took, the same for the same seed."""
    data, table = world(), scores()
    whole = groups.evaluate_pairs(Table(), table, data, data.test).mean()["AUC"]
    monkeypatch.setattr(groups, "ALL_UP_TO", 10)
    found = [groups.evaluate_pairs(Table(), table, data, data.test, auc_negatives=20, seed=s) for s in (3, 3, 4)]
    assert found[0].negatives["AUC"] == 20
    assert found[0].mean() == found[1].mean() != found[2].mean()
    assert found[0].mean()["AUC"] == pytest.approx(whole, abs=0.05)
    marked = np.zeros_like(table)
    for part in data.parts().values():
        marked[part.user, part.item] = 1  # what a user took would tie with it, were it among the negatives
    assert (groups.evaluate_pairs(Table(), marked, data, data.test, auc_negatives=20).values["AUC"] == 1).all()


def test_items_taken_elsewhere_are_no_negatives():
    data = world()
    apart = data.test.take(data.test.item >= 30)
    kept = dataclasses.replace(data, test=data.test.take(data.test.item < 30))
    table = np.zeros((USERS, ITEMS), np.float32)
    table[:, 30:] = 1
    for part in data.parts().values():
        table[part.user, part.item] += 2
    with_them = groups.evaluate_pairs(Table(), table, kept, kept.test)
    without = groups.evaluate_pairs(Table(), table, kept, kept.test, taken=[apart])
    assert (with_them.values["AUC"] < 1).all() and (without.values["AUC"] == 1).all()


def test_nothing_to_evaluate_or_to_compare_with_is_an_error():
    data = world()
    with pytest.raises(ValueError, match="wanted test pairs of data set 'known'"):
        groups.evaluate_pairs(Table(), scores(), data, data.test.take(np.zeros(0, int)))
    with pytest.raises(ValueError, match=r"user 0 took every item that negatives are drawn from \(1 of 40\)"):
        groups.evaluate_pairs(Table(), scores(), data, data.test, among=np.arange(ITEMS) == data.train.item[0])


def test_what_cannot_be_evaluated_is_known_from_counts_before_a_training():
    data = world()
    groups.check_pairs(data, data.test)
    with pytest.raises(ValueError, match="wanted test pairs of data set 'known'"):
        groups.check_pairs(data, data.test.take(np.zeros(0, int)))
    with pytest.raises(ValueError, match=r"user 0 took every item that negatives are drawn from \(1 of 40\)"):
        groups.check_pairs(data, data.test, among=np.arange(ITEMS) == data.train.item[0])
