"""What graphs tell before training, in NumPy: leading eigenvectors, and the nodes that random walks visit most."""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import eigsh

from socialjax.graph import Edges, edges, in_degree, normalise, sort_by_receiver, symmetrise

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


VISITS = 1 << 20  # in one block: what is counted at once stays near the cache


def visits(graph: Edges, walks: int, length: int, restart: float, top: int, seed: int) -> Edges:
    """The neighbourhoods of nodes by random walks, as in PinSage (Ying et al., KDD 2018).

    A walk goes from a receiver to one of its senders, to all with one probability whatever the weights. Every step that
    does not end at the start of its walk is a visit. The result depends on the set of edges and on `seed`, not on the
    order of the edges.

    Args:
      graph: Square.
      walks: Walks from each node.
      length: Steps of a walk.
      restart: Probability to return to the start before each step but the first, in [0, 1).
      top: Most visited nodes that are kept for each node; ties go to the smaller id.
      seed: Seed of the walks.

    Returns:
      Edges from the kept nodes to each node; weights are shares of their visits and sum to 1.

    Raises:
      ValueError: for settings out of range and for a graph that is not square.
    """
    if graph.num_senders != graph.num_receivers:
        raise ValueError(f"walks need a square graph, got {graph.num_senders} x {graph.num_receivers}")
    for name, value in (("walks", walks), ("length", length), ("top", top)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not 0 <= restart < 1:
        raise ValueError(f"restart must be in [0, 1), got {restart}")
    size, graph = graph.num_receivers, sort_by_receiver(graph)
    degree = np.bincount(graph.receivers, minlength=size)
    first = np.cumsum(degree) - degree
    rng = np.random.default_rng(seed)
    starts = np.flatnonzero(degree)
    nodes = max(1, VISITS // (walks * length))  # in one block
    visited = [
        _most_visited(_walk(graph.senders, first, degree, block, walks, length, restart, rng), block, size, top)
        for block in np.split(starts, range(nodes, len(starts), nodes))
    ]
    receivers, senders, weight = (np.concatenate(part) for part in zip(*visited))
    return edges(senders, receivers, size, size, weight)


def _walk(neighbours, first, degree, starts, walks: int, length: int, restart: float, rng) -> np.ndarray:
    """Nodes visited from each start: i32[S, walks * length]. A walk returns from a node without senders as well."""
    start = np.repeat(starts.astype(np.int32), walks)
    node, visited = start, np.empty((length, len(start)), np.int32)
    for step in range(length):
        if step:
            back = rng.random(len(start), np.float32) < restart
            node = np.where(back | (degree[node] == 0), start, node)
        choice = (rng.random(len(start)) * degree[node]).astype(np.int64)
        node = visited[step] = neighbours[first[node] + choice]
    return visited.reshape(length, len(starts), walks).swapaxes(0, 1).reshape(len(starts), walks * length)


def _most_visited(visited, starts, size: int, top: int):
    """Start, node and share of the `top` nodes of each start, in columns; shares are of the visits to these."""
    row = np.arange(len(starts), dtype=np.int64)[:, None]
    visited = np.sort(visited, axis=1)
    keys = (visited + row * size)[visited != starts[:, None]]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    count = np.diff(first, append=len(keys))
    row, node = np.divmod(keys[first], size)
    most = visited.shape[1]
    order = np.sort((row * (most + 1) + most - count) * size + node)  # by start, then visits, then id
    rest, node = np.divmod(order, size)
    row, count = rest // (most + 1), most - rest % (most + 1)
    rank = np.arange(len(row)) - np.searchsorted(row, np.arange(len(starts)))[row]
    kept = rank < top
    row, node, count = row[kept], node[kept], count[kept]
    total = np.bincount(row, count, minlength=len(starts))
    return starts[row], node, count / total[row]
