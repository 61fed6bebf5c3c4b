"""TrustSVD against its equations, and what is left of it without trust."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.svdpp import SVDpp
from socialjax.models.social.trust_svd import TrustSVD, sample_links
from socialjax.train.step import on_device

CASES = {
    "as it comes": TrustSVD(),
    "plain l2, target kept": TrustSVD(weighted_l2=False, exclude_target=False, trust_weight=2.0),
    "symmetric, softmax, no bias": TrustSVD(symmetric=True, objective="softmax", item_bias=False),
}


class TrustTwin(twins.Twin):
    """SVD++ with |S_a|^-1/2 * sum of w_b over S_a in the own vector."""

    def __init__(self, model, data, params):
        self.params = twins.wide(params)
        tables, self.trustees = self.params["tables"], self.params["trustees"]
        self.friends = twins.friends_of(data, model.symmetric)
        own = tables["users"].copy()
        for a, others in enumerate(self.friends):
            for b in others:
                own[a] += self.trustees[b] / np.sqrt(len(others))
        bias = tables.get("item_bias", np.zeros(data.num_items))
        super().__init__(model, data, own, tables["items"], bias, self.params["implicit"], 0.5)
        self.item_norms = twins.squared(self.items) + bias**2 + twins.squared(self.history)

    def norms(self):
        """Of users and items, each as rarely used as it is in the weighted form."""
        users, items = twins.squared(self.params["tables"]["users"]), self.item_norms
        if not self.model.weighted_l2:
            return users, items
        takers = [sum(i in taken for taken in self.taken) for i in range(len(items))]
        weight = lambda counts: np.array([1 / np.sqrt(n) if n else 1.0 for n in counts])  # noqa: E731
        return users * weight([len(taken) for taken in self.taken]), items * weight(takers)

    def trust(self, a, b, c):
        """What a row adds whose link is of a to b, with stranger c."""
        of, p = self.model, self.params["tables"]["users"][a]
        rebuilt = (self.trustees[b] @ p - 1) ** 2 + (self.trustees[c] @ p) ** 2
        l2 = 0.0
        for user in (b, c):
            followers = sum(user in others for others in self.friends)
            weight = 1 / np.sqrt(followers) if of.weighted_l2 and followers else 1.0
            l2 += weight * self.trustees[user] @ self.trustees[user]
        if of.weighted_l2:
            rebuilt += p @ p / np.sqrt(len(self.friends[a]))
        return 0.5 * of.trust_weight * rebuilt + of.l2 * l2


def results(model, data, params, batch, key=7):
    """(scores, loss), and the gradient of the loss."""
    side = model.prepare(data)
    gradient = jax.jit(jax.grad(lambda p, side: model.loss(p, side, batch, key)[0][0]))(params, side)
    return worlds.scores_and_loss(model, params, side, batch, key), gradient


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name):
    model, data = dataclasses.replace(CASES[name], dim=4, negatives=3, l2=0.2), worlds.small()
    side, batch = on_device(model.prepare(data)), worlds.random_batch(data, 3)
    params = worlds.random_params(model, side)
    scores, ((total, weight), metrics) = worlds.scores_and_loss(model, params, side, batch, 7)
    twin = TrustTwin(model, data, params)
    expected = [[twin.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    slow, slow_weight, objective = twin.loss(batch, *twin.norms())
    for a, b, c, row_weight in zip(*(np.asarray(ids) for ids in sample_links(side, batch, 7)), batch.weight):
        slow += row_weight * twin.trust(a, b, c)
    np.testing.assert_allclose([total, weight, metrics["objective"]], [slow, slow_weight, objective], rtol=1e-5)


def assert_is_svdpp(model, data, trustees):
    """Scores, loss and all gradients that SVD++ has."""
    batch, svdpp = worlds.random_batch(data), SVDpp(dim=4, negatives=3, l2=0.2)
    params = worlds.random_params(model, model.prepare(data))
    params["trustees"] = params["trustees"] * np.float32(trustees)
    known = {name: params[name] for name in ("tables", "implicit")}
    (ours, mine), (theirs, wanted) = results(model, data, params, batch), results(svdpp, data, known, batch)
    np.testing.assert_array_equal(ours[0], theirs[0])
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)  # noqa: E731
    jax.tree.map(close, ours[1], theirs[1])
    jax.tree.map(close, {name: mine[name] for name in known}, wanted)


def test_without_trustee_vectors_and_weight_it_is_svdpp():
    assert_is_svdpp(TrustSVD(dim=4, negatives=3, l2=0.2, trust_weight=0.0, weighted_l2=False), worlds.small(), 0)


def test_where_nobody_trusts_anybody_it_is_svdpp():
    data = worlds.dataset(worlds.NUM_USERS, worlds.NUM_ITEMS, worlds.TRAIN, [])
    assert_is_svdpp(TrustSVD(dim=4, negatives=3, l2=0.2, trust_weight=5.0, weighted_l2=False), data, 1)


@pytest.mark.parametrize("trusted", [True, False])
def test_one_link_pulls_a_user_by_the_error_of_its_reconstruction(trusted):
    """0 follows 1, the only stranger is 2; with w_2 or w_1 = 0 the gradient of the other's term alone is left,

    d / d p_0 = lambda_t (<w, p_0> - t) w.
    """
    data, model = worlds.dataset(3, 2, [(0, 0)], [(0, 1)]), TrustSVD(dim=2, trust_weight=0.7, weighted_l2=False, l2=0.0)
    side, batch = on_device(model.prepare(data)), worlds.random_batch(worlds.dataset(3, 2, [(0, 0)]), 1, rows=4)
    params = worlds.random_params(model, side)
    w, target = (params["trustees"][1], 1) if trusted else (params["trustees"][2], 0)
    params["trustees"][2 if trusted else 1] = 0

    def first_row(users):
        changed = {**params, "tables": {**params["tables"], "users": users}}
        return model.penalty(changed, side, None, batch, 7)[0]

    gradient = jax.grad(first_row)(jnp.asarray(params["tables"]["users"]))
    np.testing.assert_allclose(gradient[0], 0.7 * (w @ params["tables"]["users"][0] - target) * w, rtol=1e-5)
    assert not np.asarray(gradient[1:]).any()


def test_rows_draw_all_links_alike_and_all_strangers_of_those_who_trust():
    data = worlds.small()
    side = on_device(TrustSVD().prepare(data))
    batch = worlds.random_batch(data, 1, rows=30_000)
    users, friends, strangers = (np.asarray(ids) for ids in sample_links(side, batch, 3))
    known = twins.friends_of(data, symmetric=False)
    links = [(a, b) for a, others in enumerate(known) for b in others]
    found, count = np.unique(np.stack([users, friends], axis=1), axis=0, return_counts=True)
    np.testing.assert_array_equal(found, links)
    np.testing.assert_allclose(count / len(users), 1 / len(links), rtol=0.15)
    for a, others in enumerate(known):
        if others:
            found, count = np.unique(strangers[users == a], return_counts=True)
            np.testing.assert_array_equal(found, sorted(set(range(data.num_users)) - {a, *others}))
            np.testing.assert_allclose(count / count.sum(), 1 / len(found), rtol=0.15)
    assert (sample_links(side, batch, 4)[1] != friends).any()


def test_a_user_linked_to_all_others_has_no_stranger_to_push_away():
    data, model = worlds.dataset(2, 2, [(0, 0)], [(0, 1)]), TrustSVD(dim=2, l2=0.0, weighted_l2=False, trust_weight=2.0)
    side, batch = on_device(model.prepare(data)), worlds.random_batch(worlds.dataset(2, 2, [(0, 0)]), 1, rows=4)
    params = worlds.random_params(model, side)
    error = params["trustees"][1] @ params["tables"]["users"][0] - 1
    np.testing.assert_allclose(model.penalty(params, side, None, batch, 7), np.full(4, error**2), rtol=1e-5)


def test_only_whom_one_follows_is_trusted_and_users_who_follow_nobody_have_a_sum_of_0():
    data, model = worlds.small(), TrustSVD(dim=4)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    state = model.encode(params, side)
    w = params["trustees"]
    np.testing.assert_allclose(state.trusted[0], (w[1] + w[3] + w[7]) / np.sqrt(3), rtol=1e-5)  # 7 follows 0 as well
    np.testing.assert_array_equal(state.trusted[7], w[0])
    assert not np.asarray(state.trusted)[[3, 5, 6, 8]].any()


def test_the_explanation_names_items_and_trustees_and_adds_up():
    data, model = worlds.small(), TrustSVD(dim=4)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    state = model.encode(params, side)
    users, items = np.array([0, 2, 5, 8]), np.array([1, 6, 3, 0])
    why = model.explain(state, side, users, items)
    scores = model.score(state, users, items[:, None])[:, 0]
    np.testing.assert_allclose(why.score, scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sum(why.parts.values()), scores, rtol=1e-5, atol=1e-6)
    own = (params["tables"]["users"][users] * params["tables"]["items"][items]).sum(axis=1)
    np.testing.assert_allclose(why.parts["own_vector"], own, rtol=1e-4, atol=1e-6)
    for name, table, ids in (
        ("history", params["implicit"], twins.taken_by(data)),
        ("trustees", params["trustees"], twins.friends_of(data, symmetric=False)),
    ):
        found = why.elements[name]
        for row, (user, item) in enumerate(zip(users, items)):
            mine = slice(found.offsets[row], found.offsets[row + 1])
            np.testing.assert_array_equal(found.ids[mine], ids[user])
            towards = params["tables"]["items"][item]
            expected = [table[other] @ towards / np.sqrt(len(ids[user])) for other in ids[user]]
            np.testing.assert_allclose(found.contribution[mine], expected, rtol=1e-4, atol=1e-6)


def test_a_new_user_like_an_old_one_without_a_vector_of_their_own_gets_the_same_vector():
    worlds.assert_new_users_equal_old_ones(TrustSVD(dim=4), worlds.small(), users=[0, 2, 5, 6, 8])


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match=r"trust_weight must be at least 0, got -1"):
        TrustSVD(trust_weight=-1.0)
