"""How the rows of a text file are separated: by tabs, `::`, `;`, `|`, commas or blanks, or as JSON, one object a line.

The bytes are split into fields with vector operations; a field is a pair of positions. What is not certain is an error
that says how to name it, and what was skipped is stated.
"""

import array
import csv
import io
import itertools
import json
import re
from typing import Literal, NamedTuple

import numpy as np

from socialjax.formats.file_bytes import DataError, FileBytes

LONGEST_LINE = 65_536
MOST_COLUMNS = 256
Separator = Literal["auto", "tab", "comma", "semicolon", "colons", "pipe", "blanks"]
MARKS = {"tab": "\t", "colons": "::", "semicolon": ";", "pipe": "|", "comma": ",", "blanks": " "}
_NEWLINE, _TAB, _BLANK = b"\n\t "
UNIT = 0x1F  # separates fields that were rewritten; no text file may hold it
_NOT_TEXT = np.zeros(256, bool)
_NOT_TEXT[:32] = _NOT_TEXT[127] = True
_NOT_TEXT[[_TAB, _NEWLINE]] = False
_NEWLINES, _BLANKS = np.zeros((2, 256), bool)
_NEWLINES[_NEWLINE] = True
_BLANKS[[_BLANK, _TAB]] = True
_FOREIGN_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}
_LINES_LOOKED_AT = 50
_BLOCK = 1 << 22  # bytes that are looked at together, so that masks of them need little memory


class Fields(NamedTuple):
    """Row r, column c is `data[start[r, c]:end[r, c]]`, from line `line[r]` of the file, counted from 1.

    data u8[], start and end i32 or i64 [N, C], line the same [N]. Blank lines are no rows.
    """

    data: np.ndarray
    start: np.ndarray
    end: np.ndarray
    line: np.ndarray


class Layout(NamedTuple):
    """How text is to be read: the separator, found by itself by default, and the encoding, any that Python knows."""

    separator: Separator = "auto"
    encoding: str = "utf-8"


PLAIN = Layout()


class Cut(NamedTuple):
    """The fields of a file.

    Attributes:
      fields: of every row.
      titles: names of the columns, where the file cannot be without: the keys of JSON.
      comment: fields of the last comment before the first row, as many as a row has: perhaps names of the columns.
      notes: what was skipped.
      separator: by which rows were separated.
    """

    fields: Fields
    titles: tuple[str, ...] = ()
    comment: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    separator: Separator = "auto"


def clean_text(file: FileBytes, encoding: str = "utf-8") -> bytes:
    """UTF-8 text that ends every line with a line feed. Raises DataError for anything that is not text."""
    text = file.data
    if encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        text = _recoded(file, encoding)
    else:
        for mark, found in _FOREIGN_MARKS.items():
            if text.startswith(mark):
                raise DataError(
                    f"{file.path}: wanted UTF-8 text, got {found}; save it as UTF-8, or give --data.encoding {found}"
                )
    text = text.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not text.strip():
        raise DataError(f"{file.path}: wanted a text table, got an empty file; copy or export it again")
    if not text.endswith(b"\n"):
        text += b"\n"
    data = np.frombuffer(text, np.uint8)
    strange = _where(data, _NOT_TEXT, most=1)
    if len(strange):
        where = int(strange[0])
        raise DataError(
            f"{file.path}, line {_line_of(text, where)}: wanted text, got byte 0x{data[where]:02x}; "
            "the file is binary or damaged, copy or export it again"
        )
    if data.max() >= 128:
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as problem:
            raise DataError(
                f"{file.path}, line {_line_of(text, problem.start)}: wanted UTF-8 text, got byte "
                f"0x{text[problem.start]:02x}; save the file as UTF-8, or name its encoding: --data.encoding latin-1"
            ) from None
    lengths = np.diff(_where(data, _NEWLINES), prepend=-1) - 1
    if lengths.max() > LONGEST_LINE and not text.lstrip().startswith(b"["):  # a JSON array may be one line
        longest = int(lengths.argmax())
        raise DataError(
            f"{file.path}, line {longest + 1}: wanted at most {LONGEST_LINE} bytes in a line, got {lengths[longest]}; "
            "put each row on a line of its own"
        )
    return text


