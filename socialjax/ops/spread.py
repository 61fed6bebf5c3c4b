"""Tables whose rows are spread over devices: what a batch looks up in them, and what it changes.

Shard t of T holds the rows t * R..t * R + R - 1, R = ceil(rows / T); what the last one lacks are rows of zeros. A batch
is spread over all devices of the mesh: those that differ in `table` alone hold a whole table together, and those that
differ in `data` alone hold the same rows.

To look up, the T devices of a table tell each other which rows they want; each reads those that are its own, and the
sum over devices, of which each gets the part it asked for, has every row once (a reduce-scatter). Gradients go the
other way. No more than the rows of a batch are ever sent.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from socialjax.ops.lookup import candidate_scores

DATA, TABLE = "data", "table"
ALL = (DATA, TABLE)


def own(numbers: jax.Array, rows: int) -> jax.Array:
    """The numbers of rows in this device's shard; `rows`, which is beyond it, for those of others.

    Args:
      numbers: i32[...], of the whole table.
      rows: R, of a shard.
    """
    local = numbers - jax.lax.axis_index(TABLE).astype(numbers.dtype) * rows
    return jnp.where((local >= 0) & (local < rows), local, rows)


def lookup(shard: jax.Array, numbers: jax.Array) -> jax.Array:
    """Inside of `shard_map`: rows [n, ...] of a table of which this device holds one shard [R, ...].

    Args:
      shard: This device's rows.
      numbers: i32[n], what this device wants; a number beyond the table gives zeros, or any row of padding.
    """
    wanted = jax.lax.all_gather(numbers, TABLE, tiled=True)
    held = shard.at[own(wanted, len(shard))].get(mode="fill", fill_value=0)
    return jax.lax.psum_scatter(held, TABLE, scatter_dimension=0, tiled=True)


@dataclasses.dataclass(frozen=True)
class Spread:
    """A mesh with axes `data` and `table`, for functions of whole arrays; the compiler is told where their parts are.

    Attributes:
      mesh: The devices.
    """

    mesh: Mesh

    @property
    def shards(self) -> int:
        return self.mesh.shape[TABLE]

    def rows(self, count: int) -> int:
        """R, the rows of a shard of a table with so many rows."""
        return -(-count // self.shards)

    def padded(self, table):
        """A table [N, ...], of NumPy or JAX, with rows of zeros up to T * R."""
        missing = self.rows(table.shape[0]) * self.shards - table.shape[0]
        pad = np.pad if isinstance(table, np.ndarray) else jnp.pad
        return pad(table, [(0, missing)] + [(0, 0)] * (table.ndim - 1)) if missing else table

    def kept(self, table: jax.Array) -> jax.Array:
        """The same array [N, ...], of which each device is to hold its rows alone."""
        return jax.lax.with_sharding_constraint(table, NamedSharding(self.mesh, PartitionSpec(TABLE)))

    def over_batch(self, values: jax.Array) -> jax.Array:
        """The same array [B, ...], of which each device is to hold its part alone."""
        return jax.lax.with_sharding_constraint(values, NamedSharding(self.mesh, PartitionSpec(ALL)))

    def mapped(self, function, inputs, output):
        """`shard_map` of a function.

        Args:
          function: What each device computes.
          inputs: Of each argument, over which axes of the mesh its arrays are spread: one, `ALL`, None, or a tree of
            `PartitionSpec`.
          output: The same of what it returns.
        """

        def spec(axes):
            if axes is None:
                return PartitionSpec()
            return PartitionSpec(axes) if axes in (DATA, TABLE, ALL) else axes

        return jax.shard_map(
            function, mesh=self.mesh, in_specs=tuple(map(spec, inputs)), out_specs=spec(output), check_vma=False
        )

    def lookup(self, table: jax.Array, numbers: jax.Array) -> jax.Array:
        """Rows of a table [N, ...] by numbers i32[B] or i32[B, C] of rows that there are: [B, ...] or [B, C, ...]."""
        return _lookup(self, table, numbers)

    def scores(self, users: jax.Array, items: jax.Array, candidates: jax.Array) -> jax.Array:
        """The dot products of each row's user with the row's candidates, computed where these are.

        Args:
          users: f32[B, D], one vector for each row.
          items: f32[I, D].
          candidates: i32[B, C], rows of items.

        Returns:
          f32[B, C].
        """
        return _scores(self, users, items, candidates)


def _flat(numbers):
    return jax.lax.all_gather(numbers, TABLE, tiled=True).reshape(-1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _lookup(spread: Spread, table, numbers):
    def on_each(shard, numbers):
        return lookup(shard, numbers.reshape(-1)).reshape(*numbers.shape, *shard.shape[1:])

    return spread.mapped(on_each, (TABLE, ALL), ALL)(spread.padded(spread.kept(table)), numbers)


def _lookup_forward(spread, table, numbers):
    return _lookup(spread, table, numbers), (numbers, table)


def _lookup_backward(spread, saved, g):
    numbers, table = saved
    rows = spread.rows(table.shape[0])

    def on_each(numbers, g):
        g = jax.lax.all_gather(g, TABLE, tiled=True).reshape(-1, *table.shape[1:])
        sums = jnp.zeros((rows, *table.shape[1:]), g.dtype).at[own(_flat(numbers), rows)].add(g, mode="drop")
        return jax.lax.psum(sums, DATA)

    return spread.mapped(on_each, (ALL, ALL), TABLE)(numbers, g)[: table.shape[0]], None


_lookup.defvjp(_lookup_forward, _lookup_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scores(spread: Spread, users, items, candidates):
    def on_each(users, items, candidates):
        scores = _own_scores(users, items, candidates)
        return jax.lax.psum_scatter(scores, TABLE, scatter_dimension=0, tiled=True)

    padded = spread.padded(spread.kept(items))
    return spread.mapped(on_each, (ALL, TABLE, ALL), ALL)(users, padded, candidates)


def _own_scores(users, items, candidates):
    """Scores of the candidates that this device holds, 0 for others, for the rows of all devices of the table."""
    users, candidates = (jax.lax.all_gather(part, TABLE, tiled=True) for part in (users, candidates))
    local = own(candidates, len(items))
    is_held = local < len(items)
    return jnp.where(is_held, candidate_scores(users, items, jnp.where(is_held, local, 0)), 0.0)


def _scores_forward(spread, users, items, candidates):
    return _scores(spread, users, items, candidates), (users, items, candidates)


def _scores_backward(spread, saved, g):
    users, items, candidates = saved

    def on_each(users, items, candidates, g):
        _, back = jax.vjp(functools.partial(_own_scores, candidates=candidates), users, items)
        to_users, to_items = back(jax.lax.all_gather(g, TABLE, tiled=True))
        return to_users, jax.lax.psum(to_items, DATA)

    mapped = spread.mapped(on_each, (ALL, TABLE, ALL, ALL), (PartitionSpec(ALL), PartitionSpec(TABLE)))
    to_users, to_items = mapped(users, spread.padded(spread.kept(items)), candidates, g)
    return to_users, to_items[: len(items)], None


_scores.defvjp(_scores_forward, _scores_backward)
