"""Spectral embeddings of the nodes of a graph: its leading eigenvectors, in NumPy.

HASC takes social embeddings from DeepWalk-like methods and does not say which. We take eigenvectors: the published
DeepWalk and node2vec packages are no longer kept or pull in gensim and networkx for one table, SciPy is here already,
the answer depends on no random walk, and DeepWalk itself factorises powers of the same matrix (Qiu et al., "Network
Embedding as Matrix Factorization", WSDM 2018), of which these are the leading directions.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import eigsh

from socialjax.graph import Edges, in_degree, normalise, symmetrise

TOLERANCE = 1e-4  # of eigenvalues, relative: the last vectors of a large graph lie close, and exact ones cost twice


def spectral(graph: Edges, dim: int = 128) -> np.ndarray:
    """Rows of the leading eigenvectors of D^-1/2 A D^-1/2, at length 1 (Ng, Jordan and Weiss, NIPS 2001).

    A has both directions of every edge, weight 1 and no self links; D are its degrees. Columns go from the largest
    eigenvalue down, each with the sign that makes its largest entry positive. The result depends on the set of edges,
    not on their order.

    Args:
      graph: Square, N nodes.
      dim: Most columns.

    Returns:
      f32[N, min(dim, N)]; a node without edges has zeros, and so have columns beyond the number of nodes with edges.

    Raises:
      ValueError: for a graph that is not square and for dim below 1.
    """
    if dim < 1:
        raise ValueError(f"dim must be at least 1, got {dim}; take as many columns as the model shall see, say 128")
    both = symmetrise(graph)
    table = np.zeros((both.num_receivers, min(dim, both.num_receivers)), np.float32)
    linked = np.flatnonzero(in_degree(both))
    if len(linked):
        both = normalise(both, "symmetric")
        rows, columns = np.searchsorted(linked, both.receivers), np.searchsorted(linked, both.senders)
        matrix = sparse.csr_matrix((both.weight.astype(np.float64), (rows, columns)), (len(linked), len(linked)))
        vectors = _leading(matrix, min(dim, len(linked)))
        largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
        vectors = vectors * np.sign(largest)
        length = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
        # A small component may have no part in the leading eigenvectors: what is left of its rows is rounding.
        table[linked, : vectors.shape[1]] = np.where(length > 1e-8, vectors / np.maximum(length, 1e-8), 0)
    return table


def _leading(matrix: sparse.csr_matrix, number: int) -> np.ndarray:
    """f64[N, number], the eigenvectors of the largest eigenvalues of a symmetric matrix [N, N], largest first."""
    size = matrix.shape[0]
    if 2 * number >= size:  # ARPACK keeps twice as many vectors as it is asked for
        return np.linalg.eigh(matrix.toarray())[1][:, ::-1][:, :number]
    start = np.random.default_rng(0).normal(size=size)  # ARPACK's own start differs from call to call
    values, vectors = eigsh(matrix, number, which="LA", v0=start, tol=TOLERANCE)
    return vectors[:, np.argsort(-values, kind="stable")]
