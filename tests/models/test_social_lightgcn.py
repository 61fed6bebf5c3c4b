"""Social LightGCN against its equations, its relatives as special cases, and its contrastive term."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.social.social_lightgcn import ITEMS, USERS, SocialLightGCN, contrast, noised
from socialjax.ops import sample

KEY = 7  # of worlds.assert_equals_twin
CASES = [
    SocialLightGCN(),
    SocialLightGCN(depth=1, social_weight=0.3, symmetric=False, objective="softmax"),
    SocialLightGCN(depth=3, social_weight=2.0, item_bias=False),
    SocialLightGCN(depth=0, objective="bce"),
    SocialLightGCN(contrast=0.5, contrast_negatives=4),
    SocialLightGCN(depth=1, contrast=0.1, contrast_negatives=9, contrast_temperature=0.5, contrast_noise=0.4),
]


def diffused(model, data, p, q):
    """Means over layers, one user and one item at a time."""
    taken, friends = twins.taken_by(data), twins.friends_of(data, model.symmetric)
    takers = [[a for a in range(data.num_users) if i in taken[a]] for i in range(data.num_items)]
    users, items = [p], [q]
    for _ in range(model.depth):
        u, v = np.zeros_like(p), np.zeros_like(q)
        for a in range(data.num_users):
            for i in taken[a]:
                u[a] += items[-1][i] / np.sqrt(len(taken[a]) * len(takers[i]))
                v[i] += users[-1][a] / np.sqrt(len(taken[a]) * len(takers[i]))
            for b in friends[a]:
                u[a] += model.social_weight * users[-1][b] / len(friends[a])
        users.append(u)
        items.append(v)
    return sum(users) / len(users), sum(items) / len(items)


def drawn(key, rows, ids, size, count):
    """Others of each row as the hash draws them: which they are is no part of the equations."""
    bits = sample.fold(sample.fold(sample.fold(key, sample.OTHERS), rows)[:, None], jnp.arange(count)[None, :])
    other = np.asarray(sample.below(bits, size - 1))
    return other + (other >= np.asarray(ids)[:, None])


def view(key, number, vectors, noise):
    """The table under noise: uniform numbers, scaled to a length, with the signs of the vectors."""
    nodes = sample.fold(sample.fold(sample.fold(key, sample.NOISE), number), np.arange(len(vectors)))
    bits = np.asarray(sample.fold(nodes[:, None], jnp.arange(vectors.shape[1])[None, :]))
    uniform = (bits >> 8) / 2.0**24
    moved = vectors + noise * np.sign(vectors) * uniform / np.linalg.norm(uniform, axis=1, keepdims=True)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def slow_contrast(key, table, ids, rows, noise, temperature, count):
    """Each row's InfoNCE, one similarity at a time."""
    first, second = view(key, 0, table, noise), view(key, 1, table, noise)
    losses = []
    for own, others in zip(ids, drawn(key, rows, ids, len(table), count)):
        up = np.exp(first[own] @ second[own] / temperature)
        losses.append(-np.log(up / (up + sum(np.exp(first[own] @ second[j] / temperature) for j in others))))
    return np.array(losses)


class Twin(twins.Twin):
    def loss(self, batch, user_norms, item_norms, masks=None):
        total, weight, objective = super().loss(batch, user_norms, item_norms, masks)
        of, key = self.model, sample.fold(KEY, sample.OTHERS)
        settings = of.contrast_noise, of.contrast_temperature, of.contrast_negatives
        for kind, table, ids in ((USERS, self.own, batch.users), (ITEMS, self.items, batch.items)):
            if of.contrast:
                losses = slow_contrast(sample.fold(key, kind), table, ids, batch.rows, *settings)
                total += of.contrast * (batch.weight * losses).sum()
        return total, weight, objective


def twin_of(model, data, params):
    params = twins.wide(params)
    p, q = params["users"], params["items"]
    bias = params.get("item_bias", np.zeros(data.num_items))
    return Twin(model, data, *diffused(model, data, p, q), bias), twins.squared(p), twins.squared(q) + bias**2


