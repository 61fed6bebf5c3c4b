"""Graphs that no device holds: neighbours are drawn, and sums over all neighbours made, from memory-mapped CSR arrays.

A model's `prepare` takes a `MappedGraph` as it takes a data set and answers with the same fixed data, in which edges
are `MappedNeighbours`. They have no weights of their own: an edge's weight is a function of the degrees at its ends.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jax
import numpy as np
from scipy import sparse

from socialjax.graph import Normalisation, factors
from socialjax.ops import host_sample
from socialjax.ops.forest import Forest, Neighbours, part

BLOCK = 1 << 20  # edges of which sums are made at once


class Csr(Protocol):
    """Rows of rising numbers: those of row r are columns[offsets[r]:offsets[r + 1]].

    Attributes:
      offsets: i64[R + 1].
      columns: i32[E].
      degree: i32[R].
    """

    offsets: np.ndarray
    columns: np.ndarray
    degree: np.ndarray


@jax.tree_util.register_static
class Counts:
    """Degrees i32[R], mapped, that are read as f32: an array of a model's fixed data that is no part of a program."""

    def __init__(self, degree: np.ndarray):
        self._degree = degree

    def __getitem__(self, rows) -> np.ndarray:
        return self._degree[np.asarray(rows)].astype(np.float32)


@jax.tree_util.register_static
class MappedNeighbours(Neighbours):
    """The edges that end at each receiver, mapped; `draw` gives what `Neighbours.draw` gives, on the host.

    Args:
      csr: The senders of each receiver.
      num_senders: N.
      how: Weights of the edges.
      sender_degree: i32[N], edges that leave each sender; needed for symmetric weights.
      fanouts: Edges that are drawn of a receiver, as of `Neighbours`.
    """

    def __init__(self, csr: Csr, num_senders: int, how: Normalisation, sender_degree, fanouts: tuple[int, ...]):
        fields = {"offsets": csr.offsets, "senders": csr.columns, "num_senders": num_senders, "fanouts": fanouts}
        for name, value in {**fields, "weight": None, "how": how, "out": sender_degree}.items():
            object.__setattr__(self, name, value)

    __hash__, __eq__ = object.__hash__, object.__eq__

    def draw(self, receivers, keys, fanout: int) -> tuple[np.ndarray, np.ndarray]:
        """Some edges of each receiver, as NumPy arrays; see `Neighbours.draw`."""
        receivers, keys = np.asarray(receivers), np.asarray(keys)
        real = receivers < self.num_receivers
        at = np.where(real, receivers, 0)
        start = self.offsets[at]
        degree = np.where(real, self.offsets[at + 1] - start, 0)[:, None]
        slot = np.arange(fanout)[None, :]
        low = part(slot, degree, fanout)
        length = part(slot + 1, degree, fanout) - low
        chosen = low + host_sample.below(host_sample.fold(keys[:, None], slot), np.maximum(length, 1))
        drawn = length > 0
        senders = np.full(drawn.shape, self.num_senders, np.int32)
        senders[drawn] = self.senders[(start[:, None] + chosen)[drawn]]
        weight = np.zeros(drawn.shape, np.float32)
        into = np.broadcast_to(degree, drawn.shape)[drawn]
        weight[drawn] = self._weights(into, senders[drawn]) * length[drawn].astype(np.float32)
        return senders, weight

    def _weights(self, into: np.ndarray, senders: np.ndarray) -> np.ndarray:
        """f32[E] of edges from their receivers' degrees i64[E] and their senders i32[E]."""
        out = self.out[senders].astype(np.int64) if self.how == "symmetric" else into
        return factors(self.how, into, out).astype(np.float32)

    def propagate(self, values: jax.Array) -> np.ndarray:
        """Sums over all neighbours, block by block of receivers: f32[N, D] -> f32[M, D]. Not inside a program.

        Memory: what goes in and comes out, and some 40 bytes for each of BLOCK edges.
        """
        values = np.asarray(values)
        out = np.zeros((self.num_receivers, values.shape[1]), np.float32)
        for begin, end in self._blocks():
            offsets = np.asarray(self.offsets[begin : end + 1])
            senders = np.asarray(self.senders[offsets[0] : offsets[-1]])
            degree = np.diff(offsets)
            weight = self._weights(np.repeat(degree, degree), senders)
            rows = sparse.csr_array(
                (weight, senders, (offsets - offsets[0]).astype(np.int32)), shape=(end - begin, self.num_senders)
            )
            out[begin:end] = rows @ values
        return out

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of receivers with about BLOCK edges, or one receiver with more."""
        begin = 0
        while begin < self.num_receivers:
            end = int(np.searchsorted(self.offsets, self.offsets[begin] + BLOCK, "right")) - 1
            end = min(max(end, begin + 1), begin + BLOCK, self.num_receivers)
            yield begin, end
            begin = end


@dataclasses.dataclass(frozen=True, eq=False)
class MappedGraph:
    """What `prepare` of a model takes in place of a data set: counts and memory-mapped pairs and links.

    Attributes:
      name: Of the data set.
      num_users: U.
      num_items: I.
      user_items: Training items of each user.
      item_users: Training users of each item.
      links: Whom each user follows; None without links.
      symmetric_links: Makes or opens the links in both directions, each once.
      fanouts: Neighbours that are drawn of a batch's users and items, of these, and so on.
    """

    name: str
    num_users: int
    num_items: int
    user_items: Csr
    item_users: Csr
    links: Csr | None
    symmetric_links: Callable[[], Csr]
    fanouts: tuple[int, ...]
    user_features: None = None
    item_features: None = None
    social_features: None = None
    frames: None = None
    owners: None = None

    @property
    def train(self) -> Any:
        """Raises ValueError: a model that asks for the columns of all pairs is not for graphs of any size."""
        raise ValueError(
            f"the pairs of '{self.name}' are mapped from a graph folder, and this model reads them whole; choose bpr, "
            "svdpp, lightgcn, social_lightgcn or diffnet, or fit it in memory: socialjax.fit(model, graph.dataset())"
        )

    def to_users(self, how: Normalisation) -> MappedNeighbours:
        """Edges item -> user of the training pairs."""
        return MappedNeighbours(self.user_items, self.num_items, how, self.item_users.degree, self.fanouts)

    def to_items(self, how: Normalisation) -> MappedNeighbours:
        """Edges user -> item of the training pairs."""
        return MappedNeighbours(self.item_users, self.num_users, how, self.user_items.degree, self.fanouts)

    def friends(self, symmetric: bool, how: Normalisation) -> MappedNeighbours:
        """Edges friend -> user: in both directions, or from those whom a user follows.

        Raises ValueError for symmetric weights of links that are not.
        """
        if how == "symmetric" and not symmetric:
            raise ValueError("symmetric weights of links in one direction are not mapped; choose the mean")
        links = self.symmetric_links() if symmetric else self.links
        return MappedNeighbours(links, self.num_users, how, links.degree, self.fanouts)


def without_edges(side):
    """The same fixed data with no edge: all that fresh parameters depend on is how many users and items there are."""
    is_mapped = lambda leaf: isinstance(leaf, MappedNeighbours)  # noqa: E731
    empty = lambda leaf: Forest((), (), leaf.num_senders, leaf.num_receivers) if is_mapped(leaf) else leaf  # noqa: E731
    return jax.tree.map(empty, side, is_leaf=is_mapped)
