"""HASC against its equations (section 3 and 4 of the paper's figure), and what each switch and each absence means."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import twins
import worlds

from socialjax.data.schema import Links
from socialjax.graph import edges, pad
from socialjax.models.cf.bpr import BPR
from socialjax.models.social import hasc_layers
from socialjax.models.social.hasc import HASC, TABLE_UP_TO
from socialjax.ops.propagate import diffusion, edge_logits
from socialjax.run.saved import taken_over

U, S, C = range(3)
CASES = {
    "as it comes": HASC(),
    "elu, heads of their own": HASC(activation="elu", per_aspect_head=True, objective="softmax"),
    "aspects at length 1, content": HASC(normalise_aspects=True, content_map=True),
    "means": HASC(bottom="avg", top="avg", owner_history=True),
    "maxima, no bias": HASC(bottom="max", top="max", item_bias=False),
    "maxima of attention": HASC(top="max", normalise_aspects=True, owner_history=True, objective="bce"),
    "ids only": HASC(visual_inputs=False, social_inputs=False),
    "no owner": HASC(aspects="US", owner_history=True),
    "friends": HASC(aspects="S"),
    "owners": HASC(aspects="C"),
    "uploads and owners": HASC(aspects="UC"),
    "none, with content": HASC(aspects="none", content_map=True),
}
every_score = jax.jit(
    lambda model, state, users, items: model.score(state, jnp.arange(users), jnp.tile(jnp.arange(items), (users, 1))),
    static_argnums=(0, 2, 3),
)


def world(social=5, **replaced):
    """The small data set with features, of users in another width than of items, and places of users."""
    rng = np.random.default_rng(3)
    places = None if social is None else rng.normal(size=(worlds.NUM_USERS, social)).astype(np.float32)
    return dataclasses.replace(worlds.small(4, 4), social_features=places, **replaced)


@functools.cache
def prepared(model, data_name="features"):
    other = {
        "features": {},
        "widths": {"user_features": worlds.small(3).user_features},
        "images": {"user_features": None},
    }
    data = dataclasses.replace(world(), **other[data_name])
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    return data, side, params, jax.jit(model.encode)(params, side)


def unit(vector):
    return vector / max(np.linalg.norm(vector), 1e-6)


def softmax(logits):
    raised = np.exp(np.array(logits) - max(logits))
    return raised / raised.sum()


def network(params, inputs, activation, head=0):
    """h . phi(A [inputs] + a)."""
    hidden = np.concatenate(inputs) @ params["kernel"] + params["bias"]
    hidden = np.maximum(hidden, 0) if activation == "relu" else np.where(hidden > 0, hidden, np.exp(hidden) - 1)
    return hidden @ params["head"][:, head]


class HASCTwin(twins.Twin):
    """The model as sections 3 and 4 write it: one user, one upload and one followee at a time."""

    def __init__(self, model, data, params):
        self.params = params = twins.wide(params)
        tables = params["tables"]
        self.f = self.g = self.e = None
        if data.item_features is not None:
            self.f = np.array([unit(row) for row in data.item_features.astype(np.float64)])
        content = self.f @ params["content"] if model.content_map else 0.0
        bias = tables.get("item_bias", np.zeros(data.num_items))
        super().__init__(model, data, tables["users"], tables["items"] + content, bias)
        self.q = params.get("followees")
        self.x = params["uploads"] + content if "uploads" in params else None
        self.owner = data.owners
        self.uploads_of = [[j for j in range(data.num_items) if data.owners[j] == a] for a in range(data.num_users)]
        self.follows = [[b for b in others if b != a] for a, others in enumerate(twins.friends_of(data, False))]
        if model.visual_inputs and data.user_features is not None:
            self.g = np.array([unit(row) for row in data.user_features.astype(np.float64)])
        elif model.visual_inputs and data.item_features is not None:
            self.g = np.array([sum(self.f[i] for i in mine) / max(len(mine), 1) + np.zeros(4) for mine in self.taken])
        if model.social_inputs and data.social_features is not None:
            self.e = data.social_features.astype(np.float64)

    def mapped(self, names, vector):
        """V vector, with V the first of the names that there is."""
        return vector @ next(self.params[name] for name in names if name in self.params)

    def alpha(self, a):
        """Weights of the uploads of a."""
        if self.model.bottom == "avg":
            return np.full(len(self.uploads_of[a]), 1 / len(self.uploads_of[a]))
        scores = []
        for j in self.uploads_of[a]:
            inputs = [self.own[a], self.q[a]]
            if self.g is not None:
                inputs.append(self.mapped(["upload_visual", "upload_profiles"], self.g[a]))
            inputs += [self.x[j], self.items[j]]
            if self.model.visual_inputs and self.f is not None:
                inputs.append(self.mapped(["upload_visual", "upload_images"], self.f[j]))
            scores.append(network(self.params["upload_attention"], inputs, self.model.activation))
        return softmax(scores)

    def beta(self, a):
        """Weights of those whom a follows."""
        if self.model.bottom == "avg":
            return np.full(len(self.follows[a]), 1 / len(self.follows[a]))

        def told(user):
            inputs = [self.own[user], self.q[user]]
            if self.g is not None:
                inputs.append(self.mapped(["social_profiles"], self.g[user]))
            return inputs if self.e is None else [*inputs, self.e[user]]

        attention = self.params["social_attention"]
        return softmax([network(attention, told(a) + told(b), self.model.activation) for b in self.follows[a]])

    def context(self, vectors, weights):
        if self.model.bottom == "max":
            return np.max(vectors, axis=0)
        return sum(weight * vector for weight, vector in zip(weights, vectors))

    def contexts(self, a, i):
        """z_1, z_2, z_3, or None where there is no such aspect or nobody in it."""
        of, found = self.model, [None] * 3
        if of.has("U") and self.uploads_of[a]:
            weights = None if of.bottom == "max" else self.alpha(a)
            found[U] = self.context([self.x[j] for j in self.uploads_of[a]], weights)
        if of.has("S") and self.follows[a]:
            weights = None if of.bottom == "max" else self.beta(a)
            found[S] = self.context([self.q[b] for b in self.follows[a]], weights)
        if of.has("C") and self.owner[i] >= 0:
            found[C] = self.q[self.owner[i]]
        return [z if z is None or not of.normalise_aspects else unit(z) for z in found]

    def gamma(self, a, i):
        of, contexts, weights = self.model, self.contexts(a, i), np.zeros(3)
        there = [place for place in range(3) if contexts[place] is not None]
        if not there:
            return weights
        scores = []
        for place in there:
            inputs = [contexts[place], self.own[a], self.q[a]]
            if self.g is not None and "aspect_profiles" in self.params:
                inputs.append(self.mapped(["aspect_profiles"], self.g[a]))
            if self.e is not None and "aspect_places" in self.params:
                inputs.append(self.mapped(["aspect_places"], self.e[a]))
            learned = of.top != "avg" and len(of.aspects) > 1
            head = place if of.per_aspect_head else 0
            scores.append(network(self.params["aspect_attention"], inputs, of.activation, head) if learned else 0.0)
        weights[there] = softmax(scores) if of.top != "max" else np.arange(len(there)) == np.argmax(scores)
        return weights

    def left_out(self, target):
        return target

    def score(self, a, i, without=None, mask=1.0):
        total, gamma = super().score(a, i, None, mask), self.gamma(a, i)
        for weight, z in zip(gamma, self.contexts(a, i)):
            if z is not None:
                total += weight * (z @ self.items[i])
        if self.model.owner_history and self.owner[i] >= 0:
            past = [j for j in self.taken[a] if j != without and self.owner[j] == self.owner[i]]
            total += self.params["past_owner"] * np.log(1 + len(past))
        return total


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name):
    model = dataclasses.replace(CASES[name], dim=4, hidden=6, negatives=3, l2=0.2)
    data, side, params, state = prepared(model)
    twin = HASCTwin(model, data, params)
    expected = [[twin.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)]
    np.testing.assert_allclose(every_score(model, state, 9, 7), expected, rtol=1e-5, atol=1e-5)
    batch = worlds.random_batch(data, 3)
    (total, weight), metrics = jax.jit(model.loss)(params, side, batch, 7)
    tables = twins.wide(params)
    norms = [twins.squared(tables["tables"][name]) for name in ("users", "items")]
    norms[0] = norms[0] + (twins.squared(tables["followees"]) if "followees" in tables else 0)
    norms[1] = norms[1] + tables["tables"].get("item_bias", 0.0) ** 2
    norms[1] = norms[1] + (twins.squared(tables["uploads"]) if "uploads" in tables else 0)
    np.testing.assert_allclose([total, weight, metrics["objective"]], twin.loss(batch, *norms), rtol=1e-5)


@pytest.mark.parametrize("of", ["widths", "images"])
def test_profiles_may_be_of_another_width_or_come_from_training_images(of):
    model = HASC(dim=4, hidden=6)
    data, _, params, state = prepared(model, of)
    twin = HASCTwin(model, data, params)
    assert ("upload_visual" in params) == (of == "images")
    expected = [[twin.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)]
    np.testing.assert_allclose(every_score(model, state, 9, 7), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["as it comes", "maxima of attention", "no owner"])
def test_few_candidates_are_scored_one_by_one_and_many_from_whole_rows_alike(name):
    model = dataclasses.replace(CASES[name], dim=4)
    rng = np.random.default_rng(0)
    size = 3 * TABLE_UP_TO
    train = np.stack([rng.integers(30, size=600), rng.integers(size, size=600)], axis=1)
    links = [(a, b) for a in range(29) for b in rng.choice(29, 4, replace=False) if a != b]
    data = worlds.dataset(30, size, train, links, owners=rng.integers(-1, 20, size=size))
    side = model.prepare(data)
    state = jax.jit(model.encode)(worlds.random_params(model, side), side)
    whole = np.asarray(every_score(model, state, 30, size))
    for user in (0, 13, 29):
        few = jax.jit(model.score)(state, np.array([user]), np.array([[5, size - 1]]))
        np.testing.assert_allclose(few[0], whole[user, [5, size - 1]], rtol=1e-5, atol=1e-5)


def test_without_any_aspect_it_is_bpr_and_so_for_whoever_has_none():
    """User 6 follows nobody and made nothing; nobody knows who made item 3."""
    data, _, params, state = prepared(HASC(dim=4))
    bpr = BPR(dim=4)
    of_bpr = every_score(bpr, bpr.encode(params["tables"], bpr.prepare(data)), 9, 7)
    np.testing.assert_allclose(every_score(HASC(dim=4), state, 9, 7)[6, 3], of_bpr[6, 3], rtol=1e-6)
    none = HASC(dim=4, aspects="none", l2=bpr.l2)
    assert set(none.init(jax.random.key(0), none.prepare(data))) == {"tables"}
    side, params, batch = none.prepare(data), {"tables": params["tables"]}, worlds.random_batch(data, 1)
    np.testing.assert_allclose(every_score(none, none.encode(params, side), 9, 7), of_bpr, rtol=1e-6)
    theirs = bpr.loss(params["tables"], bpr.prepare(data), batch, 5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), none.loss(params, side, batch, 5), theirs)


def test_weights_are_shares_of_each_users_own_edges_and_one_upload_has_all():
    data, side, _, state = prepared(HASC(dim=4))
    for edges_, weight in ((side.uploads, state.alpha), (side.follows, state.beta)):
        total = np.bincount(edges_.receivers, np.asarray(weight), 9)
        np.testing.assert_allclose(total[np.unique(edges_.receivers)], 1, rtol=1e-6)
    alone = np.asarray(side.uploads.receivers) != 1
    assert alone.sum() == 4 and (np.asarray(state.alpha)[alone] == 1).all()
    users, items = np.repeat(np.arange(9), 7), np.tile(np.arange(7), 9)
    gamma = np.asarray(HASC(dim=4).gamma(state, users, np.asarray(side.owner)[items][:, None]))[:, 0]
    there = [np.isin(users, data.owners), np.isin(users, data.links.follower), data.owners[items] >= 0]
    there = np.stack(there, axis=1)
    assert ((gamma > 0) == there).all()
    np.testing.assert_allclose(gamma.sum(axis=1), there.any(axis=1), rtol=1e-6)


def test_no_weight_hears_of_another_user():
    """Changing one user's uploads and follows moves only the contexts of that user."""
    model = HASC(dim=4)
    data, _, params, state = prepared(model)
    owners, links = data.owners.copy(), data.links
    owners[2], kept = 8, links.follower != 4
    other = dataclasses.replace(data, owners=owners, links=Links(links.follower[kept], links.followee[kept]))
    moved = model.encode(params, model.prepare(other))
    rest = ~np.isin(np.arange(9), (4, 8))
    for field in ("uploads", "friends"):
        mine, theirs = np.asarray(getattr(state, field)), np.asarray(getattr(moved, field))
        np.testing.assert_allclose(mine[rest], theirs[rest], rtol=1e-5)
        assert (mine[4] != theirs[4]).any()


