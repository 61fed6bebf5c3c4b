"""The TFDS form of a data set: `array_record` files without TensorFlow, one record of columns for each part.

Whether the threads that array_record starts find room: it waits for ever for those that could not start.

Folders of which every file is known by its checksum: SHA256SUMS, in the form that `sha256sum -c` reads.
"""

import contextlib
import errno
import hashlib
import io
import json
import logging
import os
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader

from socialjax import address_space
from socialjax.data.schema import PARTS, Attributes, Dataset, FrameLikes, Frames, Interactions, Links, Provenance
from socialjax.whole import whole

THREADS = 64  # of its one pool, made with the first reader whatever is read
ARENA = 64 << 20  # bytes of address space that glibc sets aside for threads' own allocations, for up to 8 a core
SLACK = 128 << 20  # an arena is cut from twice its size; measured with 64 threads on 2 cores: 1,502 MB in all


def check_room() -> None:
    """Raises OSError (ENOMEM) where a limit on the address space, as of `ulimit -v`, leaves too little for them."""
    if (room := address_space.left()) is None:
        return
    left, limit = room
    wanted = THREADS * address_space.stack_bytes() + min(THREADS, 8 * (os.cpu_count() or 1)) * ARENA + SLACK
    if left < wanted:
        raise OSError(
            errno.ENOMEM,
            f"array_record's {THREADS} threads want {wanted >> 20} MB of address space, and {left >> 20} are left of "
            f"the {limit >> 20} MB that ulimit -v allows",
        )


SUMS = "SHA256SUMS"


class DamagedError(ValueError):
    """A folder that is not as it was written, or was not written by us: the file, and what is wrong with it."""


def seal(folder: Path) -> None:
    """Writes the checksums of all files of `folder`."""
    with whole(folder / SUMS) as temporary:
        temporary.write_bytes(_as_text(_sums(folder)))


def check(folder: Path) -> list[str]:
    """The names of the files of a sealed folder, sorted. Raises DamagedError that names the files which are others."""
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


PAIR_COLUMNS = ("user", "item", "value", "time")
LINK_COLUMNS = ("follower", "followee")
TABLES = (
    "user_features", "item_features", "owners", "social_features", "user_names", "item_names", "item_titles",
    "item_groups", "item_pictures",
)  # fmt: skip
RAGGED = {"frames": ("offsets", "features", "names"), "frame_likes": ("user", "item", "frame")}
CELLS = ("features", "valid", "label", "probability", "boxes", "fallback")  # of attributes; `attribute_` before each
TEXTS = ("names", "titles", "groups", "pictures")


class _LocalInfo(tfds.core.DatasetInfo):
    def initialize_from_bucket(self) -> None:
        """Does nothing: TFDS would look the set up in its own bucket and leave an empty folder in the system's /tmp."""


class ColumnsBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes `dataset` under `data_dir`. Splits: train, validation, test, links, frames, frame_likes, attributes,
    tables; one record each.

    A record has every column that any part has; the metadata say which columns a part really has, so that an absent
    column and an empty one stay apart.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, dataset: Dataset, data_dir: str | os.PathLike):
        self.name = dataset.name
        self._records = to_records(dataset)
        self._described = describe(dataset, self._records)
        super().__init__(data_dir=data_dir, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        columns = {name: column for record in self._records.values() for name, column in record.items()}
        return _LocalInfo(
            builder=self,
            description="Columns of interactions, links, features and names.",
            features=tfds.features.FeaturesDict({name: _feature(column) for name, column in columns.items()}),
            metadata=tfds.core.MetadataDict(self._described),
        )

    def _split_generators(self, dl_manager):
        return {part: self._generate_examples(part) for part in self._records}

    def _generate_examples(self, part):
        own = self._records[part]
        empty = {name: column[:0] for record in self._records.values() for name, column in record.items()}
        yield part, empty | own

    def prepare(self) -> str:
        """Writes the files and their checksums, silently -> the folder they are in."""
        tfds.disable_progress_bar()
        with _quiet():
            self.download_and_prepare()
        seal(Path(self.data_path))
        return str(self.data_path)


def read(folder: str | os.PathLike) -> Dataset:
    """The data set that a builder wrote into `folder`. Raises DamagedError for a folder that is no such thing."""
    return from_records(*read_records(folder))


def read_records(folder: str | os.PathLike) -> tuple[dict[str, dict[str, np.ndarray]], dict]:
    """The records of a folder, {part: {column: array}}, and what `describe` said of them.

    Raises DamagedError, and OSError where memory is too tight to read. TFDS itself would import the module of any class
    that features.json names, so the records are decoded by features which are made here and only have to be those that
    the file describes.
    """
    folder = Path(folder)
    check_room()
    names = check(folder)
    described = json.loads((folder / "metadata.json").read_text())
    features = _features_of(folder / "features.json")
    records = {}
    for part, present in described["columns"].items():
        found = [name for name in names if name.endswith(f"-{part}.array_record-00000-of-00001")]
        if len(found) != 1:
            raise DamagedError(f"{folder}: wanted one file of {part}, got {len(found)}")
        with contextlib.closing(ArrayRecordReader(str(folder / found[0]))) as reader:
            record = features.deserialize_example_np(reader.read([0])[0])
        records[part] = {name: value for name, value in record.items() if name in present}
    return records, described


def _features_of(path: Path) -> tfds.features.FeaturesDict:
    """The features that a builder of ours described in `path`. Raises DamagedError for all others."""
    found = json.loads(path.read_text())
    try:
        tensors = {name: feature["tensor"] for name, feature in found["featuresDict"]["features"].items()}
        features = tfds.features.FeaturesDict({name: _tensor(tensor) for name, tensor in tensors.items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path}: not what a builder of ours writes ({type(error).__name__}: {error})") from None
    made = features.to_json()
    if found != {"pythonClassName": made["type"], "featuresDict": made["content"]}:
        raise DamagedError(f"{path}: not what a builder of ours writes; it names other classes or fields")
    return features


def _tensor(described: dict) -> tfds.features.Tensor:
    shape = tuple(int(size) for size in described["shape"]["dimensions"])
    text = described["dtype"] == "string"
    if not text and np.dtype(described["dtype"]).kind not in "biuf":
        raise ValueError(f"numbers of type {described['dtype']}")
    dtype = np.str_ if text else np.dtype(described["dtype"]).type
    return tfds.features.Tensor(shape=tuple(None if size == -1 else size for size in shape), dtype=dtype)


def to_records(data: Dataset) -> dict[str, dict[str, np.ndarray]]:
    """{part: {column: array}} with the columns that are there; texts as object arrays of str."""
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
    """The data set of which `to_records` and `describe` made these."""
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


def _feature(column: np.ndarray) -> tfds.features.Tensor:
    text = column.dtype == object
    return tfds.features.Tensor(shape=(None, *column.shape[1:]), dtype=np.str_ if text else column.dtype)


@contextlib.contextmanager
def _quiet():
    """TFDS prints to the screen and logs each file through absl; only its warnings are of use to anyone here."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
