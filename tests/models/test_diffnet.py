"""DiffNet against its equations in both forms, and the identities of its degenerate cases."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.svdpp import SVDpp
from socialjax.models.social.diffnet import DiffNet
from socialjax.models.social.shared import standardise

BOTH = {"user_width": 5, "item_width": 5}
UNEQUAL = {"user_width": 3, "item_width": 6}
USERS_ONLY, ITEMS_ONLY = {"user_width": 4}, {"item_width": 4}

# Every depth and every choice of every field, in both forms, without multiplying them all out.
CASES = [
    (DiffNet(), {}),
    (DiffNet(depth=0), {}),
    (DiffNet(depth=1, layers="last", symmetric=False), {}),
    (DiffNet(depth=2, layers="all", exclude_target=True, objective="softmax", dropout=0.3), {}),
    (DiffNet(depth=3, pooling="max"), {}),
    (DiffNet(depth=4, layers="last", item_bias=False), {}),
    (DiffNet(depth=2), BOTH),
    (DiffNet(depth=1, layers="all", feature_scale=0.1, objective="squared"), USERS_ONLY),
    (DiffNet(depth=0, exclude_target=True), ITEMS_ONLY),
    (DiffNet(depth=3, layers="all", use_features=False, pooling="max", symmetric=False), UNEQUAL),
    (DiffNet(variant="paper", layers="last"), {}),
    (DiffNet(variant="paper", depth=0, layers="last", activation="tanh"), BOTH),
    (DiffNet(variant="paper", depth=1, layers="all", activation="sigmoid", exclude_target=True), UNEQUAL),
    (DiffNet(variant="paper", depth=3, activation="identity", pooling="max", objective="bce"), USERS_ONLY),
    (DiffNet(variant="paper", depth=4, layers="last", activation="relu", symmetric=False), ITEMS_ONLY),
    (DiffNet(feature_l2=0.3, layer_l2=0.7), BOTH),
    (DiffNet(feature_l2=0.3, feature_scale=0.05), ITEMS_ONLY),
    (DiffNet(variant="paper", feature_l2=0.3, layer_l2=0.7, depth=3, feature_scale=0.6), BOTH),
    (DiffNet(variant="paper", feature_l2=0.3, layer_l2=0.7, depth=1), {}),
    (DiffNet(variant="paper", feature_l2=0.3, depth=1), USERS_ONLY),
]


@pytest.mark.parametrize("model, features", CASES)
def test_scores_and_loss_equal_the_equations(model, features):
    model = dataclasses.replace(model, dim=4, negatives=3, l2=0.2)
    worlds.assert_equals_twin(model, worlds.small(**features), twins.diffnet)


def tables(users, items):
    return {"tables": {"users": np.array(users, np.float32), "items": np.array(items, np.float32)}}


TOY = worlds.dataset(4, 2, [(0, 0), (0, 1), (1, 1), (3, 0)], [(0, 1), (2, 0), (1, 3)])
TOY_TABLES = tables([[4, 0], [0, 2], [2, 2], [0, -4]], [[1, 0], [0, 8]])


def encode(model, data, params):
    return model.encode(params, model.prepare(data))


def test_four_users_by_hand():
    """Friends, both ways: 0 - 1, 0 - 2, 1 - 3. Items: user 0 took both, 1 the second, 2 none, 3 the first.

    H1: (h1 + h2) / 2 = (1, 2); (h0 + h3) / 2 = (2, -2); h0 = (4, 0); h1 = (0, 2).
    H2: ((2, -2) + (4, 0)) / 2 = (3, -1); ((1, 2) + (0, 2)) / 2 = (.5, 2); (1, 2); (2, -2).
    Items: (.5, 4); (0, 8); nothing; (1, 0).
    """
    state = encode(DiffNet(dim=2, item_bias=False), TOY, TOY_TABLES)
    np.testing.assert_array_equal(state.layers[1], [[1, 2], [2, -2], [4, 0], [0, 2]])
    np.testing.assert_array_equal(state.layers[2], [[3, -1], [0.5, 2], [1, 2], [2, -2]])
    np.testing.assert_array_equal(state.pooled, [[0.5, 4], [0, 8], [0, 0], [1, 0]])
    np.testing.assert_array_equal(state.users, [[4.5, 5], [2.5, 8], [5, 2], [3, 0]])
    scores = DiffNet(dim=2, item_bias=False).score(state, np.array([0, 3]), np.array([[0, 1], [1, 0]]))
    np.testing.assert_array_equal(scores, [[4.5, 40], [0, 3]])


def test_directed_links_are_heard_by_the_follower_alone():
    state = encode(DiffNet(dim=2, depth=1, symmetric=False, item_bias=False), TOY, TOY_TABLES)
    np.testing.assert_array_equal(state.layers[1], [[0, 2], [0, -4], [4, 0], [0, 0]])


def test_max_pooling_takes_each_number_from_whichever_friend_has_most():
    state = encode(DiffNet(dim=2, depth=1, pooling="max", item_bias=False), TOY, TOY_TABLES)
    np.testing.assert_array_equal(state.layers[1], [[2, 2], [4, 0], [4, 0], [0, 2]])


def row_normalised(matrix):
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def test_released_without_features_is_two_powers_of_the_social_matrix_and_the_mean_of_the_items():
    """U = (A_S + A_S^2) P + A_R Q."""
    data, model = worlds.small(), DiffNet(dim=4)
    social, taken = np.zeros((9, 9)), np.zeros((9, 7))
    social[data.links.follower, data.links.followee] = social[data.links.followee, data.links.follower] = 1
    taken[data.train.user, data.train.item] = 1
    a_s, a_r = row_normalised(social), row_normalised(taken)
    params = worlds.random_params(model, model.prepare(data))
    p, q = (params["tables"][name].astype(np.float64) for name in ("users", "items"))
    state = encode(model, data, params)
    np.testing.assert_allclose(state.users, (a_s + a_s @ a_s) @ p + a_r @ q, atol=1e-6)
    np.testing.assert_array_equal(state.items, params["tables"]["items"])


@pytest.mark.parametrize("depth", [1, 3])
def test_paper_with_weights_that_take_only_the_friends_is_released_with_the_last_layer(depth):
    """W^k = [I, 0], identity activation."""
    data, released = worlds.small(), DiffNet(dim=4, depth=depth, layers="last")
    paper = dataclasses.replace(released, variant="paper", activation="identity")
    params = worlds.random_params(released, released.prepare(data))
    take_friends = {"kernel": np.eye(8, 4, dtype=np.float32), "bias": np.zeros(4, np.float32)}
    with_layers = params | {f"diffusion_{k}": take_friends for k in range(depth)}
    np.testing.assert_allclose(encode(paper, data, with_layers).users, encode(released, data, params).users, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_users_without_items_and_without_friends_get_rows_of_zeros(pooling):
    model = DiffNet(dim=4, pooling=pooling)
    data = worlds.small()
    state = encode(model, data, worlds.random_params(model, model.prepare(data)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert not state.pooled[np.array([5, 8])].any() and state.pooled[np.array([2])].any()
    assert not state.layers[1:, np.array([6, 8])].any()
    assert not state.users[8].any()
    np.testing.assert_array_equal(state.users[6], state.pooled[6])


def test_depth_0_without_features_is_svdpp_with_tied_factors_a_mean_and_no_bias():
    data, batch = worlds.small(), worlds.random_batch(worlds.small(), 2)
    shared = {"dim": 4, "negatives": 2, "item_bias": False, "exclude_target": False}
    diffnet, svdpp = DiffNet(depth=0, **shared), SVDpp(tied=True, exponent=1.0, **shared)
    params = worlds.random_params(svdpp, svdpp.prepare(data))
    assert jax.tree.structure(params) == jax.tree.structure(worlds.random_params(diffnet, diffnet.prepare(data)))
    for layers in ("last", "all_but_0", "all"):  # H0 stays, whatever is asked for
        model = dataclasses.replace(diffnet, layers=layers)
        ours, theirs = (worlds.scores_and_loss(m, params, m.prepare(data), batch) for m in (model, svdpp))
        np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6)
        np.testing.assert_allclose(ours[1][0], theirs[1][0], rtol=1e-6)


def test_depth_0_with_no_history_is_matrix_factorisation():
    data = worlds.dataset(3, 4, [(0, 1)], [])
    model, plain = DiffNet(dim=4, depth=0), BPR(dim=4)
    params = worlds.random_params(model, model.prepare(data))
    ours = encode(model, data, params)
    theirs = encode(plain, data, params["tables"])
    np.testing.assert_array_equal(ours.users[1:], theirs.users[1:])


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_absent_features_are_not_features_of_zeros(variant):
    """Absent: H0 = P, V = Q. Zeros: a fusion layer exists, and its bias acts."""
    model = DiffNet(dim=4, variant=variant, depth=0, activation="tanh")
    absent = worlds.small()
    zeros = dataclasses.replace(
        absent, user_features=np.zeros((9, 5), np.float32), item_features=np.zeros((7, 5), np.float32)
    )
    params = worlds.random_params(model, model.prepare(zeros))
    assert set(worlds.random_params(model, model.prepare(absent))) == {"tables"}
    assert set(params) == {"tables", *({"fuse_users", "fuse_items"} if variant == "paper" else {"shared"})}
    state = encode(model, absent, params)
    np.testing.assert_array_equal(state.layers[0], params["tables"]["users"])
    np.testing.assert_array_equal(state.items, params["tables"]["items"])
    of_zeros = encode(model, zeros, params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(of_zeros))
    assert np.abs(of_zeros.items - state.items).max() > 1e-3
    switched_off = dataclasses.replace(model, use_features=False)
    np.testing.assert_array_equal(encode(switched_off, zeros, params).users, state.users)


COLD = 6  # the untrained item of the small world


def without_free_part(params, bias):
    """The parameters with q_i = 0 and b_i = bias for the untrained item."""
    kept = {name: array.copy() for name, array in params["tables"].items()}
    kept["items"][COLD], kept["item_bias"][COLD] = 0, bias
    return params | {"tables": kept}


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("bias", [0.0, 0.7])
def test_cold_bias_leaves_untrained_items_their_features_alone(variant, bias):
    plain = DiffNet(dim=4, negatives=3, variant=variant, layers="all", activation="tanh", exclude_target=True)
    model, data = dataclasses.replace(plain, cold_bias=bias), worlds.small(**BOTH)
    batch = worlds.random_batch(data)
    assert (batch.negatives == COLD).any()
    params = worlds.random_params(model, model.prepare(data))
    scores, loss = worlds.scores_and_loss(model, params, model.prepare(data), batch)
    twin, _, _ = twins.diffnet(plain, data, without_free_part(params, bias))
    expected = [[twin.score(a, i) for i in range(7)] for a in range(9)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)

    as_trained, same_loss = worlds.scores_and_loss(plain, params, plain.prepare(data), batch)
    np.testing.assert_array_equal(loss[0], same_loss[0])  # training does not know it
    assert (np.abs(as_trained[:, COLD] - scores[:, COLD]) > 1e-3).all()
    if variant == "released":  # bit for bit; the compiler fuses the paper's layers in another order
        np.testing.assert_array_equal(np.delete(scores, COLD, 1), np.delete(as_trained, COLD, 1))


def test_cold_bias_gives_training_the_same_gradients():
    plain, data = DiffNet(dim=4, negatives=3), worlds.small(**BOTH)
    batch, params = worlds.random_batch(data), worlds.random_params(plain, plain.prepare(data))

    def gradient(model):
        return jax.jit(jax.grad(lambda p, side: model.loss(p, side, batch, 0)[0][0]))(params, model.prepare(data))

    ours, theirs = gradient(dataclasses.replace(plain, cold_bias=0.7)), gradient(plain)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert np.asarray(ours["tables"]["items"])[COLD].any()


def test_cold_bias_does_nothing_without_item_features():
    plain = DiffNet(dim=4)
    model = dataclasses.replace(plain, cold_bias=0.7)
    for data, given in ((worlds.small(), True), (worlds.small(**USERS_ONLY), True), (worlds.small(**BOTH), False)):
        ours, theirs = (dataclasses.replace(m, use_features=given) for m in (model, plain))
        params = worlds.random_params(ours, ours.prepare(data))
        assert ours.prepare(data).cold is None
        np.testing.assert_array_equal(encode(ours, data, params).item_bias, params["tables"]["item_bias"])
        np.testing.assert_array_equal(encode(ours, data, params).items, encode(theirs, data, params).items)


def test_explanations_of_items_with_cold_bias_add_up_to_their_scores():
    model, data = DiffNet(dim=4, layers="all", cold_bias=0.7), worlds.small(**BOTH)
    side = model.prepare(data)
    state = model.encode(worlds.random_params(model, side), side)
    users = np.arange(9)
    explained = model.explain(state, side, users, np.full(9, COLD))
    np.testing.assert_allclose(explained.score, model.score(state, users, np.full((9, 1), COLD))[:, 0], atol=1e-5)
    np.testing.assert_array_equal(explained.parts["item_bias"], np.float32(0.7))


def test_cold_bias_without_item_bias_is_refused():
    with pytest.raises(ValueError, match="cold_bias stands in for an item bias, got item_bias False"):
        DiffNet(cold_bias=0.0, item_bias=False)


def test_released_refuses_features_of_unequal_width_and_paper_takes_them():
    data = worlds.small(3, 5)
    with pytest.raises(ValueError, match=r"one width, got 3 and 5; use --model\.variant paper"):
        DiffNet().prepare(data)
    DiffNet(variant="paper").prepare(data)
    DiffNet(use_features=False).prepare(data)


@pytest.mark.parametrize("rows", [5, 12])
@pytest.mark.parametrize("variant", ["paper", "released"])
def test_weights_of_layers_are_regularised_once_whatever_the_size_of_the_batch(variant, rows):
    """By hand: the mean of a batch has lambda times the sum of the squared kernels, and no bias."""
    data = worlds.small(**BOTH)
    model = DiffNet(dim=4, negatives=3, l2=0.0, variant=variant, feature_l2=0.5, layer_l2=0.125)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    square = lambda name: (params[name]["kernel"].astype(np.float64) ** 2).sum()  # noqa: E731
    expected = {
        "paper": lambda: (
            0.5 * (square("fuse_users") + square("fuse_items"))
            + 0.125 * (square("diffusion_0") + square("diffusion_1"))
        ),
        "released": lambda: 0.5 * square("shared"),
    }[variant]()
    (total, weight), metrics = worlds.scores_and_loss(model, params, side, worlds.random_batch(data, rows=rows))[1]
    assert (total - metrics["objective"]) / weight == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_without_penalties_and_without_features_the_loss_has_no_term_for_layers(variant):
    model, data = DiffNet(dim=4, variant=variant), worlds.small()
    side, batch = model.prepare(data), worlds.random_batch(data)
    params = worlds.random_params(model, side)
    assert model.penalty(params, side, model.encode(params, side), batch, 0) is None
    only_features = dataclasses.replace(model, feature_l2=0.5)
    assert only_features.penalty(params, side, model.encode(params, side), batch, 0) is None


def test_the_shared_layer_of_released_starts_as_tensorflow_starts_a_dense_layer():
    """Uniform within sqrt(6 / (inputs + outputs)); the bias is 0."""
    model, data = DiffNet(dim=64), worlds.small(150, 150)
    layer = model.init(jax.random.key(0), model.prepare(data))["shared"]
    bound = np.sqrt(6 / (150 + 64))
    assert 0.999 * bound < np.abs(layer["kernel"]).max() <= bound
    assert np.std(layer["kernel"]) == pytest.approx(bound / np.sqrt(3), rel=0.02)
    assert not layer["bias"].any()


def test_features_add_a_part_of_the_length_that_their_scale_says():
    """Whatever the layer learns: all numbers of the part have the deviation `feature_scale`."""
    model, data = DiffNet(dim=4, feature_scale=0.05, layers="all", depth=0), worlds.small(**BOTH)
    side = model.prepare(data)
    params = worlds.random_params(model, side)
    state = model.encode(params, side)
    for values, table in ((state.layers[0], "users"), (state.items, "items")):
        assert np.std(values - params["tables"][table]) == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_the_size_of_the_numbers_in_the_files_changes_nothing(variant):
    model, data = DiffNet(dim=4, variant=variant), worlds.small(**BOTH)
    larger = dataclasses.replace(
        data, user_features=1000 * data.user_features, item_features=7 + 0.01 * data.item_features
    )
    ours, theirs = model.prepare(data), model.prepare(larger)
    np.testing.assert_allclose(ours.user_features, theirs.user_features, atol=1e-5)
    np.testing.assert_allclose(ours.item_features, theirs.item_features, atol=1e-4)


def test_standardising_takes_the_moments_over_all_entries():
    values = np.random.default_rng(0).normal(3, 5, size=(20, 4)).astype(np.float32)
    ours = np.asarray(standardise(values, 0.2))
    np.testing.assert_allclose(ours, twins.standardised(values, 0.2), atol=1e-6)
    assert np.abs(ours.mean(axis=0)).max() > 0.01  # not column by column


@pytest.mark.parametrize("constant", [0.0, 0.1, 3.7, -12345.6])
def test_standardising_a_constant_matrix_gives_zeros_and_a_finite_gradient(constant):
    values = jnp.full((400, 150), constant)
    out, back = jax.vjp(lambda v: standardise(v, 0.2), values)
    np.testing.assert_allclose(out, 0.0, atol=0.01)
    assert jnp.isfinite(back(jnp.ones_like(values))[0]).all()


def test_constant_features_leave_scores_and_gradients_finite():
    model = DiffNet(dim=4, negatives=3)
    data = dataclasses.replace(worlds.small(5, 5), user_features=np.full((9, 5), 0.3, np.float32))
    side, batch = model.prepare(data), worlds.random_batch(data)
    gradient = jax.jit(jax.grad(lambda p, side: model.loss(p, side, batch, 0)[0][0]))
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient(worlds.random_params(model, side), side)))


@pytest.mark.parametrize(
    "field, value",
    [
        ("depth", -1),
        ("depth", 9),
        ("variant", "official"),
        ("layers", "first"),
        ("pooling", "sum"),
        ("activation", "gelu"),
        ("feature_scale", 0.0),
        ("feature_l2", -0.1),
        ("layer_l2", -0.1),
    ],
)
def test_settings_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} must be .*{value}"):
        DiffNet(**{field: value})
