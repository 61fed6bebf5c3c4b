"""The k largest scores of each row, as `jax.lax.top_k` gives them, in fewer comparisons on a CPU.

XLA's CPU backend offers every score to a heap, one at a time. Here, rows are cut into chunks, each represented by its
maximum, which vector instructions find. At most k chunks hold the answers:

  Order items by score, and of equal scores the lower item first; `top_k` gives the first k in this order. Order the
  chunks by their first items in it. Chunks are consecutive items, so that this is the order of their maxima, and of
  equal maxima the lower chunk comes first: what `top_k` of the maxima gives. If an item stood in none of the first k
  chunks, the first items of k chunks would all come before it, and it would not be among the first k.

The order of scores is the one of `top_k`, which is total: -NaN < -inf < ... < -0 < 0 < ... < inf < NaN. It is the order
of whole numbers made of the bits, so that nothing here depends on how a processor compares what is no number.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

LANES = 16  # numbers that vector instructions compare at once
SIZE = 64  # scores in a chunk, a multiple of LANES; 32 and 128 are as fast
FEW = 4  # rows with fewer chunks for each of the k to be found are left to `top_k`


def largest(scores: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k largest scores of each row, largest first; of equal scores the lower column comes first.

    Args:
      scores: f32[B, I].
      k: At most I.

    Returns:
      Scores f32[B, k] and their columns i32[B, k], to the bit what `jax.lax.top_k` returns. Accelerators are given
      `jax.lax.top_k` itself.
    """
    whole = lambda scores: tuple(lax.top_k(scores, k))  # noqa: E731
    return lax.platform_dependent(scores, cpu=functools.partial(by_chunks, k=k), default=whole)


def by_chunks(scores: jax.Array, k: int, size: int = SIZE) -> tuple[jax.Array, jax.Array]:
    """`largest`, by chunks of `size` columns, of which the last one may be shorter."""
    num_rows, num_columns = scores.shape
    if num_columns < FEW * k * size:
        return tuple(lax.top_k(scores, k))
    _, chunk = lax.top_k(_maxima(scores, size), k)
    start = jnp.sort(chunk, axis=1) * size  # ascending, so that of equal candidates the lower item comes first
    # A last chunk that is shorter is read from further left, and what belongs to its neighbour is lower than any score.
    held = jnp.minimum(start, num_columns - size)
    rows = jnp.broadcast_to(jnp.arange(num_rows, dtype=jnp.int32)[:, None], start.shape)
    slices = lax.GatherDimensionNumbers(offset_dims=(2,), collapsed_slice_dims=(0,), start_index_map=(0, 1))
    candidates = lax.gather(scores, jnp.stack([rows, held], -1), slices, (1, size), mode="promise_in_bounds")
    column = held[:, :, None] + jnp.arange(size, dtype=jnp.int32)[None, None, :]
    lowest = lax.bitcast_convert_type(jnp.uint32(0xFFFFFFFF), jnp.float32)
    candidates = jnp.where(column < start[:, :, None], lowest, candidates).reshape(num_rows, k * size)
    found, place = lax.top_k(candidates, k)
    return found, jnp.take_along_axis(column.reshape(num_rows, k * size), place, axis=1, mode="promise_in_bounds")


def _maxima(scores: jax.Array, size: int) -> jax.Array:
    """The largest score f32[B, ceil(I / size)] of each chunk of each row f32[B, I]."""
    num_rows, num_columns = scores.shape
    chunks = num_columns // size
    numbers = _as_numbers(scores[:, : chunks * size]).reshape(num_rows, chunks, size // LANES, LANES)
    # Lane by lane first: the compiler turns a maximum of neighbours into one comparison at a time.
    lanes = lax.optimization_barrier(numbers.max(axis=2))
    maxima = [lanes.max(axis=2)]
    if chunks * size < num_columns:
        maxima.append(_as_numbers(scores[:, chunks * size :]).max(axis=1, keepdims=True))
    return _as_scores(jnp.concatenate(maxima, axis=1))


def _as_numbers(scores: jax.Array) -> jax.Array:
    """i32, in the order of the scores f32."""
    bits = lax.bitcast_convert_type(scores, jnp.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)  # of a negative number, larger bits are further from zero


def _as_scores(numbers: jax.Array) -> jax.Array:
    """Undoes `_as_numbers`."""
    return lax.bitcast_convert_type(numbers ^ ((numbers >> 31) & 0x7FFFFFFF), jnp.float32)
