"""Synthetic worlds of items with frames, in which it is known how much each user likes each frame (docs/jifr.md)."""

import dataclasses
from typing import Literal

import numpy as np

from socialjax.data.schema import Dataset, FrameLikes, Frames, Provenance, taken_by_row

TRAIN, VALIDATION, TEST = 24, 2, 6  # pairs of each user
SHARPNESS = 4.0  # of a user's utilities before the chance in what they take
FACTORS = 4  # of the taste that is no matter of looks


@dataclasses.dataclass(frozen=True)
class FramesWorld:
    """A data set with the truth that was planted in it. User a's preference for frame k: taste[a, style[k]] - 1 / T.

    Attributes:
        data: the data set, with frames and likes of frames.
        style: i32[L], the style of each frame.
        taste: f32[U, T], the share of a user's visual taste in each style, theta_a.
        prototypes: f32[T, F], the mean feature of a style.
    """

    data: Dataset
    style: np.ndarray
    taste: np.ndarray
    prototypes: np.ndarray

    def preference(self) -> np.ndarray:
        """f32[U, L], how much each user likes each frame; users like equally what has one style."""
        return self.taste[:, self.style] - np.float32(1 / self.taste.shape[1])


def frames_world(
    seed: int = 0,
    pooling: Literal["max", "mean"] = "max",
    users: int = 600,
    items: int = 400,
    frames: int = 8,
    features: int = 32,
    styles: int = 4,
    shuffled: bool = False,
) -> FramesWorld:
    """Users take items half for a taste that has nothing to do with looks, half for the frames they like.

    A style is a point of R^features of length about 3, a frame the point of its style plus noise of deviation 0.5; an
    item draws the styles of its frames from its own mixture, Dirichlet(0.5); a user's taste is Dirichlet(0.3). The
    visual utility of an item is the largest (`max`) or the mean (`mean`) preference over its frames. Utility is the
    mean of that and of a product of Gaussian factors, both standardised; a user's 32 items are the best of 4 times the
    standardised utility plus Gumbel noise, 24 of them train, 2 validation, 6 test. Likes of frames: for each test item
    the frames that the user likes most, none where all frames of an item are liked equally.

    Args:
        seed: of all random numbers.
        pooling: how the preferences for an item's frames become its visual utility.
        users: how many.
        items: how many, more than 32.
        frames: of each item.
        features: numbers of a frame's feature vector.
        styles: how many, at least 2.
        shuffled: a control: frames are permuted over all items once everything is drawn, so that they carry no
            information on interactions; likes, style and taste stay those of the frames' original positions.

    Returns:
        The world.

    Raises:
        ValueError: too few items, styles or others, or another pooling.
    """
    taken = TRAIN + VALIDATION + TEST
    if items <= taken or min(users, frames, features) < 1 or styles < 2 or pooling not in ("max", "mean"):
        raise ValueError(
            f"wanted more than {taken} items, 2 styles and pooling max or mean, got {items} items, {users} users, "
            f"{frames} frames, {features} features, {styles} styles, pooling {pooling!r}"
        )
    rng = np.random.default_rng([seed, 15])
    prototypes = rng.normal(0, 3 / np.sqrt(features), (styles, features))
    mix = rng.dirichlet(np.full(styles, 0.5), size=items)
    style = np.concatenate([rng.choice(styles, frames, p=share) for share in mix]).astype(np.int32)
    looks = (prototypes[style] + rng.normal(0, 0.5, (items * frames, features))).astype(np.float32)
    taste = rng.dirichlet(np.full(styles, 0.3), size=users).astype(np.float32)

    liked = taste[:, style].reshape(users, items, frames)
    visual = liked.max(axis=2) if pooling == "max" else liked.mean(axis=2)
    other = rng.normal(size=(users, FACTORS)) @ rng.normal(size=(items, FACTORS)).T
    utility = _standard(0.5 * _standard(other) + 0.5 * _standard(visual))
    drawn = np.argsort(-(SHARPNESS * utility + rng.gumbel(size=utility.shape)), axis=1)[:, :taken]
    drawn = rng.permuted(drawn, axis=1).astype(np.int32)
    parts = np.split(drawn, (TRAIN, TRAIN + VALIDATION), axis=1)

    if shuffled:
        looks = looks[np.random.default_rng([seed, 16]).permutation(len(looks))]
    name = f"frames-{pooling}{'-shuffled' if shuffled else ''}"
    train, validation, test = map(taken_by_row, parts)
    data = Dataset(
        name=name,
        num_users=users,
        num_items=items,
        train=train,
        validation=validation,
        test=test,
        provenance=Provenance("planted", f"socialjax.worlds.frames, {name}", "Apache-2.0"),
        item_titles=np.array([f"item {i}" for i in range(items)]),
        frames=Frames(np.arange(items + 1, dtype=np.int64) * frames, looks),
        frame_likes=_likes(liked, test.user, test.item, frames),
    )
    return FramesWorld(data, style, taste, prototypes.astype(np.float32))


def _likes(liked: np.ndarray, user: np.ndarray, item: np.ndarray, frames: int) -> FrameLikes:
    """The best frames of each pair by `liked`, f32[U, I, K], where not all are equally good."""
    preference = liked[user, item]
    best = preference == preference.max(axis=1, keepdims=True)
    pair, place = np.nonzero(best & ~best.all(axis=1, keepdims=True))
    return FrameLikes(user[pair], item[pair], (item[pair] * frames + place).astype(np.int32))


def _standard(values: np.ndarray) -> np.ndarray:
    """f64 of mean 0 and deviation 1 over all entries."""
    return (values - values.mean()) / values.std()
