"""Counts and lists made on the device against NumPy, one user at a time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.contract import Model, Traits
from socialjax.data.schema import Dataset, Provenance, interactions
from socialjax.eval import ranking
from socialjax.eval.metrics import rows_of
from socialjax.eval.protocol import candidates, parse

USERS, ITEMS = 70, 150


@dataclasses.dataclass(frozen=True)
class Dot(Model):
    """Params are (users, items, bias)."""

    def prepare(self, columns):
        return None

    def init(self, rng, side):
        raise NotImplementedError

    def encode(self, params, side):
        return params

    def loss(self, params, side, batch, rng):
        raise NotImplementedError

    def vectors(self, state):
        return state

    def score(self, state, users, items):
        return jnp.sum(state[0][users][:, None, :] * state[1][items], axis=2) + state[2][items]


@dataclasses.dataclass(frozen=True)
class NoDot(Dot):
    """The same scores from a model that has no vectors."""

    traits = Traits()

    def vectors(self, state):
        return None


@pytest.fixture(scope="module")
def data():
    """User 5 has 40 test items, more than one row holds."""
    rng = np.random.default_rng(0)
    keys = rng.permutation(USERS * ITEMS)
    keys = keys[(keys // ITEMS != 5) | (keys % ITEMS >= 40)]
    train, validation = (interactions(*np.divmod(part, ITEMS)) for part in (keys[:1500], keys[1500:1700]))
    users, items = np.divmod(keys[1700:1950], ITEMS)
    test = interactions(np.concatenate([users, np.full(40, 5)]), np.concatenate([items, np.arange(40)]))
    return Dataset("small", USERS, ITEMS, train, validation, test, Provenance("planted", "test"))


def parameters(kind):
    """Whole numbers, which tie often and add up exactly in any order, or real ones."""
    rng = np.random.default_rng(1)
    make = (lambda *s: rng.integers(-2, 3, s)) if kind == "tied" else (lambda *s: rng.normal(size=s))
    return tuple(np.asarray(make(*shape), np.float32) for shape in ((USERS, 6), (ITEMS, 6), (ITEMS,)))


def counted_slowly(params, found, scores=None):
    """(score, higher, tied) of every positive, in order."""
    users, items, bias = (array.astype(np.float64) for array in params)
    table = users @ items.T + bias
    rows = []
    for row, user in enumerate(found.users):
        mine = found.positives.items[found.positives.offsets[row] : found.positives.offsets[row + 1]]
        if found.negatives is None:
            masked = found.masked.items[found.masked.offsets[row] : found.masked.offsets[row + 1]]
            against = np.setdiff1d(np.arange(ITEMS), np.concatenate([masked, mine]))
        else:
            against = found.negatives[row]
        for item in mine:
            higher, tied = table[user, against] > table[user, item], table[user, against] == table[user, item]
            rows.append((table[user, item], higher.sum(), tied.sum()))
    return [np.array(column) for column in zip(*rows)]


@pytest.mark.parametrize("small_blocks", [False, True])
@pytest.mark.parametrize("model", [Dot(), NoDot()])
@pytest.mark.parametrize("name", ["full", "sampled60-official", "sampled60-strict"])
@pytest.mark.parametrize("kind", ["tied", "real"])
def test_counts_equal_numpy_in_blocks_of_any_size(monkeypatch, data, kind, name, model, small_blocks):
    if small_blocks:  # several calls, the last one part filled; several parts of the users
        monkeypatch.setattr(ranking, "BLOCK", 7)
        monkeypatch.setattr(ranking, "BLOCKS_PER_CALL", 3)
        monkeypatch.setattr(ranking, "PAIRS_AT_ONCE", 3 * ITEMS)
    params, found = parameters(kind), candidates(data, parse(name))
    counts = ranking.count(model, ranking.encode(model, params, None), found)
    score, higher, tied = counted_slowly(params, found)
    np.testing.assert_allclose(counts.score, score, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(counts.higher, higher)
    np.testing.assert_array_equal(counts.tied, tied)
    assert (kind == "real") == (tied.sum() == 0)


@pytest.mark.parametrize(("gather_from", "negatives"), [(1, 53), (10_000, 56)])  # other shapes, so traced anew
def test_scoring_candidates_one_by_one_equals_the_table(monkeypatch, data, gather_from, negatives):
    monkeypatch.setattr(ranking, "GATHER_FROM", gather_from)
    found = candidates(data, parse(f"sampled{negatives}-strict"))
    counts = ranking.count(Dot(), parameters("tied"), found)
    np.testing.assert_array_equal(counts.higher, counted_slowly(parameters("tied"), found)[1])


@pytest.mark.parametrize("name", ["full", "sampled60-strict"])
def test_a_users_metrics_do_not_depend_on_who_else_is_evaluated(data, name):
    params = parameters("real")
    everyone = ranking.evaluate(Dot(), params, None, candidates(data, parse(name)))
    some = ranking.evaluate(Dot(), params, None, candidates(data, parse(name), users=[5, 60, 11]))
    assert some.users.tolist() == [5, 11, 60] and (some.protocol, some.part) == (name, "test")
    where = np.searchsorted(everyone.users, some.users)
    for metric, values in some.per_user.items():
        np.testing.assert_array_equal(values, everyone.per_user[metric][where], err_msg=metric)


def test_perfect_scores_give_perfect_metrics(data):
    taken = np.zeros((USERS, ITEMS), np.float32)
    taken[data.test.user, data.test.item] = 1
    result = ranking.evaluate(
        Dot(),
        (taken, np.eye(ITEMS, dtype=np.float32), np.zeros(ITEMS, np.float32)),
        None,
        candidates(data, parse("full")),
    )
    mean = result.mean()
    assert [mean[name] for name in ("HR@5", "Hit@10", "NDCG@50", "MRR@5", "MAP@20", "AUC")] == pytest.approx([1] * 6)


def test_a_score_that_is_no_number_is_never_a_low_one(data):
    users, items, bias = parameters("real")
    negative = items.copy()
    negative[3] = np.nan
    found = candidates(data, parse("full"))
    clean, spoilt = (ranking.count(Dot(), (users, these, bias), found) for these in (items, negative))
    others = found.positives.items != 3
    assert (spoilt.higher[others] >= clean.higher[others]).all() and spoilt.higher[others].sum() > clean.higher[
        others
    ].sum()
    with pytest.raises(ValueError, match="training has probably diverged"):
        ranking.evaluate(Dot(), (users, items * np.nan, bias), None, found)


@pytest.mark.parametrize("name", ["full", "sampled60-strict"])
def test_tables_spread_over_devices_rank_the_same(data, name):
    mesh = jax.make_mesh((2,), ("table",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("table"))
    params, found = parameters("tied"), candidates(data, parse(name))
    spread = ranking.count(Dot(), tuple(jax.device_put(table, split) for table in params), found)
    np.testing.assert_array_equal(spread.higher, counted_slowly(params, found)[1])
    np.testing.assert_array_equal(spread.tied, counted_slowly(params, found)[2])


def test_every_number_of_users_runs_the_same_program(data):
    found = candidates(data, parse("sampled60-strict"))
    ranking.count(Dot(), parameters("real"), found)
    compiled = ranking._among_drawn._cache_size()
    ranking.count(Dot(), parameters("tied"), candidates(data, parse("sampled60-strict"), users=[1, 2, 3]))
    assert ranking._among_drawn._cache_size() == compiled


@pytest.mark.parametrize("model", [Dot(), NoDot()])
@pytest.mark.parametrize("few", [False, True])
def test_top_k_equals_a_sort(data, model, few):
    params = parameters("tied")
    table = params[0] @ params[1].T + params[2]
    users = np.array([9, 5, 5, 69, 0])
    items, scores = ranking.top_k(model, params, users, 12, ITEMS, few=few)
    wanted = np.argsort(-table[users], axis=1, kind="stable")[:, :12]
    np.testing.assert_array_equal(items, wanted)
    np.testing.assert_array_equal(scores, np.take_along_axis(table[users], wanted, axis=1))
    items, _ = ranking.top_k(model, params, users, 12, ITEMS, exclude=data.train, few=few)
    table[data.train.user, data.train.item] = -np.inf
    np.testing.assert_array_equal(items, np.argsort(-table[users], axis=1, kind="stable")[:, :12])


def test_a_few_users_are_answered_without_compiling_for_other_users_or_another_k(data):
    exclude = rows_of((data.train,), data.num_users, ITEMS)
    few = lambda users, k: ranking.top_k(Dot(), parameters("real"), users, k, ITEMS, exclude, few=True)  # noqa: E731
    few([3], 10)
    compiled, asked = ranking._best._cache_size(), (([3], 100), ([9, 5], 1), (list(range(40)), 7), ([69], 33))
    answers = [few(users, k) for users, k in asked]
    assert ranking._best._cache_size() == compiled
    for (users, k), (items, scores) in zip(asked, answers):
        wanted = ranking.top_k(Dot(), parameters("real"), users, k, ITEMS, data.train)
        np.testing.assert_array_equal(items, wanted[0])
        np.testing.assert_allclose(scores, wanted[1], rtol=1e-5, atol=1e-6)


def test_top_k_fills_up_with_no_item_and_refuses_more_than_the_catalogue(data):
    all_but_two = interactions(np.full(ITEMS - 2, 4), np.arange(2, ITEMS))
    items, scores = ranking.top_k(Dot(), parameters("real"), [4, 1], 3, ITEMS, exclude=all_but_two)
    assert set(items[0, :2]) == {0, 1} and items[0, 2] == -1 and scores[0, 2] == -np.inf
    assert (items[1] >= 0).all()
    for k in (0, ITEMS + 1):
        with pytest.raises(ValueError, match=f"k must be in 1..{ITEMS}, the size of the catalogue"):
            ranking.top_k(Dot(), parameters("real"), [4], k, ITEMS)
    with pytest.raises(ValueError, match="wrap a single user"):
        ranking.top_k(Dot(), parameters("real"), 4, 3, ITEMS)
    assert ranking.top_k(Dot(), parameters("real"), [], 3, ITEMS)[0].shape == (0, 3)


@pytest.mark.parametrize("k", [1, 5])
def test_top_k_of_a_catalogue_that_is_cut_into_chunks(monkeypatch, k):
    """Ties, users with fewer than k items left and with none, and an item whose score is no number."""
    rng, num_items = np.random.default_rng(2), 64 * 4 * 5 + 13
    users, items = (rng.integers(-2, 3, shape).astype(np.float32) for shape in ((USERS, 6), (num_items, 6)))
    bias = rng.integers(-1, 2, num_items).astype(np.float32)
    left = {0: [], 1: [num_items - 1], 2: [3, 700, 701]}
    taken = [(user, item) for user, kept in left.items() for item in range(num_items) if item not in kept]
    seen = interactions(*np.array(taken).T)
    for spoilt in (False, True):
        if spoilt:
            bias[700] = np.nan
        table = users @ items.T + bias
        table[seen.user, seen.item] = -np.inf
        found, scores = ranking.top_k(Dot(), (users, items, bias), np.arange(USERS), k, num_items, seen)
        # What is no number comes first, as `jax.lax.top_k` has it, and is no item.
        order = np.argsort(-np.where(np.isnan(table), np.inf, table), axis=1, kind="stable")[:, :k]
        wanted = np.take_along_axis(table, order, axis=1)
        np.testing.assert_array_equal(scores, wanted)
        np.testing.assert_array_equal(found, np.where(wanted > -np.inf, order, -1))
        assert (found[0] == -1).all() and found[1, 0] == num_items - 1


@pytest.mark.usefixtures("compiled_as_for_users")
@pytest.mark.parametrize("columns", [1, 255, 256, 257, 3 * 256 + 77])
def test_counting_by_lanes_equals_counting_one_by_one(columns):
    rng = np.random.default_rng(columns)
    against = rng.integers(-1, 2, (6, columns)).astype(np.float32)
    against[0], against[1], against[2, ::3], against[3, 1::2] = 0, 1, np.nan, -np.inf
    positive = np.array([0, 0, 0, -np.inf, np.nan, 1], np.float32)[:, None]
    higher, tied = jax.jit(ranking._higher_and_tied_by_lanes)(against, positive)
    for row, (scores, it) in enumerate(zip(against, positive[:, 0])):
        assert higher[row, 0] == sum(not score <= it for score in scores.tolist())
        assert tied[row, 0] == sum(score == it for score in scores.tolist())
