"""Checks of data sets, their attributes and frames before a model sees them, and stated repairs."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

from socialjax.data.schema import PARTS, Attributes, Dataset, FrameLikes, Frames, Links, counts, pair_keys
from socialjax.formats.file_bytes import DataError, require_finite
from socialjax.graph import isin_ints, unique_ints


def check_attributes(data: Dataset) -> None:
    """Checks tables of attributes against each other, their classes and the data's items; groups and pictures of items.

    Raises:
        DataError: they do not fit.
    """
    where = f"data set '{data.name}'"
    if data.attributes is not None:
        _check_names(data.attributes, where)
        _check_shapes(data.attributes, data.num_items, where)
        _check_values(data.attributes, where)
    for name in ("item_groups", "item_pictures"):
        column = getattr(data, name)
        if column is not None and (column.shape != (data.num_items,) or column.dtype.kind not in "UO"):
            raise DataError(
                f"{where}: {name} must be {data.num_items} texts, one for each item and '' where there is none, got "
                f"{column.dtype} {column.shape}"
            )


def attribute_notes(data: Dataset) -> list[str]:
    """Notes for people on the attributes; none is an error."""
    notes = []
    if data.attributes is not None:
        valid = data.attributes.valid
        none = int((~valid.any(axis=1)).sum())
        notes += [f"{none} items without an attribute"] if none else []
        nowhere = [name for name, there in zip(data.attributes.names, valid.any(axis=0)) if not there]
        notes += [f"attributes that no item has: {', '.join(nowhere)}"] if nowhere else []
    if data.item_groups is not None:
        unknown = int((data.item_groups == "").sum())
        notes += [f"{unknown} items whose product group is not known"] if unknown else []
    return notes


def _check_names(table: Attributes, where: str) -> None:
    names, classes = table.names, table.classes
    if not names or len(set(names)) != len(names) or not all(names):
        raise DataError(
            f"{where}: attributes must have names, each another, got {', '.join(map(repr, names)) or 'none'}"
        )
    if len(classes) != len(names) or not all(classes):
        raise DataError(
            f"{where}: each of {len(names)} attributes must have the names of its classes, got "
            f"{[len(each) for each in classes]} classes"
        )


def _check_shapes(table: Attributes, num_items: int, where: str) -> None:
    cells = num_items, len(table.names)
    if table.features.ndim != 3 or table.features.shape[:2] != cells or table.features.dtype != np.float32:
        raise DataError(
            f"{where}: attributes must have features f32 [{cells[0]} items, {cells[1]} attributes, numbers], got "
            f"{table.features.dtype} {table.features.shape}; convert them"
        )
    wanted = {"valid": "b", "label": "i", "probability": "f", "boxes": "f", "fallback": "b"}
    for name, kind in wanted.items():
        column, shape = getattr(table, name), cells + ((4,) if name == "boxes" else ())
        if column.shape != shape or column.dtype.kind != kind:
            of = {"b": "bool", "i": "integers", "f": "floats"}[kind]
            raise DataError(f"{where}: {name} of attributes must be {of} {shape}, got {column.dtype} {column.shape}")


def _check_values(table: Attributes, where: str) -> None:
    """Features must be finite even where an attribute is not valid: 0 times NaN is NaN."""
    count = np.array([len(each) for each in table.classes])
    near, far = table.boxes[..., :2], table.boxes[..., 2:]
    finite = np.isfinite(table.features).all(axis=2)
    apart = (0 <= near) & (near < far) & (far <= 1)  # false for what is no number
    for bad, what, advice in (
        (~finite, "features that are finite", "compute them again"),
        ((table.label < -1) | (table.label >= count), "labels in -1..(classes - 1)", "-1 says that there is none"),
        (table.valid & ~((table.probability >= 0) & (table.probability <= 1)), "probabilities in 0..1", "check them"),
        (table.valid & ~apart.all(axis=2), "boxes with 0 <= x0 < x1 <= 1 and the same for y",
         "give parts of the picture's width and height, and the whole picture where nothing stood out"),
    ):  # fmt: skip
        if bad.any():
            item, attribute = np.argwhere(bad)[0]
            raise DataError(
                f"{where}: wanted {what}, got {bad.sum()} others of {bad.size}, first item {item}, "
                f"{table.names[attribute]}; {advice}"
            )


_ROWS = 1 << 12  # of features read at a time: a table that is mapped from a file is never whole in memory


def check_frames(data: Dataset) -> None:
    """Checks frames and likes of frames, if any, against each other and the data's items and users.

    Raises:
        DataError: offsets, features, names or likes do not fit.
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
    """Notes for people on the frames; none is an error."""
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
    """i64[n], the rows of features f16 or f32 [L, F] that hold NaN or infinity, read in blocks."""
    bits, mask = (np.uint16, 0x7C00) if features.dtype == np.float16 else (np.uint32, 0x7F800000)
    rows = []
    for start in range(0, len(features), _ROWS):
        block = np.ascontiguousarray(features[start : start + _ROWS])
        exponent = block.view(bits) & bits(mask)  # all ones exactly in NaN and infinity
        rows.append(start + np.flatnonzero((exponent == mask).any(axis=1)))
    return np.concatenate(rows) if rows else np.zeros(0, np.int64)


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of a check that passed.

    Attributes:
        counts: as `schema.counts` gives them.
        repairs: as the provenance states them.
        notes: for people.
    """

    counts: dict[str, int]
    repairs: tuple[str, ...]
    notes: tuple[str, ...]


class OverlapError(DataError):
    """Pairs of one part are in an earlier part too; `data` is the set as it is, for inspection."""

    def __init__(self, message: str, data: Dataset):
        super().__init__(message)
        self.data = data


def repair(data: Dataset, overlap: Literal["error", "keep earlier"] = "error") -> Dataset:
    """Drops duplicate pairs (the first is kept), duplicate links and self links, and states it in the provenance.

    Args:
        data: with ids in range.
        overlap: what to do with pairs in two parts. `keep earlier` keeps the one in train, or validation before test;
            only for files known for it. `error` leaves them for `check`.

    Returns:
        The repaired data set.

    Raises:
        DataError: ids out of range.
    """
    require_ids(data)
    parts, links, repairs = data.parts(), data.links, []
    for part, pairs in parts.items():
        parts[part] = pairs.take(first_of_each(pair_keys(pairs, data.num_items)))
        repairs += _counted(len(pairs) - len(parts[part]), f"duplicate pairs in {part} dropped, the first of each kept")
    if overlap == "keep earlier":
        for earlier, later in _orders():
            mask = isin_ints(pair_keys(parts[later], data.num_items), pair_keys(parts[earlier], data.num_items))
            parts[later] = parts[later].take(~mask)
            repairs += _counted(mask.sum(), f"pairs in {later} that are in {earlier} too dropped from {later}")
    if links is not None:
        proper = links.follower != links.followee
        repairs += _counted((~proper).sum(), "self links dropped")
        links = Links(links.follower[proper], links.followee[proper])
        first = first_of_each(_link_keys(links, data.num_users))
        repairs += _counted(len(links) - len(first), "duplicate links dropped, the first of each kept")
        links = Links(links.follower[first], links.followee[first])
    provenance = dataclasses.replace(data.provenance, repairs=(*data.provenance.repairs, *repairs))
    return dataclasses.replace(data, **parts, links=links, provenance=provenance)


def check(data: Dataset, published: Mapping[str, int] | None = None) -> Report:
    """Checks that the columns can be used for training and testing.

    Args:
        data: the data set.
        published: counts to compare with.

    Returns:
        Counts, repairs and notes.

    Raises:
        OverlapError: pairs are in two parts; it holds the data.
        DataError: any other check fails.
    """
    require_ids(data)
    if not len(data.train):
        raise DataError(f"data set '{data.name}': wanted training pairs, got none; check the train file and thresholds")
    for part, pairs in data.parts().items():
        twice = len(pairs) - len(unique_ints(pair_keys(pairs, data.num_items)))
        _refuse(data, twice, f"pairs that stand twice in {part}", "drop them, or let validate.repair do it")
    for earlier, later in _orders():
        parts = data.parts()
        shared = isin_ints(pair_keys(parts[later], data.num_items), pair_keys(parts[earlier], data.num_items)).sum()
        what, advice = f"pairs of {later} that are in {earlier} too", "drop them from one of the two"
        _refuse(data, shared, what, advice, lambda message: OverlapError(message, data))
    if data.links is not None:
        selves = (data.links.follower == data.links.followee).sum()
        _refuse(data, selves, "links of users to themselves", "drop them, or let validate.repair do it")
        twice = len(data.links) - len(unique_ints(_link_keys(data.links, data.num_users)))
        _refuse(data, twice, "links that stand twice", "drop them, or let validate.repair do it")
    tables = {"user_features": data.num_users, "item_features": data.num_items, "social_features": data.num_users}
    for name, rows in tables.items():
        table = getattr(data, name)
        if table is not None and (table.ndim != 2 or len(table) != rows):
            raise DataError(f"data set '{data.name}': {name} must have {rows} rows, got shape {table.shape}")
        if table is not None:
            require_finite(table, f"data set '{data.name}', {name}")
    entries = {"user_names": data.num_users, **dict.fromkeys(("item_names", "item_titles", "owners"), data.num_items)}
    for name, size in entries.items():
        column = getattr(data, name)
        if column is not None and column.shape != (size,):
            raise DataError(f"data set '{data.name}': {name} must have {size} entries, got {column.shape}")
    check_frames(data)
    check_attributes(data)
    compare(data.name, counts(data), published)
    return Report(counts(data), data.provenance.repairs, notes(data))


def compare(name: str, got: Mapping, wanted: Mapping | None) -> None:
    """Raises DataError with a table of wanted and got when a wanted figure differs."""
    if wanted is None or all(got.get(key) == value for key, value in wanted.items()):
        return
    lines = [
        f"  {key:<28} {value!s:>12} {got.get(key)!s:>12}{'' if got.get(key) == value else '  <- differs'}"
        for key, value in wanted.items()
    ]
    raise DataError(
        f"data set '{name}' is not the published one; fetch the published files again, or give yours another name\n"
        f"  {'':<28} {'wanted':>12} {'got':>12}\n" + "\n".join(lines)
    )


def require_ids(data: Dataset) -> None:
    """Raises DataError for ids out of range."""
    columns = [(f"{part} users", pairs.user, data.num_users) for part, pairs in data.parts().items()]
    columns += [(f"{part} items", pairs.item, data.num_items) for part, pairs in data.parts().items()]
    if data.links is not None:
        columns += [
            ("followers", data.links.follower, data.num_users),
            ("followees", data.links.followee, data.num_users),
        ]
    columns = [(name, ids, 0, size) for name, ids, size in columns]
    if data.owners is not None:
        columns.append(("owners (-1 for nobody)", data.owners, -1, data.num_users))
    for name, ids, lowest, size in columns:
        if len(ids) and (ids.min() < lowest or ids.max() >= size):
            raise DataError(
                f"data set '{data.name}': {name} must be in {lowest}..{size - 1}, got {ids.min()}..{ids.max()}; "
                "correct the file or the sizes"
            )


def _orders() -> tuple[tuple[str, str], ...]:
    return tuple((PARTS[a], PARTS[b]) for a in range(3) for b in range(a + 1, 3))


def _refuse(data: Dataset, number: int, what: str, advice: str, error=DataError) -> None:
    if number:
        raise error(f"data set '{data.name}': wanted no {what}, got {number}; {advice}")


def _counted(number: int, what: str) -> list[str]:
    return [f"{number} {what}"] if number else []


def first_of_each(keys: np.ndarray) -> np.ndarray:
    """The rows, in order, of the first occurrence of each key."""
    return np.sort(np.unique(keys, return_index=True)[1])


def _link_keys(links: Links, num_users: int) -> np.ndarray:
    return links.follower.astype(np.int64) * num_users + links.followee


def notes(data: Dataset) -> tuple[str, ...]:
    """Notes for people; none is an error."""
    unseen = lambda part, column: int((~np.isin(getattr(part, column), getattr(data.train, column))).sum())  # noqa: E731
    found = [f"no {part} pairs" for part in PARTS[1:] if not len(data.parts()[part])]
    found += _counted(unseen(data.test, "user"), "test pairs of users without training pairs")
    found += _counted(unseen(data.test, "item"), "test pairs on items without training pairs")
    if data.owners is not None:
        found += _counted(int((data.owners < 0).sum()), "items without an owner")
    return (*found, *frame_notes(data), *attribute_notes(data))
