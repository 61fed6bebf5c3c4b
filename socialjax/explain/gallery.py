"""Items explained by attributes with boxes, and what some users look at as one self-contained HTML page."""

import base64
import io
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from socialjax import json_files, pages
from socialjax.data.own.attribute_files import PICTURES
from socialjax.explain.attributes import Card, Profile, Section, caption, in_pixels, profile, unpadded
from socialjax.explain.picture import BOXES, boxed, colour, draw_boxes
from socialjax.explain.record import records
from socialjax.explain.text import stand_in
from socialjax.formats.file_bytes import DataError
from socialjax.formats.picture_files import PictureFiles, fitted

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


log = logging.getLogger(__name__)
SIDE = 320  # pixels; boxes are fractions of the padded square that the attribute network read, so it is drawn here too
USERS = 6  # on a page for which no user was named


def some_users(run, count: int = USERS) -> list[int | str]:
    """Users who have training items, evenly spread, as people type them."""
    known = np.unique(run.data.train.user)
    chosen = known[np.unique(np.linspace(0, len(known) - 1, min(count, len(known))).astype(int))]
    names = run.data.user_names
    return [int(user) if names is None else str(names[user]) for user in chosen]


def explained(run, users, items, k: int) -> tuple[list[dict], list[tuple[int, int]]]:
    """Explains pairs of users and items.

    Args:
        run: a finished run.
        users: as people type them.
        items: as people type them; the k best of each user where it is empty.
        k: how many.

    Returns:
        The records, and (user, item) row numbers of each: ids may hold what a file name may not.
    """
    explanations, pairs = [], []
    best = [items] * len(users) if items else [[one.item for one in ranked] for ranked in run.recommend(users, k)]
    for user, asked in zip(users, best):
        why = run.explanation(user, asked)
        explanations += records(why, run.data)
        pairs += [(int(number), int(item)) for number, item in zip(why.users, why.items)]
    return explanations, pairs


class ItemPictures:
    """Pictures of items by number, from the folder or tar archive `source`, or else from inside the data's folder.

    A picture that is missing or cannot be read is None, with one warning.
    """

    def __init__(self, run, source: Path | None, data_dir: Path | None):
        self.names = run.data.item_pictures
        self.files = None
        self.whole: dict[int, np.ndarray | None] = {}
        source = source or _place_of(run, data_dir)
        if self.names is None or source is None:
            log.warning("no pictures of items: --pictures names their folder or tar archive")
        else:
            self.files = PictureFiles(source)

    def shown(self, item: int) -> np.ndarray | None:
        """u8[S, S, 3], the padded square that boxes are fractions of; None without a picture."""
        picture = self.original(item)
        if picture is None:
            return None
        # A small square is kept as it is: scaled up it would look like a photo out of focus.
        is_small = picture.shape[0] == picture.shape[1] <= SIDE
        return picture if is_small else np.asarray(fitted(Image.fromarray(picture), SIDE))

    def original(self, item: int) -> np.ndarray | None:
        """u8[H, W, 3], the picture as in its file; None without one."""
        if self.files is not None and item not in self.whole:
            try:
                if not (name := str(self.names[item])):
                    raise DataError(f"item {item} has no picture")
                self.whole[item] = self.files.read(name)
            except DataError as error:
                self.whole[item] = None
                log.warning("left out: %s", error)
        return self.whole.get(item)


def boxes_in_pixels(record: dict, item: int, pictures: ItemPictures) -> dict:
    """The record for other programs: boxes in pixels of the item's file, with its size; unchanged without a picture.

    Args:
        record: of `explain.record`.
        item: row number.
        pictures: of the items.
    """
    if not record.get("attributes") or (picture := pictures.original(item)) is None:
        return record
    height, width = picture.shape[:2]
    size = {"file": str(pictures.names[item]), "width": width, "height": height}
    return record | {"picture": size, "attributes": unpadded(record["attributes"], width, height)}


def box_pictures(out: Path, run, explanations: Sequence[dict], pairs: Sequence[tuple[int, int]], pictures) -> list[str]:
    """Draws one picture for each record that has attributes, named by the row numbers of its pair.

    Args:
        out: folder of the pictures.
        run: a finished run.
        explanations: records.
        pairs: (user, item) row numbers of each.
        pictures: of the items, `ItemPictures`.

    Returns:
        Names of the files.
    """
    profiles, files = {}, []
    for record, (user, item) in zip(explanations, pairs):
        if not record.get("attributes") or (picture := pictures.shown(item)) is None:
            continue
        if user not in profiles:
            profiles[user] = profile(run.model, run.state, run.side, run.data, user)
        files.append(f"boxes_user_{user}_item_{item}.png")
        draw_boxes(out / files[-1], record, picture, profiles[user])
    return files


def gallery_page(
    path: Path, run, explanations: Sequence[dict], pairs, pictures, more: Sequence[str] = ()
) -> list[Section]:
    """Writes the page of all records that have attributes and a picture.

    Args:
        path: of the page.
        run: a finished run.
        explanations: records.
        pairs: (user, item) row numbers of each.
        pictures: of the items, `ItemPictures`.
        more: further lines below the title.

    Returns:
        The sections of the page.

    Raises:
        ValueError: no record has attributes and a picture.
    """
    sections: dict[int, list[Card]] = {}
    for record, (user, item) in zip(explanations, pairs):
        if record.get("attributes") and (picture := pictures.shown(item)) is not None:
            sections.setdefault(user, []).append(Card(record, picture, _known_as(run.data, user, item)))
    if not sections:
        raise ValueError(
            f"a gallery needs items with attributes and pictures, and none of these has both; {run.folder} is a run of "
            f"{type(run.model).__name__} on '{run.data.name}', and --pictures says where pictures are"
        )
    users = [
        Section(run.data.describe_user(user), profile(run.model, run.state, run.side, run.data, user), cards)
        for user, cards in sections.items()
    ]
    count = f"{len(users)} user" + ("s" if len(users) > 1 else "")
    lines = [
        f"{type(run.model).__name__} on {run.data.name}, seed {run.seed}: {run.data.num_users:,} users, "
        f"{run.data.num_items:,} items, {len(run.data.train):,} training pairs."
    ]
    left = len(explanations) - sum(map(len, sections.values()))
    lines += [f"{left} of {len(explanations)} explanations are left out: no attributes or no picture."] if left else []
    lines += more
    path.parent.mkdir(parents=True, exist_ok=True)
    write_gallery(
        path, f"What {count} look{'s' if len(users) == 1 else ''} at in what they are recommended", users, lines
    )
    return users


def _known_as(data, user: int, item: int) -> str:
    """How the user knows the item, according to the data."""
    took = lambda pairs: bool(((pairs.user == user) & (pairs.item == item)).any())  # noqa: E731
    if took(data.train):
        return "taken in training"
    later = [part for part, pairs in (("validation", data.validation), ("test", data.test)) if took(pairs)]
    known = f"taken later ({later[0]})" if later else "recommended"
    return known if (data.train.item == item).any() else f"{known}, new: nobody took it in training"


def _place_of(run, data_dir: Path | None) -> Path | None:
    """Pictures inside the folder of the data that the run was trained on, or where that is now."""
    folder = data_dir or json_files.read(run.folder / "settings.json", advice="start the run again")["settings"][
        "data"
    ].get("dir")
    inside = run.folder / folder / PICTURES if folder else None
    return inside if inside is not None and inside.is_dir() else None
