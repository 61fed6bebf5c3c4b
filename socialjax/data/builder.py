"""The TFDS form of a data set: `array_record` files without TensorFlow, one record of columns for each part."""

import contextlib
import io
import json
import logging
import os
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader

from socialjax.data import records
from socialjax.data.reader_threads import check_room
from socialjax.data.records import DamagedError, check, seal
from socialjax.data.schema import Dataset


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
        self._dataset = dataset
        self._records = records.to_records(dataset)
        self._described = records.describe(dataset, self._records)
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
        """Writes, silently, the files, the columns once more for `records.read`, and checksums -> the folder."""
        tfds.disable_progress_bar()
        with _quiet():
            self.download_and_prepare()
        records.write(Path(self.data_path), self._dataset)
        seal(Path(self.data_path))
        return str(self.data_path)


def read(folder: str | os.PathLike) -> Dataset:
    """The data set that a builder wrote into `folder`. Raises DamagedError for a folder that is no such thing."""
    return records.from_records(*read_records(folder))


def read_records(folder: str | os.PathLike) -> tuple[dict[str, dict[str, np.ndarray]], dict]:
    """The records of a folder, {part: {column: array}}, and what `describe` wrote of them.

    Raises DamagedError, and OSError where memory is too tight to read. TFDS itself would import the module of any class
    that features.json names, so the records are decoded by features which are made here and only have to be those that
    the file describes.
    """
    folder = Path(folder)
    check_room()
    names = check(folder)
    described = json.loads((folder / "metadata.json").read_text())
    features = _features_of(folder / "features.json")
    by_part = {}
    for part, present in described["columns"].items():
        files = [name for name in names if name.endswith(f"-{part}.array_record-00000-of-00001")]
        if len(files) != 1:
            raise DamagedError(f"{folder}: wanted one file of {part}, got {len(files)}")
        with contextlib.closing(ArrayRecordReader(str(folder / files[0]))) as reader:
            record = features.deserialize_example_np(reader.read([0])[0])
        by_part[part] = {name: value for name, value in record.items() if name in present}
    return by_part, described


def _features_of(path: Path) -> tfds.features.FeaturesDict:
    """The features that a builder of ours described in `path`. Raises DamagedError for all others."""
    written = json.loads(path.read_text())
    try:
        tensors = {name: feature["tensor"] for name, feature in written["featuresDict"]["features"].items()}
        features = tfds.features.FeaturesDict({name: _tensor(tensor) for name, tensor in tensors.items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path}: not what a builder of ours writes ({type(error).__name__}: {error})") from None
    made = features.to_json()
    if written != {"pythonClassName": made["type"], "featuresDict": made["content"]}:
        raise DamagedError(f"{path}: not what a builder of ours writes; it names other classes or fields")
    return features


def _tensor(described: dict) -> tfds.features.Tensor:
    shape = tuple(int(size) for size in described["shape"]["dimensions"])
    text = described["dtype"] == "string"
    if not text and np.dtype(described["dtype"]).kind not in "biuf":
        raise ValueError(f"numbers of type {described['dtype']}")
    dtype = np.str_ if text else np.dtype(described["dtype"]).type
    return tfds.features.Tensor(shape=tuple(None if size == -1 else size for size in shape), dtype=dtype)


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
