"""Tables with a row for each picture: one's own, and fashion products."""

from pathlib import Path

import numpy as np

from socialjax.data.schema import DataError, Provenance
from socialjax.vision.labelled.label_tables import LabelledPictures, coded, drawn_parts, finished, read_rows

ATTRIBUTES = ("gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "usage")
PARTS = {"train": 0, "val": 1, "test": 2}
SOURCE = "Fashion Product Images (Small), kaggle.com/paramaggarwal/fashion-product-images-small"
LICENCE = "not stated; a shop's catalogue, local experiments only"


def read_fashion_products(folder: Path) -> LabelledPictures:
    """All rows with a picture; groups are the master categories. Raises DataError as `label_tables` does, and for a
    part that is none."""
    folder = Path(folder)
    rows = read_rows(folder / "styles.csv", ("id", *ATTRIBUTES, "split"))
    split = rows.columns["split"]
    for row, part in enumerate(split):
        if part not in PARTS:
            raise rows.error(row, "the part train, val or test", part, "correct the column split")
    labels, classes = zip(*(coded(rows.columns[name]) for name in ATTRIBUTES))
    archive = folder / "images.tar"
    if not archive.is_file() and not (folder / "images").is_dir():
        raise DataError(f"{folder}: wanted images.tar or a folder images, got neither; put the pictures there")
    return finished(
        LabelledPictures(
            name="fashion_products",
            names=ATTRIBUTES,
            classes=classes,
            labels=np.stack(labels, axis=1),
            part=np.array([PARTS[part] for part in split], np.uint8),
            ids=np.array(rows.columns["id"]),
            provenance=Provenance("real", SOURCE, LICENCE, {"styles.csv": rows.sha256}),
            folder=str(archive if archive.is_file() else folder),
            files=np.array([f"images/{name}.jpg" for name in rows.columns["id"]]),
            groups=np.array(rows.columns["masterCategory"]),
        )
    )


TABLE, PAIRS, ARCHIVE = "pictures.csv", "interactions.csv", "images.tar"
NOT_ATTRIBUTES = ("image", "id", "title", "group", "split")


def is_here(folder: Path) -> bool:
    """Whether a folder has this form."""
    return (Path(folder) / TABLE).is_file()


def read(folder: Path, name: str | None = None, seed: int = 0) -> LabelledPictures:
    """The labelled pictures, in the order of the table. Without a column `split` a tenth is validation, a tenth test.

    Args:
        folder: of the table and pictures.
        name: of the set; by default that of the folder.
        seed: of the parts.

    Returns:
        The labelled pictures.

    Raises:
        DataError: a table without attributes, a duplicate id or image, an unknown part, and as `label_tables` does.
    """
    folder = Path(folder)
    rows = read_rows(folder / TABLE, ("image",))
    attributes = tuple(name for name in rows.columns if name not in NOT_ATTRIBUTES)
    if not attributes:
        raise DataError(f"{rows.path}, line 1: wanted a column for each attribute, got none; add neckline, sleeve, ...")
    ids = rows.columns.get("id", rows.columns["image"])
    for kind, column in (("id", ids), ("image", rows.columns["image"])):
        first: dict[str, int] = {}
        for row, text in enumerate(column):
            if not text or first.setdefault(text, row) != row:
                raise rows.error(row, f"{kind}s that are not blank and stand once", text, "drop the row or correct it")
    parts = rows.columns.get("split")
    for row, part in enumerate(parts or ()):
        if part not in PARTS:
            raise rows.error(row, "the part train, val or test", part, "correct the column split")
    labels, classes = zip(*(coded(rows.columns[attribute]) for attribute in attributes))
    archive = folder / ARCHIVE
    groups = rows.columns.get("group")
    return finished(
        LabelledPictures(
            name=name or folder.name,
            names=attributes,
            classes=classes,
            labels=np.stack(labels, axis=1),
            part=drawn_parts(ids, seed) if parts is None else np.array([PARTS[part] for part in parts], np.uint8),
            ids=np.array(ids),
            provenance=Provenance("real", str(folder), files={TABLE: rows.sha256}),
            folder=str(archive if archive.is_file() else folder),
            files=np.array(rows.columns["image"]),
            groups=None if groups is None else np.array(groups),
        )
    )
