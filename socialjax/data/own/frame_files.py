"""Items with frames: a format for data such as JIFR's (Wu et al., IJCAI 2019), whose crawl is not distributed.

    items.tsv         item id <tab> number of frames, one line for each item; its place is the item's number
    frames.npy        float16 or float32 [L, F], the frames of the first item, then of the second, and so on
    frame_item.npy    int32 [L], the place of each frame's item; may be absent, and must agree with items.tsv
    train.tsv, val.tsv, test.tsv      user <tab> item [<tab> rating]; val.tsv may be absent
    frame_names.txt   the picture of each frame, one a line, for people to look at; may be absent
    test_frames.tsv   user <tab> item <tab> frame, a frame that the user likes, by its row in frames.npy; may be absent

Ids may be any words. frames.npy is mapped, not read: at 140,916 frames of 4,096 numbers it has 1.15 GB.
"""

import hashlib
from pathlib import Path

import numpy as np

from socialjax.data import validate
from socialjax.data.pairs_files import Rows, as_float32, assign, collect
from socialjax.data.schema import Dataset, FrameLikes, Frames, Provenance, interactions, no_interactions
from socialjax.formats.file_bytes import DataError, find, read_bytes, require
from socialjax.formats.text_tables import Table, read_table

ITEMS, FRAMES, OWNERS, LIKES = "items.tsv", "frames.npy", "frame_item.npy", "test_frames.tsv"
PICTURES = "frame_names.txt"
PAIRS = {"train": "train.tsv", "validation": "val.tsv", "test": "test.tsv"}
REQUIRED = (ITEMS, PAIRS["train"], PAIRS["test"])


def is_here(folder: Path) -> bool:
    """Whether a folder is of this format."""
    return (folder / FRAMES).is_file() and find(folder, ITEMS) is not None


def read(folder: Path, name: str, min_value: float | None = None) -> Dataset:
    """The columns of `folder`. min_value: the least rating that counts as taken; None takes every line.

    Raises DataError for files that are missing, damaged or do not fit each other.
    """
    require(folder, REQUIRED)
    checksums: dict[str, str] = {}
    items = _table(folder, ITEMS, (2, 2), checksums)
    item_rows = Rows(np.arange(len(items)), len(items), _names(items))
    frames = _frames(folder, items, checksums)
    tables = {part: _table(folder, file, (2, 3), checksums) for part, file in PAIRS.items() if find(folder, file)}
    likes = _table(folder, LIKES, (3, 3), checksums) if find(folder, LIKES) else None
    listed = [*tables.values(), *([likes] if likes is not None else [])]
    users = collect("user", [(table, 0) for table in listed])
    user_rows = assign(users, list(users.codes), None)
    pairs, repairs = {}, []
    for (part, table), codes in zip(tables.items(), users.codes):
        value = as_float32(table.numbers(2, "a rating"), table.path) if table.num_columns == 3 else None
        columns = interactions(user_rows.of_code[codes], _items(table, item_rows), value)
        if min_value is not None and value is not None:
            repairs.append(f"{(value < min_value).sum()} pairs of {part} with a rating below {min_value:g} dropped")
            columns = columns.take(value >= min_value)
        pairs[part] = columns
    data = Dataset(
        name=name,
        num_users=user_rows.size,
        num_items=len(items),
        train=pairs["train"],
        validation=pairs.get("validation", no_interactions()),
        test=pairs["test"],
        provenance=Provenance("real", "a folder with frames of items", files=checksums, repairs=tuple(repairs)),
        user_names=user_rows.names,
        item_names=item_rows.names,
        frames=frames,
        frame_likes=None if likes is None else _likes(likes, user_rows.of_code[users.codes[-1]], item_rows, frames),
    )
    data = validate.repair(data)
    validate.check(data)
    return data


def _table(folder: Path, name: str, columns: tuple[int, int], checksums: dict[str, str]) -> Table:
    file = read_bytes(require(folder, (name,))[0])
    checksums[file.path.name] = file.sha256
    return read_table(file, columns)