def test_padding_and_the_order_of_edges_change_no_logit():
    rng = np.random.default_rng(0)
    graph = edges(rng.integers(6, size=23), rng.integers(5, size=23), 6, 5)
    mine, theirs, head = (rng.normal(size=shape).astype(np.float32) for shape in ((5, 3), (6, 3), (3,)))
    order = rng.permutation(23)
    turned = edges(graph.senders[order], graph.receivers[order], 6, 5)
    found = [
        edge_logits("relu", diffusion(each), mine, theirs, head)
        for each in (graph, turned, pad(graph, 16), pad(turned, 40))
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("platform", ["cpu", "default"])
def test_edge_logits_and_their_gradient_are_those_of_the_plain_expression(activation, platform, monkeypatch):
    if platform == "default":
        monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, cpu, default: default(*args))
    rng = np.random.default_rng(1)
    graph = diffusion(edges(rng.integers(7, size=90), rng.integers(11, size=90), 7, 11), block=16)
    arrays = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((11, 5), (7, 5), (5,))]
    g = jnp.asarray(rng.normal(size=90), jnp.float32)

    def plain(mine, theirs, head):
        phi = {"relu": lambda z: jnp.maximum(z, 0), "elu": lambda z: jnp.where(z > 0, z, jnp.expm1(z))}[activation]
        return jnp.sum(phi(mine[graph.receivers] + theirs[graph.senders]) * head[None, :], axis=1)

    ours, pull = jax.vjp(lambda *args: edge_logits(activation, graph, *args), *arrays)
    expected, plain_pull = jax.vjp(plain, *arrays)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), pull(g), plain_pull(g))


