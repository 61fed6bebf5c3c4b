"""The format of the NGCF and LightGCN releases (Wang et al., SIGIR 2019; He et al., SIGIR 2020): Gowalla and others.

`train.txt` and `test.txt`, `val.txt` if there is one: a line for each user, `user item item ...`, whole numbers from
0 parted by blanks. A user may have no items.
"""

from pathlib import Path

import numpy as np

from socialjax.data.pairs_files import table_size
from socialjax.data.schema import Dataset, Interactions, Provenance, interactions, no_interactions
from socialjax.data.validate import compare
from socialjax.formats.file_bytes import DataError, find, read_bytes
from socialjax.formats.text_tables import Fields, Table

FILES = {"train": "train.txt", "test": "test.txt", "validation": "val.txt"}
# As the papers count them; a folder that goes by one of these names must be that set.
PUBLISHED = {
    "gowalla": {"users": 29_858, "items": 40_981, "train": 810_128, "test": 217_242},
    "yelp2018": {"users": 31_668, "items": 38_048, "train": 1_237_259, "test": 324_147},
    "amazon-book": {"users": 52_643, "items": 91_599, "train": 2_380_730, "test": 603_378},
}
_BLANKS, _NEWLINE, _CONTROL = (9, 32), 10, 32


def paths(folder: Path, name: str) -> dict[str, Path]:
    """Part -> its file where `folder` has this format: train.txt and test.txt, and no files called `<name>.*`."""
    parts = {part: find(folder, file) for part, file in FILES.items()}
    parts = {part: path for part, path in parts.items() if path is not None}
    others = [
        path for path in Path(folder).glob("*") if path.name.startswith(f"{name}.") and path not in parts.values()
    ]
    return parts if {"train", "test"} <= set(parts) and not others else {}


def missing(folder: Path, name: str) -> list[str]:
    """Which of train.txt and test.txt a folder lacks that goes by a name of PUBLISHED; none for other names and for
    files called `<name>.*`."""
    if name not in PUBLISHED or any(path.name.startswith(f"{name}.") for path in Path(folder).glob("*")):
        return []
    return [file for part, file in FILES.items() if part != "validation" and find(folder, file) is None]


def instructions(name: str) -> str:
    """What to put where, for a set of PUBLISHED."""
    return (
        f"{name} is two files, train.txt and test.txt, from the folder Data/{name} of github.com/kuandeng/LightGCN. "
        "Each line is a user and the items they took, whole numbers from 0 parted by blanks, such as `0 12 7 431`. "
        f"Put both into one folder and give it with --data.dir FOLDER, or call the folder {name} and set the "
        "environment variable SOCIALJAX_DATA to the one that holds it"
    )


def read(folder: Path, name: str) -> Dataset:
    """The columns of `folder`, as the files have them. Raises DataError with file and line."""
    checksums: dict[str, str] = {}
    lists = {part: _read(path, checksums) for part, path in paths(folder, name).items()}
    pairs = {part: pairs for part, (_, pairs) in lists.items()}
    users = table_size("user", [listed for listed, _ in lists.values()], folder)  # those without items count too
    items = table_size("item", [part.item for part in pairs.values()], folder)
    if not len(pairs["test"]):
        raise DataError(f"{folder}: wanted items in test.txt, got users without any; copy or export it again")
    counts = {"users": users, "items": items} | {part: len(of) for part, of in pairs.items()}
    compare(name, counts, PUBLISHED.get(name))
    return Dataset(
        name=name,
        num_users=users,
        num_items=items,
        train=pairs["train"],
        validation=pairs.get("validation", no_interactions()),
        test=pairs["test"],
        provenance=Provenance("real", f"folder {folder}", files=checksums),
    )


def _read(path: Path, checksums: dict[str, str]) -> tuple[np.ndarray, Interactions]:
    """(the user of every line i64[L], the pairs). Lines may be long: a user of Amazon-Book has thousands of items."""
    file = read_bytes(path)
    checksums[path.name] = file.sha256
    data = np.frombuffer(file.data.replace(b"\r", b"\n") + b"\n", np.uint8)
    strange = ((data < _CONTROL) & ~np.isin(data, (*_BLANKS, _NEWLINE))) | (data > 126)
    if strange.any():
        where = int(strange.argmax())
        line = file.data.count(b"\n", 0, where) + 1
        raise DataError(f"{path}, line {line}: wanted numbers, got byte 0x{data[where]:02x}; copy or export it again")
    ink = ~np.isin(data, (*_BLANKS, _NEWLINE))
    edges = np.flatnonzero(np.diff(ink, prepend=False))  # the text ends with a line feed: edges come in pairs
    start, end = edges[::2], edges[1::2]
    line = np.searchsorted(np.flatnonzero(np.frombuffer(file.data, np.uint8) == _NEWLINE), start) + 1
    if not len(line):
        raise DataError(f"{path}: wanted lines `user item item ...`, got an empty file; copy or export it again")
    first = np.diff(line, prepend=0) > 0
    user, item = (
        Table(path, Fields(data, start[of, None], end[of, None], line[of])).ids(0, kind)
        for of, kind in ((first, "user"), (~first, "item"))
    )
    order = np.argsort(user, kind="stable")
    again = np.flatnonzero(np.diff(user[order]) == 0)
    if len(again):
        twice, lines = user[order[again[0]]], line[first][order[again[0] : again[0] + 2]]
        raise DataError(
            f"{path}, line {lines[1]}: wanted each user on one line, got user {twice} on line {lines[0]} too; "
            "join the lines, or, if each line is one pair, name the files <name>.train.txt and <name>.test.txt"
        )
    return user, interactions(np.repeat(user, np.diff(np.append(np.flatnonzero(first), len(first))) - 1), item)
