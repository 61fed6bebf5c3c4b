"""Graph folders: pairs and links as memory-mapped arrays, and the file that says what is there (docs/scale_data.md)."""

import dataclasses
import functools
import hashlib
import os
import stat
from pathlib import Path
from typing import Any, Literal

import numpy as np

from socialjax import json_files
from socialjax.data.schema import Dataset, Interactions, Links, Provenance
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible

FORMAT, VERSION, META = "socialjax graph folder", 1, "meta.json"
MOST = 2**31 - 1  # users or items: columns are i32
HEADER = 128  # bytes before the numbers of every array
COLUMN, OFFSET, BYTE = "<i4", "<i8", "|u1"
IDS = ("row numbers", "integers", "text")
IdKind = Literal["row numbers", "integers", "text"]
ADVICE = "prepare the folder again"


@dataclasses.dataclass(frozen=True)
class ArrayFile:
    """What meta.json says of one array: its type as NumPy writes it, its length, and the sha256 of its numbers."""

    dtype: str
    length: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Meta:
    """The content of meta.json.

    Attributes:
        format: FORMAT.
        version: VERSION.
        name: of the data set.
        num_users: U.
        num_items: I.
        user_ids: what users are called.
        item_ids: what items are called.
        links: whether there are links.
        arrays: name -> what lies in NAME.npy.
        settings: by which it was prepared.
        notes: what was dropped and repaired.
    """

    format: str
    version: int
    name: str
    num_users: int
    num_items: int
    user_ids: IdKind
    item_ids: IdKind
    links: bool
    arrays: dict[str, ArrayFile]
    settings: dict[str, Any]
    notes: tuple[str, ...]


def expected(meta: Meta) -> dict[str, tuple[str, int | None]]:
    """Name of each array -> its type, and its length where the counts give it.

    Arrays whose length is None hold as many numbers as there are pairs, links or bytes.
    """
    users, items = meta.num_users, meta.num_items
    pairs = meta.arrays["train_user"].length if "train_user" in meta.arrays else None
    wanted: dict[str, tuple[str, int | None]] = {
        "train_user": (COLUMN, None),
        "user_item_offsets": (OFFSET, users + 1),
        "user_item_columns": (COLUMN, pairs),
        "user_degree": (COLUMN, users),
        "item_user_offsets": (OFFSET, items + 1),
        "item_user_columns": (COLUMN, pairs),
        "item_degree": (COLUMN, items),
    }
    for part in ("validation", "test"):
        held = meta.arrays[f"{part}_user"].length if f"{part}_user" in meta.arrays else None
        wanted |= {f"{part}_user": (COLUMN, None), f"{part}_item": (COLUMN, held)}
    if meta.links:
        links = meta.arrays["follows_columns"].length if "follows_columns" in meta.arrays else None
        for side in ("follows", "followed_by"):
            wanted |= {
                f"{side}_offsets": (OFFSET, users + 1),
                f"{side}_columns": (COLUMN, links),
                f"{side}_degree": (COLUMN, users),
            }
    for kind, held, size in (("user", meta.user_ids, users), ("item", meta.item_ids, items)):
        if held == "integers":
            wanted[f"{kind}_ids"] = (OFFSET, size)
        elif held == "text":
            wanted |= {f"{kind}_ids_offsets": (OFFSET, size + 1), f"{kind}_ids_text": (BYTE, None)}
    return wanted


@dataclasses.dataclass(frozen=True)
class Csr:
    """Lists of numbers, one after another: those of row r are columns[offsets[r] : offsets[r + 1]], rising.

    Attributes:
        offsets: i64[R + 1].
        columns: i32[E].
        degree: i32[R], offsets[r + 1] - offsets[r].
    """

    offsets: np.ndarray
    columns: np.ndarray
    degree: np.ndarray

    def row(self, number: int) -> np.ndarray:
        """The columns of one row, i32[n]."""
        return self.columns[self.offsets[number] : self.offsets[number + 1]]


