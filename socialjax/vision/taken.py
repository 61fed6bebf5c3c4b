"""Who took which of a folder's videos or pictures: anyone's own file of interactions beside what the items show."""

import dataclasses
from pathlib import Path

import numpy as np

from socialjax.data import split
from socialjax.data.own.folder import PairsTable, read_pairs_table
from socialjax.data.schema import DataError, Dataset, Frames, Interactions, Provenance, no_interactions
from socialjax.data.validate import repair
from socialjax.names import as_identifier
from socialjax.vision.labelled.label_tables import LabelledPictures
from socialjax.vision.labelled.picture_table import PAIRS


@dataclasses.dataclass(frozen=True)
class _Named:
    """A file of interactions by names: users str[U] sorted, user i32[N], given str[N], the item of each line, and
    absent str[A], sorted, the items that nothing is known of."""

    users: np.ndarray
    user: np.ndarray
    given: np.ndarray
    absent: np.ndarray
    pairs: PairsTable
    checksums: dict[str, str]


def of_videos(
    path: Path, names: np.ndarray, frames: Frames, made: Provenance, ratios=(0.1, 0.2), seed: int = 0
) -> Dataset:
    """Interactions of `path`, a line each: user, item, and perhaps value and time, as in a folder of one's own.

    names str[I']: what the items of frames are called, like their files without the ending. Items are those and all
    of the file; one that stands in the file alone has no frames, one that nobody took is new. Pairs are split by
    `ratios` (validation, test) for each user. Raises DataError when no item of the file has frames, and as `split` and
    the reader do.
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
    """Who took which, split for each user by `ratios` (validation, test). Items are the pictures, in their order: the
    first len(pictures) items; those that `interactions.csv` alone names follow and have no picture, as the provenance
    says. Raises DataError when no item of it has a picture, and as `split` and the readers do.
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
    """Frames whose items are called names str[I'] as those of items str[I], sorted, which has all of the names."""
    place = np.searchsorted(items, names)
    counts = np.zeros(len(items), np.int64)
    counts[place] = np.diff(frames.offsets)
    rows = np.argsort(place[frames.item], kind="stable")
    named = None if frames.names is None else frames.names[rows]
    return Frames(np.concatenate([[0], np.cumsum(counts)]), frames.features[rows], named)
