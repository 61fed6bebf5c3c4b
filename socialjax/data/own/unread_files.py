"""Files of a folder that nobody read: what each could be, and how to have it read.

Suggestions alone: what a file holds is compared with the ids of the pairs, and nothing is read because of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from socialjax.data.own.table_columns import NAMES, Chosen, find_columns
from socialjax.data.schema import Dataset
from socialjax.formats.arrow_tables import cut_parquet, is_parquet
from socialjax.formats.file_bytes import DataError, read_bytes
from socialjax.formats.text_layout import cut
from socialjax.formats.text_tables import Table, plain_name, table_of

LARGEST = 32 << 20  # bytes of a file that is looked into
ROWS = 1000  # of a file that are compared
MOST = 0.5  # of these, so many must be known ids
SHOWN = 6  # names of files
PEOPLE = frozenset(name for role in ("user", "follower", "followee", "owner") for name in NAMES[role])
THINGS = frozenset(NAMES["item"])
ROLES = ("user", "item", "follower", "followee", "title")


def notes(paths: Sequence[Path], data: Dataset, chosen: Chosen) -> list[str]:
    """What is said of files that were not read.

    Args:
        paths: of these files.
        data: with the ids of users and items.
        chosen: columns and layout that the user gave.

    Returns:
        Their names in one line; a line for each whose content can be told, with the name and the option by which it
        would be read; and, where one cannot be told, the names that are read.
    """
    if not paths:
        return []
    shown = ", ".join(path.name for path in paths[:SHOWN]) + (", ..." if len(paths) > SHOWN else "")
    found = [suggestion(path, data, chosen) for path in paths[:SHOWN]]
    lines = [f"files of the folder not used: {shown}", *filter(None, found)]
    if None in found:
        name = data.name
        lines.append(
            f"beside pairs these names are read: {name}.links (follower, followee), {name}.items (item, title), "
            f"{name}.owners (item, user), item_features.csv and user_features.csv (id, numbers)"
        )
    return lines


def suggestion(path: Path, data: Dataset, chosen: Chosen) -> str | None:
    """What a file seems to hold, and how it would be read; None where it cannot be told."""
    try:
        file = read_bytes(path, LARGEST)
        parts = cut_parquet(file) if is_parquet(file) else cut(file, chosen.layout)
        width = parts.fields.start.shape[1]
        table = table_of(path, parts, (2, max(2, width)), [frozenset(NAMES[role]) for role in ROLES], header=True)
        return _guess(table, data, chosen)
    except (DataError, UnicodeDecodeError):  # no table, so that nothing can be told of it
        return None


def _guess(table: Table, data: Dataset, chosen: Chosen) -> str | None:
    columns = [_some(table, column) for column in range(table.num_columns)]
    users, items = _known(data.user_names, data.num_users), _known(data.item_names, data.num_items)
    of_users = [_are_ids(table, place, column, users, items, PEOPLE) for place, column in enumerate(columns)]
    of_items = [_are_ids(table, place, column, items, users, THINGS) for place, column in enumerate(columns)]
    person, thing = np.flatnonzero(of_users).tolist(), np.flatnonzero(of_items).tolist()
    if len(person) == 2 and not thing:
        return _links(table, person, data.name, chosen)
    each_once = len(thing) == 1 and len(set(columns[thing[0]])) == len(columns[thing[0]])
    if each_once and len(person) == 1 and table.num_columns == 2:
        return f"{table.path.name} seems to say who made which item: it is read as {_called(data.name, 'owners')}"
    if len(person) + len(thing) != 1:
        return None
    own, kind = (person[0], "user") if person else (thing[0], "item")
    others = [column for column in range(table.num_columns) if column != own]
    if all(_are_numbers(columns[column]) for column in others):
        if table.path.suffix not in (".csv", ".tsv", ".txt", ".parquet"):
            return None
        wanted = f"{kind}_features{table.path.suffix}"
        return f"{table.path.name} seems to hold {kind} ids and numbers: it is read as features when called {wanted}"
    return _titles(table, own, others, columns, data.name, chosen) if each_once else None


def _links(table: Table, person: list[int], name: str, chosen: Chosen) -> str:
    first, second = (_title(table, column) for column in person)
    text = (
        f"{table.path.name} seems to hold links, users in {first} and {second}: it is read as {_called(name, 'links')}"
    )
    meant, given = {"follower": person[0], "followee": person[1]}, {}
    for role, title in (("follower", first), ("followee", second)):
        if _finds(table, tuple(meant), meant, chosen, given):
            break
        given[role] = title
    options = " ".join(f"{role}={title}" for role, title in given.items())
    return text + (f", where {first} follows {second} with --data.columns {options}" if given else "")


def _titles(
    table: Table, own: int, others: list[int], columns: list[list[str]], name: str, chosen: Chosen
) -> str | None:
    texts = [column for column in others if not _are_numbers(columns[column])]
    by_name = [c for c in texts if table.header and plain_name(table.header[c]) in NAMES["title"]]
    title = (by_name or sorted(texts, key=lambda c: -len(set(columns[c]))))[0]
    text = f"{table.path.name} seems to hold item ids and titles: it is read as {_called(name, 'items')}"
    meant, by_title = {"item": own, "title": title}, {"title": _title(table, title)}
    if _finds(table, ("item", "title"), meant, chosen, {}):
        return text
    text += f", with --data.columns title={_title(table, title)}"
    if not _finds(table, ("item", "title"), meant, chosen, by_title):  # `item=` would be meant for the pairs too
        text += f", and its column {_title(table, own)} called item"
    return text


def _finds(
    table: Table, roles: Sequence[str], meant: Mapping[str, int], chosen: Chosen, given: Mapping[str, str]
) -> bool:
    """Whether the columns that are meant are found with the options that are `given`."""
    try:
        return find_columns(table, roles, (), chosen._replace(columns={**chosen.columns, **given}))[0] == meant
    except DataError:
        return False


def _called(name: str, ending: str) -> str:
    return f"{name}.{ending}"


def _title(table: Table, column: int) -> str:
    """The name of a column or, without a header, its number."""
    return table.header[column] if table.header else str(column + 1)


def _are_ids(
    table: Table, place: int, column: list[str], ids: set[str], others: set[str], names: frozenset[str]
) -> bool:
    """Whether a column holds ids of one kind. Numbers match by chance: of these the header must say so or, where there
    is none, they must not be ids of the other kind too."""
    if _share(column, ids) < MOST:
        return False
    if not _are_numbers(column):
        return True
    return plain_name(table.header[place]) in names if table.header else _share(column, others) < MOST


def _some(table: Table, column: int) -> list[str]:
    return [table.text(row, column) for row in range(min(len(table), ROWS))]


def _known(names: np.ndarray | None, size: int) -> set[str]:
    return set(map(str, range(size))) if names is None else set(names.tolist())


def _share(texts: list[str], known: set[str]) -> float:
    return sum(text in known for text in texts) / len(texts)


def _are_numbers(texts: list[str]) -> bool:
    try:
        return bool(np.isfinite([float(text) for text in texts]).all())
    except ValueError:
        return False
