"""Look-ups in sparse rows against the dense matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from socialjax.ops import lookup

ROWS, COLUMNS = 6, 900


@pytest.fixture(scope="module")
def dense():
    """Row 0 is empty, row 1 full, row 2 has one entry in the last column, the others a few."""
    rng = np.random.default_rng(0)
    table = np.where(rng.random((ROWS, COLUMNS)) < 0.03, rng.normal(size=(ROWS, COLUMNS)), 0).astype(np.float32)
    table[0], table[1], table[2] = 0, rng.normal(size=COLUMNS), 0
    table[2, -1] = 2.5
    return table


def test_searched_entries_are_those_of_the_matrix(dense):
    matrix, rows = lookup.sparse_rows(sparse.csr_array(dense)), np.array([3, 0, 1, 2, 3, 5, 4])
    columns = np.random.default_rng(1).integers(COLUMNS, size=(len(rows), 40)).astype(np.int32)
    columns[:, :2] = 0, COLUMNS - 1
    found = jax.jit(lookup.search)(matrix, rows, columns)
    np.testing.assert_array_equal(found, np.take_along_axis(dense[rows], columns, axis=1))


def test_added_rows_are_those_of_the_matrix_scaled(dense):
    """The full row is longer than a slice."""
    matrix, rows = lookup.sparse_rows(sparse.csr_array(dense)), np.array([2, 1, 1, 0, 4])
    table = np.random.default_rng(2).normal(size=(len(rows), COLUMNS)).astype(np.float32)
    found = jax.jit(lookup.add_rows)(matrix, rows, jnp.float32(-3.0), table)
    np.testing.assert_allclose(found, table - 3 * dense[rows], atol=1e-5)


def test_an_empty_matrix_adds_and_holds_nothing():
    matrix = lookup.sparse_rows(sparse.csr_array((2, 3), dtype=np.float32))
    assert not np.asarray(lookup.search(matrix, np.array([1, 0]), np.array([[0, 2], [1, 1]]))).any()
    np.testing.assert_array_equal(lookup.add_rows(matrix, np.array([1]), 2.0, jnp.ones((1, 3))), np.ones((1, 3)))
