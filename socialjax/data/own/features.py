"""Feature tables of users and items: by row number from `.npy` files, by id from files that name the ids.

A file with ids joins whatever the ids are called and in whatever order it lists them; how many matched is stated.
"""

import dataclasses
from pathlib import Path

import numpy as np

from socialjax import npz_files
from socialjax.data.own.table_columns import AS_FOUND, NAMES, read_any
from socialjax.data.pairs_files import as_float32
from socialjax.data.schema import Dataset, stated
from socialjax.formats.file_bytes import DataError, find, parse_features, read_bytes, require_finite
from socialjax.formats.text_tables import Table, plain_name

FEATURE_FILES = {"user_vector.npy": "user_features", "item_vector.npy": "item_features"}  # file -> table
SOCIAL_FILE = "social_vector.npy"
BY_ID = {"user_features": "user_features", "item_features": "item_features"}  # file without its ending -> table
ENDINGS = ("npz", "parquet", "csv", "tsv", "txt")
IDS = ("id", "ids", "user", "users", "item", "items")


def read_features(folder: Path, name: str, rows: int | None, checksums: dict[str, str]) -> np.ndarray | None:
    """The table f32[rows, F] of `name`, plain or .gz, or None when it is not there; its sha256 into `checksums`."""
    path = find(folder, name)
    if path is None:
        return None
    file = read_bytes(path)
    checksums[path.name] = file.sha256
    return parse_features(file, rows)


def with_features(data: Dataset, paths: list[Path]) -> Dataset:
    """`data` with the feature tables of these files, plain or .gz, one row for each id. Raises DataError."""
    tables, sums = {}, {}
    for path in paths:
        table, file = FEATURE_FILES[path.name.removesuffix(".gz")], read_bytes(path)
        tables[table] = parse_features(file, data.num_users if table == "user_features" else data.num_items)
        sums[path.name] = file.sha256
    provenance = dataclasses.replace(data.provenance, files=data.provenance.files | sums)
    return dataclasses.replace(data, provenance=provenance, **tables)


def files_by_id(folder: Path) -> dict[str, Path]:
    """Table -> its file of features with ids, of those that are in the folder. Raises DataError for two of one."""
    files = {}
    for stem, table in BY_ID.items():
        found = [path for ending in ENDINGS if (path := find(folder, f"{stem}.{ending}")) is not None]
        if len(found) > 1:
            raise DataError(f"{folder}: wanted one file, got {', '.join(p.name for p in found)}; take all but one away")
        if found:
            files[table] = found[0]
    return files


def join(data: Dataset, table: str, path: Path, of_the_set: bool = False) -> Dataset:
    """`data` with the features of its items, or users, from a file of `read_by_id` or a `.npy` of rows.

    Args:
        data: the data set.
        table: item_features or user_features.
        path: .npz, .parquet or text with ids; or .npy, whose row r holds the features of id r.
        of_the_set: whether the file is one of those of the set, and not named beside it; so its provenance has it.

    Raises:
        DataError: no id matches, `.npy` beside ids that are words, or a file that cannot be used.
    """
    kind = table.partition("_")[0]
    names, size = (data.user_names, data.num_users) if kind == "user" else (data.item_names, data.num_items)
    checksums: dict[str, str] = {}
    if path.suffix == ".npy" or path.name.endswith(".npy.gz"):
        pairs = ", ".join(data.provenance.files)
        features, notes = _by_row(path, names, size, kind, pairs, checksums), ()
    else:
        ids, rows = read_by_id(path, checksums)
        features, notes = matched(path, ids, rows, names, size, kind)
    named = checksums if of_the_set else {f"features {name}": sha for name, sha in checksums.items()}
    files = data.provenance.files | named
    provenance = dataclasses.replace(data.provenance, files=files)
    return stated(dataclasses.replace(data, provenance=provenance, **{table: features}), *notes)