def without_the_lonely():
    """The small world with an interaction for everybody, since a vector of zeros has no direction to contrast."""
    return worlds.dataset(9, 7, [*worlds.TRAIN, (5, 6), (8, 6)], worlds.LINKS)


@pytest.mark.parametrize("model", CASES)
def test_scores_and_loss_equal_the_equations(model):
    model = dataclasses.replace(model, dim=4, negatives=3, l2=0.2)
    data = without_the_lonely() if model.contrast else worlds.small()
    worlds.assert_equals_twin(model, data, twin_of)


def test_without_friends_it_is_lightgcn_in_dense_matrices():
    """Mean of E, A E, A^2 E, A^3 E with A = D^-1/2 [[0, R], [R', 0]] D^-1/2 (He et al., Eq. 8)."""
    data, model = worlds.small(), SocialLightGCN(dim=4, depth=3, social_weight=0.0)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    mean = sum(twins.layers_of(twins.joint_graph(data), 3, params)) / 4
    state = jax.jit(model.encode)(params, side)
    np.testing.assert_allclose(np.concatenate([state.users, state.items]), mean, atol=1e-6)


def test_depth_0_is_matrix_factorisation():
    data, batch = worlds.small(), worlds.random_batch(worlds.small())
    ours, theirs = SocialLightGCN(dim=4, negatives=3, depth=0), BPR(dim=4, negatives=3)
    params = worlds.random_params(theirs, theirs.prepare(data))
    got = worlds.scores_and_loss(ours, params, ours.prepare(data), batch)
    expected = worlds.scores_and_loss(theirs, params, theirs.prepare(data), batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, expected)


def grown(model, data=None):
    data = worlds.small() if data is None else data
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    return data, side, params, jax.jit(model.encode)(params, side)


def test_nodes_that_say_nothing_in_a_step_are_those_of_its_key_and_evaluation_hears_all():
    model = SocialLightGCN(dim=4, depth=1, node_dropout=0.5)
    _, side, params, state = grown(model)
    plain = dataclasses.replace(model, node_dropout=0.0)
    training = jax.jit(model.training_state)
    jax.tree.map(np.testing.assert_array_equal, state, jax.jit(plain.encode)(params, side))
    some = [training(params, side, key) for key in (1, 1, 2)]
    np.testing.assert_array_equal(some[0].users, some[1].users)
    assert (np.asarray(some[0].users) != np.asarray(some[2].users)).any()
    nodes = np.concatenate([params["users"], params["items"]])
    nodes = np.asarray(sample.node_dropout(1, 0, nodes, 0.5))
    silent = params | {"users": nodes[:9], "items": nodes[9:]}
    heard = np.asarray(plain.encode(silent, side).users) - silent["users"] / 2 + params["users"] / 2
    np.testing.assert_allclose(some[0].users, heard, atol=1e-6)


def test_a_view_is_as_far_from_the_vector_as_asked_and_never_across_zero():
    vectors = jnp.asarray(np.random.default_rng(0).normal(size=(50, 8)), jnp.float32)
    moved = noised(sample.fold(0, 1), vectors, jnp.arange(50), 0.3)
    np.testing.assert_allclose(jnp.linalg.norm(moved - vectors, axis=1), 0.3, rtol=1e-5)
    assert (jnp.sign(moved) == jnp.sign(vectors)).all() and (jnp.abs(moved) >= jnp.abs(vectors)).all()
    other = noised(sample.fold(0, 2), vectors, jnp.arange(50), 0.3)
    assert jnp.abs(other - moved).max() > 0.05
    np.testing.assert_array_equal(noised(sample.fold(0, 1), vectors[7:9], jnp.arange(7, 9), 0.3), moved[7:9])


