"""An item as a user looks at it: its picture with the regions of its attributes, and what the user mostly looks at.

One picture for each pair, or a sheet of users in rows and their items in columns.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from socialjax.drawing import BLUE, GREEN, GREY, INK, ORANGE, RED, blank, save, wrapped
from socialjax.explain.attributes import Profile, Section, caption, in_pixels
from socialjax.explain.text import heading, shorten, stand_in

BOXES = 3  # attributes whose region is drawn, the first with a thick line
LINES = (3.0, 1.4, 1.4)
BOX_COLOURS = (BLUE, ORANGE, GREEN)  # yellow is too much like orange to tell two boxes apart
ROOM = 2.1  # times the longest bar: the text beside it needs as much again
LONGEST = 46  # characters beside a bar
SIDE, LEFT, HEAD = 1.6, 1.9, 0.55  # inches of a sheet: of an item, of the profile, of the title
TITLE = 30  # characters of an item's title on a sheet


def draw_boxes(path: Path, record: dict, picture: np.ndarray, profile: Profile | None = None) -> None:
    """Draws a record of `explain.record` that has attributes as PNG, written atomically.

    Args:
        path: of the file.
        record: with attributes.
        picture: u8[H, W, 3], the item's, which boxes are fractions of.
        profile: the user's, drawn below.

    Raises:
        ValueError: the record has no attributes.
    """
    listed = record.get("attributes")
    if not listed:
        raise ValueError(f"the record of item {record['item']} has no attributes; draw it with explain.picture")
    rows = len(listed) + (len(profile.names) if profile else 0)
    figure = blank(10.5, max(4.2, 1.9 + 0.33 * rows))
    warning = stand_in(record)
    source = warning or f"{record['data_set']}, {record['data']} data"
    title = wrapped(f"{heading(record)}\n{source}", 10.5)
    figure.suptitle(title, fontsize=10, color=RED if warning else INK)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.35))
    draw_item(left.subplots(), listed, picture)
    if profile is None:
        _attention(right.subplots(), listed)
        save(figure, path)
        return
    above, below = right.subplots(2, 1, height_ratios=(len(listed) + 1.4, len(profile.names) + 1.4))
    _attention(above, listed)
    _profile(below, profile, {each["name"]: colour(rank) for rank, each in enumerate(listed)}, with_words=True)
    below.set_title("the user's profile: mean over training items (line: if even)", fontsize=9, loc="left")
    save(figure, path)


def draw_sheet(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Draws users in rows and their items in columns as PNG, written atomically.

    Left of a user's items: mean attention over the items they took, with a line for uniform attention.

    Args:
        path: of the file.
        title: of the sheet.
        sections: users with their items, at least one each.

    Raises:
        ValueError: no users, or one without an item.
    """
    if not sections or not all(section.cards for section in sections):
        raise ValueError("wanted users with at least one item each, got one without; leave them out")
    across = max(len(section.cards) for section in sections)
    size = (LEFT + SIDE * across, HEAD + (SIDE + 0.5) * len(sections))
    figure = blank(*size)
    warning = stand_in(sections[0].cards[0].record)
    text = wrapped(f"{title}\n{warning}" if warning else title, size[0])
    figure.suptitle(text, fontsize=10, color=RED if warning else INK)
    axes = figure.subplots(
        len(sections), 1 + across, squeeze=False, gridspec_kw={"width_ratios": [LEFT, *[SIDE] * across]}
    )
    for row, section in zip(axes, sections):
        _profile(row[0], section.profile, {}, 8)
        row[0].set_title(f"user {section.user} looks at", fontsize=8.5, loc="left")
        for axis, card in zip(row[1:], section.cards):
            draw_item(axis, card.record["attributes"], card.picture, 8)
            new = ", new" if "nobody" in card.note else ""
            axis.set_title(shorten(f"{card.record['title']}{new}", TITLE), fontsize=6.8)
        for axis in row[1 + len(section.cards) :]:
            axis.set_axis_off()
    save(figure, path)


def colour(rank: int) -> str:
    """The colour of the attribute with that rank; those whose region is not drawn are grey."""
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
    axis.set_xlabel(caption(listed[0]), fontsize=letters, fontweight="bold", color=colour(0))


def _attention(axis, listed: list[dict]) -> None:
    """What the user looks at on this item, with class, its probability and affinity."""
    names = [shorten(f"{each['name']}: {each['class_name']}", LONGEST) for each in listed]
    for row, attribute in enumerate(listed):
        axis.barh(row, attribute["like"], color=colour(row), height=0.62)
        text = f"{attribute['like']:.2f}   class {attribute['class_probability']:.0%}"
        text += "" if attribute["affinity"] is None else f", affinity {attribute['affinity']:.2f}"
        text += ", no region" if attribute["box_fallback"] else ""
        axis.text(attribute["like"] + 0.012, row, text, va="center", fontsize=8)
    _dress(axis, names, max(attribute["like"] for attribute in listed) * ROOM)
    axis.set_title("what this user looks at on this item (attention, sums to 1)", fontsize=9, loc="left")


def _profile(axis, profile: Profile, colours: dict[str, str], letters: float = 9, with_words: bool = False) -> None:
    """Mean attention to each attribute, most first, with a line for uniform attention. colours: of attributes."""
    order = np.argsort(-profile.like, kind="stable")
    names = [profile.names[k] for k in order]
    for row, k in enumerate(order):
        axis.barh(row, profile.like[k], color=colours.get(profile.names[k], GREY), height=0.62)
        axis.plot([profile.even[k]] * 2, [row - 0.4, row + 0.4], color=INK, linewidth=1.4)
        if with_words:
            most = f", most often {profile.classes[k]}" if profile.classes[k] else ""
            text = f"{profile.like[k]:.2f}   on {profile.present[k]} of {profile.items}{most}"
            axis.text(max(profile.like[k], profile.even[k]) + 0.012, row, shorten(text), va="center", fontsize=8)
    reach = max(profile.like.max(), profile.even.max(), 0.05)
    _dress(axis, names, reach * (ROOM if with_words else 1.05), letters)


def _dress(axis, names: list[str], reach: float, letters: float = 9) -> None:
    axis.set_yticks(range(len(names)), names, fontsize=letters)
    axis.set_xlim(0, reach)
    axis.invert_yaxis()
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.set_xticks([])
    axis.tick_params(axis="y", length=0)