def _names(items: Table) -> np.ndarray:
    """The ids of the items U[I]. Raises DataError for one that stands twice."""
    words = items.words(0, "item")
    _, first = np.unique(words, return_index=True)
    again = np.setdiff1d(np.arange(len(words)), first)
    if len(again):
        raise items.error(again[0], 0, "each item once", "put all of its frames into one line")
    return np.char.decode(words, "utf-8")


def _items(table: Table, rows: Rows) -> np.ndarray:
    """The items i32[N] of the second column. Raises DataError for one that items.tsv does not list."""
    item = rows.find(table, 1, "item")
    unknown = np.flatnonzero(item < 0)
    if len(unknown):
        raise table.error(unknown[0], 1, f"an item of {ITEMS}", "add it there, with 0 frames if it has none")
    return item.astype(np.int32)


def _frames(folder: Path, items: Table, checksums: dict[str, str]) -> Frames:
    path = folder / FRAMES
    features = _mapped(path, checksums)
    count = items.ids(1, "frame")
    offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    if features.ndim != 2 or features.dtype not in (np.float16, np.float32) or len(features) != offsets[-1]:
        raise DataError(
            f"{path}: wanted float16 or float32 of shape [{offsets[-1]}, F], a row for each of the frames that {ITEMS} "
            f"counts, got {features.dtype} {features.shape}; save all frames, item by item"
        )
    frames = Frames(offsets, features, _pictures(folder, len(features), checksums))
    if (owners := folder / OWNERS).is_file():
        given = _mapped(owners, checksums)
        if given.shape != (len(frames),) or not np.array_equal(given, frames.item):
            raise DataError(
                f"{owners}: wanted the place of each frame's item in {ITEMS}, {len(frames)} numbers that rise, with as "
                f"many of each as {ITEMS} counts, got {given.dtype} {given.shape}; sort the frames by item"
            )
    return frames


def _pictures(folder: Path, frames: int, checksums: dict[str, str]) -> np.ndarray | None:
    path = find(folder, PICTURES)
    if path is None:
        return None
    file = read_bytes(path)
    checksums[path.name] = file.sha256
    try:
        names = file.data.decode("utf-8").splitlines()
    except UnicodeDecodeError as problem:
        raise DataError(f"{path}: wanted UTF-8 text, got a damaged byte at {problem.start}; save it again") from None
    if len(names) != frames:
        raise DataError(f"{path}: wanted {frames} lines, one for each frame, got {len(names)}; leave none out")
    return np.array(names, np.str_)


def _mapped(path: Path, checksums: dict[str, str]) -> np.ndarray:
    """The array of a .npy file, mapped, never unpickled. Raises DataError when it is damaged."""
    if not path.is_file():
        raise DataError(f"{path} is missing; put the features of all frames there")
    before = _moment(path)
    with open(path, "rb") as file:
        checksums[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as problem:  # NumPy evaluates the header as Python text: damage can raise anything
        raise DataError(
            f"{path}: wanted a NumPy .npy file of numbers, got a damaged or foreign one ({type(problem).__name__}); "
            "save it again with np.save"
        ) from None
    if _moment(path) != before:
        raise DataError(f"{path}: the file has changed while its checksum was taken; start again")
    return array


def _moment(path: Path) -> tuple[int, int, int]:
    """A stamp that changes when a file is written to or replaced."""
    now = path.stat()
    return now.st_ino, now.st_size, now.st_mtime_ns


def _likes(table: Table, user: np.ndarray, items: Rows, frames: Frames) -> FrameLikes:
    frame = table.ids(2, "frame")
    outside = np.flatnonzero(frame >= len(frames))
    if len(outside):
        raise table.error(outside[0], 2, f"a row of {FRAMES}, 0 to {len(frames) - 1}", "correct or drop the line")
    return FrameLikes(user.astype(np.int32), _items(table, items), frame.astype(np.int32))
