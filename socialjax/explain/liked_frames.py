"""The frames of one item as several users like them, beside frames of their past: a case study of key frames."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np

from socialjax.data.schema import Dataset, Frames
from socialjax.drawing import COLOURS, PINK, blank, save, wrapped
from socialjax.explain.text import shorten
from socialjax.formats.file_bytes import DataError
from socialjax.formats.picture_files import read_picture
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


def liking_of(model, state, side, user: int, frames) -> np.ndarray:
    """How much one user likes frames: `likings` to the last digit, quickly for one question at a time.

    Each number of frames is compiled once. Padding to fewer shapes would round some sums otherwise: XLA adds up a
    product of five rows in another order than one of eight.

    Args:
        model: one that ranks frames.
        state: of the model.
        side: of the model.
        user: row number.
        frames: i[K], rows of the data's frames.

    Returns:
        f32[K].
    """
    rows = np.asarray(frames, np.int32)[None]
    return np.asarray(_frame_scores(model, state, side, np.array([user], np.int32), rows))[0]


@functools.partial(jax.jit, static_argnums=0)
def _frame_scores(model, state, side, users, frames):
    return model.frame_scores(state, side, users, frames)


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


SHOWN = 8  # frames of a row
HEIGHT, NAME, GAP = 0.74, 0.8, 0.25  # inches: of a row, of a user's name, between the past and the item's frames
WORDS = 0.66  # inches: width of the text below a frame
NARROWEST = 7.0  # inches: width of the title and legend
LETTERS = 14  # of a user's name


def draw_frames(
    path: Path,
    title: str,
    frames: Frames,
    rows: Sequence[UserRow],
    face: Face,
    styles: Sequence[str] = (),
    style: np.ndarray | None = None,
    limit: int = SHOWN,
) -> None:
    """Draws the sheet as PNG, written atomically.

    Below a frame of a user's row are its number in the item and how much they like it; the first is their key frame.
    Left of these, where known: the user's taste, and the frames that they like most in the items they took. An item
    whose frames all fit has a line above with all of them in their order in the item.

    Args:
        path: of the file.
        title: item, model and data, and that they are synthetic where they are.
        frames: of the data.
        rows: of `case_study`, one item's.
        face: the picture of a frame by its row in `frames`.
        styles: names of the columns of `taste`.
        style: i[L], the style of each frame, a bar of its colour below the picture.
        limit: frames of a user's row, at most.
    """
    item = np.sort(rows[0].frames)
    columns = min(limit, len(item))
    strip = max(len(row.past) for row in rows)
    above = [item] if columns == len(item) else []
    height, width = face(item[0]).shape[:2]
    across = max(HEIGHT * 0.72 * width / height, WORDS)
    widths = [NAME, *([1.0] if styles else []), *([across] * strip), GAP, *([across] * columns)]
    widths.append(max(NARROWEST - sum(widths), 0.01))
    title = wrapped(title, 0.9 * sum(widths))  # in bold letters
    sheet = _Sheet(widths, len(above) + len(rows), 0.16 * title.count("\n"), face, style)
    first, left = len(widths) - 1 - columns, 1 + bool(styles)
    for line, order in enumerate(above):
        sheet.place(line, 0).text(0, 0.5, "as in\nthe item", size=8, va="center")
        for column, frame in enumerate(order):
            sheet.head(sheet.show(line, first + column, frame), f"frame {frame - item[0] + 1}")
    for line, row in enumerate(rows, start=len(above)):
        sheet.place(line, 0).text(0, 0.5, shorten(row.label, LETTERS), size=8, va="center")
        is_top = line == len(above)
        if row.taste is not None and styles:
            axes = _taste(sheet.place(line, 1), row.taste)
            if is_top:
                sheet.head(axes, "planted taste")
        for column, frame in enumerate(row.past):
            axes = sheet.show(line, left + column, frame, with_style=False)
            if is_top and column == 0:
                axes.text(0, 1.1, "liked most of what they took", size=7.5, va="bottom", transform=axes.transAxes)
        for rank, (frame, liked) in enumerate(zip(row.frames[:columns], row.liked)):
            sheet.show(line, first + rank, frame, f"#{frame - item[0] + 1}   {liked:+.2f}", is_key=rank == 0)
    _words(sheet.figure, title, styles)
    save(sheet.figure, path)


class _Sheet:
    """A figure of pictures in lines and columns.

    Args:
        widths: of the columns, inches.
        lines: how many there are.
        more: inches for the second and later lines of the title.
        face: the picture of a frame.
        style: i[L] of each frame, or None.
    """

    def __init__(self, widths: Sequence[float], lines: int, more: float, face: Face, style: np.ndarray | None):
        self.face, self.style = face, style
        self.figure = blank(sum(widths), HEIGHT * lines + 1.1 + more)
        self.figure.set_layout_engine("none")
        size = self.figure.get_figheight()
        self.grid = self.figure.add_gridspec(
            lines, len(widths), width_ratios=widths, wspace=0.06, hspace=0.5,
            left=0.005, right=0.995, top=1 - (0.66 + more) / size, bottom=0.5 / size,
        )  # fmt: skip

    def place(self, line: int, column: int):
        """Axes without lines."""
        axes = self.figure.add_subplot(self.grid[line, column])
        axes.set_axis_off()
        return axes

    def show(self, line: int, column: int, frame: int, below: str = "", is_key: bool = False, with_style: bool = True):
        """The picture of a frame, in its own shape, with text below."""
        from matplotlib.patches import Rectangle

        axes = self.place(line, column)
        axes.imshow(self.face(frame))
        outside = {"transform": axes.transAxes, "clip_on": False}
        has_style = with_style and self.style is not None
        if has_style:  # along the lower edge, just outside the picture
            colour = COLOURS[int(self.style[frame]) % len(COLOURS)]
            axes.add_patch(Rectangle((0, -0.17), 1, 0.09, color=colour, linewidth=0, **outside))
        if is_key:
            axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=PINK, linewidth=3, **outside))
        axes.text(0.5, -0.2 if has_style else -0.08, below, size=6.5, ha="center", va="top", transform=axes.transAxes)
        return axes

    def head(self, axes, text: str) -> None:
        """Writes above a picture."""
        axes.text(0.5, 1.1, text, size=7.5, ha="center", va="bottom", transform=axes.transAxes)


def _taste(axes, taste: np.ndarray):
    """The shares of a taste, f[T], as one bar."""
    ends = np.cumsum(taste)
    for number, (end, share) in enumerate(zip(ends, taste)):
        axes.barh(0, share, left=end - share, color=COLOURS[number % len(COLOURS)], height=1)
    axes.set_xlim(0, 1)
    axes.set_ylim(-1.1, 1.1)
    return axes


def _words(figure, title: str, styles: Sequence[str]) -> None:
    """Title above, colours of styles and of the key frame below."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    size = figure.get_figheight()
    figure.text(0.005, 1 - 0.08 / size, title, size=10, va="top", weight="bold")
    note = "Rows: users. Columns: the item's frames, liked most first; below, number in the item and predicted liking."
    figure.text(0.005, 1 - (0.28 + 0.16 * title.count("\n")) / size, note, size=8, va="top")
    legend = [Patch(color=COLOURS[number % len(COLOURS)], label=name) for number, name in enumerate(styles)]
    legend.append(Line2D([], [], color=PINK, linewidth=2.5, label="key frame of this user"))
    figure.legend(handles=legend, loc="lower left", ncols=len(legend), fontsize=8, frameon=False, borderaxespad=0.1)
