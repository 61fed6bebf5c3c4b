"""ContextMF-style against its equation, and what is left of it without one of its two parts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import twins
import worlds

from socialjax.data.schema import interactions
from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.reference import Friends
from socialjax.models.social.context_mf import TABLE_UP_TO, ContextMF

CASES = {
    "as it comes": ContextMF(),
    "uniform, directed": ContextMF(influence="uniform", symmetric=False),
    "sharp, softmax, no bias": ContextMF(influence="cosine", sharpness=20.0, objective="softmax", item_bias=False),
}
every_score = jax.jit(
    lambda model, state, users, items: model.score(state, jnp.arange(users), jnp.tile(jnp.arange(items), (users, 1))),
    static_argnums=(0, 2, 3),
)


def influence(model, taken, a, friends, without=None):
    """pi f64[len(friends)] on user a, as if a had not taken the item `without`."""
    mine = set(taken[a]) - {without}
    alike = [len(mine & set(taken[b])) / np.sqrt(max(len(mine) * len(taken[b]), 1)) for b in friends]
    pi = np.exp(model.sharpness * np.array(alike)) if model.influence == "cosine" else np.ones(len(friends))
    return pi / pi.sum()


class ContextTwin(twins.Twin):
    def __init__(self, model, data, params):
        params = twins.wide(params)
        tables = params["tables"]
        super().__init__(
            model, data, tables["users"], tables["items"], tables.get("item_bias", np.zeros(data.num_items))
        )
        self.friends, self.c = twins.friends_of(data, model.symmetric), float(params["influence"])

    def left_out(self, target):
        return target

    def score(self, a, i, without=None, mask=1.0):
        pi = influence(self.model, self.taken, a, self.friends[a], without if without == i else None)
        took = sum(share for b, share in zip(self.friends[a], pi) if i in self.taken[b])
        return super().score(a, i, without, mask) + self.c * took


def prepared(model, data, **replaced):
    side = model.prepare(data)
    params = worlds.random_params(model, side) | replaced
    return side, params, model.encode(params, side)


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name):
    model, data = dataclasses.replace(CASES[name], dim=4, negatives=3, l2=0.2), worlds.small()
    batch = worlds.random_batch(data, 3)
    target = batch.negatives == batch.items[:, None]  # no negative, elsewhere
    batch = batch.replace(negatives=np.where(target, (batch.negatives + 1) % data.num_items, batch.negatives))
    side, params, state = prepared(model, data, influence=np.float32(1.7))
    twin = ContextTwin(model, data, params)
    expected = [[twin.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)]
    np.testing.assert_allclose(every_score(model, state, 9, 7), expected, rtol=1e-5, atol=1e-5)
    (total, weight), metrics = jax.jit(model.loss)(params, side, batch, 7)
    norms = twins.squared(twin.own), twins.squared(twin.items) + twin.bias**2
    np.testing.assert_allclose([total, weight, metrics["objective"]], twin.loss(batch, *norms), rtol=1e-5)


def large_world():
    """A catalogue so large that a few candidates are searched for and many are picked from whole rows."""
    rng = np.random.default_rng(0)
    train = np.stack([rng.integers(30, size=2000), rng.integers(3 * TABLE_UP_TO, size=2000)], axis=1)
    links = [(a, b) for a in range(29) for b in rng.choice(29, 4, replace=False) if a != b]
    return worlds.dataset(30, 3 * TABLE_UP_TO, train, links)


def test_few_candidates_and_whole_rows_get_the_same_scores():
    data, model = large_world(), ContextMF(dim=4)
    _, _, state = prepared(model, data, influence=np.float32(2.0))
    users = np.random.default_rng(1).permutation(30)[:12]
    items = np.random.default_rng(2).integers(data.num_items, size=(12, 10))
    few = np.concatenate([model.score(state, users, items[:, :2]), model.score(state, users, items[:, 2:4])], axis=1)
    np.testing.assert_allclose(few, model.score(state, users, items)[:, :4], rtol=1e-5, atol=1e-5)
    whole = every_score(model, state, 30, data.num_items)
    np.testing.assert_allclose(few, np.take_along_axis(whole[users], items[:, :4], axis=1), rtol=1e-5, atol=1e-5)


def test_without_influence_it_is_matrix_factorisation():
    data, batch = worlds.small(), worlds.random_batch(worlds.small())
    model, bpr = ContextMF(dim=4, negatives=3), BPR(dim=4, negatives=3)
    side, params, state = prepared(model, data, influence=np.float32(0))
    plain = bpr.prepare(data)
    theirs = bpr.encode(params["tables"], plain)
    np.testing.assert_allclose(every_score(model, state, 9, 7), every_score(bpr, theirs, 9, 7), atol=1e-6)
    loss = lambda of, side: jax.jit(jax.value_and_grad(lambda p: of.loss(p, side, batch, 7)[0][0]))  # noqa: E731
    (ours, mine), (wanted, others) = loss(model, side)(params), loss(bpr, plain)(params["tables"])
    np.testing.assert_allclose(ours, wanted, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), mine["tables"], others)


def test_without_preference_uniform_influence_ranks_like_the_count_of_friends():
    """Up to the number of friends of each user, which changes no ranking."""
    data, model, friends = large_world(), ContextMF(dim=4, influence="uniform"), Friends(popularity=0.0)
    side, params, _ = prepared(model, data, influence=np.float32(1))
    silent = {**params, "tables": jax.tree.map(np.zeros_like, params["tables"])}
    ours = every_score(model, model.encode(silent, side), 30, data.num_items)
    counts = every_score(friends, friends.encode({}, friends.prepare(data)), 30, data.num_items)
    number = np.array([max(len(others), 1) for others in twins.friends_of(data, True)])
    np.testing.assert_allclose(ours * number[:, None], counts, atol=1e-5)
    assert counts.max() > 1


def dense(rows):
    table = np.zeros((len(rows.offsets) - 1, rows.num_columns))
    for row, (start, stop) in enumerate(zip(rows.offsets, rows.offsets[1:])):
        table[row, rows.columns[start:stop]] = rows.values[start:stop]
    return table


def test_friends_are_heard_in_training_pairs_alone():
    data = worlds.small()
    held = interactions([1, 3, 5], [6, 6, 6])
    other = dataclasses.replace(data, validation=held, test=held)
    ours, theirs = (ContextMF().prepare(part) for part in (data, other))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert not dense(ours.taken_by_friends)[:, 6].any()


def test_a_users_own_pairs_never_count_for_them():
    """Under uniform influence; nor does a link to oneself."""
    data, model = worlds.small(), ContextMF(influence="uniform", symmetric=False)
    before = dense(model.prepare(data).taken_by_friends)
    for user in range(data.num_users):
        without = dataclasses.replace(data, train=data.train.take(data.train.user != user))
        np.testing.assert_array_equal(dense(model.prepare(without).taken_by_friends)[user], before[user])
    narcissist = worlds.dataset(worlds.NUM_USERS, worlds.NUM_ITEMS, worlds.TRAIN, [*worlds.LINKS, (6, 6), (0, 0)])
    np.testing.assert_array_equal(dense(model.prepare(narcissist).taken_by_friends), before)


@pytest.mark.parametrize("name", CASES)
def test_the_influence_on_a_user_sums_to_one(name):
    model, data = CASES[name], worlds.small()
    heard, taken = dense(model.prepare(data).friends), twins.taken_by(data)
    for a, friends in enumerate(twins.friends_of(data, model.symmetric)):
        np.testing.assert_allclose(heard[a, friends], influence(model, taken, a, friends), atol=1e-6)
        np.testing.assert_allclose(heard[a].sum(), bool(friends), atol=1e-6)


def test_links_that_nobody_has_leave_matrix_factorisation():
    data, model = worlds.dataset(3, 4, [(0, 1), (1, 2)], []), ContextMF(dim=4)
    _, params, state = prepared(model, data)
    tables = params["tables"]
    expected = tables["users"] @ tables["items"].T + tables["item_bias"]
    np.testing.assert_allclose(every_score(model, state, 3, 4), expected, rtol=1e-5, atol=1e-6)


def test_the_explanation_names_the_friends_who_took_the_item_and_adds_up():
    data, model = worlds.small(), ContextMF(dim=4)
    side, _, state = prepared(model, data, influence=np.float32(1.5))
    pairs = [(a, i) for a in range(data.num_users) for i in (0, 3, 6)]
    users, items = np.array(pairs).T
    why = model.explain(state, side, users, items)
    scores = every_score(model, state, 9, 7)[users, items]
    np.testing.assert_allclose(why.score, scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sum(why.parts.values()), scores, rtol=1e-5, atol=1e-6)
    found, taken, known = why.elements["friends"], twins.taken_by(data), twins.friends_of(data, model.symmetric)
    for row, (a, i) in enumerate(pairs):
        mine = slice(found.offsets[row], found.offsets[row + 1])
        shares = {b: share for b, share in zip(known[a], influence(model, taken, a, known[a])) if i in taken[b]}
        np.testing.assert_array_equal(found.ids[mine], list(shares))
        np.testing.assert_allclose(found.weight[mine], list(shares.values()), rtol=1e-5)
        np.testing.assert_allclose(found.contribution[mine], 1.5 * np.array(list(shares.values())), rtol=1e-5)
    assert len(found.ids) > 5


def test_it_has_no_vectors_and_refuses_what_it_does_not_know():
    model = ContextMF(dim=4)
    assert model.vectors(prepared(model, worlds.small())[2]) is None
    with pytest.raises(ValueError, match="influence must be one of uniform, cosine, got 'learned'"):
        ContextMF(influence="learned")
    with pytest.raises(ValueError, match=r"sharpness must be in 0\.\.100, got -1"):
        ContextMF(sharpness=-1.0)
