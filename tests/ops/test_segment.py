"""Maxima and shares of the edges of each receiver."""

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.ops.lookup import segment_max, segment_softmax


def test_maxima_equal_the_loop_and_are_zero_where_nothing_arrives():
    rng = np.random.default_rng(0)
    receivers = np.sort(rng.choice([0, 1, 3, 4], size=30))
    values = rng.normal(size=(30, 3)).astype(np.float32) - 5  # all below 0: an empty row's 0 is not a maximum
    expected = np.zeros((6, 3))
    for receiver in np.unique(receivers):
        expected[receiver] = values[receivers == receiver].max(axis=0)
    assert not expected[[2, 5]].any()
    np.testing.assert_array_equal(jax.jit(segment_max, static_argnums=2)(values, receivers, 6), expected)


def test_the_gradient_goes_to_the_maxima_and_ties_share_it():
    values = jnp.array([[1.0, 2.0], [1.0, 0.0], [3.0, 3.0]])
    gradient = jax.grad(lambda v: jnp.sum(segment_max(v, jnp.array([0, 0, 1]), 4) * 2.0))(values)
    np.testing.assert_array_equal(gradient, [[1.0, 2.0], [1.0, 0.0], [2.0, 2.0]])


def test_without_edges_all_is_zero_and_so_is_the_gradient():
    nothing = jnp.zeros(0, jnp.int32)
    np.testing.assert_array_equal(segment_max(jnp.zeros((0, 2)), nothing, 3), np.zeros((3, 2)))
    values = jnp.ones((3, 2))
    gradient = jax.grad(lambda v: jnp.sum(segment_max(v[nothing], nothing, 3)))(values)
    np.testing.assert_array_equal(gradient, np.zeros((3, 2)))


def test_what_is_not_a_number_stays_visible():
    top = segment_max(jnp.array([[jnp.nan], [1.0], [jnp.inf]]), jnp.array([0, 0, 1]), 3)
    assert jnp.isnan(top[0, 0]) and top[1, 0] == jnp.inf and top[2, 0] == 0.0


def test_softmax_equals_the_loop_and_a_single_edge_has_it_all():
    rng = np.random.default_rng(1)
    receivers = np.array([0, 0, 0, 2, 4, 4, 5])  # 1 and 3 hear nobody, 2 one; 5 is padding
    logits = rng.normal(size=7).astype(np.float32) * 3
    expected = np.zeros(7)
    for receiver in (0, 2, 4):
        raised = np.exp(logits[receivers == receiver].astype(np.float64))
        expected[receivers == receiver] = raised / raised.sum()
    ours = jax.jit(segment_softmax, static_argnums=2)(logits, receivers, 5)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    assert ours[3] == 1.0 and ours[6] == 0.0


def test_softmax_is_safe_for_logits_of_any_size():
    logits = jnp.array([1e4, 1e4 - 1.0, -1e30, 1e30, 3e38])
    receivers = jnp.array([0, 0, 1, 2, 2])
    value, back = jax.vjp(lambda x: segment_softmax(x, receivers, 3), logits)
    np.testing.assert_allclose(value, [1 / (1 + np.exp(-1)), 1 / (1 + np.e), 1.0, 0.0, 1.0], rtol=1e-5)
    assert jnp.isfinite(back(jnp.arange(5.0))[0]).all()


def test_the_gradient_of_softmax_is_that_of_each_row_alone():
    rng = np.random.default_rng(2)
    logits, seeds = jnp.asarray(rng.normal(size=6), jnp.float32), jnp.asarray(rng.normal(size=6), jnp.float32)
    receivers = jnp.array([0, 0, 1, 1, 1, 2])  # 2 is padding
    ours = jax.grad(lambda x: jnp.sum(seeds * segment_softmax(x, receivers, 2)))(logits)
    rows = lambda x: jnp.concatenate([jax.nn.softmax(x[:2]), jax.nn.softmax(x[2:5]), jnp.zeros(1)])  # noqa: E731
    np.testing.assert_allclose(ours, jax.grad(lambda x: jnp.sum(seeds * rows(x)))(logits), atol=1e-6)


def test_softmax_without_edges_is_empty():
    assert segment_softmax(jnp.zeros(0), jnp.zeros(0, jnp.int32), 3).shape == (0,)
