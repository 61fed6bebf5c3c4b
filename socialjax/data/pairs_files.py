"""Pairs and links from text files of published sets, and row numbers for the ids of any files.

Ids are kept where they are the row numbers already, else numbered in their order and kept as names.
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from socialjax.data.schema import Interactions, Links, interactions
from socialjax.formats.file_bytes import DataError, read_bytes
from socialjax.formats.text_tables import Table, distinct, read_table


@dataclasses.dataclass(frozen=True)
class Ids:
    """The distinct ids of one kind.

    Attributes:
        kind: user or item.
        keys: in order; i64[n] when all are plain integers, else UTF-8 bytes S[n].
        codes: for each column that was read, the index of its fields in `keys`, i64[N].
        columns: the tables and columns.
    """

    kind: str
    keys: np.ndarray
    codes: tuple[np.ndarray, ...]
    columns: tuple[tuple[Table, int], ...]

    @property
    def are_integers(self) -> bool:
        return self.keys.dtype.kind == "i"


@dataclasses.dataclass(frozen=True)
class Rows:
    """Row numbers of ids.

    Attributes:
        of_code: i64[n], the row number of each code, -1 for dropped ones.
        size: the number of rows.
        names: U[size], the ids of the file; None where they are the row numbers.
    """

    of_code: np.ndarray
    size: int
    names: np.ndarray | None

    @classmethod
    def of(cls, size: int, names: np.ndarray | None) -> "Rows":
        """Those of a data set, where every id has its row."""
        return cls(np.arange(size), size, names)

    def find(self, table: Table, column: int, kind: str) -> np.ndarray:
        """Row numbers i64[N] of the ids in a column of another table, -1 for those that have none."""
        if self.names is None:
            value, _ = table.whole_numbers(column)
            return np.where(table.is_id(column) & (value < self.size), value, -1)
        names = np.char.encode(self.names, "utf-8")
        order = np.argsort(names, kind="stable")
        words = table.words(column, kind)
        place = np.minimum(np.searchsorted(names[order], words), len(names) - 1)
        return np.where(names[order[place]] == words, order[place], -1)


def collect(kind: str, columns: list[tuple[Table, int]]) -> Ids:
    """All ids of one kind (user, item) in the given columns of tables. Raises DataError for empty ones."""
    lengths = np.cumsum([len(table) for table, _ in columns])[:-1]
    if all(table.head().is_id(column).all() and table.is_id(column).all() for table, column in columns):
        keys, codes = np.unique(
            np.concatenate([table.ids(column, kind) for table, column in columns]), return_inverse=True
        )
    else:
        words, code = distinct(np.concatenate([table.words(column, kind) for table, column in columns]))
        order = natural_order(words)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        keys, codes = words[order], place[code]
    return Ids(kind, keys, tuple(np.split(codes, lengths)), tuple(columns))


_NUMBERED = re.compile(rb"(\D*)(\d+)(\D*)", re.S)


def natural_order(words: np.ndarray) -> np.ndarray:
    """The order of distinct words S[n], i64[n].

    By their bytes; but where all are the same word with a number in it, by length first: `u2` before `u10`, so that ids
    called `u0`, `u1`, ... are numbered as `0`, `1`, ... are.
    """
    parts = _NUMBERED.fullmatch(words[0]) if len(words) else None
    if parts is not None:
        head, tail = len(parts[1]), len(parts[3])
        length = np.char.str_len(words)
        fits = np.char.startswith(words, parts[1]) & np.char.endswith(words, parts[3]) & (length > head + tail)
        text = words.view(np.uint8).reshape(len(words), -1)
        place = np.arange(text.shape[1])
        inside = (place >= head) & (place < (length - tail)[:, None])
        is_digit = (text >= ord("0")) & (text <= ord("9"))
        if fits.all() and (is_digit | ~inside).all():
            return np.lexsort((words, length))
    return np.argsort(words, kind="stable")


def assign(ids: Ids, codes: list[np.ndarray], feature_rows: int | None) -> Rows:
    """Assigns row numbers to the ids that are used.

    Integers are row numbers where there is a feature table, whose rows they name, or where they are 0, 1, 2, ...
    without a gap and all are used. All others are numbered in their order, and the file's ids become names, so that no
    user and no item is counted that does not occur.

    Args:
        ids: of one kind.
        codes: i64[.] each, of the ids that are used.
        feature_rows: rows of the feature table, if any.

    Returns:
        The row numbers.

    Raises:
        DataError: an id without a row in the feature table.
    """
    used = np.zeros(len(ids.keys), bool)
    used[np.concatenate(codes)] = True
    keys = ids.keys[used]
    if feature_rows is not None:
        if not ids.are_integers or (len(keys) and keys[-1] >= feature_rows):
            raise _without_features(ids, feature_rows)
        return Rows(np.where(used, ids.keys, -1), feature_rows, None)
    if ids.are_integers and used.all() and len(keys) and keys[0] == 0 and keys[-1] == len(keys) - 1:
        return Rows(ids.keys, len(keys), None)
    names = keys.astype(str) if ids.are_integers else np.char.decode(keys, "utf-8")
    return Rows(np.where(used, np.cumsum(used) - 1, -1), len(keys), names)


def _without_features(ids: Ids, feature_rows: int) -> DataError:
    """The message about the first id that has no row in the feature table."""
    wanted = f"the number of one of the {feature_rows} rows of the {ids.kind} features"
    advice = f"number the {ids.kind}s as the rows of the table, or take the table away"
    misfits = (
        (table, column, table.is_id(column) & (table.whole_numbers(column)[0] < feature_rows))
        for table, column in ids.columns
    )
    table, column, fits = next(misfit for misfit in misfits if not misfit[2].all())
    return table.error(int(fits.argmin()), column, wanted, advice)


def read_pairs(path: Path, checksums: dict[str, str], lowest: int = 0) -> Interactions:
    """Reads `user item [value]`. A value column of ones is left out.

    Args:
        path: of the file.
        checksums: gets the file's sha256.
        lowest: the smallest id, which becomes 0.

    Returns:
        The pairs.

    Raises:
        DataError: names file and line.
    """
    file = read_bytes(path)
    checksums[file.path.name] = file.sha256
    table = read_table(file, columns=(2, 3))
    user, item = (table.ids(column, kind, lowest) - lowest for column, kind in enumerate(("user", "item")))
    value = table.numbers(2, "a value") if table.num_columns == 3 else None
    if value is not None:
        value = as_float32(value, path)
    return interactions(user, item, None if value is None or (value == 1).all() else value)


def read_links(path: Path, checksums: dict[str, str], lowest: int = 0) -> Links:
    """`follower followee [value]`, ids as in `read_pairs`; the value, always 1 in these files, is not used."""
    file = read_bytes(path)
    checksums[file.path.name] = file.sha256
    table = read_table(file, columns=(2, 3))
    follower, followee = (table.ids(column, "user", lowest) - lowest for column in range(2))
    return Links(follower.astype(np.int32), followee.astype(np.int32))


def as_float32(value: np.ndarray, path: Path) -> np.ndarray:
    """f64[N] -> f32[N]. Raises DataError for values that float32 does not hold."""
    with np.errstate(over="ignore"):
        value = value.astype(np.float32)
    if not np.isfinite(value).all():
        raise DataError(f"{path}: wanted values within float32, got larger ones; rescale the column")
    return value


def table_size(kind: str, ids: list[np.ndarray], folder: Path) -> int:
    """The largest id plus one. Raises DataError when almost none of the ids below it occur: a table full of holes."""
    size = max((int(column.max()) + 1 for column in ids if len(column)), default=0)
    if size > 1_000_000 and size > 100 * sum(map(len, ids)):
        raise DataError(
            f"{folder}: wanted {kind} ids without large gaps, got an id of {size - 1} in {sum(map(len, ids))} rows; "
            f"correct the id, or number the {kind}s 0, 1, 2, ..."
        )
    return size


@contextlib.contextmanager
def memory_named(folder: Path) -> Iterator[None]:
    """Turns a MemoryError into a DataError that names the folder."""
    try:
        yield
    except MemoryError:
        raise DataError(f"{folder}: too large for the memory of this machine; use k_core or fewer rows") from None
