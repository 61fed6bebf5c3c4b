"""Text tables as columns: ids, numbers and words from the fields of a file, every error with file and line.

The bytes of a text table are split into fields with vector operations; a field is a pair of positions.
"""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from socialjax.data.formats.file_bytes import FileBytes
from socialjax.data.schema import DataError

LONGEST_LINE = 65_536
_NEWLINE, _TAB, _BLANK, _COMMA, _UNIT = b"\n\t ,\x1f"  # _UNIT parts the fields once quotes are taken off
_NOT_TEXT = np.zeros(256, bool)
_NOT_TEXT[:32] = _NOT_TEXT[127] = True
_NOT_TEXT[[_TAB, _NEWLINE]] = False
_FOREIGN_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}


class Fields(NamedTuple):
    """Row r, column c is `data[start[r, c]:end[r, c]]`, from line `line[r]` of the file, counted from 1.

    data u8[], start and end i64[N, C], line i64[N]. Blank lines are no rows.
    """

    data: np.ndarray
    start: np.ndarray
    end: np.ndarray
    line: np.ndarray


def clean_text(file: FileBytes) -> bytes:
    """UTF-8 text that ends every line with a line feed. Raises DataError for anything that is not text."""
    text = file.data
    for mark, encoding in _FOREIGN_MARKS.items():
        if text.startswith(mark):
            raise DataError(f"{file.path}: wanted UTF-8 text, got {encoding}; save it as UTF-8")
    text = text.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not text.strip():
        raise DataError(f"{file.path}: wanted a text table, got an empty file; copy or export it again")
    if not text.endswith(b"\n"):
        text += b"\n"
    data = np.frombuffer(text, np.uint8)
    strange = _NOT_TEXT[data]
    if strange.any():
        where = int(strange.argmax())
        raise DataError(
            f"{file.path}, line {_line_of(text, where)}: wanted text, got byte 0x{data[where]:02x}; "
            "the file is binary or damaged, copy or export it again"
        )
    if data.max() >= 128:
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as problem:
            raise DataError(
                f"{file.path}, line {_line_of(text, problem.start)}: wanted UTF-8 text, "
                f"got byte 0x{text[problem.start]:02x}; save the file as UTF-8"
            ) from None
    ends = np.flatnonzero(data == _NEWLINE)
    lengths = np.diff(ends, prepend=-1) - 1
    if lengths.max() > LONGEST_LINE:
        longest = int(lengths.argmax())
        raise DataError(
            f"{file.path}, line {longest + 1}: wanted at most {LONGEST_LINE} bytes in a line, got {lengths[longest]}; "
            "put each row on a line of its own"
        )
    return text


def _line_of(text: bytes, where: int) -> int:
    return text.count(b"\n", 0, where) + 1


def cut(file: FileBytes) -> Fields:
    """The fields of every row. The first line that is not blank decides: tabs, else commas, else runs of blanks.

    Commas may stand inside double quotes. Raises DataError when rows differ in their number of columns.
    """
    text = clean_text(file)
    first = text.lstrip().split(b"\n", 1)[0]
    line_numbers = None
    if b"\t" in first:
        separator = _TAB
    elif b"," in first:
        separator = _COMMA
        if b'"' in text:
            text, line_numbers = _unquote(file, text)
            separator = _UNIT
    else:
        separator = None
    data = np.frombuffer(text, np.uint8)
    start, end, line = _between_blanks(data) if separator is None else _between_marks(data, separator)
    starts_row = np.flatnonzero(np.diff(line, prepend=0))
    columns = np.diff(starts_row, append=len(line))
    rows = line[starts_row] if line_numbers is None else line_numbers[line[starts_row] - 1]
    wrong = np.flatnonzero(columns != columns[0])
    if len(wrong):
        raise DataError(
            f"{file.path}, line {rows[wrong[0]]}: wanted {columns[0]} columns as in line {rows[0]}, "
            f"got {columns[wrong[0]]}; correct or drop the line"
        )
    return Fields(data, start.reshape(-1, columns[0]), end.reshape(-1, columns[0]), rows)


def _between_blanks(data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs of anything but blanks: start, end and line of each, i64[fields]."""
    ink = (data != _BLANK) & (data != _TAB) & (data != _NEWLINE)
    edges = np.flatnonzero(np.diff(ink, prepend=False))  # the text ends with a line feed: edges come in pairs
    start, end = edges[::2], edges[1::2]
    return start, end, np.searchsorted(np.flatnonzero(data == _NEWLINE), start) + 1


def _between_marks(data: np.ndarray, separator: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What lies between separators, blanks around it dropped: start, end and line of each field, i64[fields]."""
    end = np.flatnonzero((data == separator) | (data == _NEWLINE))
    start = np.concatenate([[0], end[:-1] + 1])
    ends_line = data[end] == _NEWLINE
    line = np.cumsum(ends_line) - ends_line + 1
    is_blank = (data == _BLANK) | (data == _TAB)
    if separator == _TAB:
        is_blank &= data != _TAB
    if is_blank.any():
        ink = np.flatnonzero(~is_blank)  # separators and line feeds are ink, so the searches stay inside the field
        before = np.searchsorted(ink, end) - 1
        start = ink[np.searchsorted(ink, start)]
        end = np.maximum(np.where(before >= 0, ink[before] + 1, 0), start)
    alone = ends_line & np.concatenate([[True], ends_line[:-1]])
    kept = ~(alone & (start == end))
    return start[kept], end[kept], line[kept]


def _unquote(file: FileBytes, text: bytes) -> tuple[bytes, np.ndarray]:
    """The rows of a quoted comma table parted by _UNIT, and the line on which each ends."""
    rows, lines = [], []
    reader = csv.reader(io.StringIO(text.decode("utf-8"), newline=""), strict=True)
    try:
        for row in reader:
            rows.append("\x1f".join(field.replace("\n", " ").replace("\t", " ") for field in row))
            lines.append(reader.line_num)
    except csv.Error as problem:
        raise DataError(
            f"{file.path}, line {reader.line_num}: wanted quotes in pairs, got a row that cannot be parted "
            f"({problem}); double the quotes inside quoted fields or take them out"
        ) from None
    return ("\n".join(rows) + "\n").encode("utf-8"), np.asarray(lines)


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
    """Splits a file into a table.

    A first line is a header when no field looks like a number and two fields are known names, or when a column holds
    numbers in the next rows and none in the first.

    Args:
        file: as read.
        columns: the least number of columns and, without a header, the largest.
        names: known names of each column.
        header: whether the first line may name the columns.

    Returns:
        The table.

    Raises:
        DataError: the file is no table of this form or has no rows.
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
