"""Pairs and links as two columns, a piece at a time: arrays, .npy, CSV and Parquet files, or what a program makes."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from socialjax.formats.file_bytes import DataError
from socialjax.formats.text_tables import LONGEST_WORD
from socialjax.names import visible

ENDINGS = (".npy", ".csv", ".tsv", ".txt", ".parquet")
BLOCK = 4 << 20  # bytes of a CSV file at a time
Piece = tuple[Any, Any]  # two columns: i64[n], or S[n] where ids are text


class Source(Protocol):
    """Two columns of ids, read from the beginning as often as it is asked."""

    def pieces(self, rows: int, text: bool) -> Iterator[Piece]:
        """The columns, at most `rows` at a time: integers i64[n], or UTF-8 bytes S[n] where ids are text."""

    def identity(self) -> dict[str, Any]:
        """What changes when the columns do, as JSON: a preparation that goes on compares it."""

    def origin(self) -> str:
        """Where the columns come from, for meta.json: no path of a machine."""


@dataclasses.dataclass(frozen=True)
class Columns:
    """Two arrays, which may be memory-mapped: integers[N] each, or texts.

    Attributes:
        left: users, or followers.
        right: items, or followees.
        name: what they are called.
    """

    left: np.ndarray
    right: np.ndarray
    name: str = "arrays"

    def pieces(self, rows: int, text: bool) -> Iterator[Piece]:
        if self.left.ndim != 1 or self.left.shape != self.right.shape:
            raise DataError(f"{self.name}: wanted two columns of one length, got {self.left.shape}, {self.right.shape}")
        for begin in range(0, len(self.left), rows):
            yield tuple(_ids(column[begin : begin + rows], text, self.name) for column in (self.left, self.right))

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "rows": len(self.left), "types": [self.left.dtype.str, self.right.dtype.str]}

    def origin(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True)
class Files:
    """Files of two columns, one after another.

    .npy holds integers [N, 2]; columns of .csv, .tsv and .txt are separated by `separator`, those of
    .parquet have names.

    Attributes:
        paths: of the files, each ending in one of ENDINGS.
        columns: names of the two columns; without, the first two, and text files have no header.
        separator: of .csv (by default a comma) and of .tsv and .txt (a tab).
    """

    paths: Sequence[Path]
    columns: tuple[str, str] | None = None
    separator: str = ""

    def pieces(self, rows: int, text: bool) -> Iterator[Piece]:
        self._require()
        for path in map(Path, self.paths):
            read = _npy if path.suffix == ".npy" else self._arrow
            for left, right in read(path, rows, text):
                for begin in range(0, len(left), rows):
                    yield tuple(_ids(column[begin : begin + rows], text, path) for column in (left, right))

    def identity(self) -> dict[str, Any]:
        self._require()
        about = [(str(Path(path).resolve()), Path(path).stat()) for path in self.paths]
        return {"files": [[path, at.st_size, at.st_mtime_ns] for path, at in about], "columns": self.columns}

    def origin(self) -> str:
        self._require()
        return ", ".join(f"{visible(Path(path).name)} ({Path(path).stat().st_size} bytes)" for path in self.paths)

    def _require(self) -> None:
        for path in map(Path, self.paths):
            if path.suffix not in ENDINGS:
                raise DataError(f"{visible(path)}: wanted a file of {', '.join(ENDINGS)}, got another ending")
            if not path.is_file():
                raise DataError(f"{visible(path)}: wanted a file, got none; check its path")

    def _arrow(self, path: Path, rows: int, text: bool) -> Iterator[Piece]:
        """Batches of a CSV or Parquet file; pyarrow converts, so a field of another type is its error."""
        import pyarrow as pa

        kind = pa.string() if text else pa.int64()
        try:
            for batch in self._batches(path, rows, kind):
                columns = [batch.column(place) for place in range(2)]
                if any(column.null_count for column in columns):
                    raise DataError(f"{visible(path)}: wanted two ids in every row, got an empty field; drop such rows")
                yield tuple(_of_arrow(column.cast(kind), text, path) for column in columns)
        except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as problem:
            what = "text" if text else "whole numbers"
            advice = "correct the file" if text else "correct it, or prepare with ids='text'"
            raise DataError(f"{visible(path)}: wanted columns of {what} ({visible(problem)[:200]}); {advice}") from None

    def _batches(self, path: Path, rows: int, kind) -> Iterator:
        import pyarrow.csv as csv
        import pyarrow.parquet as pq

        if path.suffix == ".parquet":
            file = pq.ParquetFile(path, memory_map=False)
            names = list(self.columns or file.schema_arrow.names[:2])
            if missing := [name for name in names if name not in file.schema_arrow.names]:
                raise DataError(f"{visible(path)}: wanted a column '{visible(missing[0])}', got none of that name")
            yield from (batch.select(names) for batch in file.iter_batches(min(rows, 1 << 18), columns=names))
            return
        separator = self.separator or ("," if path.suffix == ".csv" else "\t")
        if self.columns is None:
            with open(path, "rb") as file:
                width = file.readline(1 << 20).count(separator.encode()) + 1
            if width < 2:
                raise DataError(
                    f"{visible(path)}: wanted two columns separated by {separator!r}, got one; name its own"
                )
            names = [f"f{place}" for place in range(width)]
            reading, chosen = csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=names), names[:2]
        else:
            reading, chosen = csv.ReadOptions(use_threads=False, block_size=BLOCK), list(self.columns)
        converting = csv.ConvertOptions(
            include_columns=chosen, column_types=dict.fromkeys(chosen, kind), null_values=[""], strings_can_be_null=True
        )
        with csv.open_csv(path, reading, csv.ParseOptions(delimiter=separator), converting) as stream:
            yield from stream


def _npy(path: Path, rows: int, text: bool) -> Iterator[Piece]:
    if text:
        raise DataError(f"{visible(path)}: wanted a table of text, got a .npy file; give CSV or Parquet")
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, fortran, dtype = readers[version](file)
            if len(shape) != 2 or shape[1] != 2 or fortran or dtype.kind not in "iu":
                raise ValueError(f"{dtype} {shape}")
            for begin in range(0, shape[0], rows):
                taken = min(rows, shape[0] - begin)
                table = np.fromfile(file, dtype, 2 * taken)
                if len(table) != 2 * taken:
                    raise ValueError("a file that ends early")
                yield table[::2], table[1::2]
    except (ValueError, KeyError, EOFError) as problem:
        raise DataError(f"{visible(path)}: wanted integers [N, 2] by rows, got {visible(problem)[:200]}") from None


def _of_arrow(column, text: bool, path: Path) -> np.ndarray:
    if not text:
        return column.to_numpy(zero_copy_only=False)
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    length = np.diff(offsets)
    if len(length) and (length.min() < 1 or length.max() > LONGEST_WORD):
        raise DataError(f"{visible(path)}: wanted ids of 1 to {LONGEST_WORD} bytes, got another; correct the column")
    data = np.frombuffer(column.buffers()[2], np.uint8) if len(column) else np.empty(0, np.uint8)
    table = np.zeros((len(column), max(int(length.max(initial=1)), 1)), np.uint8)
    row = np.repeat(np.arange(len(column)), length)
    table[row, np.arange(len(row)) - np.repeat(offsets[:-1] - offsets[0], length)] = data[offsets[0] : offsets[-1]]
    return table.view(f"S{table.shape[1]}")[:, 0]


def _ids(column: np.ndarray, text: bool, where: object) -> np.ndarray:
    """Checked ids: i64[n] from 0, or S[n]."""
    column = np.asarray(column)
    if text:
        column = np.char.encode(column.astype(str), "utf-8") if column.dtype.kind in "UO" else column
        if column.dtype.kind != "S":
            raise DataError(f"{visible(where)}: wanted ids of text, got {column.dtype}; prepare with ids='integers'")
        length = np.char.str_len(column) if len(column) else np.ones(1)
        if length.min() < 1 or length.max() > LONGEST_WORD or (np.ascontiguousarray(column).view(np.uint8) == 10).any():
            raise DataError(f"{visible(where)}: wanted ids of 1 to {LONGEST_WORD} bytes in one line, got another")
        return column
    if column.dtype.kind not in "iu":
        raise DataError(f"{visible(where)}: wanted ids that are whole numbers, got {column.dtype}; use ids='text'")
    if len(column) and (int(column.min()) < 0 or int(column.max()) > 2**63 - 1):
        raise DataError(
            f"{visible(where)}: wanted ids in 0..2^63 - 1, got {column.min()}..{column.max()}; use ids='text'"
        )
    return column.astype(np.int64, copy=False)
