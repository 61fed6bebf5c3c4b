"""What loaders add to the pairs: validation from train, titles of items, given evaluation negatives.

`<name>.items` has titles, one `item id <tab, comma or blank> title` a line; `<name>.test.negative` has evaluation
negatives, as the NCF code writes them, or plain ids.
"""

import dataclasses
import re
from pathlib import Path

import numpy as np

from socialjax.data.own.table_columns import Chosen, find_columns, read_any
from socialjax.data.schema import Dataset
from socialjax.data.split import hold_out_validation
from socialjax.formats.arrow_tables import is_parquet
from socialjax.formats.file_bytes import DataError, find, read_bytes
from socialjax.formats.text_layout import clean_text


def with_validation(data: Dataset, ratio: float, seed: int) -> Dataset:
    """`data` with a share of each user's training pairs as validation, stated in the provenance."""
    train, validation = hold_out_validation(data.train, ratio, seed)
    note = f"no validation given: {len(validation)} pairs taken from train, {ratio:g} of each user's, seed {seed}"
    return stated(dataclasses.replace(data, train=train, validation=validation), note)


def stated(data: Dataset, *repairs: str) -> Dataset:
    """`data` with more repairs in its provenance."""
    provenance = dataclasses.replace(data.provenance, repairs=(*data.provenance.repairs, *repairs))
    return dataclasses.replace(data, provenance=provenance)


LONGEST_TITLE = 200  # characters; longer ones are cut, since every entry of an array of text is as wide as the longest


def read_titles(path: Path, checksums: dict[str, str], chosen: Chosen) -> tuple[dict[str, str], list[str]]:
    """Item id -> title, the first of an id, and notes.

    A table whose columns are separated by more than blanks, the titles in the column of that name or in the second; or
    lines of an id, a tab, comma or blank, and the rest as the title. Raises DataError for a line without a separator.
    """
    file = read_bytes(path)
    checksums[path.name] = file.sha256
    try:
        table = read_any(path, checksums, chosen, ("item", "title"), most=None)
    except DataError:
        if is_parquet(file) or chosen.layout.separator != "auto":
            raise
        table = None
    if table is not None and (table.header or table.separator != "blanks"):
        places, notes = find_columns(table, ("item", "title"), (), chosen)
        item, title = (table.strings(places[role]) for role in ("item", "title"))
        return {i: t[:LONGEST_TITLE] for i, t in zip(reversed(item), reversed(title))}, notes
    return _titles_by_line(file.path, clean_text(file, chosen.layout.encoding).decode("utf-8")), []


def _titles_by_line(path: Path, text: str) -> dict[str, str]:
    titles: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip(" ")
        if not line.strip():
            continue
        separator = next((mark for mark in "\t, " if mark in line), None)
        if separator is None:
            raise DataError(
                f"{path}, line {number}: wanted an item id and a title separated by a tab, a comma or a blank, "
                f"got {line[:40]!r}; add the title or drop the line"
            )
        item, title = line.split(separator, 1)
        titles.setdefault(_unquoted(item), _unquoted(title)[:LONGEST_TITLE])
    return titles


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('""', '"')
    return text


def read_negatives(folder: Path, data: Dataset) -> tuple[np.ndarray, np.ndarray, str] | None:
    """(user i32[N], item i32[N], file name), or None when the folder has no such file; plain or .gz.

    A line is `(user,item)` or `user`, then the negatives, parted by tabs, commas or blanks. Ids are those of the other
    files. Raises DataError for an id that is not in the data set.
    """
    path = find(Path(folder), f"{data.name}.test.negative")
    if path is None:
        return None
    users, items = _numbers(data.user_names, data.num_users), _numbers(data.item_names, data.num_items)
    user, item = [], []
    for number, line in enumerate(read_bytes(path).data.decode(errors="replace").splitlines(), 1):
        first, *rest = re.findall(r"\([^)]*\)|[^\s,]+", line) or [""]
        if not first:
            continue
        try:
            drawn = [items(field) for field in rest]
            user += [users(first.strip("()").split(",")[0].strip())] * len(drawn)
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{path}, line {number}: wanted a user and items of the data set, got {error}; "
                "write the ids as in the files of pairs"
            ) from None
        item += drawn
    return np.array(user, np.int32), np.array(item, np.int32), path.name


def _numbers(names: np.ndarray | None, size: int):
    """Function from an id of the file to our number."""
    if names is not None:
        return {str(name): row for row, name in enumerate(names)}.__getitem__

    def number(text: str) -> int:
        if not 0 <= int(text) < size:
            raise ValueError(f"{text!r}, beyond 0..{size - 1}")
        return int(text)

    return number