def test_what_is_masked_has_no_gradient():
    """No upload of a user without followees hears of gamma_2; aspects that are left out have no parameters."""
    data, side, params, _ = prepared(HASC(dim=4))
    for aspects, absent in (("SC", {"uploads", "upload_attention"}), ("UC", {"social_attention"})):
        model = HASC(dim=4, aspects=aspects)
        shapes = jax.eval_shape(model.init, jax.random.key(0), model.prepare(data))
        assert not absent & set(shapes)

    def score(params, user, item):
        model = HASC(dim=4)
        return model.score(model.encode(params, side), jnp.array([user]), jnp.array([[item]]))[0, 0]

    of_score = jax.jit(jax.grad(score))
    lonely = of_score(params, 6, 0)  # made nothing, follows nobody: the owner's weight is 1 whatever the networks say
    assert not lonely["uploads"].any()
    for network_ in ("upload_attention", "social_attention", "aspect_attention"):
        assert all(not leaf.any() for leaf in jax.tree.leaves(lonely[network_])), network_
    assert np.flatnonzero(np.asarray(lonely["followees"]).any(axis=1)).tolist() == [data.owners[0]]
    unknown = of_score(params, 8, 3)  # made item 5 alone, follows nobody, and nobody knows who made item 3
    assert np.flatnonzero(np.asarray(unknown["uploads"]).any(axis=1)).tolist() == [5]
    assert not np.asarray(unknown["followees"]).any()


