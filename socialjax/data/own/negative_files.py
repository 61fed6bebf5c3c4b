"""Evaluation negatives that come as a file: `<name>.test.negative`, as the NCF code writes it, or plain ids."""

import re
from pathlib import Path

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.formats.file_bytes import find, read_bytes
from socialjax.data.schema import Dataset


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
