"""What some users look at, as one self-contained HTML page: no script, no link, pictures inside."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from socialjax import pages
from socialjax.explain.attributes import Card, Profile, Section, caption, in_pixels
from socialjax.explain.box_picture import BOXES, boxed, colour
from socialjax.explain.text import stand_in

LARGEST = 384  # pixels of a picture's longer side
DOT = "\u00a0· "  # lines break after it
SMALL = 128  # up to this width pictures are kept as they are, and scaled without interpolation

LEGEND = (
    ("attention", "how much of this user's look at this item goes to the attribute, 0 to 1. It sums to 1 over the "
     "attributes of an item. It is learned from purchases and chooses the box that is drawn thickest; it is a hint at "
     "the reason, not a proof."),
    ("affinity", "how well the attribute as it looks here fits the user's taste, 0 to 1, each attribute on its own. "
     "0.5 is neither for nor against. It is no calibrated probability of a purchase."),
    ("class", "what the attribute network takes the attribute for, such as neckline: V, and how sure it is in per "
     "cent."),
    ("box", "where the network's evidence for this class lies on the picture, found without any labelled region; the "
     "network may look elsewhere than people do. The colours are those of the bars, the three attributes with most "
     "attention have one, and none is drawn where no region stood out."),
)  # fmt: skip


def write_gallery(path: Path, title: str, sections: Sequence[Section], lines: Sequence[str] = ()) -> None:
    """Writes the page of `gallery` atomically."""
    pages.write(path, gallery(title, sections, lines))


def gallery(title: str, sections: Sequence[Section], lines: Sequence[str] = ()) -> str:
    """The page as text; every text in it is escaped.

    Args:
        title: of the page.
        sections: of users, at least one with an item.
        lines: on model and data, below the title.

    Returns:
        HTML.

    Raises:
        ValueError: no section has a card, or a record has no attributes.
    """
    records = [card.record for section in sections for card in section.cards]
    if not records:
        raise ValueError("wanted at least one user with one item, got none; choose users whom the model knows")
    if lacking := [record["item"] for record in records if not record.get("attributes")]:
        raise ValueError(f"items {', '.join(map(str, lacking[:5]))} have no attributes; leave them out of the page")
    warning = stand_in(records[0])
    return pages.page(
        "gallery.html",
        title=title,
        lines=lines,
        legend=LEGEND,
        # Generated data are marked in several places: people crop pages.
        kind=records[0]["data"].upper() if warning else "",
        banner=warning or f"Real data: {records[0]['data_set']}",
        sections=[_section(section) for section in sections],
    )


def _section(section: Section) -> dict:
    items = section.profile.items
    return {
        "user": section.user,
        "taken": f"{items} training item" + ("" if items == 1 else "s"),
        "profile": _profile(section.profile),
        "cards": [_card(card) for card in section.cards],
    }


def _profile(profile: Profile) -> list[dict]:
    largest = max(profile.like.max(), profile.even.max())
    reach = next(end for end in (0.25, 0.5, 1.0) if largest <= end or end == 1.0)  # of many attributes none has much
    rows = []
    for each in profile.as_list():
        more = f"on {each['items']} of {profile.items}" + (f", most often {each['most']}" if each["most"] else "")
        rows.append(_row(each["name"], each["like"], more, share=each["like"] / reach, mark=each["even"] / reach))
    return rows


def _card(card: Card) -> dict:
    record = card.record
    listed = record["attributes"]
    title = str(record["title"])
    note = [card.note, f"score\u00a0{record['score']:+.2f}"]
    note += [] if title == str(record["item"]) else [f"item\u00a0{record['item']}"]
    rows = []
    for rank, attribute in enumerate(listed):
        more = [f"class\u00a0{attribute['class_probability']:.0%}"]
        more += [] if attribute["affinity"] is None else [f"affinity\u00a0{attribute['affinity']:.2f}"]
        more += ["no region stood out"] if attribute["box_fallback"] else []
        name = f"{attribute['name']}: {attribute['class_name']}"
        look = {"swatch": _swatch(rank, attribute), "colour": colour(rank)}
        rows.append(_row(name, attribute["like"], DOT.join(more), share=attribute["like"], **look))
    return {
        "drawing": _drawing(card.picture, listed),
        "caption": caption(listed[0]),
        "swatch": _swatch(0, listed[0]),
        "title": title,
        "note": DOT.join(filter(None, note)),
        "rows": rows,
    }


def _row(name: str, number: float, more: str, share: float, mark=None, colour: str = "", swatch: str = "") -> dict:
    """A line of the page: a number and its bar of that share of the width, with a mark."""
    look = {"share": float(share), "mark": mark, "colour": colour, "swatch": swatch}
    return {"name": name, "number": float(number), "more": more, **look}


def _swatch(rank: int, attribute: dict) -> str:
    """The colour of an attribute's box; nothing where none is drawn."""
    return colour(rank) if rank < BOXES and not attribute["box_fallback"] else ""


def _drawing(picture: np.ndarray, listed: list[dict]) -> dict:
    """The picture and its rectangles, the first attribute's last, in its pixels."""
    height, width = picture.shape[:2]
    boxes = []
    for rank, each in reversed(boxed(in_pixels(listed, width, height))):
        x0, y0, x1, y1 = each["box"]
        place = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
        boxes.append({name: f"{value:.1f}" for name, value in place.items()})
        boxes[-1] |= {"colour": colour(rank), "line": 4 if rank == 0 else 2}
    size = {"width": width, "height": height, "is_small": width <= SMALL}
    return {"encoded": _encoded(picture), "boxes": boxes, **size}


def _encoded(picture: np.ndarray) -> str:
    """A picture u8[H, W, 3] as a data URI: small ones exact, others as JPEG."""
    image, kept = Image.fromarray(picture), io.BytesIO()
    if picture.shape[1] <= SMALL:
        image.save(kept, "PNG")
    else:
        image.thumbnail((LARGEST, LARGEST))
        image.save(kept, "JPEG", quality=88)
    kind = "png" if picture.shape[1] <= SMALL else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(kept.getvalue()).decode()}"
