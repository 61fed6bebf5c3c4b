"""Rows that a batch looks up in tables: their sums, their products with candidates, entries of sparse matrices.

`row_sums` exists because XLA's CPU backend fuses a gather into the sum that follows and then adds number by number,
without vector instructions; a product with a vector of ones keeps them apart and takes a third to a sixth of the time.
`candidate_scores` goes in blocks that stay in the cache: a batch of 8,192 pairs with 8 negatives gathers 73,728 item
vectors; as one array, and again in the gradient, they cost more in page faults than in arithmetic.
On GPU and TPU the plain sums and products are right, and exact: a product of matrices may round its inputs there.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

_SLICE = 256  # entries of a row written at once


@struct.dataclass
class SparseRows:
    """A sparse matrix of R rows by rows, with T stored entries.

    Attributes:
      offsets: i32[R + 1]; row r has the entries offsets[r]..offsets[r + 1] - 1.
      columns: i32[T], ascending in each row.
      values: f32[T].
      num_columns: Columns of the matrix.
      search_steps: Steps of a binary search in the longest row.
    """

    offsets: jax.Array
    columns: jax.Array
    values: jax.Array
    num_columns: int = struct.field(pytree_node=False)
    search_steps: int = struct.field(pytree_node=False)


def sparse_rows(matrix) -> SparseRows:
    """The rows of a SciPy CSR array, whose entries are sorted in place (NumPy)."""
    matrix.sort_indices()
    steps = int(np.diff(matrix.indptr).max(initial=0)).bit_length()
    offsets, columns = matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32)
    return SparseRows(offsets, columns, matrix.data.astype(np.float32), matrix.shape[1], steps)


def search(matrix: SparseRows, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Entries by binary search, each in log2 of the longest row look-ups.

    Args:
      matrix: With R rows.
      rows: i32[B].
      columns: i32[B, C], of each of these rows.

    Returns:
      f32[B, C], 0 for what is not stored.
    """
    if not matrix.columns.size:
        return jnp.zeros(columns.shape)
    stored, values, offsets = (jnp.asarray(a) for a in (matrix.columns, matrix.values, matrix.offsets))
    stop = jnp.broadcast_to(offsets[rows + 1][:, None], columns.shape)

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) // 2
        below = (stored.at[middle].get(mode="clip") < columns) & (middle < high)
        return jnp.where(below, middle + 1, low), jnp.where(below, high, middle)

    start = jnp.broadcast_to(offsets[rows][:, None], columns.shape)
    # A loop: written out, XLA's CPU backend recomputes every step within the next and takes half a minute to compile.
    low, _ = jax.lax.fori_loop(0, matrix.search_steps, halve, (start, stop))  # the first place that is not below
    is_stored = (low < stop) & (stored.at[low].get(mode="clip") == columns)
    return jnp.where(is_stored, values.at[low].get(mode="clip"), 0.0)


def add_rows(matrix: SparseRows, rows: jax.Array, scale: jax.Array, table: jax.Array) -> jax.Array:
    """Adds rows of a sparse matrix to a dense table, a slice of each row at a time.

    Args:
      matrix: With R rows.
      rows: i32[B], the row to add to each row of the table.
      scale: f32[], the factor of these rows.
      table: f32[B, num_columns].

    Returns:
      f32[B, num_columns].
    """
    if not matrix.columns.size:
        return table
    stored, values, offsets = (jnp.asarray(a) for a in (matrix.columns, matrix.values, matrix.offsets))
    start, stop = offsets[rows][:, None], offsets[rows + 1][:, None]
    row = jnp.arange(rows.shape[0])[:, None]

    def add(part, table):
        place = start + part * _SLICE + jnp.arange(_SLICE)[None, :]
        column = jnp.where(place < stop, stored.at[place].get(mode="clip"), matrix.num_columns)
        return table.at[row, column].add(scale * values.at[place].get(mode="clip"), mode="drop")

    parts = (jnp.max(stop - start) + _SLICE - 1) // _SLICE
    return jax.lax.fori_loop(0, parts, add, table)


def row_sums(values: jax.Array) -> jax.Array:
    """Sums over the last axis: values f32[..., D] -> f32[...]."""
    values = jnp.asarray(values)
    return jax.lax.platform_dependent(values, cpu=_by_product, default=lambda rows: jnp.sum(rows, axis=-1))


