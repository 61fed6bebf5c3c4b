"""A contact sheet: the frames of one item in the order in which each of some users likes them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from socialjax.drawing import COLOURS, PINK, blank, save

_HEIGHT = 0.74  # inches of a row


@dataclasses.dataclass(frozen=True)
class Row:
    """One user. order i64[K]: the frames, liked most first. preference f32[K]: how much, in that order.

    taste f32[T]: shares of styles, where it is known. liked: pictures u8[h, w, 3] of their own training items.
    """

    name: str
    order: np.ndarray
    preference: np.ndarray
    taste: np.ndarray | None = None
    liked: Sequence[np.ndarray] = ()


def draw(
    path: Path,
    title: str,
    pictures: Sequence[np.ndarray],
    rows: Sequence[Row],
    styles: Sequence[str] = (),
    style: np.ndarray | None = None,
) -> None:
    """Writes the sheet as a PNG.

    pictures u8[h, w, 3]: the item's K frames as they follow in it, shown in the first line. styles: names of the
    columns of taste; style i64[K]: that of each picture, a bar of its colour below.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    height, width = pictures[0].shape[:2]
    across = _HEIGHT * 0.72 * width / height
    strip = max(len(row.liked) for row in rows)
    widths = [0.8, *([1.0] if styles else []), *([across] * strip), 0.25, *([across] * len(pictures))]
    first = len(widths) - len(pictures)
    lines = len(rows) + 1
    figure = blank(sum(widths), _HEIGHT * lines + 1.1)
    figure.set_layout_engine("none")
    grid = figure.add_gridspec(
        lines, len(widths), width_ratios=widths, wspace=0.06, hspace=0.5,
        left=0.005, right=0.995, top=1 - 0.66 / figure.get_figheight(), bottom=0.5 / figure.get_figheight(),
    )  # fmt: skip

    def place(line: int, column: int):
        axes = figure.add_subplot(grid[line, column])
        axes.set_axis_off()
        return axes

    def show(line: int, column: int, picture: np.ndarray, below: str = "", of_style: int | None = None, key=False):
        axes = place(line, column)
        axes.imshow(picture, aspect="auto")
        if of_style is not None:
            axes.add_patch(_bar(axes, COLOURS[of_style % len(COLOURS)]))
        if key:
            axes.add_patch(_frame(axes))
        below_at = -0.08 if of_style is None else -0.2
        axes.text(0.5, below_at, below, size=6.5, ha="center", va="top", transform=axes.transAxes)
        return axes

    def head(axes, text: str, **more):
        axes.text(0.5, 1.1, text, size=7.5, ha="center", va="bottom", transform=axes.transAxes, **more)

    place(0, 0).text(0, 0.5, "as in\nthe film", size=8, va="center")
    for number, picture in enumerate(pictures):
        axes = show(0, first + number, picture, "", None if style is None else int(style[number]))
        head(axes, f"frame {number + 1}")
    for line, row in enumerate(rows, start=1):
        place(line, 0).text(0, 0.5, row.name, size=8, va="center")
        if row.taste is not None and styles:
            axes = place(line, 1)
            starts = np.concatenate([[0], np.cumsum(row.taste)[:-1]])
            for number, (start, share) in enumerate(zip(starts, row.taste)):
                axes.barh(0, share, left=start, color=COLOURS[number % len(COLOURS)], height=1)
            axes.set_xlim(0, 1)
            axes.set_ylim(-1.1, 1.1)
            if line == 1:
                head(axes, "planted taste")
        for number, picture in enumerate(row.liked):
            axes = show(line, first - 1 - strip + number, picture)
            if line == 1 and number == 0:
                axes.text(0, 1.1, "liked most of what they took", size=7.5, va="bottom", transform=axes.transAxes)
        for rank, (frame, liked) in enumerate(zip(row.order, row.preference)):
            kind = None if style is None else int(style[frame])
            below = f"#{frame + 1}   {liked:+.2f}"
            show(line, first + rank, pictures[frame], below, kind, key=rank == 0)
    top = 1 - 0.08 / figure.get_figheight()
    figure.text(0.005, top, title, size=10, va="top", weight="bold")
    told = "Rows: users. Columns: the film's frames, liked most first; below, number in the film and predicted liking."
    figure.text(0.005, top - 0.2 / figure.get_figheight(), told, size=8, va="top")
    legend = [Patch(color=COLOURS[number % len(COLOURS)], label=name) for number, name in enumerate(styles)]
    legend.append(Line2D([], [], color=PINK, linewidth=2.5, label="key frame of this user"))
    figure.legend(handles=legend, loc="lower left", ncols=len(legend), fontsize=8, frameon=False, borderaxespad=0.1)
    save(figure, path)


def _bar(axes, colour: str):
    """Along the lower edge, just outside the picture."""
    from matplotlib.patches import Rectangle

    return Rectangle((0, -0.17), 1, 0.09, color=colour, linewidth=0, transform=axes.transAxes, clip_on=False)


def _frame(axes):
    from matplotlib.patches import Rectangle

    return Rectangle((0, 0), 1, 1, fill=False, edgecolor=PINK, linewidth=3, transform=axes.transAxes, clip_on=False)
