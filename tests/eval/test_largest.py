"""The k largest by chunks against `jax.lax.top_k`, bit for bit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from socialjax.eval.largest import FEW, by_chunks, largest

# Numbers that have an order of their own: both zeros, both infinities, the smallest, and several that are no numbers.
ODD = np.array(
    [
        *(0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x00000001, 0x80000001, 0x7FC00000),
        *(0xFFC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0xFF800001, 0x3F800000, 0xBF800000),
    ],
    np.uint32,
).view(np.float32)
ROWS = 5


def drawn(kind, columns, seed=0):
    """f32[ROWS, columns] of a kind."""
    rng = np.random.default_rng(seed)
    if kind == "real":
        return rng.normal(size=(ROWS, columns)).astype(np.float32)
    if kind == "tied":
        return rng.integers(-2, 3, (ROWS, columns)).astype(np.float32)
    if kind == "equal":
        return np.full((ROWS, columns), 0.25, np.float32)
    if kind == "odd":
        return ODD[rng.integers(0, len(ODD), (ROWS, columns))]
    if kind == "bits":
        return rng.integers(0, 1 << 32, (ROWS, columns), np.uint32).view(np.float32)
    if kind == "no numbers":
        return np.full((ROWS, columns), 0xFFFFFFFF, np.uint32).view(np.float32)
    if kind == "rising":  # all answers in the last chunk
        return np.arange(ROWS * columns, dtype=np.float32).reshape(ROWS, columns)
    few_left = np.full((ROWS, columns), -np.inf, np.float32)  # row r has r items that are not hidden
    for row in range(ROWS):
        kept = rng.permutation(columns)[:row]
        few_left[row, kept] = rng.normal(size=len(kept))
    return few_left


KINDS = ("real", "tied", "equal", "odd", "bits", "no numbers", "rising", "few left")


def by_definition(scores, k):
    """Columns by sorting the bits, one row at a time: larger first, of equal ones the lower column."""
    bits = scores.view(np.uint32).astype(np.int64)
    order = np.where(bits >> 31, ~bits & 0xFFFFFFFF, bits | 0x80000000)
    return np.argsort(-order, axis=1, kind="stable")[:, :k]


def assert_same(found, scores, k):
    values, columns = (np.asarray(part) for part in found)
    wanted = by_definition(scores, k)
    np.testing.assert_array_equal(columns, wanted)
    np.testing.assert_array_equal(
        values.view(np.uint32), np.take_along_axis(scores.view(np.uint32), wanted, axis=1), err_msg="bits"
    )


@pytest.mark.parametrize("columns", [16 * 8 * FEW, 16 * 8 * FEW + 1, 16 * 8 * FEW + 15, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_chunks_find_what_a_sort_of_all_bits_finds(kind, columns):
    for k in (1, 2, 7, 8):
        scores = drawn(kind, columns, seed=k)
        assert columns >= FEW * k * 16, "the row is long enough to be cut"
        found = jax.jit(functools.partial(by_chunks, k=k, size=16))(scores)
        assert_same(found, scores, k)


@pytest.mark.usefixtures("compiled_as_for_users")
@pytest.mark.parametrize("kind", KINDS)
def test_and_what_top_k_itself_finds(kind):
    for columns, k in ((5_200, 20), (6_001, 20), (257, 1), (40, 40), (1, 1), (30_000, 100)):
        scores = drawn(kind, columns, seed=columns)
        found, wanted = jax.jit(largest, static_argnums=1)(scores, k), jax.lax.top_k(jnp.asarray(scores), k)
        assert_same(wanted, scores, k)
        assert_same(found, scores, k)


def test_the_answers_of_random_shapes():
    rng = np.random.default_rng(3)
    for seed in range(6):
        size, k = 16 * int(rng.integers(1, 4)), int(rng.integers(1, 6))
        columns = FEW * k * size + int(rng.integers(0, 2 * size))
        scores = drawn("tied" if seed % 2 else "odd", columns, seed)
        assert_same(jax.jit(functools.partial(by_chunks, k=k, size=size))(scores), scores, k)


def test_rows_are_cut_on_a_cpu_and_left_whole_elsewhere():
    lowered = functools.partial(jax.jit(largest, static_argnums=1).trace(jnp.zeros((2, 6_000)), 20).lower)
    cut, whole = (lowered(lowering_platforms=(name,)).as_text() for name in ("cpu", "cuda"))
    assert "2x6000xf32> -> (tensor<2x20xf32>" not in cut and "2x93xi32" in cut
    assert "2x93xi32" not in whole
