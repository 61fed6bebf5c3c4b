"""Randomness from counters: negatives and dropout are a hash of (seed, step, row of the global batch, draw).

Nothing depends on how rows are spread over devices, and a run that stops and resumes draws what it would have drawn.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.graph import distinct

# Streams, so that no two uses of one key share their numbers.
NEGATIVES, DROPOUT, SHUFFLE, NODES, OTHERS, NOISE, NEIGHBOURS = 1, 2, 3, 4, 5, 6, 7  # OTHERS: what else a model samples
_GOLDEN = 0x9E3779B9  # 2^32 / golden ratio: neighbouring counters land far apart before they are mixed


def mix(x: jax.Array) -> jax.Array:
    """A bijection of u32 in which every output bit depends on every input bit (multiply and xor-shift, two rounds)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def fold(key, counter) -> jax.Array:
    """A new key u32 from a key u32 and a counter, which broadcast against each other."""
    key, counter = jnp.asarray(key, jnp.uint32), jnp.asarray(counter).astype(jnp.uint32)
    return mix(key ^ mix(counter * jnp.uint32(_GOLDEN) + jnp.uint32(1)))


def below(bits: jax.Array, bound: jax.Array) -> jax.Array:
    """A uniform i32 in 0..bound - 1 from bits u32: floor(bits * bound / 2^32), in 16-bit halves without u64."""
    bound = jnp.asarray(bound).astype(jnp.uint32)
    low, high = bits & 0xFFFF, bits >> 16
    bound_low, bound_high = bound & 0xFFFF, bound >> 16
    middle = high * bound_low + ((low * bound_low) >> 16)
    carry = (middle & 0xFFFF) + low * bound_high
    return (high * bound_high + (middle >> 16) + (carry >> 16)).astype(jnp.int32)


@struct.dataclass
class Positives:
    """Each user's training items, from which `negatives` finds items that are not among them.

    Attributes:
      offsets: i32[U + 1]; user a has the entries offsets[a]..offsets[a + 1] - 1.
      gaps: i32[N], for the k-th smallest item of a user, item - k: the number of smaller items that the user did not
        take.
      num_items: I.
      search_steps: Steps of a binary search in the longest row.
    """

    offsets: jax.Array
    gaps: jax.Array
    num_items: int = struct.field(pytree_node=False)
    search_steps: int = struct.field(pytree_node=False)


def positives(user: np.ndarray, item: np.ndarray, num_users: int, num_items: int) -> Positives:
    """The distinct pairs, sorted by user and item (NumPy).

    Args:
      user: i32[N].
      item: i32[N].
      num_users: U.
      num_items: I.
    """
    users, items = distinct(user, item, num_items)
    degree = np.bincount(users, minlength=num_users)
    offsets = np.concatenate([[0], np.cumsum(degree)])
    gaps = items - (np.arange(len(items)) - offsets[users])
    steps = int(degree.max(initial=0)).bit_length()
    return Positives(offsets.astype(np.int32), gaps.astype(np.int32), num_items, steps)


def negatives(known: Positives, key, users: jax.Array, rows: jax.Array, count: int) -> jax.Array:
    """Negative sampling, uniform over the items that a user did not take in training.

    Exact without rejection: the rank of a negative among the user's negatives is drawn, then the positives before it
    are skipped by binary search. A user who took everything gets any item.

    Args:
      known: The training items of all users.
      key: u32.
      users: i32[B].
      rows: u32[B], numbers of the rows in the global batch.
      count: Negatives for each row.

    Returns:
      i32[B, count].
    """
    start, stop = known.offsets[users][:, None], known.offsets[users + 1][:, None]
    bits = fold(fold(fold(key, NEGATIVES), rows)[:, None], jnp.arange(count)[None, :])
    free = known.num_items - (stop - start)
    rank = below(bits, jnp.where(free > 0, free, known.num_items))
    low, high = jnp.broadcast_to(start, rank.shape), jnp.broadcast_to(stop, rank.shape)
    if known.gaps.size:  # the first place of the row whose gap is above the rank

        def halve(_, bounds):  # a loop, not written out: XLA would compute each step anew inside the next
            low, high = bounds
            middle = (low + high) // 2
            passed = (known.gaps.at[middle].get(mode="clip") <= rank) & (middle < high)
            return jnp.where(passed, middle + 1, low), jnp.where(passed, high, middle)

        low, high = jax.lax.fori_loop(0, known.search_steps, halve, (low, high))
    return jnp.where(free > 0, rank + low - start, rank)


def dropout(key, vectors: jax.Array, rows: jax.Array, rate: float) -> jax.Array:
    """Dropout: zeroes each number with probability `rate` and scales the rest by 1 / (1 - rate).

    Args:
      key: u32.
      vectors: f32[B, D].
      rows: u32[B], numbers of the rows in the global batch.
      rate: In [0, 1).

    Returns:
      f32[B, D].
    """
    if rate == 0.0:
        return vectors
    columns = jnp.arange(vectors.shape[1])
    bits = fold(fold(fold(key, DROPOUT), rows)[:, None], columns[None, :])
    return jnp.where(_kept(bits, rate), vectors / (1.0 - rate), 0.0)


def node_dropout(key, layer: int, vectors: jax.Array, rate: float, first: int = 0) -> jax.Array:
    """GC-MC's node dropout (van den Berg et al., 2017): zeroes all messages of a node at once and scales the others'.

    Whether a node is dropped depends on the key alone, not on the batch, so that all devices agree.

    Args:
      key: u32.
      layer: Number of the layer; each drops other nodes.
      vectors: f32[N, D], the messages.
      rate: Probability of a node to be dropped, in [0, 1).
      first: Number of the first of these nodes.

    Returns:
      f32[N, D].
    """
    if rate == 0.0:
        return vectors
    bits = fold(fold(fold(key, NODES), layer), first + jnp.arange(vectors.shape[0]))
    return jnp.where(_kept(bits, rate)[:, None], vectors / (1.0 - rate), 0.0)


def _kept(bits: jax.Array, rate: float) -> jax.Array:
    return bits >= jnp.uint32(min(round(rate * 2**32), 2**32 - 1))


def shuffled(key, places: jax.Array, size: int) -> jax.Array:
    """Entries of a random permutation of range(size), without making the permutation.

    A Feistel network over a square just above `size`, applied again to the few results outside until they are inside
    (cycle walking). So any device finds its rows of any step of an epoch on its own.

    Args:
      key: u32, names the permutation.
      places: i32[...] in 0..size - 1, positions in it.
      size: Length of the permutation.

    Returns:
      i32[...].
    """
    side = jnp.uint32(int(np.ceil(np.sqrt(size))))

    def walk(x):
        left, right = x // side, x % side
        for turn in range(4):
            left, right = right, (left + fold(fold(key, turn), right) % side) % side
        return left * side + right

    def again(x):
        return jnp.where(x >= size, walk(x), x)

    return jax.lax.while_loop(lambda x: jnp.any(x >= size), again, walk(places.astype(jnp.uint32))).astype(jnp.int32)
