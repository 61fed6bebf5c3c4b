"""The social graph, edges from a friend to the user who aggregates their messages, and the similarity of linked users.

Similarity is the cosine of two users' training items, the weight of social regularisation and of friends' influence.
"""

import numpy as np
from scipy import sparse

from socialjax.graph import Edges, Normalisation, edges, normalise, symmetrise
from socialjax.ops.propagate import Diffusion, diffusion

_AT_ONCE = 1 << 18  # links whose users' items are compared at once


def cosine(taken: sparse.csr_array, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """|R_a and R_b| / sqrt(|R_a| |R_b|) of pairs of users (NumPy).

    Pearson's correlation of observed ratings, which rating models take, is undefined here: all observed ratings are
    equal.

    Args:
      taken: f32[U, I], as `taken_items` gives it.
      left: i32[E], the first user of each pair.
      right: i32[E], the second.

    Returns:
      f32[E] in [0, 1], 0 where one of the two took nothing.
    """
    common = [
        np.asarray(taken[left[start : start + _AT_ONCE]].multiply(taken[right[start : start + _AT_ONCE]]).sum(axis=1))
        for start in range(0, len(left), _AT_ONCE)
    ]
    count = np.diff(taken.indptr).astype(np.float64)
    both = np.sqrt(count[left] * count[right])
    return (np.concatenate([np.zeros(0), *common]) / np.maximum(both, 1.0)).astype(np.float32)


def link_edges(columns, symmetric: bool = True) -> Edges:
    """Edges friend -> user of weight 1 in a data set with links; symmetric as in `friends`."""
    n = columns.num_users
    links = edges(columns.links.followee, columns.links.follower, n, n)
    return symmetrise(links) if symmetric else links


def friends(columns, symmetric: bool = True, how: Normalisation = "mean") -> Diffusion:
    """The social graph, sorted for `propagate`.

    Args:
      columns: A data set with links.
      symmetric: Whether a link counts in both directions, once, without self links (DiffNet's loader); False keeps the
        file's direction: a user aggregates those whom they follow.
      how: Weights of the edges.

    Returns:
      Edges friend -> user.
    """
    return diffusion(normalise(link_edges(columns, symmetric), how))
