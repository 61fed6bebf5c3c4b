"""Maxima of the edges of each receiver."""

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.ops.segment import segment_max


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
