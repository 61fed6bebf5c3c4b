"""Explanations add up to the score, and each share is what a slow, obvious calculation says."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.data import schema
from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.svdpp import SVDpp
from socialjax.models.social.diffnet import DiffNet

USERS, ITEMS, DIM = 9, 12, 5
LONELY, SILENT = 8, 7  # no friends; no history
PAIRS = (np.array([0, 3, LONELY, SILENT, 3]), np.array([1, 0, 11, 5, 7]))


encode = jax.jit(lambda model, params, side: model.encode(params, side), static_argnums=0)


@functools.cache
def world(features=False):
    rng = np.random.default_rng(0)
    pairs = [(u, i) for u in range(USERS) if u != SILENT for i in rng.choice(ITEMS, 1 + u % 4, replace=False)]
    links = [(a, b) for a in range(LONELY) for b in rng.choice(LONELY, 2, replace=False) if a != b]
    nothing = schema.no_interactions()
    of = lambda size: rng.normal(size=(size, 3)).astype(np.float32) if features else None  # noqa: E731
    return schema.Dataset(
        name="small",
        num_users=USERS,
        num_items=ITEMS,
        train=schema.interactions(*np.transpose(pairs)),
        validation=nothing,
        test=nothing,
        provenance=schema.Provenance("planted", "test"),
        links=schema.Links(*np.transpose(links).astype(np.int32)),
        user_features=of(USERS),
        item_features=of(ITEMS),
    )


@functools.cache
def grown(model, features=False):
    """Parameters of order one, so that 1e-5 means something. -> (side, params, state)."""
    side = jax.tree.map(jnp.asarray, model.prepare(world(features)))
    shapes = jax.eval_shape(model.init, jax.random.key(0), side)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape) * 0.6, jnp.float32), shapes)
    return side, params, encode(model, params, side)


def rows(ragged):
    return [slice(start, stop) for start, stop in zip(ragged.offsets, ragged.offsets[1:])]


def dense_social(data, symmetric=True):
    friends = np.zeros((USERS, USERS))
    friends[data.links.follower, data.links.followee] = 1
    if symmetric:
        friends = np.maximum(friends, friends.T)
        np.fill_diagonal(friends, 0)
    return friends / np.maximum(friends.sum(axis=1, keepdims=True), 1)


DIFFNETS = {
    f"{variant}-{pooling}-{layers}-{depth}": DiffNet(
        dim=DIM, depth=depth, variant=variant, pooling=pooling, layers=layers, activation=activation
    )
    for variant, pooling, layers, depth, activation in [
        ("released", "mean", "all", 2, "relu"),
        ("released", "mean", "all_but_0", 3, "relu"),
        ("released", "max", "all", 2, "relu"),
        ("released", "mean", "all_but_0", 0, "relu"),
        ("paper", "mean", "last", 2, "tanh"),
        ("paper", "mean", "all", 2, "sigmoid"),
        ("paper", "max", "all", 2, "relu"),
    ]
}
MODELS = DIFFNETS | {
    "bpr": BPR(dim=DIM),
    "no-bias": BPR(dim=DIM, item_bias=False),
    "svdpp": SVDpp(dim=DIM),
    "svdpp-mean-tied": SVDpp(dim=DIM, exponent=1.0, tied=True),
}


@pytest.mark.parametrize("features", [False, True], ids=["ids", "features"])
@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_parts_add_up_to_the_score_and_exact_elements_to_their_part(model, features):
    side, _, state = grown(model, features)
    users, items = PAIRS
    why = model.explain(state, side, users, items)
    score = np.asarray(model.score(state, jnp.asarray(users), jnp.asarray(items)[:, None]))[:, 0]
    np.testing.assert_allclose(sum(why.parts.values()), score, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(why.score, score, atol=1e-5, rtol=1e-5)
    assert ("item_bias" in why.parts) == model.item_bias
    for name, ragged in why.elements.items():
        assert len(ragged.offsets) == len(users) + 1 and ragged.offsets[-1] == len(ragged.ids)
        total = [ragged.contribution[row].sum() for row in rows(ragged)]
        if why.exact or name == "history":
            np.testing.assert_allclose(total, why.parts[name], atol=2e-5, rtol=1e-5)


def test_only_the_papers_form_is_marked_as_an_estimate():
    for model in MODELS.values():
        side, _, state = grown(model)
        expected = not (isinstance(model, DiffNet) and model.variant == "paper")
        assert model.explain(state, side, *PAIRS).exact == expected


@pytest.mark.parametrize("symmetric", [True, False])
def test_friends_shares_are_the_entries_of_dense_matrix_powers(symmetric):
    data, model = world(), DiffNet(dim=DIM, depth=3, layers="all", symmetric=symmetric)
    side, params, state = grown(model)
    why = model.explain(state, side, *PAIRS)
    own, taste = np.asarray(params["tables"]["users"]), np.asarray(params["tables"]["items"])
    for k in (1, 2, 3):
        power = np.linalg.matrix_power(dense_social(data, symmetric), k)
        ragged = why.elements[f"friends_{k}"]
        for row, user, item in zip(rows(ragged), *PAIRS):
            np.testing.assert_array_equal(ragged.ids[row], np.flatnonzero(power[user]))
            np.testing.assert_allclose(ragged.weight[row], power[user][ragged.ids[row]], rtol=1e-5)
            expected = [power[user, b] * own[b] @ taste[item] for b in ragged.ids[row]]
            np.testing.assert_allclose(ragged.contribution[row], expected, atol=1e-5)


def test_history_weighs_each_item_as_the_model_pools_it():
    data, model = world(), SVDpp(dim=DIM)
    side, params, state = grown(model)
    why = model.explain(state, side, *PAIRS)
    ragged, implicit = why.elements["history"], np.asarray(params["implicit"])
    for row, user, item in zip(rows(ragged), *PAIRS):
        taken = np.unique(data.train.item[data.train.user == user])
        np.testing.assert_array_equal(ragged.ids[row], taken)
        weight = len(taken) ** -0.5 if len(taken) else 0.0
        expected = [weight * implicit[j] @ np.asarray(params["tables"]["items"])[item] for j in taken]
        np.testing.assert_allclose(ragged.contribution[row], expected, atol=1e-5)
        np.testing.assert_allclose(ragged.weight[row], weight, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in DIFFNETS if name.startswith("paper") or "max" in name])
def test_friends_of_forms_with_activations_get_gradient_times_input(name):
    """The hand-written backward pass against automatic differentiation of the model's own layers."""
    model = DIFFNETS[name]
    side, params, state = grown(model)
    why = model.explain(state, side, *PAIRS)
    own, (users, items) = params["tables"]["users"], PAIRS

    @jax.jit
    def shares(table):
        def layers(table):
            state = model.encode({**params, "tables": {**params["tables"], "users": table}}, side)
            return jnp.einsum("kpd,pd->kp", state.layers[:, users], state.items[items])

        return jnp.sum(jax.jacrev(layers)(table) * table[None, None], axis=3)

    expected, checked = np.asarray(shares(own)), 0
    for k in range(1, model.depth + 1):
        part = f"{'friends' if model.variant == 'released' else 'diffusion'}_{k}"
        for pair, row in enumerate(rows(why.elements[part]) if part in why.parts else []):
            got = np.zeros(USERS)
            got[why.elements[part].ids[row]] = why.elements[part].contribution[row]
            np.testing.assert_allclose(got, expected[k, pair], atol=1e-5)
            checked += 1
    assert checked >= len(users)


