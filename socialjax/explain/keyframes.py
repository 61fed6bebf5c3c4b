"""The frames of one item as several users like them, ordered for each, and what their past looked like.

A case study of key frames as a picture: users in rows, an item's frames in columns, ordered for each user.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.picture_files import read_picture
from socialjax.data.schema import Dataset, Frames
from socialjax.drawing import COLOURS, INK, blank, save
from socialjax.explain.text import shorten
from socialjax.names import BadName, below

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


SHOWN = 8  # frames of a row
SIDE = 160  # pixels of a picture's longer side
Face = Callable[[int], np.ndarray]  # row of the frames -> f32[H, W, 3], 0..1


def draw_case_study(path: Path, rows: Sequence[UserRow], frames: Frames, face: Face, title: str, shown: int = SHOWN):
    """Writes the rows as PNG, whole or not at all. title: item, model and data, and that they are made where they are.

    Left of the line: what the user's training items showed that they like most. A frame has its number within the item
    and l_ak below it; the first of a row is the user's key frame.
    """
    past, columns = max(len(row.past) for row in rows), min(shown, max(len(row.frames) for row in rows))
    gap = 1 if past else 0
    figure = blank(1.6 + 1.15 * (past + gap * 0.4 + columns), 0.9 + 1.35 * len(rows))
    figure.suptitle(title, fontsize=10, parse_math=False)
    widths = [1.0] * past + [0.25] * gap + [1.0] * columns
    axes = figure.subplots(len(rows), len(widths), squeeze=False, width_ratios=widths)
    for axis in axes.flat:
        axis.set_axis_off()
    for line, row in zip(axes, rows):
        label = f"user {shorten(row.label, 14)}"
        line[0].text(-0.12, 0.5, label, transform=line[0].transAxes, ha="right", va="center", fontsize=9)
        for axis, frame in zip(line, row.past):
            axis.imshow(face(frame))
        for place, axis in enumerate(line[past + gap :]):
            if place < len(row.frames):
                _tile(axis, frames, row.frames[place], row.liked[place], place == 0, face)
    if past:
        axes[0, 0].set_title("liked in own past", fontsize=8, loc="left")
    axes[0, past + gap].set_title("key frame", fontsize=8, loc="left", fontweight="bold")
    if columns > 1:
        axes[0, past + gap + 1].set_title("the others, best first", fontsize=8, loc="left")
    save(figure, path)


def _tile(axis, frames: Frames, frame: int, liked: float, is_key: bool, face: Face) -> None:
    picture = face(frame)
    axis.imshow(picture)
    item = int(np.searchsorted(frames.offsets, frame, side="right")) - 1
    said = f"{frame - frames.offsets[item] + 1}: {liked:+.2f}"
    axis.text(0.5, -0.04, said, transform=axis.transAxes, ha="center", va="top", fontsize=8)
    if is_key:
        height, width = picture.shape[:2]
        edge = {"fill": False, "edgecolor": INK, "linewidth": 3, "clip_on": False}
        from matplotlib.patches import Rectangle

        axis.add_patch(Rectangle((-0.5, -0.5), width, height, **edge))


def faces(frames: Frames, folder: Path | None = None, styles: np.ndarray | None = None) -> Face:
    """What stands for a frame: its picture where `folder` has the file of its name, else a patch in the colour of its
    style i32[L] or, without styles, in one made of its features, so that frames that look alike are coloured alike."""
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
