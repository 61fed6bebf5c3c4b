"""Training batches made on the device: pairs reside there, and any row of any step is computed from its number."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch
from socialjax.data.schema import Dataset
from socialjax.ops import sample


@struct.dataclass
class Resident:
    """Training pairs on the device.

    Attributes:
        users: i32[N].
        items: i32[N].
        known: each user's positives, which negatives avoid.
    """

    users: jax.Array
    items: jax.Array
    known: sample.Positives


def resident(data: Dataset) -> Resident:
    """The training pairs of a data set, as NumPy arrays. Raises ValueError when there are none."""
    if not len(data.train):
        raise ValueError(f"data set '{data.name}' has no training pairs; check its files and its split")
    known = sample.positives(data.train.user, data.train.item, data.num_users, data.num_items)
    return Resident(data.train.user, data.train.item, known)


def steps_per_epoch(num_pairs: int, batch_size: int) -> int:
    """Steps that cover all pairs; the last is filled with padding."""
    return -(-num_pairs // batch_size)


def make_batch(data: Resident, seed, step, rows: jax.Array, batch_size: int, negatives: int) -> Batch:
    """Some rows of the batch of a training step: a pure function of (seed, step, rows). Pairs are shuffled every epoch.

    Args:
        data: training pairs.
        seed: u32, of shuffling and negatives.
        step: number of the step.
        rows: u32[R], numbers within the global batch.
        batch_size: of the global batch.
        negatives: of each row.

    Returns:
        The rows as a batch; padding at the end of an epoch has weight 0.
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