def test_contrast_pushes_a_vector_from_others_and_draws_all_of_them_but_the_row_itself():
    table = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)), jnp.float32)
    ids, rows = jnp.full(300, 2), jnp.arange(300).astype(jnp.uint32)
    other = drawn(sample.fold(3, 9), rows, ids, 6, 5)
    assert set(other.ravel().tolist()) == {0, 1, 3, 4, 5}
    np.testing.assert_allclose(
        np.bincount(other.ravel(), minlength=6) / other.size, [0.2, 0.2, 0, 0.2, 0.2, 0.2], atol=0.04
    )
    loss = jax.jit(lambda t: jnp.sum(contrast(3, t, ids[:4], rows[:4], 0.1, 0.2, 5)))
    step = table - 0.05 * jax.grad(loss)(table)
    assert loss(step) < loss(table)


def test_contrast_of_vectors_at_zero_and_of_a_single_node_is_finite():
    ids, rows = jnp.array([0, 1]), jnp.arange(2).astype(jnp.uint32)
    value, back = jax.vjp(lambda t: contrast(0, t, ids, rows, 0.1, 0.2, 3), jnp.zeros((4, 3)))
    np.testing.assert_allclose(value, np.log(4), rtol=1e-6)
    assert jnp.isfinite(back(jnp.ones(2))[0]).all()
    np.testing.assert_array_equal(contrast(0, jnp.ones((1, 3)), ids * 0, rows, 0.1, 0.2, 3), [0.0, 0.0])


def test_without_contrast_no_term_is_made():
    model = SocialLightGCN(dim=4)
    data, side, params, state = grown(model)
    assert model.penalty(params, side, state, worlds.random_batch(data), 0) is None


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_an_explanation_adds_up_and_each_share_is_what_was_said_last(depth):
    model = SocialLightGCN(dim=4, depth=depth, social_weight=0.7)
    data, side, params, state = grown(model)
    users, items = np.repeat(np.arange(9), 7), np.tile(np.arange(7), 9)
    why = model.explain(state, side, users, items)
    expected = np.asarray(model.score(state, users, items[:, None]))[:, 0]
    np.testing.assert_allclose(sum(why.parts.values()), expected, rtol=1e-5, atol=1e-5)
    assert why.exact and set(why.parts) == {"own_vector", "history", "friends", "item_bias"}
    own = params["users"][users] / (depth + 1)
    np.testing.assert_allclose(why.parts["own_vector"], (own * np.asarray(state.items)[items]).sum(axis=1), atol=1e-5)

    layers = [params["users"].astype(np.float64), params["items"].astype(np.float64)]
    said = [np.zeros_like(part) for part in layers]  # sums of layers 0..K-1, from models of less depth
    for k in range(depth):
        shallow = [diffused(dataclasses.replace(model, depth=d), data, *layers) for d in (k, k - 1) if d >= 0]
        for end in (0, 1):
            layer = (k + 1) * shallow[0][end] - (k * shallow[1][end] if k else 0)
            said[end] = said[end] + layer
    taken, friends = twins.taken_by(data), twins.friends_of(data, True)
    degree = [sum(i in row for row in taken) for i in range(7)]
    for pair, (a, i) in enumerate(zip(users, items)):
        towards = np.asarray(state.items)[i] / (depth + 1)
        for name, near, table in (("history", taken[a], said[1]), ("friends", friends[a], said[0])):
            row = slice(*why.elements[name].offsets[pair : pair + 2])
            assert why.elements[name].ids[row].tolist() == near
            weight = [0.7 / len(near) if name == "friends" else (len(near) * degree[j]) ** -0.5 for j in near]
            np.testing.assert_allclose(why.elements[name].weight[row], weight, rtol=1e-5)
            shares = [w * table[j] @ towards for w, j in zip(weight, near)]
            np.testing.assert_allclose(why.elements[name].contribution[row], shares, atol=1e-5)


def test_a_new_user_like_an_old_one_without_a_vector_of_their_own_gets_the_same_vector():
    model = SocialLightGCN(dim=4, depth=3, social_weight=0.7)
    worlds.assert_new_users_equal_old_ones(model, worlds.small(), users=[0, 5, 6, 8])


@pytest.mark.parametrize(
    "field, value", [("depth", -1), ("node_dropout", 1.0), ("contrast", -0.1), ("contrast_negatives", 0)]
)
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} must be .*{value}"):
        SocialLightGCN(**{field: value})
