"""Tables of pairs and links as a data set, and what stands beside them: titles, evaluation negatives.

Ids become row numbers; what the options leave out is dropped; what was repaired, dropped and joined is stated.
`<name>.items` has titles, one `item id <tab, comma or blank> title` a line; `<name>.test.negative` has evaluation
negatives, as the NCF code writes them, or plain ids.
"""

import re
from pathlib import Path

import numpy as np

from socialjax.data import split as splits
from socialjax.data.own.options import FolderOptions
from socialjax.data.own.table_columns import Chosen, LinksTable, PairsTable, find_columns, read_any
from socialjax.data.pairs_files import Rows, assign, collect
from socialjax.data.schema import Dataset, Interactions, Links, Provenance, interactions, no_interactions
from socialjax.formats.arrow_tables import is_parquet
from socialjax.formats.file_bytes import DataError, find, read_bytes
from socialjax.formats.text_layout import clean_text
from socialjax.formats.text_tables import Table
from socialjax.graph import unique_ints


def joined(
    name: str,
    tables: dict[str, PairsTable],
    links: LinksTable | None,
    vectors: tuple[np.ndarray | None, ...],
    options: FolderOptions,
    where: str,
) -> Dataset:
    """Pairs and links in row numbers, filtered; vectors are features of users, of items, and social ones, by row."""
    repairs = [line for table in tables.values() for line in table.stated]
    linked = [] if links is None else [(links.table, links.follower), (links.table, links.followee)]
    repairs += [] if links is None else links.stated
    user_features, item_features, social_features = vectors
    num_rows = length(social_features) if user_features is None else length(user_features)
    users = collect("user", [(table.table, table.user) for table in tables.values()] + linked)
    items = collect("item", [(table.table, table.item) for table in tables.values()])
    pairs = {}
    for (part, table), user, item in zip(tables.items(), users.codes, items.codes):
        columns = Interactions(user, item, table.value, table.time)
        if part == "all" and table.part is not None and options.split == "auto":
            repairs.append(f"parts of {table.table.path.name} taken from its column of parts")
            for each in ("train", "validation", "test"):
                pairs[each] = _kept(columns.take(table.part == each), len(items.keys), table, options, repairs)
        else:
            pairs[part] = _kept(columns, len(items.keys), table, options, repairs)
    if not any(map(len, pairs.values())):
        given = f"min_value {options.min_value}, k_core {options.k_core}"
        raise DataError(f"{where}: wanted pairs, got none with {given}; lower them, or look at the file")
    seen = [part.user for part in pairs.values()]
    linked_codes = users.codes[len(tables) :]
    user_rows = assign(users, [*seen, *linked_codes] if not options.k_core else seen, num_rows)
    item_rows = assign(items, [part.item for part in pairs.values()], length(item_features))
    if links is not None:
        _state_overlap(links.table, linked_codes, np.unique(np.concatenate(seen)), users.keys, repairs)
    for part, columns in pairs.items():
        user, item = user_rows.of_code[columns.user], item_rows.of_code[columns.item]
        ones = columns.value is None or (columns.value == 1).all()
        pairs[part] = interactions(user, item, None if ones else columns.value, columns.time)
    return Dataset(
        name=name,
        num_users=user_rows.size,
        num_items=item_rows.size,
        train=pairs.get("train", pairs.get("all", no_interactions())),
        validation=pairs.get("validation", no_interactions()),
        test=pairs.get("test", no_interactions()),
        links=_links(user_rows, linked_codes, options, repairs),
        user_features=user_features,
        item_features=item_features,
        social_features=social_features,
        user_names=user_rows.names,
        item_names=item_rows.names,
        provenance=Provenance("real", where, repairs=tuple(repairs)),
    )


