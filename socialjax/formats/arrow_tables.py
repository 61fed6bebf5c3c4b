"""Columns that are no text, Parquet files and frames in memory, as the fields of a text table, so that all pass the
same checks."""

from typing import Any

import numpy as np

from socialjax.formats.file_bytes import LARGEST, DataError, FileBytes
from socialjax.formats.text_layout import MOST_COLUMNS, UNIT, Cut, fields_of

_ROWS_AT_ONCE = 1 << 16
_CONTROL = r"[\x00-\x1f\x7f]"


def is_parquet(file: FileBytes) -> bool:
    """Whether a file is Parquet, by its first bytes."""
    return file.data[:4] == b"PAR1"


def cut_parquet(file: FileBytes) -> Cut:
    """The columns of a Parquet file. Raises DataError for a damaged one, and one that would fill the memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(pa.BufferReader(file.data))
        batches, size = [], 0
        for batch in parquet.iter_batches(_ROWS_AT_ONCE):
            size += batch.nbytes
            if size > min(LARGEST, max(1 << 28, 50 * len(file.data))):
                raise DataError(f"{file.path}: holds more than {size >> 20} MB; split the file or drop columns")
            batches.append(batch)
        table = pa.Table.from_batches(batches, parquet.schema_arrow)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as problem:
        if isinstance(problem, DataError):
            raise
        raise DataError(
            f"{file.path}: wanted a Parquet file, got a damaged one ({type(problem).__name__}); write it again"
        ) from None
    return cut_arrow(table, file.path.name)


def cut_frame(frame: Any, name: str) -> Cut:
    """The columns of a pandas or Polars frame, an Arrow table or a dict of arrays. Raises DataError for others."""
    import pyarrow as pa

    try:
        table = pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as problem:
        raise DataError(
            f"{name}: wanted a pandas or Polars frame, an Arrow table or a dict of equally long columns, got "
            f"{type(frame).__name__} ({problem})"
        ) from None
    return cut_arrow(table, name)


def cut_arrow(table, name: str) -> Cut:
    """The fields of an Arrow table: numbers as they are written, whole numbers without `.0`, times in seconds, empty
    where there is none. Columns of lists and objects are left out, which is stated."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if table.num_columns > MOST_COLUMNS:
        raise DataError(f"{name}: wanted at most {MOST_COLUMNS} columns, got {table.num_columns}; drop some")
    titles, columns, left_out = [], [], []
    for title, column in zip(table.column_names, table.columns):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_null(kind):
            left_out.append(title)
            continue
        column = column.cast(kind)
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            column = pc.floor(pc.divide(column.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()), 1e6))
            kind = column.type
        if pa.types.is_floating(kind):
            column = _without_fraction(column)
        elif pa.types.is_boolean(kind):
            column = column.cast(pa.int8())
        text = pc.fill_null(column.cast(pa.large_string()), "")
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            text = pc.utf8_trim_whitespace(pc.replace_substring_regex(text, _CONTROL, " "))
        titles.append(str(title))
        columns.append(text)
    if not columns or not table.num_rows:
        raise DataError(f"{name}: wanted rows of columns with single values, got none; export it again")
    rows = pc.binary_join_element_wise(*columns, pa.scalar(chr(UNIT), pa.large_string()))
    rows = rows.combine_chunks() if isinstance(rows, pa.ChunkedArray) else rows
    rows = rows.chunk(0) if isinstance(rows, pa.ChunkedArray) else rows
    body = pc.binary_join(pa.LargeListArray.from_arrays([0, len(rows)], rows), pa.scalar("\n", pa.large_string()))
    data = np.append(np.frombuffer(body[0].as_buffer(), np.uint8), np.uint8(ord("\n")))
    fields = fields_of(data, len(columns), 1 + np.arange(table.num_rows))
    notes = (f"columns of {name} not used, which hold lists or objects: {', '.join(left_out)}",) if left_out else ()
    return Cut(fields, tuple(titles), (), notes)


def _without_fraction(column):
    """Whole numbers for a column of floats that are all whole or missing, as pandas makes them of ids with gaps."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = pc.all(pc.equal(pc.floor(column), column)).as_py()
    largest = pc.max(pc.abs(column)).as_py()
    return column.cast(pa.int64()) if whole and largest is not None and largest < 2**53 else column
