"""A user's own data: `read` documents the files of a folder, `from_frames` takes columns in memory.

`read` finds the files, reads owners of items (`<name>.owners`, `<name>.uploads` or both), and turns fields into ids,
rows, links and titles before any split. Frames of pandas and Polars, Arrow tables and arrays go through its checks.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from socialjax.data import validate
from socialjax.data.own import features, ngcf, unread_files
from socialjax.data.own.joined import joined, length, read_titles, titles_by_id
from socialjax.data.own.options import FolderOptions, finish, split
from socialjax.data.own.table_columns import (
    AS_FOUND,
    Chosen,
    links_of,
    pairs_of,
    read_links_table,
    read_owners_table,
    read_pairs_table,
)
from socialjax.data.pairs_files import Rows, as_float32, memory_named
from socialjax.data.schema import Dataset, stated
from socialjax.formats.arrow_tables import cut_frame
from socialjax.formats.file_bytes import DataError, find
from socialjax.formats.text_tables import Table, table_of

ENDINGS = ("rating", "ratings", "csv", "tsv", "txt", "dat", "data", "inter", "json", "jsonl", "parquet")
NO_TABLES = {
    f".{ending}" for ending in "mat xls xlsx ods pkl pickle h5 hdf5 feather arrow db sqlite rar 7z tar".split()
}
LINK_ENDINGS = ("links", "link", "net")
TITLE_ENDINGS = ("items", "item")
PART_NAMES = {"train": ("train",), "validation": ("val", "valid", "validation", "dev"), "test": ("test",)}


def pairs_paths(folder: Path, name: str, wants_split: bool) -> dict[str, Path]:
    """`{train, validation?, test}` when the folder has the parts, else `{"all": path}`.

    wants_split: a split was asked for, so the unsplit file is meant. Raises DataError when files lack or compete.
    """
    parts = {part: _one(folder, *(f"{name}.{word}" for word in words)) for part, words in PART_NAMES.items()}
    parts = {part: path for part, path in parts.items() if path is not None}
    whole = _one(folder, name)
    if wants_split and whole is None and parts:
        raise DataError(f"{folder}: a split was asked for, but the files are split already; leave the split at 'auto'")
    if whole is not None and (wants_split or not parts):
        return {"all": whole}
    if {"train", "test"} <= set(parts):
        return parts
    state = f"got {', '.join(path.name for path in parts.values()) or 'none of them'}"
    raise DataError(
        f"{folder}{'' if Path(folder).is_dir() else ' is not a folder'}: wanted {name}.train.rating and "
        f"{name}.test.rating, or one file {name}.rating ({', '.join(ENDINGS)}; each plain, .gz or .zip), {state}"
        f"{_there(folder)}; rename the file, or give its name without the ending as --data.name"
    )


def may_hold_pairs(path: Path) -> bool:
    """Whether a file has a name as tables of pairs have them."""
    return path.name.removesuffix(".gz").removesuffix(".zip").rpartition(".")[2] in ENDINGS and path.is_file()


def _there(folder: Path) -> str:
    """The files of a folder, for messages."""
    paths = sorted(path for path in Path(folder).iterdir() if path.is_file()) if Path(folder).is_dir() else []
    foreign = "(no text table: export it as CSV)"
    names = [f"{path.name} {foreign}" if path.suffix.lower() in NO_TABLES else path.name for path in paths]
    return f"; the folder has {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}" if names else ""


def _one(folder: Path, *stems: str, endings: Sequence[str] = ENDINGS) -> Path | None:
    names = (f"{stem}.{ending}" for stem in stems for ending in endings)
    found = [path for name in names if (path := find(folder, name)) is not None]
    if len(found) > 1:
        raise DataError(f"{folder}: wanted one file, got {', '.join(p.name for p in found)}; take all but one away")
    return found[0] if found else None


OWNER_ENDINGS = ("owners", "uploads")


def read_owners(
    folder: Path,
    name: str,
    users: Rows,
    items: Rows,
    is_core: bool,
    checksums: dict[str, str],
    repairs: list[str],
    chosen: Chosen,
) -> np.ndarray | None:
    """Reads the owners of items.

    Owners add no users: one that occurs in no pair and no link is an error, unless there is a k-core, which drops
    users; then the item has no owner. Items that occur in no pair are skipped.

    Args:
        folder: of the files.
        name: of the set.
        users: row numbers of users.
        items: row numbers of items.
        is_core: whether the pairs are a k-core.
        checksums: gets the sha256 of the files.
        repairs: gets notes on what was skipped.
        chosen: columns and layout that the user gave.

    Returns:
        i32[I], -1 for items without an owner; None without such files.

    Raises:
        DataError: an owner is no known user, or an item has two owners.
    """
    paths = [path for ending in OWNER_ENDINGS if (path := find(folder, f"{name}.{ending}")) is not None]
    if not paths:
        return None
    owners = np.full(items.size, -1, np.int32)
    for path in paths:
        table, item_column, user_column, notes = read_owners_table(path, checksums, chosen)
        repairs += notes
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
            repairs += [f"{number} {what}"] if number else []
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


def read_columns(folder: Path, name: str, paths: dict[str, Path], options: FolderOptions) -> Dataset:
    """A data set with the pairs of each part in `paths`; those of one unsplit file ("all") are all in train, unless it
    has a column of parts."""
    checksums: dict[str, str] = {}
    chosen = options.chosen
    tables = {part: read_pairs_table(path, checksums, chosen) for part, path in paths.items()}
    links_path = _one(folder, name, endings=LINK_ENDINGS)
    links = None if links_path is None else read_links_table(links_path, checksums, chosen)
    vectors = [features.read_features(folder, file, None, checksums) for file in features.FEATURE_FILES]
    social_features = features.read_features(folder, features.SOCIAL_FILE, length(vectors[0]), checksums)
    data = joined(name, tables, links, (*vectors, social_features), options, str(folder))
    users, items = Rows.of(data.num_users, data.user_names), Rows.of(data.num_items, data.item_names)
    repairs = [f"{paths['validation'].name} read as the validation part"] if "validation" in paths else []
    owners = read_owners(folder, name, users, items, bool(options.k_core), checksums, repairs, chosen)
    titles = _titles(folder, name, items, checksums, repairs, chosen)
    data = dataclasses.replace(data, owners=owners, item_titles=titles)
    for table, path in features.files_by_id(folder).items():
        if getattr(data, table) is not None:
            raise DataError(f"{folder}: wanted one file of {table}, got {path.name} beside a .npy; take one away")
        data = features.join(data, table, path, of_the_set=True)
    others = [path for path in sorted(folder.iterdir()) if path.is_file() and _could_be_meant(path, data, checksums)]
    repairs += unread_files.notes(others, data, chosen)
    provenance = dataclasses.replace(
        data.provenance,
        source=f"folder {folder}",
        files=data.provenance.files | checksums,
        repairs=(*data.provenance.repairs, *repairs),
    )
    return dataclasses.replace(data, provenance=provenance)


_TABLES = (*ENDINGS, *LINK_ENDINGS, *TITLE_ENDINGS, *OWNER_ENDINGS, "npy", "npz")


def _could_be_meant(path: Path, data: Dataset, used: dict[str, str]) -> bool:
    """Whether a file that was not read looks like a table of data."""
    name = path.name.removesuffix(".gz").removesuffix(".zip")
    known = {*used, *data.provenance.files}
    return path.name not in known and name.rpartition(".")[2] in _TABLES and not name.startswith(("README", "."))


def _titles(
    folder: Path, name: str, items: Rows, checksums: dict[str, str], repairs: list[str], chosen: Chosen
) -> np.ndarray | None:
    """Titles U[I], empty where the file has none; items that occur in no pair are passed over."""
    path = _one(folder, name, endings=TITLE_ENDINGS)
    if path is None:
        return None
    titles, notes = read_titles(path, checksums, chosen)
    found, note = _titles_of(titles, items.names, items.size, path)
    repairs += [*notes, note]
    return found


def _titles_of(titles: Mapping[str, str], names: np.ndarray | None, size: int, path: Path) -> tuple[np.ndarray, str]:
    """Titles U[I] of items, empty where there is none, and how many matched. Raises DataError when none does."""
    ids = list(map(str, range(size))) if names is None else names.tolist()
    matched = sum(item in titles for item in ids)
    if not matched:
        raise DataError(
            f"{path}: wanted titles of items that occur in pairs, got none of {len(titles)}; items of pairs are called "
            f"{', '.join(ids[:3])}, those with titles {', '.join(list(titles)[:3])}; write the ids in one way"
        )
    note = f"titles of {path.name}: {matched} of {size} items have one"
    return np.array([titles.get(item, "") for item in ids], dtype=np.str_), note


def read(folder: Path, name: str, options: FolderOptions | None = None) -> Dataset:
    """The columns of `folder`, kind `real`, repaired (stated in the provenance) and checked. Raises DataError.

    Files, each plain, `.gz` or `.zip`, text, JSON or Parquet, with or without a header:
    - `<name>.{train,val,test}.rating` or one `<name>.rating` (or another of `ENDINGS`): `user item [value [time]]`; a
      header may name the columns in another order. `.val`, or `.valid`, `.validation` or `.dev`, may be missing.
    - `<name>.links`, optional: `follower followee`.
    - `<name>.items`, optional: item id and title.
    - `<name>.owners`, optional: `item user`, who made the item; or `<name>.uploads`: `user item`; or both.
    - `user_vector.npy`, `item_vector.npy`, `social_vector.npy`, optional: row r holds the features of id r, the last
      those of a user's place in the social graph.

    Or, where nothing is called `<name>.*`, `train.txt`, `test.txt` and perhaps `val.txt` as `own.ngcf` reads them.

    Ids may be any words. Integer ids are kept as row numbers when there is a feature table for them or when they are
    dense (`pairs_files.assign`); all others are numbered in sorted order and kept as user_names and item_names.
    """
    folder, options = Path(folder), options or FolderOptions()
    with memory_named(folder):
        data = _lists(folder, name, options) if ngcf.paths(folder, name) else _tables(folder, name, options)
        return finish(data, options)


def _tables(folder: Path, name: str, options: FolderOptions) -> Dataset:
    """Reads tables of pairs, in parts or split here."""
    paths = pairs_paths(folder, name, wants_split=options.split != "auto")
    is_split = "all" not in paths
    if is_split and (options.k_core or options.cold_items):
        names = ", ".join(path.name for path in paths.values())
        raise DataError(f"{folder}: k_core and cold_items need one unsplit file, got {names}; join them into one")
    data = validate.repair(read_columns(folder, name, paths, options))
    return data if is_split or len(data.test) else split(data, options)


def _lists(folder: Path, name: str, options: FolderOptions) -> Dataset:
    """Lists of items, which come in parts and without values."""
    plain = FolderOptions()
    names = ("split", "k_core", "min_value", "cold_items", "columns", "separator", "encoding", "repeats")
    changed = [name for name in names if getattr(options, name) != getattr(plain, name)]
    if changed:
        raise DataError(
            f"{folder}: train.txt and test.txt are split already and have no values, got {', '.join(changed)}; "
            "leave that out, or give one unsplit file of pairs"
        )
    return validate.repair(ngcf.read(folder, name))


PAIRS, LINKS = ("user", "item", "value", "time"), ("follower", "followee", "value")
PLAIN = FolderOptions()
O = TypeVar("O", bound=FolderOptions)


def from_frames(
    pairs: Any,
    links: Any = None,
    item_features: Any = None,
    user_features: Any = None,
    item_titles: Any = None,
    name: str = "mine",
    options: FolderOptions = PLAIN,
) -> Dataset:
    """A data set, split, repaired and checked as one that is read from a folder.

    Args:
      pairs: a frame whose columns are found by their names as those of files are, a dict of columns, or a tuple of
        users, items and perhaps values and times, each [N].
      links: who follows whom, in the same forms: `follower` and `followee`, or a tuple of the two, each [E].
      item_features: a frame with a column of item ids and numbers in all others, or a tuple of ids [I] and numbers
        [I, F]. Ids may come in any order.
      user_features: the same of users.
      item_titles: a frame with the columns `item` and `title`, a tuple of the two, or a dict of id -> title.
      name: what the set is called.
      options: as for a folder; errors name them as on the command line.

    Returns:
      The data set, whose provenance states what was repaired, dropped and joined.

    Raises:
      DataError: columns that cannot be used, with the row, counted from 1.
    """
    table = pairs_of(_table(pairs, PAIRS, f"{name} (pairs)"), options.chosen)
    linked = None if links is None else links_of(_table(links, LINKS, f"{name} (links)"), options.chosen)
    data = validate.repair(joined(name, {"all": table}, linked, (None, None, None), options, name))
    for kind, given in (("item", item_features), ("user", user_features)):
        if given is not None:
            where = f"{name} ({kind} features)"
            ids, numbers = _ids_and_numbers(given, where)
            names, size = (data.item_names, data.num_items) if kind == "item" else (data.user_names, data.num_users)
            values, notes = features.matched(Path(where), ids, numbers, names, size, kind)
            data = stated(dataclasses.replace(data, **{f"{kind}_features": values}), *notes)
    if item_titles is not None:
        where = f"{name} (titles)"
        titles = _titles_by_id(item_titles, where)
        found, note = _titles_of(titles, data.item_names, data.num_items, Path(where))
        data = stated(dataclasses.replace(data, item_titles=found), note)
    return finish(data if len(data.test) else split(data, options), options)


def options_of(kind: type[O], given: Mapping[str, Any], **fixed: Any) -> O:
    """Options by name, as Python callers give them. Raises DataError for unknown names, with those that there are."""
    known = [field.name for field in dataclasses.fields(kind) if field.name not in fixed]
    if strange := [name for name in given if name not in known]:
        raise DataError(f"no option is called {', '.join(strange)}; there are {', '.join(known)}")
    return kind(**given, **fixed)


def _ids_and_numbers(given: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids U[N] and features f32[N, F] of a frame, or of a tuple of ids and numbers."""
    if isinstance(given, tuple) and len(given) == 2 and np.ndim(given[1]) == 2:
        ids = np.char.decode(_table(given[:1], ("item",), where, 1).words(0, "row"), "utf-8")
        numbers = as_float32(np.asarray(given[1]), Path(where))
    else:
        ids, numbers = features.ids_and_numbers(_table(given, ("item",), where))
    features.check_ids(ids, numbers, Path(where))
    return ids, numbers


def _titles_by_id(given: Any, where: str) -> dict[str, str]:
    """Id -> title of a frame, of a tuple of the two columns, or of such a dict."""
    if isinstance(given, Mapping) and all(isinstance(title, str) for title in given.values()):
        given = (list(given), list(given.values()))
    table = _table(given, ("item", "title"), where)
    return titles_by_id(table, AS_FOUND)[0]


def _table(columns: Any, roles: Sequence[str], name: str, least: int = 2) -> Table:
    """The table of a frame, or of columns whose roles are known by their place."""
    if isinstance(columns, tuple | list):
        columns = dict(zip(roles, columns))
    if isinstance(columns, Mapping):
        columns = {str(title): np.asarray(column) for title, column in columns.items()}
    return table_of(Path(name), cut_frame(columns, name), (least, least))
