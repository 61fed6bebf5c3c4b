"""Columns of .npy, CSV and Parquet files are the same whatever is read at a time; bad ones are one sentence."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from socialjax.data.large import text_ids
from socialjax.data.large.inputs import Columns, Files
from socialjax.data.large.prepare import prepare
from socialjax.data.large.settings import PrepareSettings
from socialjax.formats.file_bytes import DataError

TABLE = np.array([[3, 10], [0, 2**62], [3, 7], [12, 10]])


def written(folder, ending, table=TABLE, titles=None):
    path = folder / f"pairs{ending}"
    if ending == ".npy":
        np.save(path, np.asarray(table))
    elif ending == ".parquet":
        names = titles or ("a", "b")
        pq.write_table(pa.table({name: [row[place] for row in table] for place, name in enumerate(names)}), path)
    else:
        separator = "," if ending == ".csv" else "\t"
        lines = [*([titles] if titles else []), *(list(row) for row in table)]
        path.write_text("".join(separator.join(map(str, line)) + "\n" for line in lines))
    return path


def read(source, rows, text=False):
    pieces = list(source.pieces(rows, text))
    assert all(len(left) == len(right) <= rows for left, right in pieces)
    return [(a, b) for left, right in pieces for a, b in zip(left.tolist(), right.tolist())]


@pytest.mark.parametrize("ending", [".npy", ".csv", ".tsv", ".txt", ".parquet"])
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_files_are_read_piece_by_piece(tmp_path, ending, rows):
    path = written(tmp_path, ending)
    assert read(Files([path, path]), rows) == [tuple(row) for row in TABLE.tolist()] * 2


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_columns_are_named_and_text_is_kept_as_it_is(tmp_path, ending):
    table = [["007", "é t", "x"], ["7", "b", "y"], ["007", "b", "z"]]
    path = written(tmp_path, ending, table, titles=["who", "what", "why"])
    assert read(Files([path], ("who", "what")), 2, text=True) == [
        (b"007", "é t".encode()), (b"7", b"b"), (b"007", b"b")
    ]  # fmt: skip
    with pytest.raises(DataError, match="wanted"):
        list(Files([path], ("who", "whom")).pieces(2, True))


def test_files_become_the_folder_of_their_columns(tmp_path):
    rng = np.random.default_rng(0)
    table = rng.integers(0, 30, (200, 2))
    made = {}
    for ending in (".npy", ".csv", ".parquet"):
        graph = prepare(
            tmp_path / ending,
            Files([written(tmp_path, ending, table)]),
            progress=False,
        )
        made[ending] = {name: array.tolist() for name, array in graph.arrays.items()}
        assert graph.meta.settings["pairs"].startswith(f"pairs{ending} (") and str(tmp_path) not in str(graph.meta)
    assert made[".npy"] == made[".csv"] == made[".parquet"]
    again = prepare(
        tmp_path / "columns",
        Columns(table[:, 0], table[:, 1]),
        progress=False,
    )
    assert made[".npy"] == {name: array.tolist() for name, array in again.arrays.items()}


@pytest.mark.parametrize(
    "content, wanted",
    [
        ("1,2\nx,3\n", r"wanted columns of whole numbers .*; correct it, or prepare with ids='text'"),
        ("1,2\n,3\n", "wanted two ids in every row, got an empty field"),
        ("1,2\n3\n", "wanted columns of whole numbers"),
        ("1,2\n-3,4\n", r"wanted ids in 0\.\.2\^63 - 1, got -3\.\.1; use ids='text'"),
        ("1,99999999999999999999\n", "wanted columns of whole numbers"),
        ("1\n2\n", "wanted two columns separated by ',', got one"),
    ],
)
def test_fields_that_are_no_ids_are_refused(tmp_path, content, wanted):
    path = tmp_path / "pairs.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=wanted):
        list(Files([path]).pieces(10, False))


@pytest.mark.parametrize(
    "name, content, wanted",
    [
        ("pairs.pkl", b"", "wanted a file of .npy, .csv, .tsv, .txt, .parquet, got another ending"),
        ("pairs.npy", b"\x93NUMPY", "wanted integers"),
        ("pairs.parquet", b"PAR1 and no more", "wanted columns of whole numbers"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, wanted):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=wanted):
        list(Files([tmp_path / name]).pieces(10, False))


def test_a_missing_file_and_objects_are_refused(tmp_path):
    with pytest.raises(DataError, match="wanted a file, got none; check its path"):
        prepare(tmp_path / "g", Files([tmp_path / "none.csv"]), progress=False)
    np.save(tmp_path / "o.npy", np.array([[print, 1]], object), allow_pickle=True)
    np.save(tmp_path / "short.npy", TABLE)
    short = tmp_path / "short.npy"
    short.write_bytes(short.read_bytes()[:-8])
    for name in ("o.npy", "short.npy"):
        with pytest.raises(DataError, match="wanted integers"):
            list(Files([tmp_path / name]).pieces(10, False))


def test_ids_of_text_that_are_empty_long_or_of_two_lines_are_refused(tmp_path):
    for bad in ("", "x" * 300, "a\nb"):
        column = np.array(["a", bad])
        with pytest.raises(DataError, match="wanted ids of 1 to 256 bytes"):
            list(Columns(column, column).pieces(10, True))


def test_columns_of_other_types_are_refused():
    for column, text, wanted in (
        (np.array([0.5]), False, "whole numbers, got float64; use ids='text'"),
        (np.array([1]), True, "wanted ids of text, got int64; prepare with ids='integers'"),
    ):
        with pytest.raises(DataError, match=wanted):
            list(Columns(column, column).pieces(10, text))
    with pytest.raises(DataError, match="wanted two columns of one length"):
        list(Columns(np.arange(3), np.arange(2)).pieces(10, False))


def test_the_number_of_a_text_depends_on_nothing_else():
    texts = np.array([b"a", b"b", b"ab" * 40, b"12345678", b"123456789", b"\xc3\xa9"])
    alone = [int(text_ids.numbers(np.array([text]))[0]) for text in texts.tolist()]
    assert text_ids.numbers(texts).tolist() == alone and len(set(alone)) == len(texts) and min(alone) >= 0
    many = np.char.add("item ", np.arange(200_000).astype(str)).astype("S")
    assert len(np.unique(text_ids.numbers(many))) == len(many)
    assert len(np.unique(text_ids.numbers(many) >> 57)) == text_ids.PARTS


@pytest.mark.parametrize("at_once", [1, 100])
def test_two_texts_of_one_number_are_refused(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(text_ids, "numbers", lambda texts: np.char.str_len(texts).astype(np.int64))
    users, items = np.array(["a", "bb", "c"]), np.array(["x", "yy", "x"])
    settings = PrepareSettings(ids="text", chunk_rows=at_once)
    with pytest.raises(DataError, match="two ids of text have one hash; call one of them otherwise"):
        prepare(tmp_path / "g", Columns(users, items), settings=settings, progress=False)
