"""ACF against its equations, its history without one item, and what is left of it without attention."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.svdpp import SVDpp
from socialjax.models.visual.acf import ACF, capped, with_components
from socialjax.train.step import on_device

CASES = {
    "as it comes": ACF(),
    "softmax, target kept": ACF(objective="softmax", exclude_target=False, temperature=0.6),
    "bce, no bias, narrow": ACF(objective="bce", item_bias=False, attention_dim=3),
}
# Components of the small data's seven items: several, one, none.
OFFSETS = np.array([0, 2, 3, 3, 6, 7, 9, 10])


def divided(features):
    lengths = np.sqrt((np.asarray(features, np.float64) ** 2).sum(axis=1))
    return np.asarray(features, np.float64) / lengths[lengths > 0].mean()


def softmax(logits):
    raised = np.exp(np.array(logits) - max(logits))
    return raised / raised.sum()


def relu(x):
    return np.maximum(x, 0)


class ACFTwin(twins.Twin):
    """components: for each item the rows x_lm, or None without features."""

    def __init__(self, model, data, params, components):
        self.params, self.components = twins.wide(params), components
        tables = self.params["tables"]
        bias = tables.get("item_bias", np.zeros(data.num_items))
        super().__init__(model, data, tables["users"], tables["items"], bias)

    def logit(self, a, item):
        of, u = self.params["attention"], self.own[a]
        hidden = u @ of["item_user"]["kernel"] + of["item_user"]["bias"]
        hidden = hidden + self.items[item] @ of["item_vector"]["kernel"]
        hidden = hidden + self.params["auxiliary"][item] @ of["item_auxiliary"]["kernel"]
        if self.components is not None and len(self.components[item]):
            hidden = hidden + self.look(u, self.components[item]) @ of["item_look"]["kernel"]
        return relu(hidden) @ of["item_head"][:, 0]

    def look(self, u, components):
        """xbar."""
        of = self.params["attention"]
        if len(components) == 1:
            return components[0]
        logits = []
        for x in components:
            hidden = u @ of["component_user"]["kernel"] + of["component_user"]["bias"]
            logits.append(relu(hidden + x @ of["component_look"]["kernel"]) @ of["component_head"]["kernel"][:, 0])
        return sum(beta * x for beta, x in zip(softmax(logits), components))

    def attention(self, a, without=None):
        """item -> alpha."""
        kept = [item for item in self.taken[a] if item != without]
        return dict(zip(kept, softmax([self.logit(a, item) for item in kept]))) if kept else {}

    def user(self, a, without=None):
        shares = self.attention(a, without)
        return self.own[a] + sum(alpha * self.params["auxiliary"][item] for item, alpha in shares.items())

    def norms(self):
        tables = self.params["tables"]
        items = twins.squared(self.items) + self.bias**2 + twins.squared(self.params["auxiliary"])
        return twins.squared(tables["users"]), items


def prepared(model, data, kind):
    """-> (side, components of the twin)."""
    side = model.prepare(data)
    if kind == "components":
        rows = (np.random.default_rng(4).normal(size=(OFFSETS[-1], 5)) * 3).astype(np.float32)
        scaled = divided(rows)
        return with_components(side, OFFSETS, rows), [scaled[s:e] for s, e in itertools.pairwise(OFFSETS)]
    if data.item_features is None:
        return side, None
    return side, [row[None, :] for row in divided(data.item_features)]


def assert_equals_equations(model, data, kind, params=None):
    side, components = prepared(model, data, kind)
    side, batch = on_device(side), worlds.random_batch(data, 3)
    params = worlds.random_params(model, side) if params is None else params
    scores, ((total, weight), metrics) = worlds.scores_and_loss(model, params, side, batch, 7)
    twin = ACFTwin(model, data, params, components)
    expected = [[twin.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    slow = twin.loss(batch, *twin.norms())
    np.testing.assert_allclose([total, weight, metrics["objective"]], slow, rtol=1e-5)
    return params


@pytest.mark.parametrize("kind", ["none", "image", "components"])
@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name, kind):
    model = dataclasses.replace(CASES[name], dim=4, negatives=3, l2=0.2)
    params = assert_equals_equations(model, worlds.small(None, None if kind == "none" else 5), kind)
    assert ("item_look" in params["attention"]) == (kind != "none")
    assert ("component_user" in params["attention"]) == (kind == "components")


def test_an_item_that_has_all_the_attention_is_left_out_exactly():
    """Where 1 - alpha is 0 in float32 nothing is divided by it."""
    data, model = worlds.small(), ACF(dim=4, negatives=3, l2=0.0)
    side = on_device(model.prepare(data))
    params = worlds.random_params(model, side)
    params["tables"]["items"][[0, 1, 3]] *= 60  # so long that one item of a history takes all
    params["tables"]["items"] = np.abs(params["tables"]["items"])
    params["attention"]["item_vector"]["kernel"][:] = np.abs(params["attention"]["item_vector"]["kernel"])
    params["attention"]["item_head"][:] = np.abs(params["attention"]["item_head"])
    state = jax.jit(model.encode)(params, side)
    assert (np.asarray(state.share) > 1 - 1e-7).sum() > 4  # beside the histories of one item, which there are two of
    batch = worlds.random_batch(data, 3)
    got = jax.jit(model.training_users)(params, side, state, batch)
    twin = ACFTwin(model, data, params, None)
    np.testing.assert_allclose(got, [twin.user(a, i) for a, i in zip(batch.users, batch.items)], rtol=1e-5, atol=1e-5)
    gradient = jax.jit(jax.grad(lambda params: model.loss(params, side, batch, 7)[0][0]))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_items_of_equal_attention_are_left_out_exactly_too():
    data, model = worlds.small(), ACF(dim=4)
    side = on_device(model.prepare(data))
    params = worlds.random_params(model, side)
    params["attention"]["item_head"][:] = 0
    state = model.encode(params, side)
    batch, twin = worlds.random_batch(data, 3), ACFTwin(model, data, params, None)
    expected = [twin.user(a, i) for a, i in zip(batch.users, batch.items)]
    np.testing.assert_allclose(model.training_users(params, side, state, batch), expected, rtol=1e-5, atol=1e-6)


def test_with_even_attention_it_is_svdpp_with_the_mean():
    data, model = worlds.small(), ACF(dim=4, negatives=3, l2=0.2)
    side, batch = model.prepare(data), worlds.random_batch(data)
    params = worlds.random_params(model, side)
    params["attention"]["item_head"][:] = 0
    svdpp = SVDpp(dim=4, negatives=3, l2=0.2, exponent=1.0)
    theirs = {"tables": params["tables"], "implicit": params["auxiliary"]}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        worlds.scores_and_loss(model, params, side, batch),
        worlds.scores_and_loss(svdpp, theirs, svdpp.prepare(data), batch),
    )


def test_without_histories_it_is_bpr_without_bias():
    data = worlds.dataset(worlds.NUM_USERS, worlds.NUM_ITEMS, [])
    model, bpr = ACF(dim=4, negatives=3, l2=0.0, item_bias=False), BPR(dim=4, negatives=3, l2=0.0, item_bias=False)
    side, batch = model.prepare(data), worlds.random_batch(worlds.small())
    params = worlds.random_params(model, side)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
        worlds.scores_and_loss(model, params, side, batch),
        worlds.scores_and_loss(bpr, params["tables"], bpr.prepare(data), batch),
    )


def test_attention_sums_to_1_over_each_history_and_is_1_for_a_single_item():
    data, model = worlds.small(None, 5), ACF(dim=4)
    side = model.prepare(data)
    share = np.asarray(model.encode(worlds.random_params(model, side), side).share)
    count = np.bincount(side.past.receivers, minlength=data.num_users)
    total = np.bincount(side.past.receivers, share, data.num_users)
    np.testing.assert_allclose(total, count > 0, rtol=1e-6)
    assert share[side.past.receivers == 2] == 1 and len(set(share[side.past.receivers == 0].tolist())) == 3


def test_the_order_of_components_changes_nothing_and_one_component_is_the_image():
    data, model = worlds.small(None, 5), ACF(dim=4)
    rows = np.random.default_rng(4).normal(size=(OFFSETS[-1], 5)).astype(np.float32)
    turned = np.concatenate([rows[s:e][::-1] for s, e in itertools.pairwise(OFFSETS)])
    sides = [with_components(model.prepare(data), OFFSETS, each) for each in (rows, turned)]
    params = worlds.random_params(model, sides[0])
    one, two = (model.encode(params, side).share for side in sides)
    np.testing.assert_allclose(one, two, rtol=1e-5)
    alone = with_components(model.prepare(data), np.arange(data.num_items + 1), data.item_features)
    shares = [model.encode(params, side).share for side in (alone, model.prepare(data))]
    np.testing.assert_allclose(*shares, rtol=1e-5)


@pytest.mark.parametrize(
    "offsets", [[0, 3], [1, 1, 1, 1, 1, 1, 1, 3], [0, 2, 1, 3, 3, 3, 3, 3], [0, 1, 1, 1, 1, 1, 1, 2]]
)
def test_components_that_do_not_fit_the_items_are_refused(offsets):
    with pytest.raises(ValueError, match="offsets must be 8 numbers that rise from 0 to 3"):
        with_components(ACF().prepare(worlds.small()), offsets, np.ones((3, 2), np.float32))


def test_a_long_history_is_cut_to_the_same_items_whatever_the_order_and_others_stay_whole():
    users, items = np.repeat([0, 1, 2], [20, 3, 4]), np.concatenate([np.arange(20), [1, 5, 7], [0, 2, 4, 6]])
    mine, kept = capped(users, items, 4)
    assert np.bincount(mine).tolist() == [4, 3, 4]
    np.testing.assert_array_equal(kept[4:], items[20:])
    order = np.random.default_rng(0).permutation(len(users))
    again = capped(users[order], items[order], 4)
    assert set(zip(*again)) == set(zip(mine, kept))
    smaller = capped(users, items, 2)
    assert set(zip(*smaller)) < set(zip(mine, kept))
    many = np.repeat(np.arange(2000), 10), np.tile(np.arange(10), 2000)
    np.testing.assert_allclose(np.bincount(capped(*many, 3)[1]) / 2000, 0.3, atol=0.04)  # all items alike


def test_a_target_that_the_cap_left_out_is_not_left_out_again():
    data, model = worlds.small(), ACF(dim=4, negatives=3, history_cap=2, l2=0.1)
    whole, side = ACF(history_cap=0).prepare(data), on_device(model.prepare(data))
    assert (len(whole.past.senders), len(side.past.senders)) == (14, 11)  # users 0 and 3 took three and four
    kept = worlds.dataset(data.num_users, data.num_items, np.stack([side.past.receivers, side.past.senders], axis=1))
    params = worlds.random_params(model, side)
    batch, twin = worlds.random_batch(data, 3, rows=40), ACFTwin(model, kept, params, None)
    state = model.encode(params, side)
    got = model.training_users(params, side, state, batch)
    np.testing.assert_allclose(got, [twin.user(a, i) for a, i in zip(batch.users, batch.items)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["none", "image", "components"])
def test_the_explanation_names_the_history_with_its_attention_and_adds_up(kind):
    data, model = worlds.small(None, None if kind == "none" else 5), ACF(dim=4)
    side, components = prepared(model, data, kind)
    params = worlds.random_params(model, side)
    state, twin = model.encode(params, side), ACFTwin(model, data, params, components)
    users, items = np.array([0, 2, 5, 3]), np.array([1, 6, 3, 0])
    why = model.explain(state, side, users, items)
    np.testing.assert_allclose(sum(why.parts.values()), [twin.score(*pair) for pair in zip(users, items)], 1e-5, 1e-6)
    np.testing.assert_allclose(why.parts["own_vector"], (twin.own[users] * twin.items[items]).sum(axis=1), rtol=1e-4)
    found = why.elements["history"]
    for row, (user, item) in enumerate(zip(users, items)):
        mine, expected = slice(found.offsets[row], found.offsets[row + 1]), twin.attention(user)
        assert found.ids[mine].tolist() == list(expected)
        np.testing.assert_allclose(found.weight[mine], list(expected.values()), rtol=1e-4)
        shares = [alpha * twin.params["auxiliary"][j] @ twin.items[item] for j, alpha in expected.items()]
        np.testing.assert_allclose(found.contribution[mine], shares, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["none", "image", "components"])
@pytest.mark.parametrize("user", [0, 2, 5])
def test_a_new_user_like_an_old_one_without_a_vector_of_their_own_gets_the_same_vector(user, kind):
    data, model = worlds.small(None, None if kind == "none" else 5), ACF(dim=4)
    side, _ = prepared(model, data, kind)
    params = worlds.random_params(model, side)
    params["tables"]["users"][user] = 0
    state = model.encode(params, side)
    items = np.array(twins.taken_by(data)[user][::-1], np.int32)
    got = model.new_user(state, side, items, np.zeros(0, np.int32))
    np.testing.assert_allclose(got, state.users[user], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wrong", [{"attention_dim": 0}, {"history_cap": -1}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ACF(**wrong)
