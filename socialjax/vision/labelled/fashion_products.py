"""Fashion Product Images (small): catalogue photos with seven labels each (P. Aggarwal, Kaggle).

A folder with `styles.csv` and `images.tar`, or a folder `images`, whose pictures are called `images/<id>.jpg`. A blank
field is no label. The parts are those of the column `split`.
"""

from pathlib import Path

import numpy as np

from socialjax.data.schema import DataError, Provenance
from socialjax.vision.labelled.label_tables import LabelledPictures, coded, finished, read_rows

ATTRIBUTES = ("gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "usage")
PARTS = {"train": 0, "val": 1, "test": 2}
SOURCE = "Fashion Product Images (Small), kaggle.com/paramaggarwal/fashion-product-images-small"
LICENCE = "not stated; a shop's catalogue, local experiments only"


def read(folder: Path) -> LabelledPictures:
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
