"""Where the arrays of a training are on a mesh: rows of tables over `table`, all else on every device.

A table of N rows is padded to a multiple of the shards, and nobody outside sees the padding: checkpoints hold N rows,
so that a run goes on with another number of shards. A whole table is put together in the host's memory alone.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.tree_util import DictKey

from socialjax.ops.spread import TABLE, Spread, own
from socialjax.train.rows import Path, paths_of

BLOCK = 1 << 16  # rows that are brought to the host at once from devices of other processes


class Placement:
    """The tables of one training, and where they are.

    Attributes:
      spread: The mesh.
      tables: Path of each table -> its rows; set by `learn`.
    """

    def __init__(self, spread: Spread, is_table: Callable[[Path, tuple[int, ...]], bool]):
        self.spread, self._is_table, self.tables = spread, is_table, {}

    def learn(self, params: Any) -> None:
        """Finds the tables among parameters, arrays or their shapes, without padding."""
        shapes = paths_of(params)
        self.tables = {path: shape[0] for path, shape in shapes.items() if shape and self._is_table(path, shape)}

    def rows(self, path, leaf) -> int | None:
        """The rows, without padding, of a leaf of parameters or of an optimiser's state; None for what is no table.

        What an optimiser keeps of a table has the path of the table as a part of its own.
        """
        keys = f"/{'/'.join(str(key.key) for key in path if isinstance(key, DictKey))}/"
        found = [table for table in self.tables if f"/{'/'.join(table)}/" in keys]
        if not found or not np.ndim(leaf):
            return None
        rows = self.tables[max(found, key=len)]
        return rows if leaf.shape[0] in (rows, self.spread.rows(rows) * self.spread.shards) else None

    def _map(self, function: Callable, tree):
        """function(leaf, its rows or None) of each leaf."""
        return jax.tree_util.tree_map_with_path(lambda path, leaf: function(leaf, self.rows(path, leaf)), tree)

    def specs(self, tree):
        """A `PartitionSpec` for each leaf."""
        return self._map(lambda leaf, rows: PartitionSpec() if rows is None else PartitionSpec(TABLE), tree)

    def shardings(self, tree):
        """A `NamedSharding` for each leaf."""
        return jax.tree.map(functools.partial(NamedSharding, self.spread.mesh), self.specs(tree))

    def padded(self, tree):
        """Tables with rows of zeros, so that shards are of one size; inside of `jit`."""
        return self._map(lambda leaf, rows: leaf if rows is None else self.spread.kept(self.spread.padded(leaf)), tree)

    def unpadded(self, tree):
        """What `padded` got; inside of `jit`."""
        return self._map(lambda leaf, rows: leaf if rows is None else self.spread.kept(leaf[:rows]), tree)

    def placed(self, tree):
        """Arrays of the host or of one device on the mesh, a shard at a time."""

        def put(leaf, rows):
            if rows is not None and leaf.shape[0] == rows:
                leaf = leaf if leaf.shape[0] % self.spread.shards == 0 else self.spread.padded(np.asarray(leaf))
            spec = PartitionSpec() if rows is None else PartitionSpec(TABLE)
            return jax.device_put(leaf, NamedSharding(self.spread.mesh, spec))

        return self._map(put, tree)

    def copied(self, tree):
        """A copy that later steps do not touch: over the mesh where tables have no padding, else in NumPy arrays."""

        def copy(leaf, rows):
            return jnp.copy(leaf) if rows is None or rows == leaf.shape[0] else self._fetched(leaf, rows)

        return self._map(copy, tree)

    def on_host(self, tree):
        """The arrays without padding in the host's memory; with several processes, all must call."""

        def fetch(leaf, rows):
            if isinstance(leaf, np.ndarray):
                return leaf
            return np.asarray(leaf.addressable_data(0)) if rows is None else self._fetched(leaf, rows)

        return self._map(fetch, tree)

    def _fetched(self, leaf, rows: int) -> np.ndarray:
        if leaf.is_fully_addressable:
            return np.array(leaf)[:rows]
        out = np.empty((rows, *leaf.shape[1:]), leaf.dtype)
        size = min(BLOCK, rows)
        for first in range(0, rows, size):
            block = _block(self.spread, leaf, jnp.int32(first), size).addressable_data(0)
            out[first : first + size] = np.asarray(block)[: rows - first]
        return out


@functools.partial(jax.jit, static_argnums=(0, 3))
def _block(spread: Spread, table, first, size: int):
    """Rows first..first + size - 1 of a table on every device."""

    def on_each(shard, first):
        numbers = own(first + jnp.arange(size, dtype=jnp.int32), len(shard))
        return jax.lax.psum(shard.at[numbers].get(mode="fill", fill_value=0), TABLE)

    return spread.mapped(on_each, (TABLE, None), None)(table, first)
