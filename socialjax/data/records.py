"""Prepared data sets as columns in npz files, sealed with the checksums of all files."""

import hashlib
import json
from pathlib import Path

import numpy as np

from socialjax import npz_files
from socialjax.atomic_write import atomic_write
from socialjax.data.schema import PARTS, Attributes, Dataset, FrameLikes, Frames, Interactions, Links, Provenance

SUMS = "SHA256SUMS"


class DamagedError(ValueError):
    """A folder that has changed since it was written, or was not written by this library."""


def seal(folder: Path) -> None:
    """Writes the checksums of all files of `folder`."""
    with atomic_write(folder / SUMS) as temporary:
        temporary.write_bytes(_as_text(_sums(folder)))


def check(folder: Path) -> list[str]:
    """The names of the files of a sealed folder, sorted. Raises DamagedError that names the files that differ."""
    path = folder / SUMS
    if not path.is_file():
        raise DamagedError(f"{path} is missing")
    sealed, sums = path.read_bytes(), _sums(folder)
    if sealed == _as_text(sums):
        return sorted(sums)
    lines = (line.split("  ", 1) for line in sealed.decode("utf-8", "replace").splitlines())
    before = {line[1]: line[0] for line in lines if len(line) == 2}
    differ = sorted(name for name in {*before, *sums} if before.get(name) != sums.get(name))
    # A name that is not there comes from a damaged line, as does a line of another length.
    there = [name for name in differ if name in sums]
    raise DamagedError(f"{', '.join(there or differ or [SUMS])}: not as {SUMS} has it, or {SUMS} is damaged")


def _sums(folder: Path) -> dict[str, str]:
    """{name: sha256} of everything in `folder` but the checksums themselves."""
    sums = {}
    for path in sorted(folder.iterdir()):
        if path.name == SUMS:
            continue
        if path.is_symlink() or not path.is_file():
            raise DamagedError(f"{path.name}: no regular file")
        with open(path, "rb") as content:
            sums[path.name] = hashlib.file_digest(content, "sha256").hexdigest()
    return sums


def _as_text(sums: dict[str, str]) -> bytes:
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()


COLUMNS, DESCRIBED = "columns.npz", "described.json"
LARGEST = 64 << 30  # bytes of all columns
BYTES, ENDS = "/utf8", "/ends"  # after the name of a column of texts
PAIR_COLUMNS = ("user", "item", "value", "time")
LINK_COLUMNS = ("follower", "followee")
TABLES = (
    "user_features", "item_features", "owners", "social_features", "user_names", "item_names", "item_titles",
    "item_groups", "item_pictures",
)  # fmt: skip
RAGGED = {"frames": ("offsets", "features", "names"), "frame_likes": ("user", "item", "frame")}
CELLS = ("features", "valid", "label", "probability", "boxes", "fallback")  # of attributes; `attribute_` before each
TEXTS = ("names", "titles", "groups", "pictures")


def write(folder: Path, data: Dataset) -> None:
    """Writes both files into `folder`, which exists."""
    records = to_records(data)
    arrays: dict[str, np.ndarray] = {}
    for part, record in records.items():
        for name, column in record.items():
            arrays |= _as_bytes(f"{part}/{name}", column) if column.dtype == object else {f"{part}/{name}": column}
    np.savez(folder / COLUMNS, **arrays)
    (folder / DESCRIBED).write_text(json.dumps(describe(data, records)), encoding="utf-8")


def read(folder: Path) -> Dataset:
    """What `write` wrote. Raises NpzError and ValueError for damaged files, OSError where they cannot be opened."""
    described = json.loads((folder / DESCRIBED).read_text(encoding="utf-8"))
    arrays = npz_files.read(folder / COLUMNS, LARGEST)
    records = {
        part: {name: _column(arrays, f"{part}/{name}") for name in names}
        for part, names in described["columns"].items()
    }
    return from_records(records, described)


