"""Who made which item of anyone's own folder: `<name>.owners`, `<name>.uploads` or both."""

from pathlib import Path

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.formats.file_bytes import find
from socialjax.data.formats.ids import Rows
from socialjax.data.own.folder_files import read_owners_table

ENDINGS = ("owners", "uploads")


def read_owners(
    folder: Path, name: str, users: Rows, items: Rows, is_core: bool, checksums: dict[str, str], said: list[str]
) -> np.ndarray | None:
    """The owner i32[I] of each item, -1 where no file says one; None without such a file.

    Owners bring no users: one that occurs in no pair and no link is an error, unless a k-core was asked for (is_core),
    which drops users; then the item has no owner. Items that occur in no pair are passed over. Both go into `said`.
    Raises DataError for an owner that is no known user and for an item of two owners.
    """
    paths = [path for ending in ENDINGS if (path := find(folder, f"{name}.{ending}")) is not None]
    if not paths:
        return None
    owners = np.full(items.size, -1, np.int32)
    for path in paths:
        table, item_column, user_column = read_owners_table(path, checksums)
        item, user = items.find(table, item_column, "item"), users.find(table, user_column, "user")
        known = item >= 0
        unknown = np.flatnonzero(known & (user < 0))
        if len(unknown) and not is_core:
            advice = "give the owner a pair or a link, or drop the line"
            raise table.error(unknown[0], user_column, "an owner who is a user, one of a pair or a link", advice)
        for number, what in (
            ((~known).sum(), f"lines of {path.name} on items without a pair passed over"),
            (len(unknown), f"owners in {path.name} outside the core passed over"),
        ):
            said += [f"{number} {what}"] if number else []
        item, user, rows = item[known & (user >= 0)], user[known & (user >= 0)], np.flatnonzero(known & (user >= 0))
        before = owners.copy()
        owners[item[::-1]] = user[::-1]  # the first line of an item stays, so that a second owner shows
        earlier = np.where(before[item] >= 0, before[item], owners[item])
        other = np.flatnonzero(earlier != user)
        if len(other):
            first = users.names[earlier[other[0]]] if users.names is not None else earlier[other[0]]
            wanted = f"one owner for item {table.text(rows[other[0]], item_column)!r}, {str(first)!r} so far"
            raise table.error(rows[other[0]], user_column, wanted, "drop one of the two lines")
    if (owners < 0).all():
        raise DataError(f"{paths[0]}: wanted owners of items that occur in pairs, got none; compare the ids")
    return owners
