"""The frames of one item as several users like them, ordered for each, and what their past looked like."""

import dataclasses

import numpy as np

from socialjax.data.schema import Dataset, Frames

PAST = 3  # frames of a user's training items that are shown


@dataclasses.dataclass(frozen=True)
class UserRow:
    """One user of a case study: frames i32[K] of the item, best first, the first their key frame, with liked f32[K]
    (l_ak); past i32[P]: of the training items whose best frame they like most, that frame."""

    user: int
    label: str
    frames: np.ndarray
    liked: np.ndarray
    past: np.ndarray


def case_study(model, state, side, data: Dataset, users, item: int) -> list[UserRow]:
    """A row for each user; model: one that ranks frames. Raises ValueError when the item has no frames."""
    if not hasattr(model, "frame_scores") or data.frames is None:
        raise ValueError(f"{type(model).__name__} on '{data.name}' ranks no frames; take a model and data with frames")
    offsets = data.frames.offsets
    own = np.arange(offsets[item], offsets[item + 1], dtype=np.int32)
    if not len(own):
        raise ValueError(f"item {data.describe_item(item)} has no frames; choose another item")
    rows = []
    for user in map(int, users):
        liked = _liked(model, state, side, user, own)
        order = np.argsort(-liked, kind="stable")
        past = _past(model, state, side, data, user)
        rows.append(UserRow(user, data.describe_user(user), own[order], liked[order], past))
    return rows


def describe_frame(frames: Frames, row: int) -> str:
    """The name of its picture, or `frame 2 of 8`."""
    if frames.names is not None and str(frames.names[row]):
        return str(frames.names[row])
    item = int(np.searchsorted(frames.offsets, row, side="right")) - 1
    return f"frame {row - frames.offsets[item] + 1} of {frames.offsets[item + 1] - frames.offsets[item]}"


def _liked(model, state, side, user: int, frames: np.ndarray) -> np.ndarray:
    return np.asarray(model.frame_scores(state, side, np.array([user], np.int32), frames[None].astype(np.int32)))[0]


def _past(model, state, side, data: Dataset, user: int) -> np.ndarray:
    """Of each training item the frame that the user likes most; the best PAST of these."""
    items = np.unique(data.train.item[data.train.user == user])
    offsets = data.frames.offsets
    items = items[offsets[items] < offsets[items + 1]]
    if not len(items):
        return np.zeros(0, np.int32)
    frames = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in items])
    liked = _liked(model, state, side, user, frames)
    order = np.lexsort((-liked, data.frames.item[frames]))
    first = order[np.unique(data.frames.item[frames][order], return_index=True)[1]]
    return frames[first[np.argsort(-liked[first], kind="stable")[:PAST]]].astype(np.int32)