def _recoded(file: FileBytes, encoding: str) -> bytes:
    """The text as UTF-8."""
    try:
        return file.data.decode(encoding).removeprefix("\ufeff").encode("utf-8")
    except LookupError:
        raise DataError(
            f"--data.encoding {encoding!r} is no encoding that Python knows; try utf-8, latin-1, cp1252 or utf-16"
        ) from None
    except (UnicodeError, ValueError) as problem:
        raise DataError(
            f"{file.path}: wanted text in {encoding}, got other bytes ({problem}); give another --data.encoding"
        ) from None


def _line_of(text: bytes, where: int) -> int:
    return text.count(b"\n", 0, where) + 1


def cut(file: FileBytes, layout: Layout = PLAIN) -> Cut:
    """The fields of every row.

    The separator is the one of which the first rows have the same number, one or more; of several, the one that stands
    first in the first row, and blanks only where there is no other. Fields may stand in double quotes. Lines that begin
    with `#` or `%` before the first row are comments.

    Raises:
        DataError: rows differ in their number of columns, or cannot be separated.
    """
    text = clean_text(file, layout.encoding)
    if text.lstrip()[:1] in (b"{", b"["):
        return _json(file, text)
    text, comments = _without_comments(text)
    if not text.strip():
        raise DataError(f"{file.path}: wanted rows, got {len(comments)} lines of comments alone; export it again")
    separator = _separator(text) if layout.separator == "auto" else layout.separator
    notes = [f"{len(comments)} lines of comments at the top of {file.path.name} skipped"] if comments else []
    byte, lines = UNIT, None
    if separator in ("tab", "comma", "semicolon", "pipe"):
        byte = ord(MARKS[separator])
        if b'"' in text and re.search(rb'(?:^|[\n%s]) *"' % re.escape(bytes([byte])), text):
            try:
                text, lines = _unquote(file, text, MARKS[separator])
                byte = UNIT
            except DataError:
                if separator != "tab":
                    raise
                notes.append(f"quotes in {file.path.name} do not come in pairs and are kept as text")
    elif separator == "colons":
        text = _quotes_off(text, b"::")
    data = np.frombuffer(text, np.uint8)
    start, end, line = _between_blanks(data) if separator == "blanks" else _between_marks(data, byte)
    starts_row = np.concatenate([[0], np.flatnonzero(line[1:] != line[:-1]) + 1])
    columns = np.diff(starts_row, append=len(line))
    rows = line[starts_row] if lines is None else lines[line[starts_row] - 1]
    del line
    wrong = np.flatnonzero(columns != columns[0])
    if len(wrong):
        raise DataError(
            f"{file.path}, line {rows[wrong[0]]}: wanted {columns[0]} columns as in line {rows[0]}, separated by "
            f"{separator}, got {columns[wrong[0]]}; {_advice(columns)}"
        )
    fields = Fields(data, start.reshape(-1, columns[0]), end.reshape(-1, columns[0]), rows)
    comment = _fields_of(comments[-1].lstrip("#% "), separator) if comments else ()
    return Cut(fields, (), comment if len(comment) == columns[0] else (), tuple(notes), separator)


def _advice(columns: np.ndarray) -> str:
    """What to do about rows of `columns` i64[N] fields each, which are not the same."""
    if len(columns) > 2 and len(np.unique(columns)) > max(2, len(columns) / 10):
        return (
            "the lines look like lists of items: write `user item`, one pair a line, or `user item item ...` in "
            "train.txt and test.txt"
        )
    return "correct or drop the line, or name another --data.separator"


def _without_comments(text: bytes) -> tuple[bytes, list[str]]:
    """The text with the lines of comments at its top emptied, so that line numbers stay, and those lines."""
    comments, place = [], 0
    while place < len(text):
        end = text.index(b"\n", place)
        line = text[place:end].strip()
        if line and line[:1] not in (b"#", b"%"):
            break
        if line:
            comments.append(line.decode("utf-8"))
        place = end + 1
    return b"\n" * text.count(b"\n", 0, place) + text[place:], comments


def _fields_of(line: str, separator: Separator) -> tuple[str, ...]:
    """The fields of one line, without quotes around them."""
    parts = line.split() if separator == "blanks" else line.split(MARKS[separator])
    return tuple(part.strip().strip('"') for part in parts)


