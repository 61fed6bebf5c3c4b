"""Explanations as pictures: parts stacked up to the score, and an item's picture with the regions of its attributes."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from socialjax.drawing import BLUE, COLOURS, GREEN, GREY, INK, ORANGE, RED, blank, save, wrapped
from socialjax.explain.attributes import Profile, Section, caption, in_pixels
from socialjax.explain.record import STEP
from socialjax.explain.text import heading, name_of, rest_of, shorten, stand_in

SHOWN = 12
LONGEST = 32  # characters of a name beside a bar


def draw(path: Path, record: dict, limit: int = SHOWN) -> None:
    """Draws a record of `explain.record` as PNG, written atomically.

    Args:
        path: of the file.
        record: of one pair.
        limit: elements that are drawn, at most.
    """
    colours = _colours(record)
    strongest, others = _strongest(record, limit)
    rows = max(len(record["parts"]) + 1, len(strongest))
    size = (11 if strongest else 6.5, 1.5 + 0.3 * max(rows, 5))
    figure = blank(*size)
    warning = stand_in(record)
    source = f"{record['data_set']}, {record['data']} data" if not warning else warning
    title = wrapped(f"{heading(record)}\n{source}", size[0])
    figure.suptitle(title, fontsize=10, color=RED if warning else INK)
    axes = figure.subplots(1, 2 if strongest else 1, squeeze=False)[0]
    _waterfall(axes[0], record, colours)
    if strongest:
        _bars(axes[1], strongest, others, colours, record["exact"])
    for axis in axes:
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.tick_params(axis="x", labelsize=8)
        axis.grid(axis="x", alpha=0.25)
        axis.set_axisbelow(True)
    save(figure, path)


def _colours(record: dict) -> dict[str, str]:
    names = [part["name"] for part in record["parts"] if part["name"] != "item_bias"]
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)} | {"item_bias": GREY}


def _waterfall(axis, record: dict, colours: dict[str, str]) -> None:
    """Each part starts where the one before it ended; the last bar is the score."""
    parts, height = record["parts"], 0.0
    ends = [0.0]
    for row, part in enumerate(parts):
        axis.barh(row, part["value"], left=height, color=colours[part["name"]], height=0.66)
        height += part["value"]
        ends.append(height)
        axis.plot([height, height], [row - 0.33, row + 1.33], color="#555", linewidth=0.7)
    axis.barh(len(parts), record["score"], color="#333", height=0.66)
    reach = (max(ends) - min(ends)) or 1.0
    for row, part in enumerate([*parts, {"value": record["score"]}]):
        end = max(ends[row], ends[row + 1]) if row < len(parts) else max(record["score"], 0.0)
        axis.text(end + 0.015 * reach, row, f"{part['value']:+.3f}", va="center", fontsize=9)
    axis.set_yticks(range(len(parts) + 1), [*_labels(record), "score"], fontsize=9)
    axis.set_xlim(min(ends) - 0.03 * reach, max(ends) + 0.17 * reach)
    axis.axvline(0, color="#555", linewidth=0.8)
    axis.invert_yaxis()
    axis.set_title("what the score is made of", fontsize=9, loc="left")


def _labels(record: dict) -> list[str]:
    """The names of the parts, with the attention weight of those that have one."""
    weights = {element["id"]: element["weight"] for group in _weighing(record) for element in group["ranked"]}
    names = [(part["label"], weights.get(part["name"])) for part in record["parts"]]
    return [label if weight is None else f"{label}, weight {weight:.2f}" for label, weight in names]


def _weighing(record: dict) -> list[dict]:
    """Elements that belong to no part: they are parts themselves, with attention weights."""
    parts = {part["name"] for part in record["parts"]}
    return [group for group in record["elements"] if group["part"] not in parts]


def _strongest(record: dict, limit: int) -> tuple[list[tuple[str, str, float]], tuple[int, float] | None]:
    """The elements of all parts that add most: (name, part, contribution), and (count, sum) of all others."""
    groups = [g for g in record["elements"] if g not in _weighing(record)]  # they would be counted twice
    every = [(g, e) for g in groups for e in g["ranked"]]
    every.sort(key=lambda pair: -abs(pair[1]["contribution"]))
    rows = [(name_of(e, g["kind"]), g["part"], e["contribution"]) for g, e in every[:limit]]
    rest = [rest_of(group, len(group["ranked"])) for group in groups]
    count = len(every) - len(rows) + sum(n for n, _ in rest)
    left = sum(e["contribution"] for _, e in every[limit:]) + sum(value for _, value in rest)
    return rows, (count, left) if count else None


def _short(name: str) -> str:
    """A name beside a bar; a path has a second line."""
    return textwrap.fill(shorten(name, 2 * LONGEST), LONGEST) if STEP in name else shorten(name, LONGEST)


def _bars(axis, strongest, others, colours: dict[str, str], exact: bool) -> None:
    rows = [(name, colours.get(part, GREY), value) for name, part, value in strongest]
    values = [value for _, _, value in rows]
    low, high = min(0.0, *values), max(0.0, *values)
    reach = (high - low) or 1.0
    for row, (_, colour, value) in enumerate(rows):
        axis.barh(row, value, color=colour, height=0.66)
        axis.text(max(value, 0) + 0.015 * reach, row, f"{value:+.3f}", va="center", fontsize=8)
    names = [_short(name) for name, _, _ in rows]
    axis.set_yticks(range(len(rows)), names, fontsize=8)
    axis.set_xlim(low - 0.03 * reach, high + 0.17 * reach)
    axis.axvline(0, color="#555", linewidth=0.8)
    axis.invert_yaxis()
    title = "who and what adds most (colours as on the left)"
    axis.set_title(title if exact else f"{title}; estimates", fontsize=9, loc="left")
    if others:  # not a bar: together they often outweigh each one of those shown
        axis.set_xlabel(f"and {others[0]:,} others, together {others[1]:+.3f}", fontsize=9, loc="left")


BOXES = 3  # attributes whose region is drawn, the first with a thick line
LINES = (3.0, 1.4, 1.4)
BOX_COLOURS = (BLUE, ORANGE, GREEN)  # yellow is too much like orange to tell two boxes apart
ROOM = 2.1  # times the longest bar: the text beside it needs as much again
LONGEST_CLASS = 46  # characters beside a bar
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
    names = [shorten(f"{each['name']}: {each['class_name']}", LONGEST_CLASS) for each in listed]
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
