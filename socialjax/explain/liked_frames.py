"""The frames of one item as several users like them, beside frames of their past: a case study of key frames."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from socialjax.data.picture_files import read_picture
from socialjax.data.schema import DataError, Dataset, Frames
from socialjax.drawing import COLOURS
from socialjax.names import BadName, below

PAST = 3  # frames of a user's training items that are shown
SIDE = 160  # pixels of a picture's longer side
Face = Callable[[int], np.ndarray]  # row of the frames -> its picture or a patch for it, u8[H, W, 3] or f32 in 0..1


@dataclasses.dataclass(frozen=True)
class UserRow:
    """One user of a case study.

    Attributes:
        user: row number.
        label: name of the user.
        frames: i32[K], rows of the item's frames, liked most first; the first is the user's key frame.
        liked: f32[K], how much the user likes each of them (l_ak).
        past: i32[P], the frames that the user likes most, the best one of each of their training items.
        taste: f[T], the user's shares of styles, where they are known.
    """

    user: int
    label: str
    frames: np.ndarray
    liked: np.ndarray
    past: np.ndarray
    taste: np.ndarray | None = None


def case_study(model, state, side, data: Dataset, users, item: int, past: int = PAST) -> list[UserRow]:
    """Ranks the frames of an item for several users.

    Args:
        model: one that ranks frames.
        state: of the model.
        side: of the model.
        data: with frames.
        users: row numbers.
        item: row number.
        past: how many frames of a user's own training items a row has at most.

    Returns:
        A row for each user.

    Raises:
        ValueError: the model ranks no frames, or the item has none.
    """
    if not model.traits.ranks_frames or data.frames is None:
        raise ValueError(f"{type(model).__name__} on '{data.name}' ranks no frames; take a model and data with frames")
    offsets = data.frames.offsets
    own = np.arange(offsets[item], offsets[item + 1], dtype=np.int32)
    if not len(own):
        raise ValueError(f"item {data.describe_item(item)} has no frames; choose another item")
    rows = []
    for user, liked in zip(map(int, users), likings(model, state, side, users, own)):
        order = np.argsort(-liked, kind="stable")
        best = favourites(model, state, side, data, user, past)
        rows.append(UserRow(user, data.describe_user(user), own[order], liked[order], best))
    return rows


def likings(model, state, side, users, frames) -> np.ndarray:
    """How much users like frames.

    Args:
        model: one that ranks frames.
        state: of the model.
        side: of the model.
        users: i[U], row numbers.
        frames: i[K], rows of the data's frames.

    Returns:
        f32[U, K].
    """
    rows = np.broadcast_to(np.asarray(frames, np.int32), (len(users), len(frames)))
    return np.asarray(model.frame_scores(state, side, np.asarray(users, np.int32), rows))


def favourites(model, state, side, data: Dataset, user: int, count: int) -> np.ndarray:
    """The best frame of each training item of a user; the `count` that they like most of these, i32[P]."""
    items = np.unique(data.train.item[data.train.user == user])
    offsets = data.frames.offsets
    items = items[offsets[items] < offsets[items + 1]]
    if not len(items):
        return np.zeros(0, np.int32)
    frames = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in items])
    liked = likings(model, state, side, [user], frames)[0]
    order = np.lexsort((-liked, data.frames.item[frames]))
    first = order[np.unique(data.frames.item[frames][order], return_index=True)[1]]
    return frames[first[np.argsort(-liked[first], kind="stable")[:count]]].astype(np.int32)


def describe_frame(frames: Frames, row: int) -> str:
    """The name of its picture, or `frame 2 of 8`."""
    if frames.names is not None and str(frames.names[row]):
        return str(frames.names[row])
    item = int(np.searchsorted(frames.offsets, row, side="right")) - 1
    return f"frame {row - frames.offsets[item] + 1} of {frames.offsets[item + 1] - frames.offsets[item]}"


def faces(frames: Frames, folder: Path | None = None, styles: np.ndarray | None = None) -> Face:
    """Pictures for frames.

    Args:
        frames: of the data.
        folder: of picture files by the frames' names.
        styles: i32[L], the style of each frame.

    Returns:
        A function from a frame to its picture where the folder has its file, else to a patch in the colour of its style
        or, without styles, in a colour computed from its features, so that similar frames have similar colours.
    """
    colours = _style_colours(styles) if styles is not None else _feature_colours(frames.features)

    def face(frame: int) -> np.ndarray:
        if folder is not None and frames.names is not None:
            picture = _picture(folder, describe_frame(frames, frame))
            if picture is not None:
                return picture
        return np.broadcast_to(colours(frame), (24, 24, 3))

    return face


def _picture(folder: Path, name: str) -> np.ndarray | None:
    """f32[H, W, 3] of a file inside the folder, made small; None where there is none or none that can be read."""
    try:
        pixels = read_picture(below(folder, name))
    except (BadName, DataError):
        return None
    step = max(1, -(-max(pixels.shape[:2]) // SIDE))
    return pixels[::step, ::step].astype(np.float32) / 255


def _style_colours(styles: np.ndarray) -> Callable[[int], np.ndarray]:
    numbers = [tuple(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)) for colour in COLOURS]
    return lambda frame: np.array(numbers[int(styles[frame]) % len(numbers)], np.float32)


def _feature_colours(features: np.ndarray) -> Callable[[int], np.ndarray]:
    """The three leading directions of a sample as red, green and blue, each from its 5th to its 95th percentile."""
    sample = np.asarray(features[:: -(-len(features) // 4096)], np.float32)
    mean = sample.mean(axis=0)
    width = min(3, *sample.shape)
    basis = np.zeros((sample.shape[1], 3), np.float32)
    basis[:, :width] = np.linalg.svd(sample - mean, full_matrices=False)[2][:width].T
    low, high = np.percentile((sample - mean) @ basis, (5, 95), axis=0)
    spread = np.maximum(high - low, 1e-12)
    return lambda frame: np.clip(((np.asarray(features[frame], np.float32) - mean) @ basis - low) / spread, 0, 1)