def as_newcomer(data, user):
    """(items, friends) of an existing user."""
    return np.unique(data.train.item[data.train.user == user]), np.flatnonzero(dense_social(data)[user])


@pytest.mark.parametrize("name", [name for name in MODELS if "bpr" not in name and name != "no-bias"])
def test_a_new_user_like_an_old_one_without_a_vector_of_their_own_gets_the_same_vector(name):
    model, data = MODELS[name], world()
    side, params, _ = grown(model)
    for user in (2, 5, LONELY, SILENT):
        table = np.array(params["tables"]["users"])
        table[user] = 0.0
        state = encode(model, {**params, "tables": {**params["tables"], "users": jnp.asarray(table)}}, side)
        got = model.new_user(state, side, *as_newcomer(data, user))
        np.testing.assert_allclose(got, np.asarray(state.users)[user], atol=1e-5, rtol=1e-5)


def test_a_new_user_of_a_paper_diffnet_with_features_starts_as_the_average_user():
    model = dataclasses.replace(DIFFNETS["paper-mean-all-2"], depth=0)
    side, _, state = grown(model, features=True)
    nothing = np.zeros(0, np.int32)
    np.testing.assert_allclose(
        model.new_user(state, side, nothing, nothing), np.asarray(state.layers[0]).mean(axis=0), rtol=1e-5
    )


def test_folding_a_new_user_into_matrix_factorisation_ranks_what_lies_near_the_items():
    """Two groups of items with opposite vectors: whoever took one of a group gets the rest of that group first."""
    model = BPR(dim=DIM)
    side, params, _ = grown(model)
    axis = np.where(np.arange(ITEMS) % 2 == 0, 1.0, -1.0)[:, None]
    noise = np.random.default_rng(1).normal(size=(ITEMS, DIM)) * 0.1
    items = jnp.asarray(axis * np.eye(DIM)[0] + noise, jnp.float32)
    state = encode(model, {**params, "items": items}, side)
    vector = model.new_user(state, side, np.array([0, 4]), np.zeros(0, np.int32))
    scores = np.asarray(items) @ vector
    assert scores[::2].min() > scores[1::2].max()
    assert np.linalg.norm(vector) == pytest.approx(np.median(np.linalg.norm(state.users, axis=1)), rel=1e-5)
    assert not model.new_user(state, side, np.zeros(0, np.int32), np.zeros(0, np.int32)).any()
