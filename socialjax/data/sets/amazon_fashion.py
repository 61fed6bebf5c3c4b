"""Amazon Fashion as DVBPR released it (Kang, Fang, Wang, McAuley, ICDM 2017): who bought what, with a picture of each.

`AmazonFashion6ImgPartitioned.npy` (3.3 GB) is one pickled array of six objects: for train, validation and test a dict
from user to a list of records with `productid`; a dict from item to a record with the bytes of its picture (`imgs`) and
a one-hot category (`c`); the numbers of users and items. It is read by `formats.pickled` without unpickling, mapped and
never whole in memory: of a picture only its position in the file is kept, until `write_pictures` copies it to an
archive.

SAERS's set (45,184 users, 166,270 items, 358,003 records) is plausibly a part of this one; how it was chosen is not
known, so nothing is filtered here and the counts are the file's own.
"""

import dataclasses
import hashlib
import io
import mmap
import os
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from socialjax.data import validate
from socialjax.data.schema import PARTS, Dataset, Interactions, Provenance
from socialjax.formats.file_bytes import DataError, FileBytes, read_header
from socialjax.formats.pickled import Machine, objects_of
from socialjax.formats.picture_files import read_picture

FILE = "AmazonFashion6ImgPartitioned.npy"
SOURCE = "cseweb.ucsd.edu/~wckang/DVBPR, AmazonFashion (Kang et al., ICDM 2017)"
LICENCE = "raw images for academic use only"
CATEGORIES = 6  # tops, bottoms and shoes of men and women; which is which is not written down
_HEADER = 4096  # bytes in which the header of a .npy file ends
_PICTURES = ("\xff\xd8\xff", "\x89PNG", "GIF8", "BM", "RIFF")


@dataclasses.dataclass(frozen=True)
class Release:
    """The data set, and where each item's picture lies in `file`: spans i64[I, 2], offset and length, 0 without one."""

    data: Dataset
    spans: np.ndarray
    file: Path


@dataclasses.dataclass(frozen=True)
class _Span:
    offset: int
    length: int


class _ReleaseMachine(Machine):
    """Keeps of long texts that are pictures their place alone. Keys that Python 3 wrote as bytes become text."""

    floats = True  # ratings, and the categories

    def __init__(self, stream: mmap.mmap):
        super().__init__(len(stream))
        self.stream = stream

    def op_BINSTRING(self, text: str | bytes) -> None:
        text = text.decode("latin1") if isinstance(text, bytes) else text
        if len(text) > 64 and text.startswith(_PICTURES):  # the text has just been read: it ends where the stream is
            self.stack.append(_Span(self.stream.tell() - len(text), len(text)))
        else:
            self.stack.append(text)

    op_BINBYTES = op_SHORT_BINBYTES = op_SHORT_BINSTRING = op_BINSTRING


