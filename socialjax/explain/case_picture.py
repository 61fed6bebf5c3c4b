"""A case study of key frames as a picture: users in rows, an item's frames in columns, ordered for each user."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.pictures import read_picture
from socialjax.data.schema import Frames
from socialjax.explain.keyframes import UserRow, describe_frame
from socialjax.explain.picture import COLOURS, save
from socialjax.explain.text import shorten
from socialjax.names import BadName, below

SHOWN = 8  # frames of a row
SIDE = 160  # pixels of a picture's longer side
Face = Callable[[int], np.ndarray]  # row of the frames -> f32[H, W, 3], 0..1


def draw_case_study(path: Path, rows: Sequence[UserRow], frames: Frames, face: Face, title: str, shown: int = SHOWN):
    """Writes the rows as PNG, whole or not at all. title: item, model and data, and that they are made where they are.

    Left of the line: what the user's training items showed that they like most. A frame has its number within the item
    and l_ak below it; the first of a row is the user's key frame.
    """
    from matplotlib.figure import Figure  # not pyplot: no state, no display; half a second, and only for this

    past, columns = max(len(row.past) for row in rows), min(shown, max(len(row.frames) for row in rows))
    gap = 1 if past else 0
    figure = Figure(figsize=(1.6 + 1.15 * (past + gap * 0.4 + columns), 0.9 + 1.35 * len(rows)), layout="constrained")
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
        edge = {"fill": False, "edgecolor": "#222", "linewidth": 3, "clip_on": False}
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