def _by_row(
    path: Path, names: np.ndarray | None, size: int, kind: str, pairs: str, checksums: dict[str, str]
) -> np.ndarray:
    file = read_bytes(path)
    checksums[path.name] = file.sha256
    if names is None:
        return parse_features(file, size)
    if words := [name for name in names.tolist() if not name.isdecimal()]:
        raise DataError(
            f"{path}: wanted features with ids, since ids of {kind}s in {pairs} are words ({words[0]!r}), got "
            f"rows without; "
            f"give a .npz with `ids` and `features`, a .parquet or a .csv whose column of ids is called {kind}_id"
        )
    features, rows = parse_features(file), names.astype(np.int64)
    if rows.max(initial=0) >= len(features):
        raise DataError(
            f"{path}: wanted a row for each {kind} id, up to {rows.max()}, got {len(features)} rows; row r must hold "
            "the features of id r"
        )
    return features[rows]


def read_by_id(path: Path, checksums: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Ids U[N] and features f32[N, F].

    A .npz holds `ids` (or `item`, `user`) and `features`, or one other table of numbers. Parquet and text have a column
    of ids, the one that is called so or the first, and numbers in all others.

    Raises:
        DataError: damaged files, an id twice, fields that are no finite numbers.
    """
    if path.suffix == ".npz":
        ids, features = _npz(path, checksums)
    else:
        ids, features = ids_and_numbers(read_any(path, checksums, AS_FOUND, ("user", "item"), most=None))
    check_ids(ids, features, path)
    return ids, features


def check_ids(ids: np.ndarray, features: np.ndarray, path: Path) -> None:
    """Raises DataError unless ids U[N], each once, have finite features f32[N, F]."""
    if features.ndim != 2 or len(features) != len(ids) or features.shape[1] == 0:
        raise DataError(f"{path}: wanted ids [N] and features [N, F], got {ids.shape} and {features.shape}")
    require_finite(features, str(path))
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        twice = values[counts > 1][0]
        raise DataError(
            f"{path}: wanted each id once, got {str(twice)!r} {counts[counts > 1][0]} times; drop the others"
        )


def ids_and_numbers(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """The column of ids, U[N], the one that is called so or the first, and all others as features f32[N, F]."""
    plain = [plain_name(title) for title in table.header]
    named = [plain.index(name) for name in (*IDS, *NAMES["item"], *NAMES["user"]) if name in plain]
    column = named[0] if named else 0
    rest = [place for place in range(table.num_columns) if place != column]
    ids = np.char.decode(table.words(column, "row"), "utf-8")
    return ids, np.stack([as_float32(table.numbers(place, "a feature"), table.path) for place in rest], axis=1)


def _npz(path: Path, checksums: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    checksums[path.name] = read_bytes(path).sha256
    try:
        arrays = npz_files.read(path)
    except npz_files.NpzError as error:
        raise DataError(f"{error}; write it with np.savez(FILE, ids=ids, features=features)") from None
    ids = next((arrays.pop(name) for name in IDS if name in arrays), None)
    features = arrays.pop("features", None) if "features" in arrays or len(arrays) != 1 else arrays.popitem()[1]
    if ids is None or features is None or ids.ndim != 1 or features.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: wanted arrays `ids` [N] and `features` [N, F] of numbers, got {', '.join(arrays) or ids}"
        )
    return ids.astype(str), as_float32(features, path)


def matched(
    path: Path, ids: np.ndarray, features: np.ndarray, names: np.ndarray | None, size: int, kind: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Features f32[size, F] in our order, zeros for who has none, and what matched."""
    wanted = np.arange(size).astype(str) if names is None else names
    order = np.argsort(ids)
    place = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
    there = ids[order[place]] == wanted
    if not there.any():
        raise DataError(
            f"{path}: wanted features of {kind}s that occur in pairs, got none; ids there are {', '.join(ids[:3])}, in "
            f"the pairs {', '.join(wanted[:3])}; compare how they are written"
        )
    table = np.zeros((size, features.shape[1]), np.float32)
    table[there] = features[order[place[there]]]
    note = f"features of {path.name}: {there.sum()} of {size} {kind}s have some, {len(ids) - there.sum()} rows not used"
    return table, (note if there.all() else f"{note}; {size - there.sum()} {kind}s without get zeros",)
