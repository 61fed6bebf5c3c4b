"""An item as a user looks at it: its picture with the regions of its attributes, and what the user mostly looks at."""

from pathlib import Path

import numpy as np

from socialjax.drawing import BLUE, GREEN, GREY, INK, ORANGE, RED, blank, save, wrapped
from socialjax.explain.attributes import Profile, caption, in_pixels
from socialjax.explain.text import heading, shorten, stand_in

BOXES = 3  # attributes whose region is drawn, the first with a thick line
LINES = (3.0, 1.4, 1.4)
BOX_COLOURS = (BLUE, ORANGE, GREEN)  # yellow is too much like orange to tell two boxes apart
ROOM = 2.1  # times the longest bar: the words beside it need as much again
LONGEST = 46  # characters beside a bar


def draw_boxes(path: Path, record: dict, picture: np.ndarray, profile: Profile | None = None) -> None:
    """Writes a record of `explain.record` that has attributes as PNG, whole or not at all.

    picture u8[H, W, 3]: the item's, over the whole of which boxes are measured. profile: the user's, drawn below.
    Raises ValueError for a record without attributes.
    """
    listed = record.get("attributes")
    if not listed:
        raise ValueError(f"the record of item {record['item']} has no attributes; draw it with explain.picture")
    rows = len(listed) + (len(profile.names) if profile else 0)
    figure = blank(10.5, max(4.2, 1.9 + 0.33 * rows))
    warning = stand_in(record)
    source = warning or f"{record['data_set']}, {record['data']} data"
    title = wrapped(f"{heading(record)}\n{source}", 10.5)
    figure.suptitle(title, fontsize=10, parse_math=False, color=RED if warning else INK)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.35))
    draw_item(left.subplots(), listed, picture)
    if profile is None:
        _attention(right.subplots(), listed)
        save(figure, path)
        return
    above, below = right.subplots(2, 1, height_ratios=(len(listed) + 1.4, len(profile.names) + 1.4))
    _attention(above, listed)
    _profile(below, profile, {each["name"]: colour(rank) for rank, each in enumerate(listed)})
    save(figure, path)


def colour(rank: int) -> str:
    """Of the attribute with that rank; those whose region is not drawn are grey."""
    return BOX_COLOURS[rank] if rank < BOXES else GREY


def boxed(listed: list[dict]) -> list[tuple[int, dict]]:
    """(rank, attribute) of those whose region is drawn: of the first BOXES those that have one."""
    return [(rank, each) for rank, each in enumerate(listed[:BOXES]) if not each["box_fallback"]]


def draw_item(axis, listed: list[dict], picture: np.ndarray, letters: float = 11) -> None:
    """Draws the picture with the rectangles of its attributes, the first one's name below in letters of that size."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import Normal, Stroke

    height, width = picture.shape[:2]
    listed = in_pixels(listed, width, height)
    # The picture's edges are 0 and its size, as boxes count them; imshow alone would put them half a pixel off.
    axis.imshow(picture, extent=(0, width, height, 0), interpolation="nearest" if width < 160 else None)
    for rank, each in reversed(boxed(listed)):  # the first above the others
        x0, y0, x1, y1 = each["box"]
        line = {"fill": False, "edgecolor": colour(rank), "linewidth": LINES[rank], "clip_on": False}
        shade = [Stroke(linewidth=LINES[rank] + 1.4, foreground="white"), Normal()]
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, path_effects=shade, **line))
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set_xlabel(caption(listed[0]), fontsize=letters, fontweight="bold", color=colour(0), parse_math=False)


def _attention(axis, listed: list[dict]) -> None:
    """What the user looks at on this item, with class, its probability and affinity."""
    names = [shorten(f"{each['name']}: {each['class_name']}", LONGEST) for each in listed]
    for row, each in enumerate(listed):
        axis.barh(row, each["like"], color=colour(row), height=0.62)
        said = f"{each['like']:.2f}   class {each['class_probability']:.0%}"
        said += "" if each["affinity"] is None else f", affinity {each['affinity']:.2f}"
        said += ", no region" if each["box_fallback"] else ""
        axis.text(each["like"] + 0.012, row, said, va="center", fontsize=8)
    _dress(axis, names, max(each["like"] for each in listed) * ROOM)
    axis.set_title("what this user looks at on this item (attention, sums to 1)", fontsize=9, loc="left")


def _profile(axis, profile: Profile, colours: dict[str, str]) -> None:
    order = np.argsort(-profile.like, kind="stable")
    names = [profile.names[k] for k in order]
    for row, k in enumerate(order):
        axis.barh(row, profile.like[k], color=colours.get(profile.names[k], GREY), height=0.62)
        axis.plot([profile.even[k]] * 2, [row - 0.4, row + 0.4], color=INK, linewidth=1.4)
        most = f", most often {profile.classes[k]}" if profile.classes[k] else ""
        said = f"{profile.like[k]:.2f}   on {profile.present[k]} of {profile.items}{most}"
        axis.text(max(profile.like[k], profile.even[k]) + 0.012, row, shorten(said), va="center", fontsize=8)
    _dress(axis, names, max(profile.like.max(), profile.even.max(), 0.05) * ROOM)
    said = "the user's profile: mean over training items (line: if even)"
    axis.set_title(said, fontsize=9, loc="left")


def _dress(axis, names: list[str], reach: float) -> None:
    axis.set_yticks(range(len(names)), names, fontsize=9, parse_math=False)
    axis.set_xlim(0, reach)
    axis.invert_yaxis()
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.set_xticks([])
    axis.tick_params(axis="y", length=0)
