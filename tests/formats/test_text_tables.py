import gzip

import numpy as np
import pytest

from socialjax.formats import text_layout
from socialjax.formats.file_bytes import DataError, read_bytes
from socialjax.formats.text_tables import read_table

USER, ITEM, TIME = frozenset({"user"}), frozenset({"item"}), frozenset({"time"})


def table_of(tmp_path, content: bytes, columns=(2, 4), name="t.rating", **options):
    (tmp_path / name).write_bytes(content)
    return read_table(read_bytes(tmp_path / name), columns, **options)


def rows_of(text: str, separator: str | None) -> list[list[str]]:
    """What `read_table` promises, one line at a time."""
    return [[field.strip() for field in line.split(separator)] for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("separator", ["\t", ",", None])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("block", [7, text_layout._BLOCK])
def test_fields_are_those_of_a_line_by_line_reader(tmp_path, monkeypatch, separator, line_end, block):
    monkeypatch.setattr(text_layout, "_BLOCK", block)
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(300):
        between = [(separator or " ") + " " * rng.integers(3) for _ in range(2)]
        word = f"né {rng.integers(99)}" if separator else "né"
        lines.append(f"{rng.integers(10**6)}{between[0]}{word}{between[1]}{rng.normal():.3f}" + " " * rng.integers(2))
        if rng.random() < 0.1:
            lines.append(" " * rng.integers(2))
    text = line_end.join(lines)  # the last line has no end
    table = table_of(tmp_path, b"\xef\xbb\xbf" + text.encode())
    slow = rows_of(text, separator)
    assert [[table.text(r, c) for c in range(3)] for r in range(len(table))] == slow
    np.testing.assert_array_equal(table.ids(0, "user"), [int(row[0]) for row in slow])
    assert [word.decode() for word in table.words(1, "item").tolist()] == [row[1] for row in slow]
    np.testing.assert_array_equal(table.numbers(2, "a value"), [float(row[2]) for row in slow])


def test_gzip_reads_as_the_plain_file_does(tmp_path):
    plain = table_of(tmp_path, b"1 2\n3 4\n")
    packed = table_of(tmp_path, gzip.compress(b"1 2\n3 4\n"), name="t.rating.gz")
    np.testing.assert_array_equal(plain.ids(1, "item"), packed.ids(1, "item"))


def test_quoted_commas_stay_in_their_field(tmp_path):
    table = table_of(tmp_path, b'u1,"the good, the ""bad"""\nu2,plain\n')
    assert table.text(0, 1) == 'the good, the "bad"'
    assert table.fields.line.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (b"user,item,time\nann,x,5\n", ("user", "item", "time")),  # names that are known
        (b"#Wer\tWas\tWann\n1\t2\t3\n", ("Wer", "Was", "Wann")),  # numbers below, none above
        (b"ann,tea\nbob,milk\n", ()),  # words throughout: a row like any other
        (b"18x9,8165,1\n1,2,1\n", ()),  # a damaged id is no header
        (b"1,2,3\n4,5,6\n", ()),
    ],
)
def test_a_header_is_found_where_there_is_one(tmp_path, content, header):
    table = table_of(tmp_path, content, names=(USER, ITEM, TIME), header=True)
    assert table.header == header
    assert len(table) == (1 if header else 2)


BAD = {
    b"": "empty",
    b"\n \n": "empty",
    b"1\t2\n3\t4\n5\n": "line 3: wanted 2 columns",
    b"1\n2\n": "line 1: wanted 2 to 4 columns",
    b"1 2 3 4 5\n": "got 5",
    b"1\t2\n3\t\0\n": "line 2: wanted text, got byte 0x00",
    b"\x89PNG\r\n\x1a\n\0\0": "line 2: wanted text, got byte 0x1a",  # 0x89 is judged later, as UTF-8
    b"1\t2\n\xff\t4\n": "line 2: wanted UTF-8",
    "1\t2\n".encode("utf-16"): "UTF-16",
    b"1\t2\n" + b"3" * 70_000 + b"\t4\n": "line 2: wanted at most 65536 bytes",
    b'1,"2\n3,4\n': "quotes",
}


@pytest.mark.parametrize("content", BAD, ids=[message[:20] for message in BAD.values()])
def test_what_is_no_table_is_refused_by_file_and_line(tmp_path, content):
    with pytest.raises(DataError, match=r"t\.rating") as problem:
        table_of(tmp_path, content)
    assert BAD[content] in str(problem.value)


@pytest.mark.parametrize("field", [b"-3", b"2147483647", b"9" * 30, b"1.5", b"x", b"", b"0x1", b"1_0", "²".encode()])
def test_ids_are_whole_numbers_of_int32(tmp_path, field):
    table = table_of(tmp_path, b"1\t2\n" + field + b"\t4\n")
    with pytest.raises(DataError, match=r"t.rating, line 2: wanted a whole number from 0"):
        table.ids(0, "user")


@pytest.mark.parametrize("field", [b"nan", b"inf", b"1e999", b"1_0", b"five", b"", b"1" * 400])
def test_numbers_are_finite_decimals(tmp_path, field):
    table = table_of(tmp_path, b"1\t2\t.5\n1\t3\t-1.5e2\n4\t5\t" + field + b"\n")
    with pytest.raises(DataError, match="line 3: wanted a value, a finite number"):
        table.numbers(2, "a value")


def test_an_id_of_0_is_too_low_where_ids_start_at_1(tmp_path):
    with pytest.raises(DataError, match="line 2: wanted a whole number from 1"):
        table_of(tmp_path, b"1 2\n0 2\n").ids(0, "user", lowest=1)


@pytest.mark.parametrize("cut_at", [0.0, 0.3, 0.9])
def test_a_cut_gzip_file_is_refused(tmp_path, cut_at):
    whole = gzip.compress(b"".join(b"%d %d\n" % (n, n * n) for n in range(5_000)))
    with pytest.raises(DataError, match=r"t.rating.gz: wanted a whole gzip file|empty"):
        table_of(tmp_path, whole[: int(len(whole) * cut_at)], name="t.rating.gz")


def test_a_gzip_bomb_stops_at_the_limit(tmp_path):
    (tmp_path / "t.gz").write_bytes(gzip.compress(b"1 2\n" * 500_000))
    with pytest.raises(DataError, match="holds more than 1000000 bytes"):
        read_bytes(tmp_path / "t.gz", largest=1_000_000)


def test_a_missing_file_is_an_error_of_ours(tmp_path):
    with pytest.raises(DataError, match=r"nothing.rating: cannot be read"):
        read_bytes(tmp_path / "nothing.rating")
    with pytest.raises(DataError, match="cannot be read"):
        read_bytes(tmp_path)
