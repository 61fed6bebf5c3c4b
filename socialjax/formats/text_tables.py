"""Text tables as columns: ids, numbers, times and words from the fields of a file, every error with file and line."""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from socialjax.formats.file_bytes import DataError, FileBytes
from socialjax.formats.text_layout import PLAIN, Cut, Fields, Layout, Separator, cut

LARGEST_ID = 2**31 - 2  # the number of ids is one more and fits an int32 as well
LONGEST_WORD = 256
_MOST_DIGITS = 18  # fewer than 2^63
LONGEST_NUMBER = 64
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ROWS_LOOKED_AT = 20
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_UNITS = (
    ("seconds", 1e11, 1),
    ("milliseconds", 1e14, 1000),
    ("microseconds", 1e17, 10**6),
    ("nanoseconds", 9.3e18, 10**9),
)


def _number(text: bytes) -> float:
    """NaN for anything that is no decimal number; float() alone would take underscores, nan and inf."""
    return float(text) if _NUMBER.fullmatch(text) else float("nan")


class Table(NamedTuple):
    """The fields of one file.

    Attributes:
      path: of the file.
      fields: of the rows.
      header: the names of the columns as the file has them, () when it has none.
      notes: what was skipped or taken for something, for the provenance.
      separator: by which rows were separated.
    """

    path: Path
    fields: Fields
    header: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    separator: Separator = "auto"

    def __len__(self) -> int:
        return len(self.fields.line)

    @property
    def num_columns(self) -> int:
        return self.fields.start.shape[1]

    def head(self) -> "Table":
        """The first rows alone."""
        data, start, end, line = self.fields
        return Table(self.path, Fields(data, start[:_ROWS_LOOKED_AT], end[:_ROWS_LOOKED_AT], line[:_ROWS_LOOKED_AT]))

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
        long = end[rest, column] - start[rest, column] > LONGEST_NUMBER
        spelt, which = np.unique(self._bytes(column, rest[~long]), return_inverse=True)
        value[rest] = np.nan
        value[rest[~long]] = np.array([_number(text) for text in spelt.tolist()], np.float64)[which]
        bad = np.flatnonzero(~np.isfinite(value))
        if len(bad):
            raise self.error(bad[0], column, f"{wanted}, a finite number", "correct or drop the line")
        return value

    def seconds(self, column: int) -> tuple[np.ndarray, str]:
        """Times i64[N] in seconds since 1970, fractions cut off, and what they were if not that.

        Numbers are seconds, milliseconds, microseconds or nanoseconds, by the size of the largest: seconds reach the
        year 5138. Anything else must be dates as ISO 8601 has them, `2014-03-01` to `2014-03-01T10:00:00.5+01:00`;
        without a time zone they are UTC.

        Raises:
            DataError: at the first field that is neither.
        """
        if not _NUMBER.fullmatch(self.text(0, column).encode()):
            return self._dates(column)
        value = self.numbers(column, "a time, in seconds since 1970 or as 2014-03-01 10:00:00")
        largest = float(np.abs(value).max())
        for unit, most, size in _UNITS:
            if largest < most:
                note = f"times of {self.path.name} taken as {unit}" if size > 1 else ""
                whole, is_whole = self.whole_numbers(column)
                exact = whole // size if is_whole.all() else np.floor(value / size).astype(np.int64)
                return exact, note
        advice = "give seconds since 1970, or leave the column out: --data.columns time=-"
        raise self.error(int(np.abs(value).argmax()), column, "a time within 292 years of 1970", advice)

    def _dates(self, column: int) -> tuple[np.ndarray, str]:
        keys, codes = distinct(self.words(column, "time"))
        try:
            moments = keys.astype("datetime64[us]")  # quick, but knows no time zones and warns of them
            if any(b":" in key[19:] or key.endswith((b"Z", b"z")) for key in keys.tolist()) or np.isnat(moments).any():
                raise ValueError
            seconds = moments.astype(np.int64) // 1_000_000
        except (ValueError, DeprecationWarning, UserWarning):
            seconds = np.array([self._date(column, codes, code, key) for code, key in enumerate(keys.tolist())])
        return seconds[codes], f"times of {self.path.name} read as dates, in UTC where they name no time zone"

    def _date(self, column: int, codes: np.ndarray, code: int, text: bytes) -> int:
        try:
            moment = datetime.datetime.fromisoformat(text.decode("utf-8"))
        except ValueError:
            wanted = "a time, in seconds since 1970 or as 2014-03-01 10:00:00"
            advice = "correct or drop the line, or leave the column out: --data.columns time=-"
            raise self.error(int((codes == code).argmax()), column, wanted, advice) from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        return (moment - _EPOCH) // datetime.timedelta(seconds=1)

    def words(self, column: int, kind: str) -> np.ndarray:
        """Names as UTF-8 bytes S[N]. Raises DataError for one that is empty or very long."""
        _, start, end, _ = self.fields
        start, length = start[:, column], end[:, column] - start[:, column]
        bad = np.flatnonzero((length == 0) | (length > LONGEST_WORD))
        if len(bad):
            wanted = f"a {kind} id of 1 to {LONGEST_WORD} bytes"
            raise self.error(bad[0], column, wanted, "give every row its id or drop the line")
        return self._bytes(column, slice(None))

    def strings(self, column: int) -> list[str]:
        """All fields of a column."""
        data, start, end, _ = self.fields
        text = data.tobytes()
        return [text[a:b].decode("utf-8") for a, b in zip(start[:, column].tolist(), end[:, column].tolist())]

    def _bytes(self, column: int, rows: np.ndarray | slice) -> np.ndarray:
        """The fields of some rows, S[len(rows)]."""
        data, start, end, _ = self.fields
        start, length = start[rows, column], end[rows, column] - start[rows, column]
        width = max(int(length.max(initial=1)), 1)
        text = np.zeros((len(start), width), np.uint8)
        for place in range(width):
            inside = length > place
            text[inside, place] = data[start[inside] + place]
        return text.view(f"S{width}")[:, 0]

    def whole_numbers(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        """(value i64[N], whether the field is 1 to 18 digits bool[N]). The value of others means nothing."""
        data, start, end, _ = self.fields
        start, length = start[:, column], end[:, column] - start[:, column]
        value = np.zeros(len(start), np.int64)
        whole = (length > 0) & (length <= _MOST_DIGITS)
        for place in range(min(int(length.max(initial=0)), _MOST_DIGITS)):
            inside = whole & (length > place)
            digit = data[np.where(inside, start + place, 0)] - np.uint8(ord("0"))  # wraps round for what lies below
            whole &= ~inside | (digit <= 9)
            value = np.where(inside, value * 10 + digit, value)
        return value, whole


def read_table(
    file: FileBytes,
    columns: tuple[int, int],
    names: Sequence[frozenset[str]] = (),
    header: bool = False,
    layout: Layout = PLAIN,
) -> Table:
    """Splits a file into a table.

    A first line is a header when none of its fields looks like a number and two of them are known names, or when a
    column holds numbers, or words with digits, in the next rows and none in the first.

    Args:
        file: as read.
        columns: the least number of columns and, without a header, the largest.
        names: known names of each column, as `plain_name` writes them.
        header: whether the first line may name the columns.
        layout: separator and encoding.

    Returns:
        The table.

    Raises:
        DataError: the file is no table of this form or has no rows.
    """
    return table_of(file.path, cut(file, layout), columns, names, header)


def table_of(
    path: Path, parts: Cut, columns: tuple[int, int], names: Sequence[frozenset[str]] = (), header: bool = False
) -> Table:
    """The table of the fields of a file; arguments and errors as those of `read_table`."""
    fields, titles, notes = parts.fields, parts.titles, parts.notes
    table = Table(path, fields, titles, notes, parts.separator)
    if header and not titles:
        first = tuple(table.text(0, column).lstrip("#").strip() for column in range(table.num_columns))
        if parts.comment and _names_columns(parts.comment, table, 0, names):
            titles, notes = parts.comment, notes[1:]
        elif _names_columns(first, table, 1, names):
            titles, fields = first, Fields(fields.data, fields.start[1:], fields.end[1:], fields.line[1:])
        elif all(_is_word(text) and not any(map(str.isdigit, text)) for text in first):
            notes = (*notes, f"line 1 of {path.name} read as a row, not as a header: {', '.join(first)}")
        table = Table(path, fields, titles, notes, parts.separator)
    least, most = columns
    if not least <= table.num_columns <= (most if not table.header else table.num_columns):
        raise DataError(
            f"{path}, line {table.fields.line[0] if len(table) else 1}: wanted {least} to {most} columns separated by "
            f"tabs, commas, `;`, `|`, `::` or blanks, got {table.num_columns}; say which are which, as in "
            "--data.columns user=1 item=2, drop some, or name another --data.separator"
        )
    if not len(table):
        raise DataError(f"{path}: wanted rows, got a header alone; copy or export it again")
    return table


def distinct(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct words S[k] of S[N], in the order in which they first occur, and the place of each row's, i64[N]."""
    import pyarrow as pa

    words = np.ascontiguousarray(words)
    array = pa.Array.from_buffers(pa.binary(words.dtype.itemsize), len(words), [None, pa.py_buffer(words)])
    encoded = array.dictionary_encode()
    keys = np.frombuffer(encoded.dictionary.buffers()[1], words.dtype, len(encoded.dictionary))
    return keys, encoded.indices.to_numpy().astype(np.int64)


def plain_name(title: str) -> str:
    """The name of a column without its type (`user_id:token`), without `-`, `_`, `.` and blanks, in small letters."""
    return re.sub(r"[-_.\s]", "", title.strip().strip("#\"'").partition(":")[0]).lower()


def _is_word(text: str) -> bool:
    return text[:1].isalpha() or text[:1] == "_"


def _names_columns(first: Sequence[str], table: Table, begin: int, names: Sequence[frozenset[str]]) -> bool:
    """Whether `first` names the columns of the rows from `begin` on."""
    if not first or not all(map(_is_word, first)):
        return False
    plain = {plain_name(name) for name in first}
    if sum(bool(plain & group) for group in names) >= 2 or all(":" in name for name in first):
        return True
    below = range(begin, min(len(table), begin + _ROWS_LOOKED_AT))
    columns = [[table.text(row, column) for row in below] for column in range(table.num_columns)]
    if not below:
        return False
    has_digits = [all(any(c.isdigit() for c in text) for text in texts) for texts in columns]
    return any(all(_NUMBER.fullmatch(text.encode()) for text in texts) for texts in columns) or any(
        there and not any(c.isdigit() for c in name) for there, name in zip(has_digits, first)
    )
