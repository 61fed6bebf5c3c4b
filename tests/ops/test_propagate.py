"""The diffusion sum against loops over single edges, on both of its branches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.graph import edges, pad
from socialjax.ops.propagate import WIDTH, diffusion, propagate

SENDERS, RECEIVERS, D = 13, 9, 3


@pytest.fixture(params=["cpu", "accelerator"])
def branch(request, monkeypatch):
    """Both branches run on the CPU here; the second is what GPUs and TPUs compile."""
    if request.param == "accelerator":
        monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, cpu, default: default(*args))
    return request.param


def random_graph(count, seed=0, receivers=RECEIVERS):
    """Edges with repeats; the last receiver and the last sender have none."""
    rng = np.random.default_rng(seed)
    return edges(
        rng.integers(SENDERS - 1, size=count),
        rng.integers(receivers - 1, size=count),
        SENDERS,
        receivers,
        rng.normal(size=count),
    )


GRAPHS = {
    "one small block": (random_graph(20), 4096),
    "many blocks": (random_graph(300), 8),
    "a full bundle and one more": (edges(np.arange(WIDTH + 1), np.zeros(WIDTH + 1), SENDERS, RECEIVERS), 4096),
    "one receiver hears all": (edges(np.arange(SENDERS), np.full(SENDERS, 4), SENDERS, RECEIVERS), 4096),
    "one sender is heard by all": (edges(np.full(RECEIVERS, 2), np.arange(RECEIVERS), SENDERS, RECEIVERS), 4096),
    "one edge": (edges([3], [5], SENDERS, RECEIVERS, [-2.0]), 4096),
    "no edges": (edges([], [], SENDERS, RECEIVERS), 4096),
}


def heard(senders, receivers, weight, values, num_receivers):
    """One edge at a time, in float64."""
    total = np.zeros((num_receivers, values.shape[1]))
    for sender, receiver, w in zip(senders, receivers, weight):
        total[receiver] += float(w) * values[sender].astype(np.float64)
    return total


def random_values(seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, D)).astype(np.float32) for n in (SENDERS, RECEIVERS)]


def both_ways(sides, values, weight, g):
    """Forward and gradients for values and weights, with the edges' own weights and with `weight`."""
    fixed, back = jax.vjp(lambda v: propagate(sides, v), values)
    free, back_free = jax.vjp(lambda v, w: propagate(sides, v, w), values, weight)
    return fixed, back(g)[0], free, *back_free(g)


@pytest.mark.parametrize("name", GRAPHS)
def test_sums_and_gradients_equal_the_loop(name, branch):
    graph, block = GRAPHS[name]
    sides = diffusion(graph, block)
    values, g = random_values()
    weight = np.random.default_rng(2).normal(size=len(graph)).astype(np.float32)
    fixed, to_values, free, to_values_free, to_weight = jax.jit(both_ways)(sides, values, weight, g)

    senders, receivers = sides.senders, sides.receivers
    np.testing.assert_allclose(fixed, heard(graph.senders, graph.receivers, graph.weight, values, RECEIVERS), atol=1e-5)
    np.testing.assert_allclose(free, heard(senders, receivers, weight, values, RECEIVERS), atol=1e-5)
    np.testing.assert_allclose(to_values, heard(graph.receivers, graph.senders, graph.weight, g, SENDERS), atol=1e-5)
    np.testing.assert_allclose(to_values_free, heard(receivers, senders, weight, g, SENDERS), atol=1e-5)
    expected = [float(values[s].astype(np.float64) @ g[r]) for s, r in zip(senders, receivers)]
    np.testing.assert_allclose(to_weight, np.reshape(expected, (len(graph),)), atol=1e-5)


