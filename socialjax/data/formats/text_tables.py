"""Text tables as columns: ids, numbers and words out of the fields of a file, every error with file and line."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.formats.file_bytes import FileBytes
from socialjax.data.formats.text_fields import Fields, cut

LARGEST_ID = 2**31 - 2  # the number of ids is one more and fits an int32 as well
LONGEST_WORD = 256
_MOST_DIGITS = 18  # fewer than 2^63
LONGEST_NUMBER = 64
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ROWS_LOOKED_AT = 20


def _number(text: bytes) -> float:
    """NaN for anything that is no decimal number; float() alone would take underscores, nan and inf."""
    return float(text) if _NUMBER.fullmatch(text) else float("nan")


class Table(NamedTuple):
    """The fields of one file. header: the lower-case names of the columns, () when the file has none."""

    path: Path
    fields: Fields
    header: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.fields.line)

    @property
    def num_columns(self) -> int:
        return self.fields.start.shape[1]

    def text(self, row: int, column: int) -> str:
        """One field."""
        data, start, end, _ = self.fields
        return data[start[row, column] : end[row, column]].tobytes().decode("utf-8")

    def error(self, row: int, column: int, wanted: str, advice: str) -> DataError:
        """The message about one field."""
        came = self.text(row, column)
        came = came if len(came) <= 40 else came[:40] + "..."
        return DataError(f"{self.path}, line {self.fields.line[row]}: wanted {wanted}, got {came!r}; {advice}")

    def ids(self, column: int, kind: str, lowest: int = 0) -> np.ndarray:
        """Ids i64[N] in lowest..LARGEST_ID; `kind` is user or item. Raises DataError at the first other field."""
        value, whole = self.whole_numbers(column)
        bad = np.flatnonzero(~whole | (value < lowest) | (value > LARGEST_ID))
        if len(bad):
            wanted = f"a whole number from {lowest} to {LARGEST_ID} as {kind} id"
            raise self.error(bad[0], column, wanted, f"number {kind}s {lowest}, {lowest + 1}, ... or drop the line")
        return value

    def is_id(self, column: int) -> np.ndarray:
        """bool[N]: whether each field is an id as a program writes it: digits in range without leading zeros."""
        data, start, end, _ = self.fields
        value, whole = self.whole_numbers(column)
        padded = (data[start[:, column]] == ord("0")) & (end[:, column] - start[:, column] > 1)
        return whole & ~padded & (value <= LARGEST_ID)

    def numbers(self, column: int, wanted: str) -> np.ndarray:
        """Finite numbers f64[N], `wanted` as in "a rating". Raises DataError at the first other field."""
        value, whole = self.whole_numbers(column)
        value = value.astype(np.float64)
        rest = np.flatnonzero(~whole)
        if not len(rest):
            return value
        _, start, end, _ = self.fields
        long = (end - start)[rest, column] > LONGEST_NUMBER
        spelt, which = np.unique(self._bytes(column, rest[~long]), return_inverse=True)
        value[rest] = np.nan
        value[rest[~long]] = np.array([_number(text) for text in spelt.tolist()], np.float64)[which]
        bad = np.flatnonzero(~np.isfinite(value))
        if len(bad):
            raise self.error(bad[0], column, f"{wanted}, a finite number", "correct or drop the line")
        return value

    def seconds(self, column: int) -> np.ndarray:
        """Times i64[N], fractions cut off. Raises DataError at the first field that is no number below 2^53."""
        value = self.numbers(column, "a time in seconds")
        bad = np.flatnonzero(np.abs(value) >= 2.0**53)
        if len(bad):
            raise self.error(bad[0], column, "a time in seconds below 2^53", "give seconds since 1970")
        return np.floor(value).astype(np.int64)

    def words(self, column: int, kind: str) -> np.ndarray:
        """Names as UTF-8 bytes S[N]. Raises DataError for one that is empty or very long."""
        _, start, end, _ = self.fields
        start, length = start[:, column], (end - start)[:, column]
        bad = np.flatnonzero((length == 0) | (length > LONGEST_WORD))
        if len(bad):
            wanted = f"a {kind} id of 1 to {LONGEST_WORD} bytes"
            raise self.error(bad[0], column, wanted, "give every row its id or drop the line")
        return self._bytes(column, np.arange(len(start)))

    def _bytes(self, column: int, rows: np.ndarray) -> np.ndarray:
        """The fields of some rows as S[len(rows)]."""
        data, start, end, _ = self.fields
        start, length = start[rows, column], (end - start)[rows, column]
        width = max(int(length.max(initial=1)), 1)
        text = np.zeros((len(rows), width), np.uint8)
        for place in range(width):
            inside = length > place
            text[inside, place] = data[start[inside] + place]
        return text.view(f"S{width}")[:, 0]

    def whole_numbers(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        """(value i64[N], whether the field is 1 to 18 digits bool[N]). The value of others means nothing."""
        data, start, end, _ = self.fields
        start, length = start[:, column], (end - start)[:, column]
        value = np.zeros(len(start), np.int64)
        whole = (length > 0) & (length <= _MOST_DIGITS)
        for place in range(min(int(length.max(initial=0)), _MOST_DIGITS)):
            inside = whole & (length > place)
            digit = data[np.where(inside, start + place, 0)] - np.uint8(ord("0"))  # wraps round for what lies below
            whole &= ~inside | (digit <= 9)
            value = np.where(inside, value * 10 + digit, value)
        return value, whole


def read_table(
    file: FileBytes, columns: tuple[int, int], names: Sequence[frozenset[str]] = (), header: bool = False
) -> Table:
    """Cuts a file into a table of at least columns[0] and, without a header, at most columns[1] columns.

    header: whether the first line may name the columns; `names` are the names known for each. A first line is a
    header when no field looks like a number and two fields are known names, or when a column holds numbers in the
    next rows and none in the first. Raises DataError for files that are no table of this form or hold no row.
    """
    table = Table(file.path, cut(file))
    if header and _has_header(table, names):
        titles = tuple(table.text(0, c).lstrip("#").strip().lower() for c in range(table.num_columns))
        _, start, end, line = table.fields
        table = Table(file.path, Fields(table.fields.data, start[1:], end[1:], line[1:]), titles)
    least, most = columns
    if not least <= table.num_columns <= (most if not table.header else table.num_columns):
        raise DataError(
            f"{file.path}, line {table.fields.line[0] if len(table) else 1}: wanted {least} to {most} columns "
            f"parted by tabs, commas or blanks, got {table.num_columns}; name the columns in a header or drop some"
        )
    if not len(table):
        raise DataError(f"{file.path}: wanted rows, got a header alone; copy or export it again")
    return table


def _has_header(table: Table, names: Sequence[frozenset[str]]) -> bool:
    first = [table.text(0, column).lstrip("#").strip() for column in range(table.num_columns)]
    if not all(name[:1].isalpha() or name[:1] == "_" for name in first):
        return False
    lower = {name.lower() for name in first}
    if sum(bool(lower & group) for group in names) >= 2:
        return True
    below = range(1, min(len(table), 1 + _ROWS_LOOKED_AT))
    return len(below) > 0 and any(
        all(_NUMBER.fullmatch(table.text(row, column).encode()) for row in below) for column in range(table.num_columns)
    )
