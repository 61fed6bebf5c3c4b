"""Orders of an item's frames that any ranker of key frames must beat: they know nothing of the user.

Each takes the records of a test and returns f32[T], one score for each frame of each record in their order, as
`keyframes.frame_metrics` takes them. Frames that are nice to everybody are found by `centroid` or `popular_style`: a
model that beats chance alone may have found no more than that.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.data.schema import Frames
from socialjax.eval.keyframes import Records
from socialjax.models.protocol import Model, Side, State

MOST_USERS = 1024  # of whom a mean over users is taken
_FRAMES = 64  # scored at once, for all of these users


def random(of: Records, seed: int = 0) -> np.ndarray:
    """RND: any order. Its mean over seeds is `keyframes.chance`."""
    return np.random.default_rng([seed, 17]).random(len(of.frames), np.float32)


def first(of: Records) -> np.ndarray:
    """FIRST: frames in the order in which the item has them."""
    return -(np.arange(len(of.frames)) - np.repeat(of.offsets[:-1], of.lengths())).astype(np.float32)


def centroid(of: Records, frames: Frames) -> np.ndarray:
    """CENTROID: the cosine of a frame and the mean of the item's frames; 0 where one of them is 0."""
    found, order = np.empty(len(of.frames), np.float32), np.argsort(of.items, kind="stable")
    for records in np.split(order, np.flatnonzero(np.diff(of.items[order])) + 1 if len(order) else []):
        if len(records):  # all of one item
            item = of.items[records[0]]
            rows = np.asarray(frames.features[frames.offsets[item] : frames.offsets[item + 1]], np.float64)
            mean = rows.mean(axis=0)
            length = np.linalg.norm(rows, axis=1) * np.linalg.norm(mean)
            cosine = (rows @ mean) / np.where(length > 0, length, 1.0)
            found[of.offsets[records, None] + np.arange(len(rows))[None, :]] = cosine[None, :]
    return found


def popular_style(model: Model, state: State, side: Side, of: Records, num_users: int) -> np.ndarray:
    """POPSTYLE: what a trained model says that users like, in the mean over all users, at most MOST_USERS of them,
    evenly spread. model: one that has `frame_scores`."""
    users = np.unique(np.linspace(0, num_users - 1, min(num_users, MOST_USERS)).astype(np.int32))
    frames, place = np.unique(of.frames, return_inverse=True)
    blocks = -(-len(frames) // _FRAMES)
    asked = np.resize(frames, (blocks, _FRAMES)) if len(frames) else np.zeros((0, _FRAMES), np.int32)
    means = [np.asarray(_mean_scores(model, state, side, users, block)) for block in asked]
    return np.concatenate([np.zeros(0, np.float32), *means])[place.reshape(-1)]


@functools.partial(jax.jit, static_argnums=0)
def _mean_scores(model, state, side, users, frames):
    every = jnp.broadcast_to(frames, (users.shape[0], frames.shape[0]))
    return jnp.mean(model.frame_scores(state, side, users, every), axis=0)