def _separator(text: bytes) -> Separator:
    """By what the first rows are separated."""
    sample = text.lstrip(b"\n ")[: 4 * LONGEST_LINE]
    lines = [
        line for line in sample.decode("utf-8", errors="ignore").split("\n")[: _LINES_LOOKED_AT + 1] if line.strip()
    ]
    if len(lines) > 1 and len(sample) < len(text.lstrip(b"\n ")):
        lines = lines[:-1]  # perhaps half a line
    first = lines[0]
    there = [name for name in MARKS if MARKS[name] in first or (name == "blanks" and "\t" in first)]
    fitting = []
    for name in there:
        counts = _counts(lines, name)
        if counts and min(counts) == max(counts) >= 2:
            fitting.append(name)
    for name in ("tab", "colons"):
        if name in fitting:
            return name
    marks = [name for name in fitting if name not in ("tab", "colons", "blanks")]
    if marks:
        name = min(marks, key=lambda name: first.index(MARKS[name]))
        if "\t" not in first.split(MARKS[name])[0]:
            return name
    others = [name for name in there if name != "blanks"]
    if "blanks" in fitting and not any(MARKS[name] in first.split()[0] for name in others):
        return "blanks"
    if not others:
        return "blanks"
    # No separator fits every row: the one of the first row, so that the row that differs is named.
    return next((name for name in ("tab", "colons") if name in others), None) or min(
        others, key=lambda name: first.index(MARKS[name])
    )


def _counts(lines: list[str], separator: Separator) -> list[int]:
    """Numbers of fields of some lines; a field in quotes may hold separators and line feeds."""
    mark = MARKS[separator]
    if separator == "blanks":
        return [len(line.split()) for line in lines]
    if len(mark) > 1 or not any('"' in line for line in lines):
        return [line.count(mark) + 1 for line in lines]
    reader = csv.reader((line + "\n" for line in lines), delimiter=mark, skipinitialspace=True)
    try:
        counts = [len(row) for row in itertools.islice(reader, _LINES_LOOKED_AT)]
    except csv.Error:
        return [line.count(mark) + 1 for line in lines]
    return counts[:-1] if len(counts) > 1 else counts  # the last one may be cut off inside its quotes


def _where(data: np.ndarray, wanted: np.ndarray, most: int | None = None) -> np.ndarray:
    """Positions of the bytes for which `wanted` bool[256] holds, i32 (i64 if large); the first `most` at least."""
    small = np.int32 if len(data) < 2**31 else np.int64
    places, count = [], 0
    for begin in range(0, len(data), _BLOCK):
        place = np.flatnonzero(wanted[data[begin : begin + _BLOCK]])
        places.append((place + begin).astype(small))
        count += len(place)
        if most is not None and count >= most:
            break
    return np.concatenate(places)


