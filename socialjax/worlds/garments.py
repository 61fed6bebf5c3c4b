"""Drawn garments with labels and true boxes, and a synthetic world of users who look at one attribute (docs/saers.md).

As a catalogue it has the pictures of its items, and others to learn attributes from.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from socialjax.data.own.attribute_files import PICTURES
from socialjax.data.schema import Attributes, Dataset, Interactions, Provenance, interactions
from socialjax.vision.catalogue import Material
from socialjax.vision.labelled.label_tables import UNLABELLED, LabelledPictures
from socialjax.worlds.garment_pictures import CLASSES, GROUP_OF, GROUPS, NAMES, PRESENT, draw_garments

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