def test_hard_weights_have_the_gradient_of_the_soft_ones():
    logits = jnp.array([[0.5, 2.0, -1.0], [1.0, 1.0, 3.0], [0.0, 0.0, 0.0]])
    there = jnp.array([[True, True, True], [True, True, False], [False, False, False]])
    soft = lambda z: hasc_layers.masked_softmax(z, there)  # noqa: E731
    np.testing.assert_array_equal(hasc_layers.hard(soft(logits)), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    towards = jnp.array([[1.0, 2.0, 3.0]] * 3)
    of_hard = jax.grad(lambda z: jnp.sum(hasc_layers.hard(soft(z)) * towards))(logits)
    np.testing.assert_allclose(of_hard, jax.grad(lambda z: jnp.sum(soft(z) * towards))(logits), rtol=1e-6)
    assert np.isfinite(of_hard).all() and not of_hard[2].any() and of_hard[1, 2] == 0


@pytest.mark.parametrize("name", CASES)
def test_explanations_add_up_and_elements_to_their_part(name):
    model = dataclasses.replace(CASES[name], dim=4)
    _, side, _, state = prepared(model)
    users, items = np.repeat(np.arange(9), 7), np.tile(np.arange(7), 9)
    why = model.explain(state, side, users, items)
    expected = np.asarray(every_score(model, state, 9, 7)).ravel()
    np.testing.assert_allclose(sum(why.parts.values()), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(why.score, expected, rtol=1e-5, atol=1e-5)
    wanted = {"interest", "past_owner", "item_bias"} & set(why.parts)
    wanted |= {part for aspect, part in zip("USC", ("upload", "social", "owner")) if model.has(aspect)}
    assert set(why.parts) == wanted and ("past_owner" in wanted) == model.owner_history
    for part, ragged in why.elements.items():
        rows = np.repeat(np.arange(63), np.diff(ragged.offsets))
        total = np.bincount(rows, ragged.contribution, 63)
        of_part = sum(why.parts[p] for p in wanted & {"upload", "social", "owner"}) if part == "aspects" else None
        np.testing.assert_allclose(total, why.parts[part] if of_part is None else of_part, rtol=1e-5, atol=1e-5)


def test_an_explanation_names_uploads_followees_owner_and_weights_as_the_equations_have_them():
    model = HASC(dim=4, hidden=6)
    data, side, params, state = prepared(model)
    twin = HASCTwin(model, data, params)
    why = model.explain(state, side, [1, 0], [4, 3])
    row = lambda name, pair: slice(*why.elements[name].offsets[pair : pair + 2])  # noqa: E731
    gamma = twin.gamma(1, 4)
    for name, ids, weights, said, place in (
        ("upload", [0, 1], twin.alpha(1), twin.x, 0),
        ("social", twin.follows[1], twin.beta(1), twin.q, 1),
        ("owner", [0], gamma[2:], twin.q, 2),
    ):
        found = why.elements[name]
        assert found.ids[row(name, 0)].tolist() == ids
        np.testing.assert_allclose(found.weight[row(name, 0)], weights, rtol=1e-4)
        expected = [w * (1 if place == 2 else gamma[place]) * (said[e] @ twin.items[4]) for e, w in zip(ids, weights)]
        np.testing.assert_allclose(found.contribution[row(name, 0)], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(why.elements["aspects"].weight[row("aspects", 0)], gamma, rtol=1e-4)
    assert why.elements["owner"].ids[row("owner", 1)].size == 0 and why.parts["owner"][1] == 0


def test_a_start_from_bpr_takes_its_tables_and_nothing_else():
    """By the names of the parameters alone: section 6 copies P, W and b."""
    data, _, params, _ = prepared(HASC(dim=4))
    bpr = worlds.random_params(BPR(dim=4), BPR(dim=4).prepare(data), seed=5)
    started = taken_over(params, bpr, "bpr")
    jax.tree.map(np.testing.assert_array_equal, started["tables"], bpr)
    jax.tree.map(np.testing.assert_array_equal, started | {"tables": 0}, params | {"tables": 0})


def test_places_come_from_the_follow_graph_where_none_are_given():
    side = HASC().prepare(world(social=None))
    assert side.social_features.shape == (9, 9) and not side.social_features[6].any() and side.social_features[1].any()
    assert HASC(social_inputs=False).prepare(world(social=None)).social_features is None


def test_content_without_image_features_and_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"content_map needs item_features.*'small'"):
        HASC(content_map=True).prepare(worlds.small())
    with pytest.raises(ValueError, match=r"aspects must be one of USC, .*, got 'SU'"):
        HASC(aspects="SU")
    with pytest.raises(ValueError, match="hidden must be at least 1"):
        HASC(hidden=0)
