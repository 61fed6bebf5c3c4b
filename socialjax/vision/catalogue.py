"""Catalogues for learning attributes: purchases, a picture of each item, and other pictures with labels."""

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
    """A catalogue.

    Attributes:
        data: without attributes.
        cold_test: test pairs on cold items.
        cold: bool[I].
        items: pictures of the items, as squares of one size.
        labelled: other pictures with labels.
        learned: their pixels, as squares of the same size.
        absent: attribute -> classes that are the absence of a feature.
        picture_source: folder or archive of the items' pictures, for explanations; None: inside the folder of the data.
    """

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

    Args:
        source: folder of the release.
        folder: gets the archive of the items' pictures.
        labels: name of the labelled set.
        labels_dir: its folder.
        size: pixels along a side of a square.

    Returns:
        The catalogue.

    Raises:
        DataError: files are missing, or no item has a picture.
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
    """A user's own table of labelled pictures with interactions (`picture_table`): attributes are learned from its
    labels.

    Args:
        source: folder of the table.
        size: pixels along a side of a square.

    Returns:
        The catalogue.

    Raises:
        DataError: as the readers do.
    """
    labelled = picture_table.read(source)
    data = taken.of_pictures(source, labelled)
    return _by_files(data, PictureFiles(labelled.folder), Path(labelled.folder), labelled, size)


def _by_files(data: Dataset, files: PictureFiles, source: Path, labelled: LabelledPictures, size: int) -> Material:
    """Pictures are read lazily; that of an item without one is white."""
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
