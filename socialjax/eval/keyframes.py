"""Metrics of key frames: the ranks of the frames that a user likes among all frames of the item (docs/jifr.md).

A record is a user and an item of which some frames are liked; its candidates are all frames of that item. As in
`eval.metrics`, ties count as the mean over the orders of tied frames, so that equal scores get what chance gets:

    HR@K    1 if a liked frame is among the first K          NDCG@K  sum of liked frames' 1 / log2(place + 1) in the
    of n frames with p liked, by chance:                             first K / its value for the first min(p, K) places
    HR@K    1 - (n - p over K) / (n over K)                  NDCG@K  p / n sum of the first K discounts / the same

`random`, `first`, `centroid` and `popular_style` are baselines that do not depend on the user. Each takes records and
returns f32[T], a score for each frame of each record in their order, for `frame_metrics`. `centroid` and
`popular_style` rank frames that everybody likes: a model that only beats chance may have learned no more than that.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.contract import Model, Side, State
from socialjax.data.schema import Dataset, Frames
from socialjax.eval.metrics import Counts, per_user

NAMES = (("HR", 1), ("NDCG", 3), ("HR", 3), ("NDCG", 5), ("HR", 5))  # NDCG@1 is HR@1
MEANING = "HR@K of key frames: 1 if a liked frame is among the first K of its item, else 0"
_RECORDS = 4096  # scored at once


@dataclasses.dataclass(frozen=True)
class Records:
    """Records by user and item.

    Attributes:
      users: i32[R].
      items: i32[R].
      offsets: i64[R + 1]; record r has the frames offsets[r]..offsets[r + 1] - 1.
      frames: i32[T], rows of `Frames.features`, in the order of the item.
      liked: bool[T], whether the user likes the frame.
      skipped: Reason -> number of records left out because any ranking of them is right.
    """

    users: np.ndarray
    items: np.ndarray
    offsets: np.ndarray
    frames: np.ndarray
    liked: np.ndarray
    skipped: dict[str, int]

    def __len__(self) -> int:
        return len(self.users)

    def lengths(self) -> np.ndarray:
        """Frames of each record, i64[R]."""
        return np.diff(self.offsets)

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """Frames i32[R, K], padded with the first one to the longest record, and bool[R, K], False for padding."""
        place = np.arange(self.lengths().max(initial=1))
        is_frame = place < self.lengths()[:, None]
        return self.frames[self.offsets[:-1, None] + np.where(is_frame, place, 0)], is_frame


@dataclasses.dataclass(frozen=True)
class FrameResult:
    """Metrics of each record.

    Attributes:
      users: i32[R].
      values: Name such as `NDCG@3` -> f64[R].
      chance: Name -> f64[R], the expectation of a random order.
      skipped: As in `Records`.
    """

    users: np.ndarray
    values: dict[str, np.ndarray]
    chance: dict[str, np.ndarray]
    skipped: dict[str, int]

    def summary(self) -> dict:
        """Ready for JSON: {"records", "users", "skipped", "metrics": {name: {"mean", "ci95", "per_user", "random"}}}.

        `mean` and `random`, the expectation of a random order, are over records; `ci95` is half the width of the
        interval whose errors are clustered by user, None for a single user; `per_user` is the mean over users of their
        means. Without records there are no metrics.
        """
        users, row = np.unique(self.users, return_inverse=True)
        count = np.bincount(row)
        metrics = {}
        for name, values in self.values.items() if len(users) else ():
            user_means = np.bincount(row, values) / count
            mean, half = clustered_interval(values, self.users)
            random = float(self.chance[name].mean())
            metrics[name] = {"mean": mean, "ci95": half, "per_user": float(user_means.mean()), "random": random}
        return {"records": len(self.users), "users": len(users), "skipped": dict(self.skipped), "metrics": metrics}


def records(data: Dataset) -> Records | None:
    """The records of a data set's likes of frames; None where it has none.

    Records of an item with a single frame, or all of whose frames are liked, are skipped and counted.
    """
    if data.frames is None or data.frame_likes is None:
        return None
    likes, offsets = data.frame_likes, np.asarray(data.frames.offsets, np.int64)
    pairs, row = np.unique(likes.user.astype(np.int64) * data.num_items + likes.item, return_inverse=True)
    users, items = (pairs // data.num_items).astype(np.int32), (pairs % data.num_items).astype(np.int32)
    length = offsets[items + 1] - offsets[items]
    ends = np.concatenate([[0], np.cumsum(length)])
    frames = np.repeat(offsets[items] - ends[:-1], length) + np.arange(ends[-1])
    liked = np.zeros(len(frames), bool)
    liked[ends[row] + likes.frame - offsets[items][row]] = True
    number = np.bincount(np.repeat(np.arange(len(pairs)), length), liked, len(pairs))
    single = length == 1
    everything = ~single & (number == length)
    skipped = {"a single frame": int(single.sum()), "all frames liked": int(everything.sum())}
    kept = ~(single | everything)
    inside = np.repeat(kept, length)
    ends = np.concatenate([[0], np.cumsum(length[kept])])
    return Records(users[kept], items[kept], ends, frames[inside].astype(np.int32), liked[inside], skipped)


def record_scores(model: Model, state: State, side: Side, records: Records) -> np.ndarray:
    """`model.frame_scores` f32[T] of each record's user for each of its frames."""
    if not len(records):
        return np.zeros(0, np.float32)
    frames, is_frame = records.padded()
    size = min(len(records), _RECORDS)
    scores = np.empty(frames.shape, np.float32)
    for start in range(0, len(records), size):
        # The last row fills up: one shape, one program.
        rows = np.minimum(np.arange(start, start + size), len(records) - 1)
        scores[rows] = _scored(model, state, side, records.users[rows], frames[rows])
    return scores[is_frame]


