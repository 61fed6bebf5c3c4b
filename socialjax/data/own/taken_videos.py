"""Who took which of a folder's videos: anyone's own file of interactions beside the frames of their items."""

import dataclasses
from pathlib import Path

import numpy as np

from socialjax.data import split
from socialjax.data.own.folder import read_pairs_table
from socialjax.data.schema import DataError, Dataset, Frames, Interactions, Provenance, no_interactions
from socialjax.data.validate import repair
from socialjax.names import as_identifier


def read_taken(
    path: Path, names: np.ndarray, frames: Frames, made: Provenance, ratios=(0.1, 0.2), seed: int = 0
) -> Dataset:
    """Interactions of `path`, a line each: user, item, and perhaps value and time, as in a folder of one's own.

    names str[I']: what the items of frames are called, like their files without the ending. Items are those and all
    of the file; one that stands in the file alone has no frames, one that nobody took is new. Pairs are split by
    `ratios` (validation, test) for each user. Raises DataError when no item of the file has frames, and as `split` and
    the reader do.
    """
    checksums: dict[str, str] = {}
    pairs = read_pairs_table(Path(path), checksums)
    users, user = np.unique(np.char.decode(pairs.table.words(pairs.user, "user"), "utf-8"), return_inverse=True)
    given = np.char.decode(pairs.table.words(pairs.item, "item"), "utf-8")
    known = np.isin(given, names)
    if not known.any():
        raise DataError(
            f"{path}: wanted items named like the videos, such as {str(names[0])!r}, got {str(given[0])!r} and no "
            "other that is; write the names of the files without their endings"
        )
    items = np.unique(np.concatenate([names, given]))
    of_pairs = Interactions(user.astype(np.int32), np.searchsorted(items, given).astype(np.int32), None, pairs.time)
    absent = len(np.setdiff1d(items, names))
    said = (f"{absent} items of {Path(path).name} have no file in the folder and no frames",) if absent else ()
    data = repair(
        Dataset(
            name=as_identifier(Path(path).stem),
            num_users=len(users),
            num_items=len(items),
            train=of_pairs,
            validation=no_interactions(),
            test=no_interactions(),
            provenance=Provenance(
                "real",
                f"{Path(path).name}; {made.source}",
                files=made.files | checksums,
                repairs=(*made.repairs, *pairs.stated, *said),
            ),
            frames=in_order(frames, names, items),
            user_names=users,
            item_names=items,
        )
    )
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
