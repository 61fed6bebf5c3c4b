"""What every data set must hold before a model sees it, and what may be mended on the way in, if it is said."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

from socialjax.data.attribute_checks import attribute_notes, check_attributes
from socialjax.data.errors import DataError
from socialjax.data.formats.feature_files import require_finite
from socialjax.data.frame_checks import check_frames, frame_notes
from socialjax.data.schema import PARTS, Dataset, Links, counts, pair_keys


@dataclasses.dataclass(frozen=True)
class Report:
    """A data set that passed: counts as `schema.counts` gives them, stated repairs, notes for people."""

    counts: dict[str, int]
    repairs: tuple[str, ...]
    notes: tuple[str, ...]


class OverlapError(DataError):
    """Pairs of one part stand in an earlier part too; `data` is the set as it is, to be looked into."""

    def __init__(self, message: str, data: Dataset):
        super().__init__(message)
        self.data = data


def repair(data: Dataset, overlap: Literal["error", "keep earlier"] = "error") -> Dataset:
    """Drops duplicate pairs (the first is kept), duplicate links and self links, and says so in the provenance.

    overlap: what becomes of pairs that stand in two parts. `keep earlier` keeps the one in train, or validation
    before test; only for files known for it. `error` leaves them for `check`. Ids must be in range.
    """
    require_ids(data)
    parts, links, said = data.parts(), data.links, []
    for part, pairs in parts.items():
        parts[part] = pairs.take(first_of_each(pair_keys(pairs, data.num_items)))
        said += _said(len(pairs) - len(parts[part]), f"duplicate pairs in {part} dropped, the first of each kept")
    if overlap == "keep earlier":
        for earlier, later in _orders():
            mask = np.isin(pair_keys(parts[later], data.num_items), pair_keys(parts[earlier], data.num_items))
            parts[later] = parts[later].take(~mask)
            said += _said(mask.sum(), f"pairs in {later} that are in {earlier} too dropped from {later}")
    if links is not None:
        proper = links.follower != links.followee
        said += _said((~proper).sum(), "self links dropped")
        links = Links(links.follower[proper], links.followee[proper])
        first = first_of_each(_link_keys(links, data.num_users))
        said += _said(len(links) - len(first), "duplicate links dropped, the first of each kept")
        links = Links(links.follower[first], links.followee[first])
    provenance = dataclasses.replace(data.provenance, repairs=(*data.provenance.repairs, *said))
    return dataclasses.replace(data, **parts, links=links, provenance=provenance)


def check(data: Dataset, published: Mapping[str, int] | None = None) -> Report:
    """Raises DataError unless the columns can be trained on and tested with; `published` counts are compared.

    OverlapError, which holds the data, for pairs that stand in two parts.
    """
    require_ids(data)
    if not len(data.train):
        raise DataError(f"data set '{data.name}': wanted training pairs, got none; check the train file and thresholds")
    for part, pairs in data.parts().items():
        twice = len(pairs) - len(np.unique(pair_keys(pairs, data.num_items)))
        _refuse(data, twice, f"pairs that stand twice in {part}", "drop them, or let validate.repair do it")
    for earlier, later in _orders():
        parts = data.parts()
        shared = np.isin(pair_keys(parts[later], data.num_items), pair_keys(parts[earlier], data.num_items)).sum()
        what, advice = f"pairs of {later} that are in {earlier} too", "drop them from one of the two"
        _refuse(data, shared, what, advice, lambda message: OverlapError(message, data))
    if data.links is not None:
        selves = (data.links.follower == data.links.followee).sum()
        _refuse(data, selves, "links of users to themselves", "drop them, or let validate.repair do it")
        twice = len(data.links) - len(np.unique(_link_keys(data.links, data.num_users)))
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
    return Report(counts(data), data.provenance.repairs, _notes(data))


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


def _said(number: int, what: str) -> list[str]:
    return [f"{number} {what}"] if number else []


def first_of_each(keys: np.ndarray) -> np.ndarray:
    """The rows, in order, that hold a key for the first time."""
    return np.sort(np.unique(keys, return_index=True)[1])


def _link_keys(links: Links, num_users: int) -> np.ndarray:
    return links.follower.astype(np.int64) * num_users + links.followee


def _notes(data: Dataset) -> tuple[str, ...]:
    """What people should know and no model stumbles over."""
    unseen = lambda part, column: int((~np.isin(getattr(part, column), getattr(data.train, column))).sum())  # noqa: E731
    notes = [f"no {part} pairs" for part in PARTS[1:] if not len(data.parts()[part])]
    notes += _said(unseen(data.test, "user"), "test pairs of users without training pairs")
    notes += _said(unseen(data.test, "item"), "test pairs on items without training pairs")
    if data.owners is not None:
        notes += _said(int((data.owners < 0).sum()), "items without an owner")
    return (*notes, *frame_notes(data), *attribute_notes(data))