def _as_bytes(name: str, texts: np.ndarray) -> dict[str, np.ndarray]:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return {name + BYTES: np.frombuffer(b"".join(encoded), np.uint8), name + ENDS: ends}


def _column(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name in arrays:
        return arrays[name]
    content, ends = arrays[name + BYTES].tobytes(), arrays[name + ENDS]
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]]) if len(ends) else ends
    texts = np.empty(len(ends), object)
    texts[:] = [content[start:end].decode() for start, end in zip(starts.tolist(), ends.tolist())]
    return texts


def to_records(data: Dataset) -> dict[str, dict[str, np.ndarray]]:
    """{part: {column: array}} of the columns that are present; texts as object arrays of str."""
    records = {part: _present(PAIR_COLUMNS, pairs.columns()) for part, pairs in data.parts().items()}
    if data.links is not None:
        records["links"] = _present(LINK_COLUMNS, (data.links.follower, data.links.followee))
    for name, fields in RAGGED.items():
        if (part := getattr(data, name)) is not None:
            records[name] = _present(fields, [getattr(part, field) for field in fields])
    if data.attributes is not None:
        columns = [getattr(data.attributes, name) for name in CELLS]
        records["attributes"] = _present([f"attribute_{name}" for name in CELLS], columns)
    tables = _present(TABLES, [getattr(data, name) for name in TABLES])
    return records | ({"tables": tables} if tables else {})


def describe(data: Dataset, records: dict[str, dict[str, np.ndarray]]) -> dict:
    """What is not a column: name, sizes, provenance, and which columns each part has (JSON types only)."""
    texts = {name: getattr(data, name).dtype.kind for name in records.get("tables", {}) if name.endswith(TEXTS)}
    if data.frames is not None and data.frames.names is not None:
        texts["names"] = data.frames.names.dtype.kind
    table = data.attributes
    named = {} if table is None else {"attributes": {"names": list(table.names), "classes": _lists(table.classes)}}
    return named | {
        "name": data.name,
        "num_users": data.num_users,
        "num_items": data.num_items,
        "provenance": data.provenance.as_dict() | {"repairs": list(data.provenance.repairs)},
        "texts": texts,
        "columns": {part: list(record) for part, record in records.items()},
    }


def from_records(records: dict[str, dict[str, np.ndarray]], described: dict) -> Dataset:
    """The data set from the output of `to_records` and `describe`."""
    provenance, texts = described["provenance"], described["texts"]
    tables, frames = (
        {name: _texts(column, texts[name]) if name in texts else column for name, column in records.get(of, {}).items()}
        for of in ("tables", "frames")
    )
    return Dataset(
        name=described["name"],
        num_users=described["num_users"],
        num_items=described["num_items"],
        provenance=Provenance(**provenance | {"repairs": tuple(provenance["repairs"])}),
        links=Links(**records["links"]) if "links" in records else None,
        frames=Frames(**frames) if frames else None,
        frame_likes=FrameLikes(**records["frame_likes"]) if "frame_likes" in records else None,
        attributes=_attributes(records["attributes"], described["attributes"]) if "attributes" in records else None,
        **{part: Interactions(**records[part]) for part in PARTS},
        **tables,
    )


def _lists(classes) -> list[list[str]]:
    return [list(each) for each in classes]


def _attributes(record: dict[str, np.ndarray], described: dict) -> Attributes:
    names, classes = tuple(described["names"]), tuple(tuple(each) for each in described["classes"])
    return Attributes(names, classes, **{name.removeprefix("attribute_"): column for name, column in record.items()})


def _present(names, columns) -> dict[str, np.ndarray]:
    return {name: _plain(column) for name, column in zip(names, columns) if column is not None}


def _plain(column: np.ndarray) -> np.ndarray:
    return column.astype(object) if column.dtype.kind in "UO" else column


def _texts(column: np.ndarray, kind: str) -> np.ndarray:
    texts = [text if isinstance(text, str) else text.decode() for text in column]
    return np.array(texts, object if kind == "O" else np.str_)
