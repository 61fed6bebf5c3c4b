"""Sums over rows are those of NumPy, with their gradient, for any number of axes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.ops.lookup import row_sums


@pytest.mark.parametrize("shape", [(7,), (5, 3), (4, 3, 64), (0, 3), (2, 0)])
def test_sums_and_gradient(shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(jax.jit(row_sums)(values), values.astype(np.float64).sum(axis=-1), atol=1e-5)
    gradient = jax.grad(lambda v: jnp.sum(jnp.sin(row_sums(v))))(jnp.asarray(values))
    np.testing.assert_allclose(gradient, np.broadcast_to(np.cos(values.sum(-1, keepdims=True)), shape), atol=1e-5)


def test_of_gathered_rows_under_a_map():
    rng = np.random.default_rng(1)
    table, places = rng.normal(size=(50, 8)).astype(np.float32), rng.integers(50, size=(6, 4))
    found = jax.jit(lambda t: jax.lax.map(lambda p: row_sums(t[p]), jnp.asarray(places)))(table)
    np.testing.assert_allclose(found, table[places].sum(axis=2), atol=1e-5)
