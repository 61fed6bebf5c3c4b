"""Explanations by attributes of a finished run as pictures and as a page: `socialjax explain` writes them."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from socialjax import json_files
from socialjax.data.own.attribute_files import PICTURES
from socialjax.data.picture_files import PictureFiles, fitted
from socialjax.data.schema import DataError
from socialjax.explain.attributes import Card, Section, profile, unpadded
from socialjax.explain.box_picture import draw_boxes
from socialjax.explain.gallery import write_gallery
from socialjax.explain.record import records

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
    inside = Path(folder) / PICTURES if folder else None
    return inside if inside is not None and inside.is_dir() else None
