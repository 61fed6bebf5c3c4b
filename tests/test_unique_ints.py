"""Sets of whole numbers are those of NumPy's own functions."""

import numpy as np
import pytest

from socialjax.graph import isin_ints, unique_ints

CASES = {
    "empty": [],
    "one": [7],
    "equal": [3, 3, 3],
    "negative": [-5, 2, -5, 0, -1, 2**30],
    "the ends of the type": [2**31 - 1, -(2**31), 0, 2**31 - 1],
    "random": np.random.default_rng(0).integers(-50, 50, 300),
    "far apart": np.random.default_rng(1).integers(-(2**31), 2**31 - 1, 1000),
}


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("case", CASES)
def test_distinct_numbers_are_those_of_numpy(case, dtype):
    values = np.array(CASES[case], dtype)
    before, found = values.copy(), unique_ints(values)
    np.testing.assert_array_equal(found, np.unique(values))
    assert found.dtype == dtype and (values == before).all()


def test_a_table_is_taken_as_one_row_of_numbers():
    np.testing.assert_array_equal(unique_ints(np.array([[3, 1], [1, -2]])), [-2, 1, 3])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("among", CASES)
@pytest.mark.parametrize("case", CASES)
def test_members_are_those_of_numpy(case, among, dtype):
    values, others = np.array(CASES[case], dtype), np.array(CASES[among], dtype)
    found = isin_ints(values, others)
    assert found.dtype == bool and found.shape == values.shape
    np.testing.assert_array_equal(found, np.isin(values, others))
