"""How alike linked users are by what they took: the weights of social regularisation and of friends' influence.

The social graph of social models: edges from a friend to the user who aggregates their messages.
"""

import numpy as np
from scipy import sparse

from socialjax.graph import Edges, Normalisation, edges, normalise, symmetrise
from socialjax.ops.propagate import Diffusion, diffusion

_AT_ONCE = 1 << 18  # links whose users' items are compared at once


def cosine(taken: sparse.csr_array, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """|R_a and R_b| / sqrt(|R_a| |R_b|) of pairs of users, left i32[E], right i32[E] -> f32[E] in [0, 1].

    taken: as `taken_items` gives it. 0 where one of the two took nothing. Pearson's correlation of observed ratings,
    which rating models take, is undefined here: all observed ratings are equal.
    """
    common = [
        np.asarray(taken[left[start : start + _AT_ONCE]].multiply(taken[right[start : start + _AT_ONCE]]).sum(axis=1))
        for start in range(0, len(left), _AT_ONCE)
    ]
    count = np.diff(taken.indptr).astype(np.float64)
    both = np.sqrt(count[left] * count[right])
    return (np.concatenate([np.zeros(0), *common]) / np.maximum(both, 1.0)).astype(np.float32)


def link_edges(columns, symmetric: bool = True) -> Edges:
    """Edges friend -> user of weight 1; columns: a data set with links. symmetric: see `friends`."""
    n = columns.num_users
    links = edges(columns.links.followee, columns.links.follower, n, n)
    return symmetrise(links) if symmetric else links


def friends(columns, symmetric: bool = True, how: Normalisation = "mean") -> Diffusion:
    """Edges friend -> user weighted by `how`; columns: a data set with links.

    symmetric: a link counts in both directions, once, without self links (DiffNet's loader); False keeps the file's
    direction: a user aggregates whom they follow.
    """
    return diffusion(normalise(link_edges(columns, symmetric), how))
