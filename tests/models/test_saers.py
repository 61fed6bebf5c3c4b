"""SAERS equals its equations, and what it is reduced to where a part is taken away."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.visual import saers_attention
from socialjax.models.visual.saers import SAERS
from socialjax.models.visual.saers_attention import attribute_table, relative_entropy, scaled
from socialjax.ops import sample

SMALL = {"dim": 4, "attention_dim": 3, "init_std": 0.3}
CASES = {
    "additive": {},
    "dot": {"attention": "dot"},
    "user": {"attention": "user"},
    "uniform": {"attention": "uniform"},
    "semantic alone": {"space": "semantic", "attention_dim": 0},
    "global alone": {"space": "global"},
    "own maps": {"projection": "own"},
    "classes alone": {"regions": False, "item_bias": False},
    "free items": {"free_items": True, "cold": "learned"},
    "free items, cold by look": {"free_items": True, "objective": "bce", "negatives": 2},
    "dropout": {"dropout": 0.3, "free_items": True},
}


class Twin:
    """The equations of section 8, one pair and one attribute at a time, in double precision."""

    def __init__(self, model: SAERS, data, params: dict):
        self.model, self.of = model, data.attributes
        self.p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
        lengths = [np.linalg.norm(np.float64(self.of.features[cell])) for cell in zip(*np.nonzero(self.of.valid))]
        self.length = np.mean(lengths)
        images = np.float64(data.item_features)
        self.images = images / np.linalg.norm(images, axis=1).mean()
        self.known = [model.cold == "learned" or i in data.train.item for i in range(data.num_items)]

    def valid(self, i: int) -> list[int]:
        return [k for k in range(3) if self.of.valid[i, k]]

    def f(self, i: int, k: int):
        if self.model.regions:
            return self.of.features[i, k] / self.length
        places = [(a, c) for a, names in enumerate(self.of.classes) for c in range(len(names))]
        return np.array([float(place == (k, self.of.label[i, k])) for place in places])

    def h(self, i: int, k: int):
        w = self.p["attribute_projection"]
        return self.f(i, k) @ (w[k] if self.model.projection == "own" else w)

    def energy(self, t, i: int, k: int) -> float:
        of = self.p.get("attention")
        if self.model.attention == "additive":
            return of["out"] @ np.tanh(t @ of["users"] + self.h(i, k) @ of["looks"] + of["bias"])
        return {"dot": lambda: t @ self.h(i, k), "user": lambda: of["attributes"][k] @ t, "uniform": lambda: 0.0}[
            self.model.attention
        ]()

    def shares(self, t, i: int) -> dict[int, float]:
        weight = {k: np.exp(self.energy(t, i, k)) for k in self.valid(i)}
        return {k: value / sum(weight.values()) for k, value in weight.items()}

    def vector(self, name: str, a: int, mask=None):
        names = [n for n in ("users", "attribute_users", "free_users") if n in self.p]
        row = self.p[name][a]
        return row if mask is None else row * np.split(mask, len(names))[names.index(name)]

    def parts(self, a: int, i: int, mask=None) -> dict[str, float]:
        model, p, found = self.model, self.p, {}
        if model.space != "semantic":
            found["global"] = self.vector("users", a, mask) @ (self.images[i] @ p["projection"])
        if model.space != "global":
            t = self.vector("attribute_users", a, mask)
            found["semantic"] = sum(share * (t @ self.h(i, k)) for k, share in self.shares(t, i).items())
        if model.free_items:
            found["taste"] = self.known[i] * (self.vector("free_users", a, mask) @ p["items"][i])
        if model.item_bias:
            found["item_bias"] = self.known[i] * p["item_bias"][i]
        return found

    def score(self, a: int, i: int, mask=None) -> float:
        return float(sum(self.parts(a, i, mask).values()))

    def loss(self, batch, masks) -> list[float]:
        """Loss with penalties, weight, objective and the entropy of attention by that of attributes all alike."""
        model, p = self.model, self.p
        total = objective = entropy = 0.0
        shared = [leaf for name in ("projection", "attribute_projection", "attention") for leaf in
                  jax.tree.leaves(p.get(name, {}))]  # fmt: skip
        for row, (a, i, others, weight) in enumerate(zip(batch.users, batch.items, batch.negatives, batch.weight)):
            mask = None if masks is None else masks[row]
            good, bad = self.score(a, i, mask), np.array([self.score(a, j, mask) for j in others])
            if model.objective == "bpr":
                value = np.log1p(np.exp(bad - good)).mean()
            else:
                value = (np.log1p(np.exp(-good)) + np.log1p(np.exp(bad)).sum()) / (1 + len(bad))
            item = lambda j: sum((p[n][j] ** 2).sum() for n in ("items", "item_bias") if n in p)  # noqa: E731
            users = sum((p[n][a] ** 2).sum() for n in ("users", "attribute_users", "free_users") if n in p)
            penalty = model.l2 * (users + item(i) + np.mean([item(j) for j in others]))
            penalty += model.feature_l2 * sum((leaf**2).sum() for leaf in shared)
            objective, total = objective + weight * value, total + weight * (value + penalty)
            even = 1.0
            if model.space != "global" and len(self.valid(i)) > 1:
                shares = np.array(list(self.shares(self.vector("attribute_users", a, mask), i).values()))
                even = -(shares * np.log(shares)).sum() / np.log(len(shares))
            entropy += weight * even
        return [total, batch.weight.sum(), objective, entropy]


def made(case: str, **more):
    """(model, data, side, params) of a case; parameters without a 0."""
    model = SAERS(**SMALL | CASES[case] | more)
    data = worlds.with_attributes(worlds.small(None, 6))
    side = model.prepare(data)
    return model, data, side, worlds.random_params(model, side)


@functools.partial(jax.jit, static_argnums=0)
def scored(model, params, side, users, items):
    """Scores f32[B, C], in one program."""
    return model.score(model.encode(params, side), users, items)


@functools.partial(jax.jit, static_argnums=0)
def lost(model, params, side, batch):
    return model.loss(params, side, batch, 7)


def every(data):
    return jnp.arange(data.num_users), jnp.broadcast_to(jnp.arange(data.num_items), (data.num_users, data.num_items))


@pytest.mark.parametrize(
    "case, gathered", [*((case, False) for case in CASES), ("additive", True), ("own maps", True), ("dropout", True)]
)
def test_scores_loss_and_entropy_equal_the_equations(case, gathered):
    """Also where a batch has fewer candidates than there are items, and few are asked for at once."""
    model, data, side, params = made(case)
    twin = Twin(model, data, params)
    expected = np.array([[twin.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)])
    users, items = every(data)
    items = items[:, 2:5] if gathered else items
    expected = expected[:, 2:5] if gathered else expected
    np.testing.assert_allclose(scored(model, params, side, users, items), expected, 1e-5, 1e-5)
    batch = worlds.random_batch(data, model.negatives, rows=3 if gathered else 12)
    assert (batch.items.size + batch.negatives.size < data.num_items) == (gathered and model.negatives == 1)
    (total, weight), metrics = lost(model, params, side, batch)
    masks = None
    if model.dropout:
        names = [name for name in ("users", "attribute_users", "free_users") if name in params]
        ones = np.ones((len(batch.rows), len(names) * model.dim), np.float32)
        masks = np.asarray(sample.dropout(7, ones, batch.rows, model.dropout), np.float64)
        assert (masks == 0).any()
    got = [total, weight, metrics["objective"], metrics["attention_entropy"]]
    np.testing.assert_allclose(got, twin.loss(batch, masks), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_explanation_tells_each_part_and_what_each_attribute_adds(case):
    model, data, side, params = made(case)
    twin, state = Twin(model, data, params), worlds.encode(model, params, side)
    users, items = np.array([0, 0, 3, 5, 8]), np.array([0, 2, 3, 6, 4])
    why = model.explain(state, side, users, items)
    for p, (a, i) in enumerate(zip(users, items)):
        expected = twin.parts(a, i)
        assert set(why.parts) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(why.parts[name][p], value, rtol=1e-5, atol=1e-5)
        if model.space == "global":
            assert not why.elements
            continue
        rows = why.elements["attributes"]
        row = slice(rows.offsets[p], rows.offsets[p + 1])
        t = twin.vector("attribute_users", a)
        liked = [t @ twin.h(i, k) for k in twin.valid(i)]
        shares = [twin.shares(t, i)[k] for k in twin.valid(i)]
        assert rows.ids[row].tolist() == twin.valid(i)
        np.testing.assert_allclose(rows.weight[row], shares, rtol=1e-5)
        np.testing.assert_allclose(rows.contribution[row], np.multiply(shares, liked), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(rows.columns["affinity"][row], 1 / (1 + np.exp(-np.array(liked))), rtol=1e-5)
    assert why.score == pytest.approx(
        np.asarray(scored(model, params, side, users, items[:, None]))[:, 0], rel=1e-5, abs=1e-5
    )


@pytest.mark.parametrize("kind", ["additive", "dot", "user", "uniform"])
def test_attention_is_exactly_0_on_what_an_item_does_not_have_whatever_lies_there(kind):
    model, data, side, params = made("additive", attention=kind)
    rubbish = data.attributes.features.copy()
    rubbish[~data.attributes.valid] = 1e6
    there = dataclasses.replace(data, attributes=dataclasses.replace(data.attributes, features=rubbish))
    users, items = every(data)
    attended = saers_attention.attended(model, worlds.encode(model, params, side), users, items)
    share, valid = np.asarray(attended.share), np.broadcast_to(data.attributes.valid, attended.share.shape)
    assert (share[~valid] == 0).all() and (share[valid] > 0).all()
    np.testing.assert_allclose(share.sum(axis=2)[:, valid[0].any(axis=1)], 1, rtol=1e-6)
    score = lambda side: np.asarray(scored(model, params, side, users, items))  # noqa: E731
    np.testing.assert_array_equal(score(model.prepare(there)), score(side))


def test_an_item_without_attributes_has_its_other_terms_and_finite_gradients():
    model, data, side, params = made("semantic alone")
    assert not data.attributes.valid[2].any()
    users, items = every(data)
    scores = scored(model, params, side, users, items)
    np.testing.assert_allclose(scores[:, 2], params["item_bias"][2], rtol=1e-6)
    empty = dataclasses.replace(data.attributes, valid=np.zeros_like(data.attributes.valid))
    side = model.prepare(dataclasses.replace(data, attributes=empty))
    gradient = jax.grad(lambda p: lost(model, p, side, worlds.random_batch(data, 1))[0][0])(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_evenness_is_1_for_attributes_all_alike_and_0_for_one_alone():
    valid = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0]], bool)
    share = np.array([[0.5, 0.5, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]], np.float32)
    np.testing.assert_allclose(relative_entropy(share, valid), [1, 0, 1, 1], atol=1e-6)


def test_without_the_semantic_term_and_with_free_items_alone_it_is_bpr():
    model, data, side, params = made("free items", space="global", l2=0.02, feature_l2=0.0)
    params["projection"][:], params["users"][:] = 0, 0
    bpr = BPR(dim=4, l2=0.02)
    plain = {"users": params["free_users"], "items": params["items"], "item_bias": params["item_bias"]}
    batch = worlds.random_batch(data, 1)
    ours = lost(model, params, side, batch)
    theirs = lost(bpr, plain, bpr.prepare(data), batch)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)


def test_uniform_attention_of_one_attribute_is_a_dot_product_with_its_vector():
    data = worlds.with_attributes(worlds.small())
    one = dataclasses.replace(data.attributes, valid=np.ones((7, 3), bool) & [False, True, False])
    data = dataclasses.replace(data, attributes=one)
    model = SAERS(dim=4, item_bias=False, attention="uniform")
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    f = one.features[:, 1] / np.linalg.norm(one.features[:, 1], axis=1).mean()
    expected = params["attribute_users"] @ (f @ params["attribute_projection"]).T
    np.testing.assert_allclose(scored(model, params, side, *every(data)), expected, rtol=1e-4, atol=1e-5)


def test_cold_items_are_judged_by_their_look_alone_unless_asked_otherwise():
    for cold in ("features", "learned"):
        model, _, side, params = made("free items", cold=cold)
        other = {**params, "items": params["items"] + 3, "item_bias": params["item_bias"] + 3}
        users, items = np.arange(9), np.full((9, 1), worlds.NUM_ITEMS - 1)  # untrained
        one, two = (np.asarray(scored(model, p, side, users, items)) for p in (params, other))
        assert (cold == "features") == bool((one == two).all())


def test_vectors_are_divided_by_one_number_and_classes_stand_each_in_its_place():
    data = worlds.with_attributes(worlds.small())
    of, table = data.attributes, attribute_table(data, regions=True)
    assert np.linalg.norm(table.features, axis=2)[of.valid].mean() == pytest.approx(1, rel=1e-6)
    assert not table.features[~of.valid].any() and table.features.dtype == np.float32
    ratio = table.features[of.valid] / of.features[of.valid]
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)
    classes = attribute_table(data, regions=False).features
    assert classes.shape == (7, 3, 7)
    starts = (0, 2, 5)
    for i in range(7):
        for k in range(3):
            wanted = np.zeros(7)
            if of.valid[i, k]:
                wanted[starts[k] + of.label[i, k]] = 1
            np.testing.assert_array_equal(classes[i, k], wanted)
    assert not scaled(np.zeros((3, 2))).any()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"attention": "self"}, "attention must be one of additive, dot, user, uniform"),
        ({"attention_scale": -1.0}, "attention_scale must be at least 0"),
        ({"attention_dim": -1}, "attention_dim must be at least 0"),
        ({"feature_l2": -1.0}, "feature_l2 must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        SAERS(**wrong)


def test_a_global_term_alone_needs_pictures():
    with pytest.raises(ValueError, match=r"space global needs item_features, which data set 'small'.*semantic"):
        SAERS(space="global").prepare(worlds.with_attributes(worlds.small()))
