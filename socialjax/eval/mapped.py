"""Exact evaluation on graphs that do not fit in memory: layer by layer, block by block, some columns at a time.

`model.encode` runs as it is, on edges that sum over their files in blocks (`MappedNeighbours.propagate`). A model that
is linear in its tables treats each column of them on its own, and is encoded a few columns at a time, so that its
layers take a part of the memory; the vectors are written to files. Whether a model does so is tried out on a small
graph. Others are encoded in one piece.
"""

import dataclasses
import itertools
import math
import os
from pathlib import Path

import jax
import numpy as np

from socialjax.contract import Model, Params, Side
from socialjax.eval import ranking
from socialjax.eval.metrics import Result
from socialjax.eval.protocol import Candidates
from socialjax.graph import edges, sort_by_receiver, transpose
from socialjax.models.parts import Factors
from socialjax.ops.mapped import MappedGraph, without_edges

LAYERS = 3  # tables of all users and items, beside two for each layer, that encoding may hold at once


@dataclasses.dataclass(frozen=True)
class Vectors:
    """What a dot-product model scores with.

    Attributes:
      users: f32[U, D], mapped.
      items: f32[I, D], mapped.
      item_bias: f32[I].
    """

    users: np.ndarray
    items: np.ndarray
    item_bias: np.ndarray


def write_vectors(model: Model, params: Params, side: Side, folder: Path, memory_bytes: int) -> Vectors:
    """Encodes all users and items exactly, into users.npy and items.npy.

    Args:
      model: A dot-product model.
      params: Its parameters.
      side: Its fixed data, of a `MappedGraph`.
      folder: Gets the files.
      memory_bytes: That layers may take; at least a column at a time is encoded.

    Raises:
      ValueError: a model whose score is no dot product.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dim, out = model.dim, None
    whole = jax.eval_shape(lambda: model.vectors(model.encode(params, without_edges(side))))
    if whole is None:
        raise ValueError(f"{type(model).__name__} scores by no dot product, so it has no vectors to be written")
    num_users, num_items = whole[0].shape[0], whole[1].shape[0]
    for begin, end in _ranges(model, num_users + num_items, memory_bytes):
        part = dataclasses.replace(model, dim=end - begin)
        state = part.encode(_columns(params, dim, begin, end), side)
        users, items, bias = part.vectors(state)
        if out is None:
            shapes = {"users.npy": (num_users, dim), "items.npy": (num_items, dim)}
            out = [np.lib.format.open_memmap(folder / f".{name}", "w+", np.float32, of) for name, of in shapes.items()]
        out[0][:, begin:end], out[1][:, begin:end] = users, items
        del state, users, items
    for name, array in zip(shapes, out):
        array.flush()
        os.replace(folder / f".{name}", folder / name)  # whole, or not there
    return Vectors(*out, np.asarray(bias))


def evaluate(model: Model, vectors: Vectors, candidates: Candidates) -> Result:
    """All metrics of the candidates' protocol, per user. Memory: the vectors of the items and of these users."""
    state = Factors(np.asarray(vectors.users[candidates.users]), np.asarray(vectors.items), vectors.item_bias)
    numbered = dataclasses.replace(candidates, users=np.arange(len(candidates), dtype=np.int32))
    return dataclasses.replace(ranking.evaluate_state(model, state, numbered), users=candidates.users)


def _ranges(model: Model, num_rows: int, memory_bytes: int) -> list[tuple[int, int]]:
    """Columns that are encoded at once."""
    tables = LAYERS + 2 * (getattr(model, "depth", 1) + 1)
    width = max(1, memory_bytes // (4 * num_rows * tables))
    parts = math.ceil(model.dim / width)
    if parts > 1 and not by_columns(model):
        parts = 1
    ends = [model.dim * part // parts for part in range(parts + 1)]
    return list(itertools.pairwise(ends))


def by_columns(model: Model) -> bool:
    """Whether encoding columns one by one gives what encoding all gives, tried on a graph of 7 users and 5 items."""
    model = dataclasses.replace(model, dim=3)
    side = model.prepare(_small_graph())
    draw = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), without_edges(side)))
    params = jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(np.float32), shapes)
    whole = model.vectors(model.encode(params, side))
    for column in range(model.dim):
        part = dataclasses.replace(model, dim=1)
        try:
            found = part.vectors(part.encode(_columns(params, model.dim, column, column + 1), side))
        except Exception:  # parameters of another shape than the model of one column has
            return False
        for all_, one in zip(whole[:2], found[:2]):
            if not np.allclose(all_[:, column : column + 1], one, rtol=1e-4, atol=1e-5):
                return False
    return True


def _columns(params: Params, dim: int, begin: int, end: int) -> Params:
    """The columns begin..end - 1 of all tables [N, dim]; what has another shape stays."""
    if (begin, end) == (0, dim):
        return params
    return jax.tree.map(lambda leaf: leaf[:, begin:end] if leaf.ndim == 2 and leaf.shape[1] == dim else leaf, params)


@dataclasses.dataclass(frozen=True)
class _Rows:
    offsets: np.ndarray
    columns: np.ndarray
    degree: np.ndarray


def _small_graph() -> MappedGraph:
    """7 users, 5 items, each user with 1 to 3 items and friends."""
    users, number = np.repeat(np.arange(7), [1, 2, 3, 1, 2, 3, 2]), np.arange(14)
    pairs, links = edges(number % 5, users, 5, 7), edges((users + 1 + number % 3) % 7, users, 7, 7)

    def rows(graph):
        graph = sort_by_receiver(graph)
        degree = np.bincount(graph.receivers, minlength=graph.num_receivers).astype(np.int32)
        return _Rows(np.append(0, np.cumsum(degree)), graph.senders, degree)

    friends = rows(links)
    return MappedGraph("small", 7, 5, rows(pairs), rows(transpose(pairs)), friends, lambda: friends, (2, 2))
