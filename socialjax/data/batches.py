"""The resident path: training pairs live on the device, and any row of any step is computed there from its number."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.data.schema import Dataset
from socialjax.models.protocol import Batch
from socialjax.ops import sample


@struct.dataclass
class Resident:
    """Training pairs users i32[N], items i32[N] and what negatives are drawn with."""

    users: jax.Array
    items: jax.Array
    known: sample.Positives


def resident(data: Dataset) -> Resident:
    """NumPy, once. Raises ValueError when there is nothing to train on."""
    if not len(data.train):
        raise ValueError(f"data set '{data.name}' has no training pairs; check its files and its split")
    known = sample.positives(data.train.user, data.train.item, data.num_users, data.num_items)
    return Resident(data.train.user, data.train.item, known)


def steps_per_epoch(num_pairs: int, batch_size: int) -> int:
    """Steps that cover all pairs; the last is filled with padding."""
    return -(-num_pairs // batch_size)


def make_batch(data: Resident, seed, step, rows: jax.Array, batch_size: int, negatives: int) -> Batch:
    """Rows u32[R] (numbers within the global batch of `batch_size`) of training step `step`.

    Pairs are shuffled anew in each epoch. Pure: a function of (seed, step, rows) alone.
    """
    num_pairs = data.users.shape[0]
    per_epoch = steps_per_epoch(num_pairs, batch_size)
    epoch, within = step // per_epoch, step % per_epoch
    position = within * batch_size + rows.astype(jnp.int32)
    order = sample.fold(sample.fold(seed, epoch), sample.SHUFFLE)  # a stream: epochs and steps both count from 0
    pair = sample.shuffled(order, position % num_pairs, num_pairs)
    users = data.users[pair]
    drawn = sample.negatives(data.known, sample.fold(seed, step), users, rows, negatives)
    return Batch(users, data.items[pair], drawn, (position < num_pairs).astype(jnp.float32), rows)


def on_device(tree):
    """NumPy leaves to device arrays."""
    return jax.tree.map(lambda a: jnp.asarray(a) if isinstance(a, np.ndarray) else a, tree)
