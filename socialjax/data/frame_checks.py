"""What frames and likes of frames must hold before a model or a test sees them."""

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.schema import Dataset, FrameLikes, Frames

_ROWS = 1 << 12  # of features looked at at once: a table that is mapped from a file is never whole in memory


def check_frames(data: Dataset) -> None:
    """Raises DataError for offsets, features, names or likes that do not fit each other or the data's items and users.

    Says nothing when there are neither frames nor likes.
    """
    if data.frames is not None:
        _check_table(data.frames, data.num_items, f"data set '{data.name}'")
    if data.frame_likes is not None:
        if data.frames is None:
            raise DataError(
                f"data set '{data.name}': wanted frames for {len(data.frame_likes)} likes of frames, got none; "
                "add the frames or drop the likes"
            )
        _check_likes(data.frame_likes, data.frames, data.num_users, f"data set '{data.name}'")


def frame_notes(data: Dataset) -> list[str]:
    """What people should know of the frames and no model stumbles over."""
    if data.frames is None:
        return []
    none = int((np.diff(data.frames.offsets) == 0).sum())
    notes = [f"{none} items without a frame"] if none else []
    if data.frame_likes is not None:
        likes = data.frame_likes
        trained = np.isin(likes.user, data.train.user)
        if not trained.all():
            notes.append(f"{(~trained).sum()} likes of frames of users without training pairs")
    return notes


def _check_table(frames: Frames, num_items: int, where: str) -> None:
    offsets, features = np.asarray(frames.offsets), frames.features
    if features.ndim != 2 or features.dtype not in (np.float16, np.float32):
        raise DataError(
            f"{where}: frames must have features f16 or f32 [frames, numbers], got {features.dtype} {features.shape}; "
            "convert them"
        )
    rising = offsets.ndim == 1 and len(offsets) == num_items + 1 and not (np.diff(offsets) < 0).any()
    if not rising or offsets[0] != 0 or offsets[-1] != len(features):
        ends = f" from {offsets[0]} to {offsets[-1]}" if offsets.ndim == 1 and len(offsets) else ""
        raise DataError(
            f"{where}: offsets of frames must be {num_items + 1} numbers that rise from 0 to {len(features)}, one more "
            f"than there are items, got shape {offsets.shape}{ends}; give the row of each item's first frame, and the "
            "number of frames"
        )
    if frames.names is not None and frames.names.shape != (len(features),):
        raise DataError(f"{where}: names of frames must have {len(features)} entries, got {frames.names.shape}")
    bad = rows_not_finite(features)
    if len(bad):
        item = int(np.searchsorted(offsets, bad[0], side="right")) - 1
        raise DataError(
            f"{where}: wanted finite features of frames, got NaN or infinity in {len(bad)} of {len(features)} rows, "
            f"first in row {bad[0]}, a frame of item {item}; compute them again or drop the frames"
        )


def _check_likes(likes: FrameLikes, frames: Frames, num_users: int, where: str) -> None:
    if not len(likes.user) == len(likes.item) == len(likes.frame):
        raise DataError(
            f"{where}: likes of frames need as many users as items and frames, got {len(likes.user)}, "
            f"{len(likes.item)}, {len(likes.frame)}"
        )
    sizes = ("users", likes.user, num_users), ("items", likes.item, len(frames.offsets) - 1)
    for name, ids, size in (*sizes, ("frames", likes.frame, len(frames))):
        if len(ids) and (ids.min() < 0 or ids.max() >= size):
            raise DataError(
                f"{where}: {name} of likes of frames must be in 0..{size - 1}, got {ids.min()}..{ids.max()}; "
                "correct the file or the sizes"
            )
    owner = frames.item[likes.frame]
    other = np.flatnonzero(owner != likes.item)
    if len(other):
        first = other[0]
        raise DataError(
            f"{where}: wanted likes of an item's own frames, got {len(other)} others, first in row {first}: frame "
            f"{likes.frame[first]} is of item {owner[first]}, not of item {likes.item[first]}; correct the row"
        )


def rows_not_finite(features: np.ndarray) -> np.ndarray:
    """Numbers i64[n] of the rows of features f16 or f32 [L, F] that hold NaN or infinity, some rows at a time."""
    bits, mask = (np.uint16, 0x7C00) if features.dtype == np.float16 else (np.uint32, 0x7F800000)
    found = []
    for start in range(0, len(features), _ROWS):
        block = np.ascontiguousarray(features[start : start + _ROWS])
        exponent = block.view(bits) & bits(mask)  # all ones exactly in NaN and infinity
        found.append(start + np.flatnonzero((exponent == mask).any(axis=1)))
    return np.concatenate(found) if found else np.zeros(0, np.int64)
