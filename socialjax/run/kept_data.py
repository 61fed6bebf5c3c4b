"""Data inside the folder of a run: a set that no files hold, and a copy of the columns that a run's model reads.

With the copy a folder alone recommends on another machine. On Yelp it has 2.8 MB and takes 0.02 s to write.
"""

import dataclasses
import logging
import os
import shutil
import tempfile
from pathlib import Path

from socialjax.contract import Model
from socialjax.data import records
from socialjax.data.checksum import COLUMNS, arrays, checksum
from socialjax.data.schema import Dataset
from socialjax.data.validate import check
from socialjax.export.archive import CARRIED
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible

log = logging.getLogger(__name__)
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)  # what hostile records raise


def carried(run: Path) -> Path | None:
    """Where a run that came as one file (`export.pack`) has its data; None for others."""
    return run / CARRIED if (run / CARRIED).is_dir() else None


def folder_of(run: Path, files: dict[str, str]) -> Path | None:
    """Where the run keeps such data, by the files of their provenance; None for data of files."""
    return run / f"data-{files[COLUMNS][:16]}" if COLUMNS in files else None


def keep(data: Dataset, run: Path) -> None:
    """Writes what `named` gave into the folder of the run, if it is not there."""
    from socialjax.data.builder import ColumnsBuilder  # TensorFlow Datasets takes a second to import

    folder = folder_of(run, data.provenance.files)
    if folder is None or folder.is_dir():
        return
    private = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=run))
    try:
        os.replace(ColumnsBuilder(dataset=data, data_dir=private).prepare(), folder)
    finally:
        shutil.rmtree(private, ignore_errors=True)


COPY = "data_copy"  # folder of a run that holds what its model reads of data that lie elsewhere
LARGEST = 256 << 20  # bytes of columns that are copied without being asked for
# Tables of numbers that a model may not read; all else of a data set is small beside the parameters.
TABLES = ("user_features", "item_features", "social_features", "frames", "attributes")
COUNTED = {"frames": "frames", "frame likes": "frame_likes", "attributes": "attributes"}


def copy_of(run: Path) -> Path | None:
    """Where the run has a copy of its data; None without one."""
    return run / COPY if (run / COPY).is_dir() and not (run / COPY).is_symlink() else None


def carry(data: Dataset, model: Model, run: Path) -> None:
    """Writes what the model reads of the data into the folder of the run, whole or not at all, if it is not there.

    Pairs, links, ids, titles and groups always; tables of features where the model reads them. Nothing of a stand-in,
    which is made anew anywhere, and of what lies in the run anyway. What cannot be written is logged: the run does
    without.
    """
    if data.provenance.kind == "stand-in" or folder_of(run, data.provenance.files) is not None:
        return
    part, target = of_model(data, model), run / COPY
    size = sum(array.nbytes for _, array in arrays(part))
    if size > LARGEST:
        log.info(
            "%s carries no copy of its data, which would have %d MB; Run.save writes them into one file",
            run,
            size >> 20,
        )
        return
    try:
        if target.is_dir() and _is_copy(target, part):
            return
        private = Path(tempfile.mkdtemp(prefix=f".{COPY}-", dir=run))
        try:
            records.write(private, part)
            records.seal(private)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(private, target)
        finally:
            shutil.rmtree(private, ignore_errors=True)
    except OSError as error:
        log.info("%s carries no copy of its data: %s", run, error)


def of_model(data: Dataset, model: Model) -> Dataset:
    """The same data without tables that the model neither needs nor uses, and without frames that are known to be
    liked, which only evaluation reads."""
    reads = (*model.traits.needs, *model.traits.uses)
    return dataclasses.replace(data, frame_likes=None, **{name: None for name in TABLES if name not in reads})


def counts_in_copy(before: dict[str, int], data: Dataset) -> dict[str, int]:
    """The counts of a training without those of the parts that its copy was made without."""
    return {name: count for name, count in before.items() if getattr(data, COUNTED.get(name, "train")) is not None}


def _is_copy(folder: Path, data: Dataset) -> bool:
    """Whether the copy there is of the same files and has the same columns: a start that failed may leave another."""
    try:
        records.check(folder)
        there = records.read(folder)
    except (*_DAMAGE, OSError):
        return False
    return there.provenance.files == data.provenance.files and checksum(there) == checksum(data)


def read(folder: Path) -> Dataset:
    """What `keep`, `carry` or `export.pack` wrote, checked as files are.

    Raises DataError when it is not there, or not as it was written.
    """
    try:
        if not (folder / records.COLUMNS).is_file():  # of an earlier version
            from socialjax.data.builder import read as read_columns  # TensorFlow Datasets takes a second to import

            data = read_columns(folder)
        else:
            records.check(folder)
            data = records.read(folder)
        check(data)
    except (*_DAMAGE, OSError) as error:
        raise DataError(f"{folder}: {visible(error)[:500]}; was the folder of the run changed?") from None
    return data
