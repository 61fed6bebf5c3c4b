"""Cuts the bytes of a text table into fields with vector operations; a field is a pair of positions."""

import csv
import io
from typing import NamedTuple

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.formats.file_bytes import FileBytes

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
