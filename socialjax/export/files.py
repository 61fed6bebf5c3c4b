"""Recommendations and embeddings as files for other programs."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from socialjax.atomic_write import atomic_write
from socialjax.data.schema import Dataset
from socialjax.export.faiss_index import index_of, queries_of, write_index
from socialjax.export.id_files import user_and_item_ids
from socialjax.train.log import bar, is_screen

if TYPE_CHECKING:
    import faiss
    import pyarrow as pa

ENDINGS = (".parquet", ".csv", ".tsv", ".jsonl")
USERS_AT_ONCE = 4096


class Embeddings(NamedTuple):
    """What a score of a dot-product model is made of: `users @ items.T + bias`.

    Attributes:
        users: f32[U, D].
        items: f32[I, D].
        bias: f32[I].
        user_ids: of the rows, as one types them: U[U] or i64[U].
        item_ids: the same of items, [I].
    """

    users: np.ndarray
    items: np.ndarray
    bias: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray

    def write(self, folder: Path | str) -> list[Path]:
        """Writes `users.parquet` (id, vector) and `items.parquet` (id, vector, bias); returns their paths."""
        import pyarrow as pa

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tables = {
            "users.parquet": {"id": pa.array(self.user_ids), "vector": _lists(self.users)},
            "items.parquet": {"id": pa.array(self.item_ids), "vector": _lists(self.items), "bias": pa.array(self.bias)},
        }
        for name, columns in tables.items():
            with _writer(folder / name) as write:
                write(pa.table(columns))
        return [folder / name for name in tables]

    @property
    def queries(self) -> np.ndarray:
        """What users ask the index of `faiss`: f32[U, D + 1], their vectors and a 1, which meets the item's bias."""
        return queries_of(self.users)

    def faiss(self) -> "faiss.IndexFlatIP":
        """An exact FAISS index of inner products over [item, bias]; its ids are row numbers of `item_ids`.

        `index.search(vectors.queries[rows], k)` gives the scores and row numbers of the k best items, training items
        among them. Raises ImportError without the extra `ann`.
        """
        return index_of(self.items, self.bias)

    def write_faiss(self, path: Path | str) -> Path:
        """Writes the index of `faiss`, and beside it `NAME.ids.json`, in which `users` and `items` list the ids of the
        rows; returns the path. Raises ImportError without the extra `ann`."""
        write_index(Path(path), self.items, self.bias, self.user_ids, self.item_ids)
        return Path(path)


def _lists(vectors: np.ndarray) -> "pa.FixedSizeListArray":
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).reshape(-1)), vectors.shape[1])


def write_recommendations(
    path: Path,
    data: Dataset,
    users: np.ndarray,
    best: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    progress: bool = True,
    titles: bool = True,
) -> None:
    """Writes the best items of users, a row for each: user, rank from 1 on, item, score, title; best first.

    A `.jsonl` has a line for each user instead: `{"user": ..., "items": [...], "scores": [...], "titles": [...]}`. In
    `.csv` and `.tsv` a field is quoted where it holds a separator, a quote or a line feed. The file is whole or absent.

    Args:
        path: ends in one of `ENDINGS`.
        data: names the ids.
        users: row numbers i32[N].
        best: users -> items i32[B, k], -1 where fewer are left, and scores f32[B, k].
        progress: whether a bar shows how far it is, on a terminal.
        titles: whether titles are written, where items have some; empty for those that have none.

    Raises:
        ValueError: for another ending, and without users.
        OSError: the file cannot be written.
    """
    import pyarrow as pa

    if path.suffix not in ENDINGS:
        raise ValueError(f"{path} must end in {', '.join(ENDINGS)}, which says how it is written")
    if not len(users):
        raise ValueError(f"wanted at least one user whose items are written to {path}, got none")
    user_ids, item_ids = user_and_item_ids(data)
    named = data.item_titles if titles else None
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = bar(total=len(users), desc=path.name, unit=" users", disable=not (progress and is_screen()))
    with _writer(path) as write, shown:
        for start in range(0, len(users), USERS_AT_ONCE):
            some = users[start : start + USERS_AT_ONCE]
            items, scores = best(some)
            there = items >= 0
            row, rank = np.nonzero(there)
            columns = {"user": user_ids[some[row]], "rank": rank.astype(np.int32) + 1, "item": item_ids[items[there]]}
            columns |= {"score": scores[there]} | ({} if named is None else {"title": named[items[there]]})
            write(pa.table(columns))
            shown.update(len(some))


@contextlib.contextmanager
def _writer(path: Path) -> Iterator[Callable[["pa.Table"], None]]:
    """Appends tables to a file of the kind that its ending names."""
    with atomic_write(path) as temporary, contextlib.ExitStack() as closing:
        opened: list = []

        def write(table) -> None:
            if not opened:
                opened.append(closing.enter_context(_open(temporary, path.suffix, table.schema)))
            opened[0].write_table(table)

        yield write


def _open(path: Path, ending: str, schema):
    from pyarrow import parquet

    if ending == ".parquet":
        return parquet.ParquetWriter(path, schema)
    if ending == ".jsonl":
        return _JsonLines(path)
    return _SeparatedLines(path, "\t" if ending == ".tsv" else ",", schema.names)


class _SeparatedLines:
    """Rows as RFC 4180 has them, quoted only where that is needed; Arrow's own writer quotes every text."""

    def __init__(self, path: Path, mark: str, names: list[str]):
        self._file, self._mark = path.open("w", encoding="utf-8", newline=""), mark
        self._file.write(mark.join(names) + "\n")

    def write_table(self, table) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        text = pa.large_string()
        columns = [self._quoted(pc.cast(column.combine_chunks(), text)) for column in table.columns]
        rows = pc.binary_join_element_wise(*columns, pa.scalar(self._mark, text))
        joined = pc.binary_join(pa.LargeListArray.from_arrays([0, len(rows)], rows), pa.scalar("\n", text))
        if len(rows):
            self._file.write(joined[0].as_py() + "\n")

    def _quoted(self, column):
        import pyarrow as pa
        import pyarrow.compute as pc

        special = pc.match_substring_regex(column, f'[{self._mark}"\r\n]')
        if not pc.any(special).as_py():
            return column
        quote, nothing = (pa.scalar(text, pa.large_string()) for text in ('"', ""))
        doubled = pc.replace_substring(column, '"', '""')
        return pc.if_else(special, pc.binary_join_element_wise(quote, doubled, quote, nothing), column)

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _JsonLines:
    """A line for each user; the rows of one stand together."""

    def __init__(self, path: Path):
        self._file = path.open("w", encoding="utf-8")

    def write_table(self, table) -> None:
        names = {"user": "user", "item": "items", "score": "scores", "title": "titles"}
        columns = {said: table.column(name).to_pylist() for name, said in names.items() if name in table.schema.names}
        begins = [row for row, rank in enumerate(table.column("rank").to_pylist()) if rank == 1]
        for begin, end in zip(begins, [*begins[1:], table.num_rows]):
            line = {said: column[begin:end] for said, column in columns.items()}
            line["user"] = line["user"][0]
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
