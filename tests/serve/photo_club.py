"""A small synthetic world for the page: friends of one taste, items with titles, drawn pictures and frames."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

import socialjax
from socialjax.data.schema import Dataset, Frames, Links, Provenance, interactions
from socialjax.models import JIFR, DiffNet
from socialjax.recommender import Run
from socialjax.train.step import TrainSettings
from socialjax.worlds.drawn_pictures import STYLES, draw

USERS, ITEMS, FRAMES, STYLE = 48, 40, 3, len(STYLES)
PEOPLE = "Ada Ben Cleo Dan Eva Finn Gül Hugo Ines Jan Kim Lea".split()
# An id that would lead out of a folder, titles that a page must not obey.
ODD = {1: "<img src=x onerror=alert(1)>", 2: "\u202eevil\x07 <script>alert(2)</script>"}


def photo_club(folder: Path) -> Dataset:
    """User u likes style u % 4, and follows others who do. Pictures are written into the folder."""
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True, exist_ok=True)
    style = np.arange(ITEMS) % STYLE
    names, features, pictures, titles = [], [], [], []
    for item in range(ITEMS):
        shown = [style[item], style[item], (style[item] + 1 + item // STYLE) % STYLE][:FRAMES]
        for frame, look in enumerate(shown):
            names.append(f"item-{item}-{frame}.png")
            Image.fromarray(draw(int(look), np.random.default_rng([item, frame]), 90, 120)).save(folder / names[-1])
            features.append(3 * np.eye(STYLE)[look] + rng.normal(0, 0.3, STYLE))
        pictures.append(names[-FRAMES])
        titles.append(ODD.get(item, f"{STYLES[style[item]].capitalize()} no. {item // STYLE + 1}"))
    users, items = [], []
    for user in range(USERS):
        liked = np.flatnonzero(style == user % STYLE)
        some = rng.choice(liked, 7, replace=False).tolist() + rng.choice(ITEMS, 3, replace=False).tolist()
        users += [user] * len(set(some))
        items += sorted(set(some))
    order = rng.permutation(len(users))
    pairs = interactions(np.array(users)[order], np.array(items)[order])
    part = np.arange(len(pairs)) % 10
    followers = np.repeat(np.arange(USERS), 3)
    followees = (followers + STYLE * np.tile([1, 2, 5], USERS)) % USERS
    pictures[4] = "../../../etc/passwd"
    return Dataset(
        name="photo-club",
        num_users=USERS,
        num_items=ITEMS,
        train=pairs.take(part < 8),
        validation=pairs.take(part == 8),
        test=pairs.take(part == 9),
        provenance=Provenance("planted", "tests/serve/photo_club.py", "Apache-2.0"),
        links=Links(followers.astype(np.int32), followees.astype(np.int32)),
        user_names=np.array([f"{PEOPLE[user % 12]} {user // 12 + 1}" for user in range(USERS)]),
        item_names=np.array(["../../etc/passwd" if item == 3 else f"p{item:02}" for item in range(ITEMS)]),
        item_titles=np.array(titles),
        item_pictures=np.array(pictures),
        frames=Frames(np.arange(ITEMS + 1) * FRAMES, np.array(features, np.float32), np.array(names)),
    )


def trained(data: Dataset, folder: Path, model: str, epochs: int = 12) -> Run:
    """`diffnet`, which reads the friends, or `jifr`, which reads the frames, on that world."""
    made = {"diffnet": DiffNet(dim=8, layers="all", l2=0.01), "jifr": JIFR(dim=8)}[model]
    settings = TrainSettings(
        epochs=epochs, batch_size=64, learning_rate=0.02, evaluate_every=epochs, patience=0, quiet=True
    )
    return socialjax.fit(made, data, settings, folder=folder, progress=False, ks=(5, 10))


def without_pictures(data: Dataset) -> Dataset:
    return dataclasses.replace(data, item_pictures=None, frames=None)