def read(folder: Path) -> Release:
    """The set in `folder`. Items are called by their number; `item_pictures` as `write_pictures` calls them; groups are
    `category 0` to `category 5`. A pair of two parts stays in the earlier one, as the provenance says.

    Raises DataError for a file that is missing, damaged, holds something else, or asks for anything to be run.
    """
    path = Path(folder) / FILE
    try:
        with open(path, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as stream:
            shape, _, dtype, body = read_header(FileBytes(path, stream[:_HEADER], ""))
            if dtype.kind != "O" or shape != (6,):
                raise DataError(f"{path}: wanted an array of 6 objects, got {dtype} {shape}; fetch the file again")
            stream.seek(body)
            objects = objects_of(path, shape, _ReleaseMachine(stream), stream)
            opened.seek(0)
            checksum = hashlib.file_digest(opened, "sha256").hexdigest()
    except (OSError, ValueError) as problem:
        if isinstance(problem, DataError):
            raise
        raise DataError(f"{path}: wanted DVBPR's file, got {problem}; put it there (docs/data.md)") from None
    *parts, about, users, items = objects
    if type(users) is not int or type(items) is not int or type(about) not in (dict, list) or users < 1 or items < 1:
        raise _wrong(path, "the numbers of users and items, and items", f"{type(about).__name__}, {users!r}, {items!r}")
    records = dict(enumerate(about)) if type(about) is list else about
    if len(records) != items or set(records) != set(range(items)):
        raise _wrong(path, f"a record for each of {items} items", f"{len(records)}")
    columns = {name: _pairs(path, part, users, items) for name, part in zip(PARTS, parts)}
    spans = np.zeros((items, 2), np.int64)
    for item, record in records.items():
        picture = record.get("imgs") if type(record) is dict else None
        if isinstance(picture, _Span):
            spans[item] = picture.offset, picture.length
    without = int((spans[:, 1] == 0).sum())
    data = Dataset(
        name="amazon_fashion",
        num_users=users,
        num_items=items,
        **columns,
        provenance=Provenance(
            "real", SOURCE, LICENCE, {FILE: checksum}, (f"{without} items have no picture",) if without else ()
        ),
        item_names=np.array([str(_text(records[item], "asin") or item) for item in range(items)]),
        item_groups=np.array([_group(records[item]) for item in range(items)]),
        item_pictures=np.array([f"{item}.jpg" if spans[item, 1] else "" for item in range(items)]),
    )
    return Release(validate.repair(data, "keep earlier"), spans, path)


def write_pictures(release: Release, archive: Path) -> list[str]:
    """All pictures as `<item>.jpg` in a tar archive, as `PictureFiles` reads them; whole or not at all. Those that
    cannot be decoded are left out, as nobody can take a row out of the file: what is wrong with each."""
    damaged: list[str] = []
    archive = Path(archive)
    handle, private = tempfile.mkstemp(prefix=".writing-", suffix=".tar", dir=archive.parent)
    try:
        with os.fdopen(handle, "wb") as written, tarfile.open(fileobj=written, mode="w") as tar:
            with open(release.file, "rb") as source:
                for item in np.flatnonzero(release.spans[:, 1]).tolist():
                    offset, length = release.spans[item].tolist()
                    entry = tarfile.TarInfo(str(release.data.item_pictures[item]))
                    entry.size = length
                    source.seek(offset)
                    content = source.read(length)
                    try:
                        read_picture(content, name=entry.name)
                    except DataError as problem:
                        damaged.append(str(problem))
                        continue
                    tar.addfile(entry, io.BytesIO(content))
        os.replace(private, archive)
        return damaged
    finally:
        Path(private).unlink(missing_ok=True)


def _pairs(path: Path, part, users: int, items: int) -> Interactions:
    """Columns of one part: a dict, or a list, from users to lists of records."""
    rows = dict(enumerate(part)) if type(part) is list else part
    if type(rows) is not dict or not all(type(row) is list for row in rows.values()):
        raise _wrong(path, "a list of records for each user", f"a {type(part).__name__}")
    user = [user for user, row in rows.items() for _ in row]
    item = [_text(record, "productid") for row in rows.values() for record in row]
    for name, column, size in (("user", user, users), ("productid", item, items)):
        bad = next((one for one in column if type(one) is not int or not 0 <= one < size), None)
        if bad is not None or any(one is None for one in column):
            raise _wrong(path, f"a {name} from 0 to {size - 1} in each record", f"{bad!r}")
    return Interactions(np.array(user, np.int32), np.array(item, np.int32))


def _text(record, field: str):
    return record.get(field) if type(record) is dict else None


def _group(record) -> str:
    """`category 3` of a one-hot list, "" without one."""
    hot = [place for place, value in enumerate(_numbers(record)) if value == 1]
    return f"category {hot[0]}" if len(hot) == 1 else ""


def _numbers(record) -> list:
    """The category as a list: an array inside a record is still to be finished."""
    values = _text(record, "c")
    values = getattr(values, "elements", values)
    return values if type(values) is list and len(values) == CATEGORIES else []


def _wrong(path: Path, wanted: str, got: str) -> DataError:
    return DataError(f"{path}: wanted {wanted}, got {got}; fetch the published file again")
