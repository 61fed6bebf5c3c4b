"""One known set of pairs in many forms: the same pairs, or an error that names file, line and remedy."""

import csv
import dataclasses
import gzip
import io
import json
import time
import zipfile

import numpy as np
import pytest

from socialjax.data.own import folder
from socialjax.data.own.folder import FolderOptions
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible

USERS, ITEMS = 12, 15
MARKS = {"\t": "tsv", ",": "csv", ";": "csv", "::": "dat", "|": "txt", " ": "rating"}
HEADERS = [
    None,
    ("user", "item", "rating", "timestamp"),
    ("userId", "movieId", "rating", "timestamp"),
    ("User-ID", "ISBN", "Book-Rating", "Date"),
    ("user_id:token", "item_id:token", "rating:float", "timestamp:float"),
    ("reviewerID", "asin", "overall", "unixReviewTime"),
    ("member", "sku", "stars", "created_at"),
]


@dataclasses.dataclass(frozen=True)
class Known:
    """Pairs with values of 1 to 5 and different times."""

    rows: list[tuple[int, int, int, int]]

    @classmethod
    def made(cls, seed=0):
        rng = np.random.default_rng(seed)
        cells = [(u, i) for u in range(USERS) for i in range(ITEMS) if rng.random() < 0.6 or i in (u, (u + 1) % ITEMS)]
        times = 1_300_000_000 + rng.permutation(len(cells)) * 1000
        return cls([(u, i, int(rng.integers(1, 6)), int(t)) for (u, i), t in zip(cells, times)])


def figures(data):
    """All that training sees, in the order of rows of each part."""
    parts = []
    for part in data.parts().values():
        order = np.lexsort((part.item, part.user))
        parts.append([None if column is None else column[order].tolist() for column in part.columns()])
    return data.num_users, data.num_items, parts


NAMES = {  # how ids are written; all keep their order
    "numbers": (str, str),
    "from 1": (lambda u: str(u + 1), lambda i: str(i + 1)),
    "far apart": (lambda u: str(1000 + 17 * u), lambda i: str(10**17 + i)),
    "words": (lambda u: f"u{u}", lambda i: f"item_{i}x"),
    "padded": (lambda u: f"{u:06d}", lambda i: f"B{i:09d}"),
    "foreign": (lambda u: f"ж{u}", lambda i: f"é {i}"),
}


