"""Interactions with a folder's videos or pictures, from a file of one's own."""

import dataclasses
from pathlib import Path

import numpy as np

from socialjax.data import split
from socialjax.data.own.table_columns import PairsTable, read_pairs_table
from socialjax.data.schema import Dataset, Frames, Interactions, Provenance, no_interactions
from socialjax.data.validate import repair
from socialjax.formats.file_bytes import DataError
from socialjax.names import as_identifier
from socialjax.vision.labelled.label_tables import PAIRS, LabelledPictures


@dataclasses.dataclass(frozen=True)
class _Named:
    """A file of interactions by names.

    Attributes:
        users: str[U], sorted.
        user: i32[N].
        given: str[N], the item of each line.
        absent: str[A], sorted, items of the file without a video or picture.
        pairs: the table.
        checksums: of the file.
    """

    users: np.ndarray
    user: np.ndarray
    given: np.ndarray
    absent: np.ndarray
    pairs: PairsTable
    checksums: dict[str, str]


def of_videos(
    path: Path, names: np.ndarray, frames: Frames, made: Provenance, ratios=(0.1, 0.2), seed: int = 0
) -> Dataset:
    """A data set of videos with interactions: a line each, user, item and optionally value and time.

    Items are those of the frames and of the file; one of the file alone has no frames, one of the frames alone has no
    interactions.

    Args:
        path: of the interactions.
        names: str[I'], names of the items of `frames`: their files without extension.
        frames: of the videos.
        made: provenance of the frames.
        ratios: shares of validation and test of each user's pairs.
        seed: of the split.

    Returns:
        The data set.

    Raises:
        DataError: no item of the file has frames, and as `split` and the reader do.
    """
    path = Path(path)
    named = _read(path, names, "named like the videos", "the names of the files without their endings")
    items = np.sort(np.concatenate([names, named.absent]))
    item, absent = np.searchsorted(items, named.given).astype(np.int32), len(named.absent)
    notes = (f"{absent} items of {path.name} have no file in the folder and no frames",) if absent else ()
    return _split(
        Dataset(
            name=as_identifier(path.stem),
            num_users=len(named.users),
            num_items=len(items),
            train=Interactions(named.user, item, None, named.pairs.time),
            validation=no_interactions(),
            test=no_interactions(),
            provenance=_provenance(named, made, f"{path.name}; {made.source}", notes),
            frames=in_order(frames, names, items),
            user_names=named.users,
            item_names=items,
        ),
        ratios,
        seed,
    )


def of_pictures(folder: Path, pictures: LabelledPictures, ratios=split.DIFFNET_RATIOS, seed: int = 0) -> Dataset:
    """A data set of labelled pictures with interactions.

    The pictures, in their order, are the first len(pictures) items; items that only `interactions.csv` names follow and
    have no picture, as the provenance states.

    Args:
        folder: with `interactions.csv`.
        pictures: of the items.
        ratios: shares of validation and test of each user's pairs.
        seed: of the split.

    Returns:
        The data set.

    Raises:
        DataError: no item of the file has a picture, and as `split` and the readers do.
    """
    named = _read(Path(folder) / PAIRS, pictures.ids, "called like the pictures", "their ids")
    items = np.concatenate([pictures.ids, named.absent])
    order = np.argsort(items, kind="stable")
    item = order[np.searchsorted(items[order], named.given)].astype(np.int32)
    absent, none = named.absent, np.full(len(named.absent), "")
    notes = (f"{len(absent)} items have no picture, such as {absent[0]}",) if len(absent) else ()
    return _split(
        Dataset(
            name=pictures.name,
            num_users=len(named.users),
            num_items=len(items),
            train=Interactions(named.user, item, named.pairs.value, named.pairs.time),
            validation=no_interactions(),
            test=no_interactions(),
            provenance=_provenance(named, pictures.provenance, pictures.provenance.source, notes),
            user_names=named.users,
            item_names=items,
            item_pictures=np.concatenate([pictures.files, none]),
            item_groups=None if pictures.groups is None else np.concatenate([pictures.groups, none]),
        ),
        ratios,
        seed,
    )


def _read(path: Path, names: np.ndarray, called: str, advice: str) -> _Named:
    checksums: dict[str, str] = {}
    pairs = read_pairs_table(path, checksums)
    users, user = np.unique(np.char.decode(pairs.table.words(pairs.user, "user"), "utf-8"), return_inverse=True)
    given = np.char.decode(pairs.table.words(pairs.item, "item"), "utf-8")
    known = np.isin(given, names)
    if not known.any():
        raise DataError(
            f"{path}: wanted items {called}, such as {str(names[0])!r}, got {str(given[0])!r} and no other that is; "
            f"write {advice}"
        )
    return _Named(users, user.astype(np.int32), given, np.unique(given[~known]), pairs, checksums)


def _provenance(named: _Named, made: Provenance, source: str, notes: tuple[str, ...]) -> Provenance:
    repairs = (*made.repairs, *named.pairs.stated, *notes)
    return Provenance("real", source, files=made.files | named.checksums, repairs=repairs)


def _split(data: Dataset, ratios, seed: int) -> Dataset:
    data = repair(data)
    train, validation, test = split.by_ratio(data.train, ratios, seed)
    return dataclasses.replace(data, train=train, validation=validation, test=test)


def in_order(frames: Frames, names: np.ndarray, items: np.ndarray) -> Frames:
    """Reorders frames of items names str[I'] to those of items str[I], which is sorted and has all of the names."""
    place = np.searchsorted(items, names)
    counts = np.zeros(len(items), np.int64)
    counts[place] = np.diff(frames.offsets)
    rows = np.argsort(place[frames.item], kind="stable")
    named = None if frames.names is None else frames.names[rows]
    return Frames(np.concatenate([[0], np.cumsum(counts)]), frames.features[rows], named)