def _by_product(values):
    return jnp.matmul(values, jnp.ones(values.shape[-1], values.dtype), precision=jax.lax.Precision.HIGHEST)


def segment_max(values: jax.Array, receivers: jax.Array, num_receivers: int) -> jax.Array:
    """Maximum over the edges of each receiver; tied maxima share the gradient.

    Args:
      values: f32[E, D].
      receivers: i32[E], sorted.
      num_receivers: Rows of the result.

    Returns:
      f32[num_receivers, D], 0 and not -inf for a receiver without edges.
    """
    largest = jax.ops.segment_max(values, receivers, num_receivers, indices_are_sorted=True)
    return jnp.where(largest == -jnp.inf, 0.0, largest)  # NaN stays, so that a run that diverged is seen


def segment_softmax(logits: jax.Array, receivers: jax.Array, num_receivers: int) -> jax.Array:
    """Softmax over the edges of each receiver, safe for logits of any size.

    Args:
      logits: f32[E].
      receivers: i32[E], sorted; `num_receivers` for padding.
      num_receivers: How many receivers there are.

    Returns:
      f32[E], 0 for padding.
    """
    if not logits.size:  # nothing can be gathered from an empty array, not even filling
        return logits
    largest = jax.ops.segment_max(jax.lax.stop_gradient(logits), receivers, num_receivers, indices_are_sorted=True)
    exponentials = jnp.exp(logits - largest.at[receivers].get(mode="fill", fill_value=jnp.inf))
    total = jax.ops.segment_sum(exponentials, receivers, num_receivers, indices_are_sorted=True)
    return exponentials / total.at[receivers].get(mode="fill", fill_value=1.0)


BLOCK = 256  # rows


@jax.custom_vjp
def candidate_scores(users: jax.Array, items: jax.Array, candidates: jax.Array) -> jax.Array:
    """The dot products of each row's user with the row's candidates.

    Args:
      users: f32[B, D], one vector for each row.
      items: f32[I, D].
      candidates: i32[B, C], rows of items.

    Returns:
      f32[B, C].
    """
    items = jnp.asarray(items)
    return jax.lax.platform_dependent(users, items, candidates, cpu=_blocked_scores, default=_scores)


def _forward(users, items, candidates):
    items = jnp.asarray(items)
    return candidate_scores(users, items, candidates), (users, items, candidates)


def _backward(saved, g):
    users, items, candidates = saved
    to_users, to_items = jax.lax.platform_dependent(
        users, items, candidates, g, cpu=_blocked_gradients, default=_gradients
    )
    return to_users, to_items, None


candidate_scores.defvjp(_forward, _backward)


def _scores(users, items, candidates):
    vectors = items.at[candidates].get(mode="promise_in_bounds")
    return row_sums(users[:, None, :] * vectors)


def _gradients(users, items, candidates, g):
    vectors = items.at[candidates].get(mode="promise_in_bounds")
    to_users = jnp.sum(g[:, :, None] * vectors, axis=1)
    to_items = jnp.zeros_like(items).at[candidates].add(g[:, :, None] * users[:, None, :])
    return to_users, to_items


def _in_blocks(*arrays):
    """Splits rows into blocks of BLOCK, the last filled with zeros."""
    rows = arrays[0].shape[0]
    block = max(1, min(BLOCK, rows))
    filled = [jnp.pad(a, [(0, -rows % block)] + [(0, 0)] * (a.ndim - 1)) for a in arrays]
    return [a.reshape(-1, block, *a.shape[1:]) for a in filled]


def _blocked_scores(users, items, candidates):
    parts = _in_blocks(users, candidates)
    scores = jax.lax.map(lambda part: _scores(part[0], items, part[1]), parts)
    return scores.reshape(-1, candidates.shape[1])[: users.shape[0]]


def _blocked_gradients(users, items, candidates, g):
    def add(to_items, part):
        users, candidates, g = part
        to_users = jnp.zeros_like(users)
        for c in range(candidates.shape[1]):  # one candidate at a time, so that the gathers fuse into the sum
            to_users += g[:, c, None] * items.at[candidates[:, c]].get(mode="promise_in_bounds")
            to_items = to_items.at[candidates[:, c]].add(g[:, c, None] * users)
        return to_items, to_users

    to_items, to_users = jax.lax.scan(add, jnp.zeros_like(items), _in_blocks(users, candidates, g))
    return to_users.reshape(-1, users.shape[1])[: users.shape[0]], to_items
