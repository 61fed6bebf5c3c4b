"""Training pairs of which each device has a shard: a slice of the pairs, and the positives of its own users."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import NamedSharding, PartitionSpec

from socialjax.ops import sample
from socialjax.ops.spread import TABLE, Spread, own
from socialjax.train.step import Resident


@struct.dataclass
class SpreadPairs:
    """Takes the place of `train.step.Resident`; its methods are for the inside of `shard_map`.

    Attributes:
      users: i32[N'], N pairs padded to a multiple of the T shards, over `table`.
      items: i32[N'], likewise.
      offsets: i32[T, R + 1], of the R users of each shard, within its gaps.
      gaps: i32[T, G], see `sample.Positives`.
      num_pairs: N.
      num_items: I.
      search_steps: Steps of a binary search in the longest row.
    """

    users: jax.Array
    items: jax.Array
    offsets: jax.Array
    gaps: jax.Array
    num_pairs: int = struct.field(pytree_node=False)
    num_items: int = struct.field(pytree_node=False)
    search_steps: int = struct.field(pytree_node=False)

    def at(self, pair: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Users and items i32[n] of pairs i32[n]."""
        place = own(jax.lax.all_gather(pair, TABLE, tiled=True), len(self.users))
        held = [column.at[place].get(mode="fill", fill_value=0) for column in (self.users, self.items)]
        found = jax.lax.psum_scatter(jnp.stack(held, axis=1), TABLE, scatter_dimension=0, tiled=True)
        return found[:, 0], found[:, 1]

    def negatives(self, key, users: jax.Array, rows: jax.Array, count: int) -> jax.Array:
        """As `sample.negatives`; the device that has a user's positives draws."""
        users, rows = (jax.lax.all_gather(part, TABLE, tiled=True) for part in (users, rows))
        held = self.offsets.shape[1] - 1
        local = own(users, held)
        known = sample.Positives(self.offsets[0], self.gaps[0], self.num_items, self.search_steps)
        drawn = sample.negatives(known, key, jnp.minimum(local, held - 1), rows, count)
        drawn = jnp.where((local < held)[:, None], drawn, 0)
        return jax.lax.psum_scatter(drawn, TABLE, scatter_dimension=0, tiled=True)


def spread_pairs(pairs: Resident, spread: Spread) -> SpreadPairs:
    """The pairs on the devices of a mesh, a shard at a time."""
    shards, offsets = spread.shards, np.asarray(pairs.known.offsets)
    held = spread.rows(len(offsets) - 1)
    bounds = offsets[np.minimum(np.arange(shards + 1) * held, len(offsets) - 1)]
    gaps = np.zeros((shards, max(int(np.diff(bounds).max()), 1)), np.int32)
    local = np.zeros((shards, held + 1), np.int32)
    for shard, (first, last) in enumerate(itertools.pairwise(bounds)):
        gaps[shard, : last - first] = np.asarray(pairs.known.gaps)[first:last]
        places = np.minimum(shard * held + np.arange(held + 1), len(offsets) - 1)
        local[shard] = offsets[places] - first
    put = lambda array: jax.device_put(array, NamedSharding(spread.mesh, PartitionSpec(TABLE)))  # noqa: E731
    users, items = (put(spread.padded(np.asarray(column))) for column in (pairs.users, pairs.items))
    known = pairs.known
    return SpreadPairs(users, items, put(local), put(gaps), len(pairs.users), known.num_items, known.search_steps)
