"""Ranking where the items are: each device scores its own shard of them, and counts and best lists are merged.

Users' vectors and items stay spread as tables are (`ops.spread`). A block of users goes to all devices of a table, each
of which has its part of the block's scores; ranks are sums of counts, and the best of all are among the best of each.
"""

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax.sharding import PartitionSpec

from socialjax.eval import ranking
from socialjax.eval.largest import largest
from socialjax.ops.lookup import candidate_scores
from socialjax.ops.spread import DATA, TABLE, Spread, own


@struct.dataclass
class ItemShards(ranking.Ranks):
    """What a dot-product model encodes, padded and spread; scores are <u_a, v_i> + b_i.

    Attributes:
      users: f32[U', D].
      items: f32[I', D].
      item_bias: f32[I'].
      spread: The devices.
    """

    users: jax.Array
    items: jax.Array
    item_bias: jax.Array
    spread: Spread = struct.field(pytree_node=False)

    def among_all(self, num_items, num_blocks, users, positives, longest, hidden):
        return _among_all(num_items, self, num_blocks, users, positives, longest, hidden)

    def among_drawn(self, num_items, num_blocks, users, positives, longest, negatives):
        return _among_drawn(self, num_blocks, users, positives, longest, negatives)

    def best(self, num_items, k, num_blocks, users, hidden):
        return _best(num_items, k, self, num_blocks, users, hidden)

    def map_blocks(self, function, num_blocks, users, *arrays):
        """function(shards, vectors f32[B, D], first row, b) of each block, whose results are [B, ...] on every device.

        shards has what this device holds. Devices that differ in `data` have a part of each block where it divides;
        arrays are whole on each.
        """
        copies = self.spread.mesh.shape[DATA]
        size, part = users.shape[1], users.shape[1] // copies if users.shape[1] % copies == 0 else users.shape[1]

        def on_each(shards, num_blocks, users, *arrays):
            first = jax.lax.axis_index(DATA) * part if part < size else jnp.int32(0)

            def block(b):
                wanted = own(jax.lax.dynamic_slice_in_dim(users[b], first, part), len(shards.users))
                vectors = jax.lax.psum(shards.users.at[wanted].get(mode="fill", fill_value=0), TABLE)
                found = function(shards, vectors, first, b, *arrays)
                return jax.lax.all_gather(found, DATA, tiled=True) if part < size else found

            return ranking.each_block(block, num_blocks, users.shape[0])

        tables = jax.tree.map(lambda _: PartitionSpec(TABLE), self)
        return self.spread.mapped(on_each, (tables, *[None] * (2 + len(arrays))), None)(
            self, num_blocks, users, *arrays
        )


def spread_vectors(spread: Spread, users, items, item_bias) -> ItemShards:
    """The vectors of a dot-product model, `Model.vectors`, on the devices; inside of `jit`."""
    return ItemShards(*(spread.kept(spread.padded(spread.kept(part))) for part in (users, items, item_bias)), spread)


def _rows(array, first, count: int):
    return jax.lax.dynamic_slice_in_dim(array, first, count)


def _own_table(shards: ItemShards, vectors):
    """Scores f32[B, R] of this device's items."""
    table = jnp.dot(vectors, shards.items.T, precision=jax.lax.Precision.HIGHEST)
    return table + shards.item_bias[None, :]


def _hide(shards: ItemShards, table, cells, num_items: int, first):
    """-inf in the cells row * num_items + item that are of these rows and of this device, and in columns of padding."""
    row, item = cells // num_items - first, own(cells % num_items, table.shape[1])
    row = jnp.where(row < 0, table.shape[0], row)
    padding = num_items + jnp.arange(_padding(shards, num_items), dtype=jnp.int32)
    table = table.at[row, item].set(-jnp.inf, mode="drop")
    return table.at[:, own(padding, table.shape[1])].set(-jnp.inf, mode="drop")


def _padding(shards: ItemShards, num_items: int) -> int:
    """Rows of padding on all devices."""
    return len(shards.items) * shards.spread.shards - num_items


def _summed_scores(shards: ItemShards, vectors, items):
    """Scores f32[B, C] of items i32[B, C], wherever they are."""
    local = own(items, len(shards.items))
    is_held = local < len(shards.items)
    local = jnp.where(is_held, local, 0)
    scores = candidate_scores(vectors, shards.items, local) + shards.item_bias[local]
    return jax.lax.psum(jnp.where(is_held, scores, 0.0), TABLE)


@functools.partial(jax.jit, static_argnums=0)
def _among_all(num_items, shards, num_blocks, users, positives, longest, hidden):
    """As `ranking`'s, of positives [n, B, W] of users [n, B] against all items but hidden cells i32[n, X]."""

    def block(shards, vectors, first, b, positives, longest, hidden):
        table = _own_table(shards, vectors)
        local = own(_rows(positives[b], first, len(vectors)), table.shape[1])
        is_held = local < table.shape[1]
        scores = jnp.take_along_axis(table, jnp.where(is_held, local, 0), axis=1, mode="promise_in_bounds")
        scores = jax.lax.psum(jnp.where(is_held, scores, 0.0), TABLE)
        higher, tied = ranking.compared(scores, _hide(shards, table, hidden[b], num_items, first), longest[b])
        higher, tied = jax.lax.psum((higher, tied), TABLE)
        # Padding is as low as can be, and still no lower than -inf and no number.
        padding, held = _padding(shards, num_items), jnp.arange(scores.shape[1]) < longest[b]
        higher -= jnp.where(~(-jnp.inf <= scores) & held[None, :], padding, 0)
        tied -= jnp.where((scores == -jnp.inf) & held[None, :], padding, 0)
        return scores, higher, tied

    return shards.map_blocks(block, num_blocks, users, positives, longest, hidden)


@jax.jit
def _among_drawn(shards, num_blocks, users, positives, longest, negatives):
    """As `_among_all`, against negatives [n, B, N]."""

    def block(shards, vectors, first, b, positives, longest, negatives):
        parts = (_rows(part[b], first, len(vectors)) for part in (positives, negatives))
        scores = _summed_scores(shards, vectors, jnp.concatenate([*parts], axis=1))
        count = positives.shape[2]
        return scores[:, :count], *ranking.compared(scores[:, :count], scores[:, count:], longest[b])

    return shards.map_blocks(block, num_blocks, users, positives, longest, negatives)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _best(num_items, k, shards, num_blocks, users, hidden):
    """The k best items i32[n, B, k] and their scores f32[n, B, k], without hidden cells i32[n, X]."""

    def block(shards, vectors, first, b, hidden):
        table = _hide(shards, _own_table(shards, vectors), hidden[b], num_items, first)
        scores, items = largest(table, min(k, table.shape[1]))
        items = items + jax.lax.axis_index(TABLE).astype(items.dtype) * table.shape[1]
        # Shards in their order, so that of equal scores the lower item comes first.
        scores, items = (jax.lax.all_gather(part, TABLE, axis=1, tiled=True) for part in (scores, items))
        scores, place = jax.lax.top_k(scores, k)
        return jnp.take_along_axis(items, place, axis=1, mode="promise_in_bounds"), scores

    return shards.map_blocks(block, num_blocks, users, hidden)
