"""The contact sheet of a trained JIFR: which item and which users are shown, and what they like."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from socialjax.data.schema import Dataset
from socialjax.run import contact_sheet as sheet
from socialjax.worlds.drawn_pictures import STYLES
from socialjax.worlds.frames import FramesWorld

USERS, LIKED = 6, 2  # rows, and pictures of each user's own items
_LOOKED_AT = 300  # users among whom those with other key frames are sought


def contact_sheet(
    path: Path,
    model,
    side,
    state,
    data: Dataset,
    picture: Callable[[int], np.ndarray],
    world: FramesWorld | None = None,
    style: np.ndarray | None = None,
) -> None:
    """Draws the frames of one item, which `has_frames_to_show`, for some users.

    picture: row of data.frames -> u8[h, w, 3]. world, style i32[L]: the planted tastes and the styles of rows.
    """
    item = popular_item(data, style)
    frames = np.arange(data.frames.offsets[item], data.frames.offsets[item + 1])
    users = lovers(world) if world is not None else differing(model, side, state, data, frames)
    scores = likings(model, side, state, users, frames)
    rows = []
    for user, liking in zip(users, scores):
        order = np.argsort(-liking, kind="stable")
        taste = None if world is None else world.taste[user]
        liked = [picture(row) for row in favourites(model, side, state, data, int(user))]
        rows.append(sheet.Row(data.describe_user(user), order, liking[order], taste, liked))
    title = f"{data.describe_item(item)}: its key frame for {len(users)} users"
    styles = () if world is None else STYLES
    sheet.draw(path, title, [picture(row) for row in frames], rows, styles, None if style is None else style[frames])


def has_frames_to_show(data: Dataset, style: np.ndarray | None = None) -> bool:
    """Whether the item that would be shown has two frames."""
    item = popular_item(data, style)
    return bool(data.frames.offsets[item + 1] - data.frames.offsets[item] >= 2)


def popular_item(data: Dataset, style: np.ndarray | None = None) -> int:
    """The item with most styles, or most frames where styles are not known; of equals the one that most users took."""
    taken = np.bincount(data.train.item, minlength=data.num_items)
    kinds = np.diff(data.frames.offsets)
    if style is not None:
        pairs = np.unique(np.stack([data.frames.item, style]), axis=1)
        kinds = np.bincount(pairs[0], minlength=data.num_items)
    return int(np.lexsort((-taken, -kinds))[0])


def lovers(world: FramesWorld) -> np.ndarray:
    """Users i64[USERS]: for each style who likes it most, and those whose taste is most divided."""
    most = list(dict.fromkeys(world.taste.argmax(axis=0).tolist()))[:USERS]
    divided = [user for user in np.argsort(world.taste.max(axis=1), kind="stable").tolist() if user not in most]
    return np.array(most + divided[: USERS - len(most)])


def differing(model, side, state, data: Dataset, frames: np.ndarray) -> np.ndarray:
    """Users, at most USERS, one for each key frame as far as there are others."""
    users = np.unique(data.train.user)[:_LOOKED_AT]
    key = likings(model, side, state, users, frames).argmax(axis=1)
    _, first = np.unique(key, return_index=True)
    rest = np.setdiff1d(np.arange(len(users)), first)
    return users[np.sort(np.concatenate([first, rest])[:USERS])]


def favourites(model, side, state, data: Dataset, user: int) -> list[int]:
    """Rows of the frames that a user likes most, one of each of their training items."""
    offsets, best = data.frames.offsets, []
    for item in np.unique(data.train.item[data.train.user == user]):
        rows = np.arange(offsets[item], offsets[item + 1])
        if len(rows):
            liking = likings(model, side, state, np.array([user]), rows)[0]
            best.append((liking.max(), int(rows[liking.argmax()])))
    return [row for _, row in sorted(best, reverse=True)[:LIKED]]


def likings(model, side, state, users: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """f32[U, K] of users [U] and rows [K]."""
    rows = np.broadcast_to(frames.astype(np.int32), (len(users), len(frames)))
    return np.asarray(model.frame_scores(state, side, users.astype(np.int32), rows))