def _between_blanks(data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs of anything but blanks: start, end and line of each, i64[fields]."""
    ink = (data != _BLANK) & (data != _TAB) & (data != _NEWLINE)
    edges = np.flatnonzero(np.diff(ink, prepend=False))  # the text ends with a line feed: edges come in pairs
    start, end = edges[::2], edges[1::2]
    return start, end, np.searchsorted(_where(data, _NEWLINES), start) + 1


def _between_marks(data: np.ndarray, separator: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What lies between separators, blanks around it dropped: start, end and line of each field, i64[fields]."""
    ends, blanks = _NEWLINES.copy(), _BLANKS.copy()
    ends[separator], blanks[separator] = True, False
    end = _where(data, ends)
    start = np.empty_like(end)
    start[0] = 0
    np.add(end[:-1], 1, out=start[1:])
    ends_line = data[end] == _NEWLINE
    line = np.cumsum(ends_line, dtype=end.dtype)
    line -= ends_line
    line += 1
    if len(_where(data, blanks, most=1)):
        ink = _where(data, ~blanks)  # separators and line feeds are ink, so the searches stay inside the field
        before = np.searchsorted(ink, end) - 1
        start = ink[np.searchsorted(ink, start)]
        end = np.maximum(np.where(before >= 0, ink[before] + 1, 0), start)
    alone = ends_line & np.concatenate([[True], ends_line[:-1]]) & (start == end)
    return (start, end, line) if not alone.any() else (start[~alone], end[~alone], line[~alone])


def _unquote(file: FileBytes, text: bytes, mark: str) -> tuple[bytes, np.ndarray]:
    """The rows of a quoted table separated by UNIT, and the line on which each ends."""
    rows, lines = bytearray(), array.array("q")
    stream = io.TextIOWrapper(io.BytesIO(text), "utf-8", newline="")
    reader = csv.reader(stream, delimiter=mark, strict=True, skipinitialspace=True)
    try:
        for row in reader:
            rows += "\x1f".join(field.replace("\n", " ").replace("\t", " ") for field in row).encode("utf-8")
            rows += b"\n"
            lines.append(reader.line_num)
    except csv.Error as problem:
        raise DataError(
            f"{file.path}, line {reader.line_num}: wanted quotes in pairs, got a row that cannot be separated "
            f"({problem}); double the quotes inside quoted fields or take them out"
        ) from None
    return bytes(rows), np.asarray(lines)


def _quotes_off(text: bytes, mark: bytes) -> bytes:
    """Rows separated by several characters, with UNIT instead, and fields without the quotes around them."""
    text = text.replace(mark, b"\x1f")
    if b'"' in text:
        text = re.sub(rb'(?m)(^|\x1f) *"([^"\x1f\n]*)" *(?=\x1f|$)', rb"\1\2", text)
    return text


def _json(file: FileBytes, text: bytes) -> Cut:
    """One object a line, or an array of objects: a column for each key that holds single values."""
    keys: dict[str, int] = {}
    nested: set[str] = set()
    rows, numbers = [], []
    for number, row in _objects(file, text):
        if not isinstance(row, dict):
            raise DataError(f"{file.path}, line {number}: wanted a JSON object, got {str(row)[:40]!r}; drop the line")
        for key in row:
            keys.setdefault(key, len(keys))
        if len(keys) > MOST_COLUMNS:
            raise DataError(f"{file.path}, line {number}: wanted at most {MOST_COLUMNS} keys, got more; drop some")
        nested.update(key for key, value in row.items() if isinstance(value, dict | list))
        rows.append("\x1f".join("" if key in nested else _plain(row.get(key)) for key in keys))
        numbers.append(number)
    names = [key for key in keys if key not in nested]
    if not rows or not names:
        raise DataError(f"{file.path}: wanted JSON objects with single values, got none; export it again")
    # Keys that came later are empty in the rows before.
    body = "\n".join(row + "\x1f" * (len(keys) - 1 - row.count("\x1f")) for row in rows) + "\n"
    fields = fields_of(np.frombuffer(body.encode("utf-8"), np.uint8), len(keys), np.asarray(numbers))
    used = [keys[name] for name in names]
    notes = [f"{file.path.name} read as JSON"]
    if nested:
        notes.append(f"keys of {file.path.name} not used, which hold lists or objects: {', '.join(sorted(nested))}")
    fields = Fields(fields.data, fields.start[:, used], fields.end[:, used], fields.line)
    return Cut(fields, tuple(names), (), tuple(notes))


def fields_of(data: np.ndarray, columns: int, line: np.ndarray) -> Fields:
    """The fields of u8[] text whose rows have that many columns, separated by the unit separator."""
    end = np.flatnonzero((data == UNIT) | (data == _NEWLINE)).reshape(-1, columns)
    start = np.concatenate([[0], end.ravel()[:-1] + 1]).reshape(end.shape)
    return Fields(data, start, end, line)


def _objects(file: FileBytes, text: bytes):
    """(line, object) of JSON; numbers stay as they are written."""
    decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
    try:
        if text.lstrip().startswith(b"["):
            yield from enumerate(decoder.decode(text.decode("utf-8")), start=1)
            return
        for number, line in enumerate(text.decode("utf-8").split("\n"), start=1):
            if line.strip():
                yield number, decoder.decode(line)
    except (ValueError, RecursionError) as problem:
        where = locals().get("number", getattr(problem, "lineno", 1))
        raise DataError(
            f"{file.path}, line {where}: wanted JSON, one object a line with its keys in double quotes, got what "
            f"cannot be read as such ({type(problem).__name__}); correct or drop the line"
        ) from None


def _plain(value) -> str:
    """A value of JSON as the text of a field, without what separates fields and lines."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    text = str(value)
    return text if text.isprintable() else "".join(c if c >= " " and c != "\x7f" else " " for c in text).strip()