@pytest.mark.parametrize("block", [8, 4096])
def test_sums_and_gradients_equal_a_plain_segment_sum_under_autodiff(block):
    graph = random_graph(250, seed=3)
    sides = diffusion(graph, block)
    values, g = random_values()

    def plain(sides, values, weight):
        messages = values[sides.senders] * weight[:, None]
        return jax.ops.segment_sum(messages, sides.receivers, RECEIVERS)

    def oracle(sides, values, weight, g):
        fixed, back = jax.vjp(lambda v: plain(sides, v, sides.weight), values)
        free, back_free = jax.vjp(lambda v, w: plain(sides, v, w), values, weight)
        return fixed, back(g)[0], free, *back_free(g)

    weight = np.random.default_rng(4).normal(size=250).astype(np.float32)
    for ours, theirs in zip(jax.jit(both_ways)(sides, values, weight, g), jax.jit(oracle)(sides, values, weight, g)):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_order_of_the_edges_changes_not_a_bit():
    rng = np.random.default_rng(5)
    keys = rng.choice(SENDERS * RECEIVERS, 60, replace=False)
    weight = rng.normal(size=60)
    values, _ = random_values()
    order = rng.permutation(60)
    first, second = (
        diffusion(edges(keys[rows] % SENDERS, keys[rows] // SENDERS, SENDERS, RECEIVERS, weight[rows]))
        for rows in (np.arange(60), order)
    )
    np.testing.assert_array_equal(propagate(first, values), propagate(second, values))


def test_padding_changes_nothing():
    graph = random_graph(21)
    values, _ = random_values()
    expected = propagate(diffusion(graph), values)
    padded = pad(graph, 16)
    assert len(padded) == 32
    np.testing.assert_array_equal(propagate(diffusion(padded), values), expected)
    ends = np.append(graph.senders, [0, 3]), np.append(graph.receivers, [0, 8])
    weightless = edges(*ends, SENDERS, RECEIVERS, np.append(graph.weight, [0, 0]))
    np.testing.assert_allclose(propagate(diffusion(weightless), values), expected, atol=1e-6)


def test_who_hears_nobody_gets_zeros_and_who_is_not_heard_gets_no_gradient(branch):
    sides = diffusion(edges([0, 1, 1], [0, 0, 2], 3, 4))
    values = jnp.array([[2.0], [4.0], [9.0]])
    out, slopes, *_ = jax.jit(both_ways)(sides, values, sides.weight, jnp.ones((4, 1)))
    np.testing.assert_array_equal(out, [[6.0], [0.0], [4.0], [0.0]])
    np.testing.assert_array_equal(slopes, [[1.0], [2.0], [0.0]])


def test_the_places_of_edges_in_their_bundles_are_right():
    sides = diffusion(random_graph(40), block=8)
    for bundles, ends, number in ((sides.forth, sides.receivers, RECEIVERS), (sides.back, sides.senders, SENDERS)):
        used = bundles.edge.ravel() < 40
        assert sorted(bundles.edge.ravel()[used]) == list(range(40))
        assert (np.diff(bundles.receivers) >= 0).all() and len(bundles.receivers) % 8 == 0
        np.testing.assert_array_equal(np.repeat(bundles.receivers, WIDTH)[used], ends[bundles.edge.ravel()[used]])
        assert not bundles.weight.ravel()[~used].any()
        assert (bundles.receivers[~(bundles.edge < 40).any(axis=1)] == number).all()
    np.testing.assert_array_equal(sides.forth.edge.ravel()[sides.slot], np.arange(40))


def test_it_runs_without_jit_and_on_numpy_values():
    graph = random_graph(30)
    values, _ = random_values()
    sides = diffusion(graph)
    np.testing.assert_allclose(propagate(sides, values), jax.jit(propagate)(sides, values), atol=1e-6)
    np.testing.assert_allclose(propagate(sides, values, sides.weight), propagate(sides, values), atol=1e-6)


def test_learned_weights_of_a_softmax_get_their_gradient():
    """Attention is its use: d/dz of a softmax over each receiver's edges, against differences in float64."""
    graph = random_graph(12, seed=6, receivers=4)
    sides = diffusion(graph)
    values, _ = random_values()
    z = np.random.default_rng(7).normal(size=12)

    def loss(z):
        shares = jnp.exp(z) / jax.ops.segment_sum(jnp.exp(z), jnp.asarray(sides.receivers), 4)[sides.receivers]
        return jnp.sum(propagate(sides, values, shares) ** 2)

    def slow(z):
        total = np.bincount(sides.receivers, np.exp(z), 4)
        return (heard(sides.senders, sides.receivers, np.exp(z) / total[sides.receivers], values, 4) ** 2).sum()

    step = 1e-5
    differences = [(slow(z + step * e) - slow(z - step * e)) / (2 * step) for e in np.eye(12)]
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(z.astype(np.float32)), differences, rtol=1e-4, atol=1e-4)