@functools.partial(jax.jit, static_argnums=0)
def _scored(model, state, side, users, frames):
    return model.frame_scores(state, side, users, frames)


def frame_metrics(scores: np.ndarray, records: Records) -> FrameResult:
    """Metrics of each record.

    Args:
      scores: f[T], of each frame of each record, in their order.
      records: R records with T frames.

    Raises:
      ValueError: for scores that are not finite or not as many as frames.
    """
    scores = np.asarray(scores)
    if scores.shape != records.frames.shape or not np.isfinite(scores).all():
        raise ValueError(
            f"wanted {len(records.frames)} finite scores, one for each frame of each record, got shape {scores.shape} "
            f"with {np.count_nonzero(~np.isfinite(scores))} that are not finite; look at the parameters and the order"
        )
    metrics = per_user(_counts(scores, records), sorted({k for _, k in NAMES})) if len(records) else {}
    metric_names = {"HR": "Hit", "NDCG": "NDCG"}  # the metric of that meaning in `eval.metrics`
    empty = np.zeros(0)
    values = {f"{name}@{k}": metrics.get(f"{metric_names[name]}@{k}", empty).astype(np.float64) for name, k in NAMES}
    return FrameResult(records.users, values, chance(records), records.skipped)


def chance(records: Records) -> dict[str, np.ndarray]:
    """Expected metrics of a random order of each record's frames, in closed form: name -> f64[R]."""
    n = records.lengths().astype(np.float64)
    p = np.bincount(np.repeat(np.arange(len(records)), records.lengths()), records.liked, len(records))
    most = max(k for _, k in NAMES)
    # Entry r of gain: the discounts of the first r places. Entry r of none: none of the first r + 1 is liked.
    gain = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(most) + 2))])
    place = np.arange(most)
    none = np.cumprod(np.maximum((n - p)[:, None] - place, 0) / np.maximum(n[:, None] - place, 1), axis=1)
    expected = {}
    for name, k in NAMES:
        if name == "HR":
            expected[f"HR@{k}"] = 1 - none[:, k - 1]
        else:
            expected[f"NDCG@{k}"] = p / n * gain[np.minimum(n, k).astype(int)] / gain[np.minimum(p, k).astype(int)]
    return expected


