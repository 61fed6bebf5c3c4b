"""Contrast of two noised views of a vector (SimGCL: Yu et al., SIGIR 2022, Eq. 3 and 7), with sampled others."""

import jax
import jax.numpy as jnp

from socialjax.ops import losses, sample
from socialjax.ops.activations import unit
from socialjax.ops.pairs import candidate_scores


def contrast(key, table, ids, rows, noise: float, temperature: float, num_others: int) -> jax.Array:
    """-log of the share of the row's own second view among views of itself and `others` nodes: f32[B].

    table f32[N, D], ids i32[B] the rows' nodes, rows u32[B]. Similarity is cosine / temperature, others are uniform
    over the nodes but the row's own. A view hangs on node and key alone, so the whole table is noised once, not each
    row's candidates. Published are noise in every layer, before the mean, and the other nodes of the batch as others;
    here the final vector is noised once, and rows do not see each other.
    """
    size = table.shape[0]
    if size == 1:  # no other node to contrast with
        return jnp.zeros(ids.shape[0])
    drawn = sample.fold(sample.fold(key, sample.OTHERS), rows)[:, None]
    others = sample.below(sample.fold(drawn, jnp.arange(num_others)[None, :]), size - 1)
    others = others + (others >= ids[:, None])
    noises = sample.fold(key, sample.NOISE)
    first = unit(noised(sample.fold(noises, 0), table[ids], ids, noise))
    second = unit(noised(sample.fold(noises, 1), table, jnp.arange(size), noise))
    similarity = candidate_scores(first, second, jnp.concatenate([ids[:, None], others], axis=1))
    return losses.softmax(similarity[:, 0], similarity[:, 1:], temperature)


def noised(key, vectors: jax.Array, nodes: jax.Array, length: float) -> jax.Array:
    """vectors f32[N, D] moved by `length` away from 0, each number by a uniform share: signs stay (Eq. 3).

    The noise of a node i32[N] is a hash of key, node and column.
    """
    bits = sample.fold(sample.fold(key, nodes)[:, None], jnp.arange(vectors.shape[1])[None, :])
    return vectors + length * jnp.sign(vectors) * unit((bits >> 8).astype(jnp.float32) * 2.0**-24)
