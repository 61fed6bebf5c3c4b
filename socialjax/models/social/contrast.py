"""Contrastive loss of two noised views of an embedding (SimGCL: Yu et al., SIGIR 2022, Eq. 3 and 7)."""

import jax
import jax.numpy as jnp

from socialjax.ops import losses, sample
from socialjax.ops.activations import unit
from socialjax.ops.pairs import candidate_scores


def contrast(key, table, ids, rows, noise: float, temperature: float, num_others: int) -> jax.Array:
    """InfoNCE of a node's two views against the views of sampled other nodes.

    Similarity is cosine / temperature; other nodes are drawn uniformly. A view depends on node and key alone, so the
    whole table is noised once, not each row's candidates. The paper adds noise in every layer, before the mean, and
    contrasts with the other nodes of the batch; here the final embedding is noised once, and rows do not depend on each
    other.

    Args:
      key: u32.
      table: f32[N, D], embeddings.
      ids: i32[B], the node of each row.
      rows: u32[B], numbers of the rows in the global batch.
      noise: Length of the noise.
      temperature: Divides the cosines.
      num_others: Other nodes for each row.

    Returns:
      f32[B], -log of the softmax share of the node's own second view.
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
    """Embeddings with random noise of a given length, which keeps all signs (Eq. 3).

    Args:
      key: u32; the noise is a hash of key, node and column.
      vectors: f32[N, D].
      nodes: i32[N], their ids.
      length: Length of the noise.

    Returns:
      f32[N, D].
    """
    bits = sample.fold(sample.fold(key, nodes)[:, None], jnp.arange(vectors.shape[1])[None, :])
    return vectors + length * jnp.sign(vectors) * unit((bits >> 8).astype(jnp.float32) * 2.0**-24)
