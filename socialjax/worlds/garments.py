"""Drawn garments with labels and true boxes, and a synthetic world of users who look at one attribute (docs/saers.md).

As a catalogue it has the pictures of its items, and others to learn attributes from.
"""

import colorsys
import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from socialjax.data.own.attribute_files import PICTURES
from socialjax.data.schema import Attributes, Dataset, Interactions, Provenance, interactions
from socialjax.vision.catalogue_attributes import Material
from socialjax.vision.labelled.label_tables import UNLABELLED, LabelledPictures

LIKING, POPULARITY = 3.0, 0.3  # utility of the liked class, deviation of an item's popularity
COLD = 0.2  # share of the items that are in nobody's training part
TEST, VALIDATION = 2, 1  # warm pairs of each user


@dataclasses.dataclass(frozen=True)
class GarmentWorld:
    """A data set with the truth that was planted in it. Groups are numbered as in GROUPS, attributes as in NAMES.

    Attributes:
        data: all three parts hold warm items only.
        cold_test: test pairs on cold items.
        cold: bool[I], items in nobody's training part.
        pictures: one for each item, in the order of the items, with true labels and boxes.
        group: u8[I].
        salient: i8[U, 2], the attribute that a user looks at in each group.
        liked: i8[U, 2], the class of that attribute which the user likes.
        utility: f32[U, I], the best possible score: popularity and liking, without the noise of the draws.
    """

    data: Dataset
    cold_test: Interactions
    cold: np.ndarray
    pictures: LabelledPictures
    group: np.ndarray
    salient: np.ndarray
    liked: np.ndarray
    utility: np.ndarray

    def planted(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Users i[P], items i[P] -> i8[P], the attribute that explains each pair."""
        return self.salient[user, self.group[item]]

    def label_attributes(self, code: Literal["own", "shared"] = "own") -> Attributes:
        """The true labels as attributes: the output of a perfect attribute network. Boxes are the first true ones.

        Args:
            code: `own`: one-hot over all classes of all attributes, F = 15, so that each attribute has its own
                directions; their sum over attributes describes the item. `shared`: one-hot over the three classes,
                F = 3, the same for every attribute, so that only attention can single one out.

        Returns:
            Attributes of all items.

        Raises:
            ValueError: another code.
        """
        labels = self.pictures.labels
        valid = labels >= 0
        hot = (labels[..., None] == np.arange(3)).astype(np.float32)
        if code == "own":
            hot = (hot[:, :, None, :] * np.eye(len(NAMES), dtype=np.float32)[:, :, None]).reshape(*labels.shape, -1)
        elif code != "shared":
            raise ValueError(f"wanted code own or shared, got {code!r}")
        whole = np.array([0, 0, 1, 1], np.float32)
        boxes = np.where(valid[..., None], self.pictures.boxes[:, :, 0], whole)
        return Attributes(NAMES, CLASSES, hot, valid, labels, valid.astype(np.float32), boxes, ~valid)


def garments(seed: int = 0, count: int = 2000, size: int = 64) -> LabelledPictures:
    """Tops and shoes, half of each, with independent uniform classes, to learn attributes from.

    The last fifth of a random order is the test part, a tenth of the rest validation.

    Args:
        seed: of all random numbers.
        count: how many pictures, at least 10.
        size: pixels along a side.

    Returns:
        Labelled pictures with pixels u8[count, size, size, 3].

    Raises:
        ValueError: fewer than 10 pictures.
    """
    if count < 10:
        raise ValueError(f"wanted at least 10 pictures, so that every part has some, got {count}")
    rng = np.random.default_rng([seed, 17])
    test = count // 5
    part = np.repeat(np.array([0, 1, 2], np.uint8), [count - test - (count - test) // 10, (count - test) // 10, test])
    return _drawn(f"garments-{size}", rng, count, size, part)


def garment_world(
    seed: int = 0, users: int = 300, items: int = 700, purchases: int = 18, size: int = 64
) -> GarmentWorld:
    """Users who, in each group, look at one attribute and like one of its classes.

    Utility is the item's popularity, N(0, 0.3), and 3 if the item has the liked class of the salient attribute of its
    group. A user's purchases are drawn without replacement with chances exp(utility). A fifth of the items is cold. Of
    the purchases of warm items two are test, one is validation, the others train; those of cold items are the cold
    test. 18 of 700 items leave about 11 for training; `items=1500, purchases=60` about 45, from which attention can be
    learned.

    Args:
        seed: of all random numbers.
        users: how many.
        items: how many, at least 10.
        purchases: of each user, at most half of the items.
        size: pixels along a side of a picture.

    Returns:
        The world.

    Raises:
        ValueError: too few items for so many purchases.
    """
    if min(users, purchases) < 1 or items < 10 or purchases > items // 2:
        raise ValueError(
            f"wanted users, at least 10 items and at most half as many purchases as items, got {users} users, "
            f"{items} items, {purchases} purchases"
        )
    rng = np.random.default_rng([seed, 18])
    pictures = _drawn(f"garment-items-{size}", rng, items, size, np.full(items, 2, np.uint8))
    group = np.array([GROUPS.index(name) for name in pictures.groups], np.uint8)
    salient = np.stack([rng.choice(np.flatnonzero(GROUP_OF == g), users) for g in range(len(GROUPS))], axis=1)
    liked = rng.integers(0, 3, (users, len(GROUPS)))
    popularity = rng.normal(0, POPULARITY, items)
    has = pictures.labels.T[salient[:, group], np.arange(items)] == liked[:, group]
    utility = popularity + LIKING * has
    cold = np.zeros(items, bool)
    cold[rng.permutation(items)[: round(COLD * items)]] = True

    # The largest of utility plus Gumbel noise are a draw without replacement from the softmax.
    drawn = np.argsort(-(utility + rng.gumbel(size=utility.shape)), axis=1)[:, :purchases]
    drawn = rng.permuted(drawn, axis=1)
    is_cold = cold[drawn]
    order = np.cumsum(~is_cold, axis=1) - 1  # among the user's warm purchases
    # The first trains, so that nobody with a warm purchase is without training.
    is_test, is_validation = (order >= 1) & (order <= TEST), (order > TEST) & (order <= TEST + VALIDATION)
    user = np.broadcast_to(np.arange(users)[:, None], drawn.shape)
    train, validation, test, cold_test = (
        interactions(user[chosen], drawn[chosen])
        for chosen in (
            ~is_cold & ~is_test & ~is_validation,
            ~is_cold & is_validation,
            ~is_cold & is_test,
            is_cold,
        )
    )
    name = f"garments-{purchases}-of-{items}"
    data = Dataset(
        name=name,
        num_users=users,
        num_items=items,
        train=train,
        validation=validation,
        test=test,
        provenance=Provenance("planted", f"socialjax.worlds.garments, {name}, seed {seed}", "Apache-2.0"),
        item_titles=np.array([_title(labels) for labels in pictures.labels]),
        item_groups=pictures.groups,
        item_pictures=pictures.ids,
    )
    salient, liked = salient.astype(np.int8), liked.astype(np.int8)
    return GarmentWorld(data, cold_test, cold, pictures, group, salient, liked, utility.astype(np.float32))


def _drawn(name: str, rng: np.random.Generator, count: int, size: int, part: np.ndarray) -> LabelledPictures:
    group = rng.permutation(np.arange(count) % len(GROUPS))
    labels = np.where(GROUP_OF == group[:, None], rng.integers(0, 3, (count, len(NAMES))), UNLABELLED).astype(np.int16)
    pixels, boxes = draw_garments(labels, size, rng)
    return LabelledPictures(
        name=name,
        names=NAMES,
        classes=CLASSES,
        labels=labels,
        part=part,
        ids=np.array([f"garment-{row}.png" for row in range(count)]),
        provenance=Provenance("planted", "socialjax.worlds.garments", "Apache-2.0"),
        pixels=pixels,
        groups=np.array(GROUPS)[group],
        boxes=boxes,
    )


def _title(labels: np.ndarray) -> str:
    """Such as `top, neckline V, sleeve short, hem long`."""
    present = np.flatnonzero(labels >= 0)
    parts = [f"{NAMES[k]} {CLASSES[k][labels[k]]}" for k in present]
    return ", ".join([GROUPS[GROUP_OF[present[0]]], *parts])


def made(folder: Path, users: int, items: int, purchases: int, pictures: int, seed: int = 0) -> Material:
    """The drawn world of garments as a catalogue; the pictures of its items are written to `folder`, for explanations.

    Args:
        folder: gets the subfolder of pictures.
        users: how many.
        items: how many.
        purchases: of each user.
        pictures: how many others to learn attributes from.
        seed: of all random numbers.

    Returns:
        The catalogue.
    """
    world = garment_world(seed, users, items, purchases)
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    for name, picture in zip(world.data.item_pictures, world.pictures.pixels):
        Image.fromarray(picture).save(folder / PICTURES / str(name))
    return drawn(world, garments(seed + 1, pictures))


def drawn(world: GarmentWorld, labelled: LabelledPictures) -> Material:
    """A world of garments and other labelled pictures to learn attributes from, as a catalogue."""
    absent = {
        name: tuple(label for label, is_present in zip(classes, present) if not is_present)
        for name, classes, present in zip(NAMES, CLASSES, PRESENT)
    }
    return Material(
        data=world.data,
        cold_test=world.cold_test,
        cold=world.cold,
        items=lambda rows: world.pictures.pixels[rows],
        labelled=labelled,
        learned=lambda rows: labelled.pixels[rows],
        absent=absent,
    )


GROUPS = ("top", "shoe")
NAMES = ("neckline", "sleeve", "hem", "heel", "toe")
CLASSES = (
    ("V", "round", "square"),
    ("none", "short", "long"),
    ("crop", "regular", "long"),
    ("flat", "mid", "high"),
    ("round", "pointed", "open"),
)
GROUP_OF = np.array([0, 0, 0, 1, 1])  # the group that has the attribute
# Classes that have a region to point at; "no sleeves" and "no heel" are recognised by what is missing.
PRESENT = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 1], [0, 1, 1], [1, 1, 1]], bool)

CANVAS, OVERSAMPLED = 64, 4
SHIFT, SCALE = 4.0, (0.88, 1.08)  # nuisances: where the garment is, and how large
LINED, NOISE = 0.4, 0.02  # the share of pictures with lines across, and the deviation of the noise
Polygon = list[tuple[float, float]]

# (x0, y0, x1, y1) on the canvas before shift and scale; sleeves come in pairs.
_PLACES = (
    [(20, 7, 44, 22)],
    [(5, 8, 21, 38), (43, 8, 59, 38)],
    [(18, 32, 46, 58)],
    [(7, 38, 21, 59)],
    [(37, 39, 58, 52)],
)


def draw_garments(labels: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws one picture for each row of labels.

    Random numbers are drawn picture by picture and do not depend on the labels: colours, shift, scale and lines are
    independent of them.

    Args:
        labels: i16[N, K], -1 for the attributes of the other group.
        size: pixels along a side.
        rng: source of randomness.

    Returns:
        Pixels u8[N, size, size, 3] and boxes f32[N, K, 2, 4], which follow shift and scale, are clipped at the edge of
        the picture, and are NaN where there is none.

    Raises:
        ValueError: labels that fit no group, or too small a size.
    """
    group = GROUP_OF[np.argmax(labels >= 0, axis=1)]
    fits = np.where(GROUP_OF == group[:, None], (labels >= 0) & (labels < 3), labels == -1).all(axis=1)
    if not fits.all() or size < 16:
        row = labels[np.argmin(fits)].tolist()
        raise ValueError(
            f"wanted pictures of at least 16 pixels, and for each the classes 0 to 2 of the attributes of one group "
            f"and -1 for the others, got {size} pixels and labels such as {row}; the attributes are {NAMES}"
        )
    pixels = np.empty((len(labels), size, size, 3), np.uint8)
    boxes = np.full((len(labels), len(NAMES), 2, 4), np.nan, np.float32)
    for row, classes in enumerate(labels):
        scale, shift = rng.uniform(*SCALE), rng.uniform(-SHIFT, SHIFT, 2)
        parts = _top(*classes[:3]) if group[row] == 0 else _shoe(*classes[3:])
        pixels[row] = _paint([(paint, scale * (np.array(p) - 32) + 32 + shift) for paint, p in parts], size, rng)
        for attribute in np.flatnonzero(GROUP_OF == group[row]):
            places = scale * (np.array(_PLACES[attribute], float) - 32) + 32 + np.tile(shift, 2)
            boxes[row, attribute, : len(places)] = np.clip(places / CANVAS, 0, 1)
    return pixels, boxes


def _paint(parts: list[tuple[str, np.ndarray]], size: int, rng: np.random.Generator) -> np.ndarray:
    """u8[size, size, 3]: polygons over a light background, with lines across some, and noise."""
    light = _colour(rng, (0.0, 0.12), (0.82, 1.0))
    cloth = _colour(rng, (0.2, 0.9), (0.15, 0.6))
    paints = {"background": light, "cloth": cloth, "dark": tuple(int(0.6 * c) for c in cloth)}
    lined, ends = rng.random() < LINED, rng.uniform(0, OVERSAMPLED * size, (3, 4))
    ink = _colour(rng, (0.0, 1.0), (0.0, 1.0))
    noise = rng.standard_normal((size, size, 3), np.float32)

    picture = Image.new("RGB", (OVERSAMPLED * size, OVERSAMPLED * size), light)
    pen = ImageDraw.Draw(picture)
    for paint, polygon in parts:
        pen.polygon((polygon * (OVERSAMPLED * size / CANVAS)).ravel().tolist(), fill=paints[paint])
    for line in ends[: 3 * lined]:
        pen.line(line.tolist(), fill=ink, width=max(1, size // 24))
    smooth = np.asarray(picture.reduce(OVERSAMPLED), np.float32) + 255 * NOISE * noise
    return np.clip(np.rint(smooth), 0, 255).astype(np.uint8)


def _colour(rng: np.random.Generator, saturation, value) -> tuple[int, ...]:
    return tuple(
        round(255 * c) for c in colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    )


def _top(neckline: int, sleeve: int, hem: int) -> list[tuple[str, Polygon]]:
    """Body and sleeves, seen from the front, with the neckline cut out."""
    bottom = (36, 46, 57)[hem]
    body = [(15, 10), (20, 7), (44, 7), (49, 10), (46, 21), (46, bottom), (18, bottom), (18, 21)]
    neck = (
        [(20, 6), (44, 6), (32, 22)],
        _arc((32, 6), 12, 14, 0, 180),
        [(21, 6), (43, 6), (43, 19), (21, 19)],
    )[neckline]
    length = (0.0, 0.42, 1.0)[sleeve]
    left = [(16, 9.5), (16 - 10.5 * length, 9.5 + 26 * length), (19 - 7 * length, 18 + 20 * length), (19, 18)]
    sleeves = [left, [(CANVAS - x, y) for x, y in left]] if sleeve else []
    return [*(("cloth", part) for part in sleeves), ("cloth", body), ("background", neck)]


def _shoe(heel: int, toe: int) -> list[tuple[str, Polygon]]:
    """A pump seen from the side, its toe to the right."""
    upper = [(8, 23), (11, 22), (18, 30), (28, 33), (38, 39), (38, 51), (36, 51), (28, 46), (20, 41), (8, 40)]
    under = (
        [(8, 39), (20, 40), (20, 43), (8, 43)],
        [(8, 39), (20, 40), (18, 50), (9, 50)],
        [(8, 39), (18, 40), (13, 58), (10, 58)],
    )[heel]
    sole = [(38, 49.5), (54, 49.5), (54, 51), (38, 51)]
    toes = (
        [("cloth", [(37, 39), (44, 39), *_arc((44, 51), 11, 12, -90, 0), (37, 51)])],
        [("cloth", [(37, 39), (41, 40), (58, 50), (58, 51), (37, 51)])],
        [("cloth", [(37, 39), (42, 41), (42, 45), (37, 47)]), ("dark", sole)],
    )[toe]
    return [("dark", under), ("cloth", upper), *toes]


def _arc(centre: tuple[float, float], wide: float, tall: float, start: float, end: float) -> Polygon:
    """Points on an ellipse, from one angle to another (degrees, clockwise from the right)."""
    angles = np.radians(np.linspace(start, end, 24))
    return [(centre[0] + wide * float(np.cos(a)), centre[1] + tall * float(np.sin(a))) for a in angles]