def clustered_interval(values: np.ndarray, users: np.ndarray) -> tuple[float, float | None]:
    """Mean over records and its 95 % interval, where the records of a user are not independent.

    The variance is that of the users' sums of deviations (Liang and Zeger, Biometrika 1986), with Student's t of one
    degree of freedom less than there are users.

    Args:
      values: f64[R].
      users: i32[R], the user of each record.

    Returns:
      (mean, half width of the interval), the second None with a single user; (0, None) without records.
    """
    if not len(values):
        return 0.0, None
    _, row = np.unique(users, return_inverse=True)
    mean, clusters = float(values.mean()), int(row.max()) + 1
    if clusters == 1:
        return mean, None
    from scipy import stats  # takes longer to load than the rest of the library

    sums = np.bincount(row, values - mean)
    error = np.sqrt((sums**2).sum() * clusters / (clusters - 1)) / len(values)
    return mean, float(stats.t.ppf(0.975, clusters - 1) * error)


def _counts(scores: np.ndarray, records: Records) -> Counts:
    """How many unliked frames of the same record score above and as high as each liked one."""
    owner = np.repeat(np.arange(len(records)), records.lengths())
    order = np.lexsort((-scores, owner))
    record, score = owner[order], scores[order]
    opens = np.ones(len(order), bool)
    opens[1:] = (record[1:] != record[:-1]) | (score[1:] != score[:-1])
    block = np.cumsum(opens) - 1
    other = ~records.liked[order]
    before = np.concatenate([[0], np.cumsum(other)])  # unliked frames in front of each place, of all records
    start = np.flatnonzero(opens)
    higher, tied = np.empty(len(order), np.int32), np.empty(len(order), np.int32)
    higher[order] = (before[start] - before[records.offsets[record[start]]])[block]
    tied[order] = np.bincount(block, other)[block]
    number = np.bincount(owner, records.liked, len(records)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(number)])
    liked = records.liked
    return Counts(offsets, scores[liked], higher[liked], tied[liked], records.lengths() - number)


MOST_USERS = 1024  # of whom a mean over users is taken
_FRAMES = 64  # scored at once, for all of these users


def random(records: Records, seed: int = 0) -> np.ndarray:
    """RND: any order. Its mean over seeds is `keyframes.chance`."""
    return np.random.default_rng([seed, 17]).random(len(records.frames), np.float32)


def first(records: Records) -> np.ndarray:
    """FIRST: frames in the order in which the item has them."""
    return -(np.arange(len(records.frames)) - np.repeat(records.offsets[:-1], records.lengths())).astype(np.float32)


def centroid(records: Records, frames: Frames) -> np.ndarray:
    """CENTROID: the cosine of a frame and the mean of the item's frames; 0 where one of them is 0."""
    scores, order = np.empty(len(records.frames), np.float32), np.argsort(records.items, kind="stable")
    for same_item in np.split(order, np.flatnonzero(np.diff(records.items[order])) + 1 if len(order) else []):
        if len(same_item):  # all of one item
            item = records.items[same_item[0]]
            rows = np.asarray(frames.features[frames.offsets[item] : frames.offsets[item + 1]], np.float64)
            mean = rows.mean(axis=0)
            length = np.linalg.norm(rows, axis=1) * np.linalg.norm(mean)
            cosine = (rows @ mean) / np.where(length > 0, length, 1.0)
            scores[records.offsets[same_item, None] + np.arange(len(rows))[None, :]] = cosine[None, :]
    return scores


def popular_style(model: Model, state: State, side: Side, records: Records, num_users: int) -> np.ndarray:
    """POPSTYLE: the mean of a trained model's `frame_scores` over users, at most MOST_USERS of them, evenly spread."""
    users = np.unique(np.linspace(0, num_users - 1, min(num_users, MOST_USERS)).astype(np.int32))
    frames, frame_of = np.unique(records.frames, return_inverse=True)
    blocks = -(-len(frames) // _FRAMES)
    asked = np.resize(frames, (blocks, _FRAMES)) if len(frames) else np.zeros((0, _FRAMES), np.int32)
    means = [np.asarray(_mean_scores(model, state, side, users, block)) for block in asked]
    return np.concatenate([np.zeros(0, np.float32), *means])[frame_of.reshape(-1)]


@functools.partial(jax.jit, static_argnums=0)
def _mean_scores(model, state, side, users, frames):
    every = jnp.broadcast_to(frames, (users.shape[0], frames.shape[0]))
    return jnp.mean(model.frame_scores(state, side, users, every), axis=0)