@dataclasses.dataclass(frozen=True)
class GraphFolder:
    """A prepared data set whose arrays are read-only memory maps; `open_graph` makes it.

    Attributes:
        path: of the folder.
        meta: counts, settings and arrays.
        digest: sha256 of meta.json, which holds the checksums of all arrays.
        arrays: all arrays by name.
    """

    path: Path
    meta: Meta
    digest: str
    arrays: dict[str, np.ndarray]

    @property
    def num_users(self) -> int:
        return self.meta.num_users

    @property
    def num_items(self) -> int:
        return self.meta.num_items

    @property
    def num_pairs(self) -> int:
        """Training pairs."""
        return len(self.arrays["train_user"])

    @property
    def num_links(self) -> int:
        return len(self.arrays["follows_columns"]) if self.meta.links else 0

    @property
    def train(self) -> Interactions:
        """Training pairs by user, then item; `item` is `user_items.columns`."""
        return Interactions(self.arrays["train_user"], self.arrays["user_item_columns"])

    def dataset(self) -> Dataset:
        """All of it as models take it, with mapped columns; users and items are called by their row numbers."""
        links = None
        if self.meta.links:
            follower = np.repeat(np.arange(self.num_users, dtype=np.int32), np.diff(self.arrays["follows_offsets"]))
            links = Links(follower, self.arrays["follows_columns"])
        return Dataset(
            name=self.meta.name,
            num_users=self.num_users,
            num_items=self.num_items,
            train=self.train,
            validation=self.validation,
            test=self.test,
            provenance=Provenance("real", f"{self.path.name}, {self.digest[:16]}"),
            links=links,
        )

    @property
    def validation(self) -> Interactions:
        """Validation pairs by user, then item."""
        return Interactions(self.arrays["validation_user"], self.arrays["validation_item"])

    @property
    def test(self) -> Interactions:
        """Test pairs by user, then item."""
        return Interactions(self.arrays["test_user"], self.arrays["test_item"])

    @functools.cached_property
    def user_items(self) -> Csr:
        """Users' training items."""
        return self._csr("user_item", "user")

    @functools.cached_property
    def item_users(self) -> Csr:
        """Items' training users."""
        return self._csr("item_user", "item")

    @functools.cached_property
    def follows(self) -> Csr | None:
        """Whom each user follows; None without links."""
        return self._csr("follows", "follows") if self.meta.links else None

    @functools.cached_property
    def followed_by(self) -> Csr | None:
        """Who follows each user; None without links."""
        return self._csr("followed_by", "followed_by") if self.meta.links else None

    def user_name(self, user: int) -> str:
        """The user's id in the files."""
        return self._id("user", self.meta.user_ids, user)

    def item_name(self, item: int) -> str:
        """The item's id in the files."""
        return self._id("item", self.meta.item_ids, item)

    def _csr(self, name: str, degree: str) -> Csr:
        arrays = self.arrays
        return Csr(arrays[f"{name}_offsets"], arrays[f"{name}_columns"], arrays[f"{degree}_degree"])

    def _id(self, kind: str, held: IdKind, row: int) -> str:
        if held == "row numbers":
            return str(row)
        if held == "integers":
            return str(int(self.arrays[f"{kind}_ids"][row]))
        begin, end = (int(self.arrays[f"{kind}_ids_offsets"][place]) for place in (row, row + 1))
        return self.arrays[f"{kind}_ids_text"][begin:end].tobytes().decode("utf-8", "replace")


def open_graph(folder: Path | str) -> GraphFolder:
    """The prepared data set in a folder; nothing but headers is read. `verify.verify` reads and checks all numbers.

    Raises:
        DataError: no graph folder, one that is not finished, or files of other types, lengths or sizes than its
            meta.json says.
    """
    folder = Path(folder)
    path = folder / META
    if not path.is_file():
        state = "is no folder" if not folder.is_dir() else f"lacks {META}, which is written last"
        raise DataError(f"{visible(folder)} {state}; prepare it, or run the same preparation again to finish it")
    try:
        meta = json_files.typed(json_files.read(path, advice=ADVICE), Meta)
    except ValueError as problem:
        raise DataError(f"{visible(path)}: wanted what a preparation writes ({problem}); {ADVICE}") from None
    _check_meta(meta, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    arrays = {name: mapped_array(folder, name, meta.arrays[name]) for name in expected(meta)}
    return GraphFolder(folder, meta, digest, arrays)


def _check_meta(meta: Meta, path: Path) -> None:
    if (meta.format, meta.version) != (FORMAT, VERSION):
        raise DataError(
            f"{visible(path)}: wanted a {FORMAT} of version {VERSION}, got {visible(meta.format)[:60]!r} of version "
            f"{meta.version}; {ADVICE}"
        )
    for name, size in (("num_users", meta.num_users), ("num_items", meta.num_items)):
        if not 0 < size <= MOST:
            raise DataError(f"{visible(path)}: wanted {name} in 1..{MOST}, got {size}; {ADVICE}")
    wanted = expected(meta)
    if set(wanted) != set(meta.arrays):
        differing = ", ".join(visible(name)[:60] for name in sorted(set(wanted) ^ set(meta.arrays))[:5])
        raise DataError(
            f"{visible(path)}: wanted the arrays of such a folder, got a difference in {differing}; {ADVICE}"
        )
    for name, (dtype, length) in wanted.items():
        there = meta.arrays[name]
        if there.dtype != dtype or there.length < 0 or (length is not None and there.length != length):
            lengths = "" if length is None else f"[{length}]"
            raise DataError(
                f"{visible(path)}: wanted {name} as {dtype}{lengths}, got {visible(there.dtype)[:20]}[{there.length}]; "
                f"{ADVICE}"
            )


def mapped_array(folder: Path, name: str, held: ArrayFile) -> np.ndarray:
    """One array, whose file is compared with what meta.json says before it is mapped."""
    path = folder / f"{name}.npy"
    try:
        about = os.lstat(path)
    except OSError as problem:
        raise DataError(
            f"{visible(path)}: wanted an array of {META}, got none ({problem.strerror}); {ADVICE}"
        ) from None
    size = HEADER + held.length * np.dtype(held.dtype).itemsize
    if not stat.S_ISREG(about.st_mode) or about.st_size != size:
        came = f"a file of {about.st_size} bytes" if stat.S_ISREG(about.st_mode) else "a link, a folder or a device"
        raise DataError(f"{visible(path)}: wanted a plain file of {size} bytes, got {came}; {ADVICE}")
    with open(path, "rb") as file:
        if file.read(HEADER) != header(held.dtype, held.length):
            raise DataError(f"{visible(path)}: wanted {held.dtype}[{held.length}] in its header, got another; {ADVICE}")
    return np.memmap(path, held.dtype, "r", HEADER, (held.length,))


def header(dtype: str, length: int) -> bytes:
    """The first HEADER bytes of a .npy file (version 1.0) of a one-dimensional array."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({length},), }}"
    prefix = b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little")
    return prefix + text.ljust(HEADER - 11).encode("ascii") + b"\n"