def dressed(rng, known: Known):
    """(name of the file, its bytes, options) of one random form."""
    style = list(NAMES)[rng.integers(len(NAMES))]
    user, item = NAMES[style]
    kind = ["text", "json", "array", "parquet"][rng.choice(4, p=[0.76, 0.1, 0.04, 0.1])]
    header = HEADERS[rng.integers(len(HEADERS))]
    if kind != "text" and header is None:
        header = HEADERS[1]
    rows = [(user(u), item(i), v, t) for u, i, v, t in known.rows]
    if rng.random() < 0.5:
        rows = [rows[k] for k in rng.permutation(len(rows))]
    columns = list(range(4)) if header is None else rng.permutation(4).tolist()
    times = rng.choice(["seconds", "dates", "milliseconds"], p=[0.6, 0.25, 0.15])
    if times == "dates":
        rows = [
            (*row[:3], str(np.datetime64(row[3], "s")).replace("T", " " if rng.random() < 0 else "T")) for row in rows
        ]
    elif times == "milliseconds":
        rows = [(*row[:3], row[3] * 1000) for row in rows]
    table = [[row[c] for c in columns] for row in rows]
    titles = None if header is None else [header[c] for c in columns]
    options, encoding = {}, "utf-8"
    if kind in ("json", "array"):
        objects = [dict(zip(titles, row)) for row in table]
        text = json.dumps(objects) if kind == "array" else "".join(json.dumps(each) + "\n" for each in objects)
        ending = "json" if kind == "array" else "jsonl"
    elif kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        stream = io.BytesIO()
        pq.write_table(pa.table({title: [row[c] for row in table] for c, title in enumerate(titles)}), stream)
        return "mine.parquet", stream.getvalue(), options
    else:
        mark = list(MARKS)[rng.integers(len(MARKS))]
        if mark == " " and style == "foreign":
            mark = "\t"
        if mark == "::" and titles and any(":" in title for title in titles):
            titles = [title.partition(":")[0] for title in titles]
        ending = rng.choice([MARKS[mark], "rating", "data", "inter"])
        lines = ([titles] if titles else []) + table
        if mark in (",", ";", "\t", "|") and rng.random() < 0.4:
            stream = io.StringIO()
            csv.writer(stream, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(lines)
            text = stream.getvalue()
        elif mark == "::" and rng.random() < 0.3:
            text = "".join("::".join(f'"{field}"' for field in row) + "\n" for row in lines)
        else:
            pad = " " * int(rng.integers(2)) if mark in (",", ";", "|") else ""
            text = "".join((mark + pad).join(map(str, row)) + "\n" for row in lines)
        if titles is None and rng.random() < 0.2:
            text = "# exported today\n% by hand\n" + text
        if titles is not None and mark != " " and rng.random() < 0.1:
            text = "#" + text
        if rng.random() < 0.2:
            text = text.replace("\n", "\r\n")
        if rng.random() < 0.2:
            text = "\n" + text + "\n\n"
        if rng.random() < 0.15:
            text = text.rstrip("\n")
    if rng.random() < 0.1 and style != "foreign":
        encoding = ["utf-16", "latin-1", "cp1252"][rng.integers(3)]
        options["encoding"] = encoding
    content = text.encode(encoding)
    if encoding == "utf-8" and rng.random() < 0.15:
        content = b"\xef\xbb\xbf" + content
    name = f"mine.{ending}"
    packed = rng.random()
    if packed < 0.1:
        return f"{name}.gz", gzip.compress(content), options
    if packed < 0.2:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
        return f"{name}.zip", stream.getvalue(), options
    return name, content, options


def test_500_forms_of_one_set_give_the_same_pairs(tmp_path):
    """Names may differ; what is counted, split, trained on and tested may not."""
    known = Known.made()
    (tmp_path / "plain").mkdir()
    plain = "".join("\t".join(map(str, row)) + "\n" for row in known.rows)
    (tmp_path / "plain" / "mine.rating").write_text(plain)
    expected = figures(folder.read(tmp_path / "plain", "mine"))
    assert expected[:2] == (USERS, ITEMS)
    rng = np.random.default_rng(11)
    for case in range(500):
        name, content, options = dressed(rng, known)
        here = tmp_path / "dressed"
        here.mkdir(exist_ok=True)
        for old in here.iterdir():
            old.unlink()
        (here / name).write_bytes(content)
        try:
            data = folder.read(here, "mine", FolderOptions(**options))
        except DataError as problem:
            raise AssertionError(f"case {case}, {name}: {content[:200]!r}: {problem}") from problem
        assert figures(data) == expected, (case, name, content[:300], data.provenance.repairs)


def mutated(rng, content: bytes) -> bytes:
    """Some bytes changed, taken out, put in, repeated or cut off."""
    array = np.frombuffer(content, np.uint8).copy()
    kind, place = rng.integers(6), int(rng.integers(len(array)))
    if kind == 0:
        array[rng.integers(len(array), size=rng.integers(1, 9))] ^= rng.integers(1, 256, dtype=np.uint8)
        return array.tobytes()
    if kind == 1:
        return content[:place]
    if kind == 2:
        return content[:place] + content[place + int(rng.integers(1, 60)) :]
    if kind == 3:
        return content[:place] + rng.bytes(int(rng.integers(1, 20))) + content[place:]
    if kind == 4:
        return content[:place] + content[max(0, place - 200) :]
    old, new = [(b",", b";"), (b'"', b""), (b"\n", b""), (b"{", b"["), (b":", b"::"), (b"1", b"9" * 40)][
        rng.integers(6)
    ]
    return content.replace(old, new, int(rng.integers(1, 50)))


@pytest.mark.parametrize("cases", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_forms_are_read_or_refused_in_one_line(tmp_path, cases):
    """No traceback of somebody else's, no hang, and what is read passes the checks of any data."""
    known, rng = Known.made(), np.random.default_rng(cases)
    outcomes = {"read": 0, "refused": 0}
    for case in range(cases):
        name, content, options = dressed(rng, known)
        for old in tmp_path.iterdir():
            old.unlink()
        (tmp_path / name).write_bytes(mutated(rng, content))
        begin = time.monotonic()
        try:
            folder.read(tmp_path, "mine", FolderOptions(**options))
            outcomes["read"] += 1
        except DataError as problem:
            outcomes["refused"] += 1
            assert "\n" not in visible(str(problem)) and len(str(problem)) < 1_500, (case, name)
        except BaseException as problem:
            raise AssertionError(f"case {case}, {name}: {type(problem).__name__}: {problem}") from problem
        assert time.monotonic() - begin < 30, (case, name)
    assert min(outcomes.values()) > cases / 20, outcomes
