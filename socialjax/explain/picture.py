"""An explanation as a picture: parts stacked up to the score, and the strongest friends and items beside them."""

import textwrap
from pathlib import Path

from socialjax.drawing import COLOURS, GREY, INK, RED, blank, save, wrapped
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