def _kept(
    pairs: Interactions, num_items: int, table: PairsTable, options: FolderOptions, repairs: list[str]
) -> Interactions:
    """The pairs that pass the filters, each once; notes on what was dropped are added to `repairs`."""
    path, header = table.table.path, ", ".join(table.table.header) or f"{table.table.num_columns} without a header"
    if options.split == "time" and pairs.time is None:
        raise DataError(
            f"{path}: a split by time needs a time column, got columns {header}; name it with --data.columns "
            "time=NAME, or split by ratio or leave-one-out"
        )
    once = pairs.take(_one_each(pairs, num_items, options.repeats))
    if len(once) < len(pairs):
        by = f"the {'earliest' if options.repeats == 'first' else 'latest'}" if pairs.time is not None else "one"
        repairs.append(f"{len(pairs) - len(once)} duplicate pairs of {path.name} dropped, {by} of each kept")
    pairs = once
    if options.min_value is not None:
        if pairs.value is None:
            raise DataError(
                f"{path}: --data.min-value {options.min_value:g} needs a column of values, got columns {header}; name "
                "it with --data.columns value=NAME, or leave the option out"
            )
        enough = pairs.value >= options.min_value
        repairs.append(f"{(~enough).sum()} pairs with a value below {options.min_value:g} dropped")
        pairs = pairs.take(enough)
    elif pairs.value is not None and ((pairs.value < 0).any() or set(unique_ints(pairs.value).tolist()) == {0.0, 1.0}):
        low = pairs.value <= 0
        raise DataError(
            f"{path}: wanted values above 0, or none, got {low.sum()} of 0 or below in {len(low)} pairs; if these are "
            "no interaction give the least value that is one (--data.min-value 1), if every line is one give "
            "--data.columns value=-"
        )
    if options.k_core:
        core = splits.k_core(pairs, options.k_core)
        repairs.append(f"{len(pairs) - len(core)} pairs outside the {options.k_core}-core dropped")
        pairs = core
    return pairs


def _one_each(pairs: Interactions, num_items: int, which: str) -> np.ndarray:
    """The row of each pair that is kept, i64[n] in the file's order: the first or last by time, of equal ones and
    without times that of the largest value, so that the order of lines decides nothing."""
    keys = pairs.user.astype(np.int64) * num_items + pairs.item
    time = np.zeros(len(pairs), np.int64) if pairs.time is None else pairs.time
    value = np.zeros(len(pairs), np.float32) if pairs.value is None else pairs.value
    order = np.lexsort((-value, time if which == "first" else -time, keys))
    return np.sort(order[np.diff(keys[order], prepend=-1) != 0])


def _state_overlap(
    table: Table, codes: tuple[np.ndarray, ...], seen: np.ndarray, keys: np.ndarray, repairs: list[str]
) -> None:
    """States how many links join users with pairs. Raises DataError where no linked user has any."""
    known = [np.isin(column, seen) for column in codes]
    if not (known[0] | known[1]).any():
        examples = ", ".join(
            str(np.char.decode(k, "utf-8")) if keys.dtype.kind == "S" else str(k) for k in keys[seen[:3]]
        )
        raise DataError(
            f"{table.path}: wanted links of users who occur in pairs, got none of {len(table)}; users of pairs are "
            f"called {examples}, those of links {table.text(0, 0)}; write the ids in one way"
        )
    both = int((known[0] & known[1]).sum())
    few = ", less than half: compare how ids are written" if 2 * both < len(table) else ""
    repairs.append(f"{both} of {len(table)} lines of {table.path.name} join two users with pairs{few}")


def _links(users: Rows, codes: tuple[np.ndarray, ...], options: FolderOptions, repairs: list[str]) -> Links | None:
    if not codes:
        return None
    follower, followee = (users.of_code[column].astype(np.int32) for column in codes)
    inside = (follower >= 0) & (followee >= 0)
    if not inside.all():
        repairs.append(f"{(~inside).sum()} links of users outside the {options.k_core}-core dropped")
    return Links(follower[inside], followee[inside])


def length(features: np.ndarray | None) -> int | None:
    """Rows of a feature table, if there is one."""
    return None if features is None else len(features)


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
        return titles_by_id(table, chosen)
    return _titles_by_line(file.path, clean_text(file, chosen.layout.encoding).decode("utf-8")), []


def titles_by_id(table: Table, chosen: Chosen) -> tuple[dict[str, str], list[str]]:
    """Item id -> title, the first of an id, and notes."""
    places, notes = find_columns(table, ("item", "title"), (), chosen)
    item, title = (table.strings(places[role]) for role in ("item", "title"))
    return {i: t[:LONGEST_TITLE] for i, t in zip(reversed(item), reversed(title))}, notes


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
