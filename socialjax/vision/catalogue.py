"""A catalogue to learn attributes of: who bought what, a picture of each item, and other pictures with labels."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from socialjax.data.picture_files import PictureFiles
from socialjax.data.schema import DataError, Dataset, Interactions
from socialjax.data.sets import amazon_fashion
from socialjax.eval.cold_start import cold_start_items
from socialjax.vision import taken
from socialjax.vision.labelled import picture_table, readers
from socialjax.vision.labelled.label_tables import LabelledPictures

log = logging.getLogger(__name__)
Squares = Callable[[np.ndarray], np.ndarray]  # rows i[n] -> u8[n, S, S, 3]


@dataclasses.dataclass(frozen=True)
class Material:
    """data: without attributes. cold_test: pairs of items that are cold, bool[I]. items, learned: pictures of the items
    and of `labelled`, as squares of one size. absent: attribute -> classes that are the absence of a feature. shown:
    folder or archive of the items' pictures, for explanations; None: inside the folder of the data."""

    data: Dataset
    cold_test: Interactions
    cold: np.ndarray
    items: Squares
    labelled: LabelledPictures
    learned: Squares
    absent: dict[str, tuple[str, ...]]
    picture_source: Path | None = None


def real(source: Path, folder: Path, labels: str, labels_dir: Path | None, size: int = 224) -> Material:
    """DVBPR's Amazon Fashion and a set of labelled pictures. An item without a picture has no valid attribute.

    Raises DataError for what is missing, and where no item has a picture.
    """
    release = amazon_fashion.read(source)
    data = release.data
    if not (has_picture := data.item_pictures != "").any():
        raise DataError(f"{source}: wanted pictures of items, got none of {data.num_items}; fetch the file again")
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "pictures.tar"
    if not archive.is_file():
        for problem in amazon_fashion.write_pictures(release, archive):
            log.warning("left out: %s", problem)
    files = PictureFiles(archive)
    damaged = files.missing(data.item_pictures[has_picture].tolist())
    data = dataclasses.replace(
        data, item_pictures=np.where(np.isin(data.item_pictures, damaged), "", data.item_pictures)
    )
    if not (has_picture := data.item_pictures != "").all():
        log.warning("%d items have no picture; their attributes are not valid", int((~has_picture).sum()))
    labelled = readers.labelled(labels, labels_dir)
    return _by_files(data, files, archive, labelled, size)


def own(source: Path, size: int = 224) -> Material:
    """Anyone's own table of pictures, whose labels are what attributes are learned from, with who took which of them
    (`picture_table`). Raises DataError."""
    labelled = picture_table.read(source)
    data = taken.of_pictures(source, labelled)
    return _by_files(data, PictureFiles(labelled.folder), Path(labelled.folder), labelled, size)


def _by_files(data: Dataset, files: PictureFiles, source: Path, labelled: LabelledPictures, size: int) -> Material:
    """Pictures are read when they are asked for; that of an item without one is white."""
    learned = PictureFiles(labelled.folder)
    white = np.full((size, size, 3), 255, np.uint8)
    cold = cold_start_items(data)
    test = data.test.take(cold[data.test.item])

    def of_items(rows: np.ndarray) -> np.ndarray:
        names = data.item_pictures[rows]
        return np.stack([files.read(str(name), size) if name else white for name in names])

    def of_labelled(rows: np.ndarray) -> np.ndarray:
        return np.stack([learned.read(str(name), size) for name in labelled.files[rows]])

    return Material(data, test, cold, of_items, labelled, of_labelled, {}, source)
