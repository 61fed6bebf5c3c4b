"""Users in rows, their items in columns, on each the regions that the user looks at: the gallery's beginning as PNG."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from socialjax.drawing import GREY, INK, RED, blank, save, wrapped
from socialjax.explain.box_picture import draw_item
from socialjax.explain.gallery import Section
from socialjax.explain.text import shorten, stand_in

SIDE, LEFT, HEAD = 1.6, 1.9, 0.55  # inches: of an item, of the profile, of the title
LONGEST = 30  # characters of an item's title


def draw_sheet(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Writes the users in their order with their items in theirs, whole or not at all.

    Left of a user's items: mean attention over what they took, the line is what even attention gives. Raises
    ValueError without a user who has an item.
    """
    if not sections or not all(section.cards for section in sections):
        raise ValueError("wanted users with at least one item each, got one without; leave them out")
    across = max(len(section.cards) for section in sections)
    size = (LEFT + SIDE * across, HEAD + (SIDE + 0.5) * len(sections))
    figure = blank(*size)
    warning = stand_in(sections[0].cards[0].record)
    said = wrapped(f"{title}\n{warning}" if warning else title, size[0])
    figure.suptitle(said, fontsize=10, parse_math=False, color=RED if warning else INK)
    axes = figure.subplots(
        len(sections), 1 + across, squeeze=False, gridspec_kw={"width_ratios": [LEFT, *[SIDE] * across]}
    )
    for row, section in zip(axes, sections):
        _profile(row[0], section)
        for axis, card in zip(row[1:], section.cards):
            draw_item(axis, card.record["attributes"], card.picture, 8)
            new = ", new" if "nobody" in card.note else ""
            axis.set_title(shorten(f"{card.record['title']}{new}", LONGEST), fontsize=6.8, parse_math=False)
        for axis in row[1 + len(section.cards) :]:
            axis.set_axis_off()
    save(figure, path)


def _profile(axis, section: Section) -> None:
    of = section.profile
    order = np.argsort(-of.like, kind="stable")
    for place, k in enumerate(order):
        axis.barh(place, of.like[k], color=GREY, height=0.6)
        axis.plot([of.even[k]] * 2, [place - 0.38, place + 0.38], color=INK, linewidth=1.2)
    axis.set_yticks(range(len(order)), [of.names[k] for k in order], fontsize=8, parse_math=False)
    axis.set_xlim(0, max(of.like.max(), of.even.max(), 0.05) * 1.05)
    axis.invert_yaxis()
    axis.set_xticks([])
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.set_title(f"user {section.user} looks at", fontsize=8.5, loc="left", parse_math=False)
