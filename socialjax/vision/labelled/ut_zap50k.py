"""UT-Zap50K: 50,025 catalogue photos of shoes with labels (Yu and Grauman, CVPR 2014).

A folder with `meta-data.csv` (or `ut-zap50k-data/meta-data.csv`) and the folder `ut-zap50k-images` or
`ut-zap50k-images-square`, in which the picture of CID `100627-72` is called `100627.72.jpg`, however deep.

Of its columns four are SAERS's shoe attributes. That reading, and what is done with several values in one field, are
reconstruction: the paper does not say.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from socialjax.data.schema import Provenance
from socialjax.formats.file_bytes import DataError
from socialjax.vision.labelled.label_tables import LabelledPictures, coded, drawn_parts, finished, read_rows

COLUMNS = ("CID", "Category", "SubCategory", "HeelHeight", "Insole", "Closure", "Gender", "Material", "ToeStyle")
ATTRIBUTES = ("heel height", "boot height", "closure", "toe style")
TABLES = ("meta-data.csv", "ut-zap50k-data/meta-data.csv")
FOLDERS = ("ut-zap50k-images-square", "ut-zap50k-images", "images")
SOURCE = "UT-Zap50K, vision.cs.utexas.edu/projects/finegrained/utzap50k (Yu and Grauman, CVPR 2014)"
LICENCE = "academic, non-commercial use only"
Several = Literal["unlabelled", "first"]


def read(folder: Path, several: Several = "unlabelled", seed: int = 0) -> LabelledPictures:
    """Four attributes; classes are read from the table. Groups are `boot` and `shoe`; only boots have a boot height.

    Args:
        folder: of the table and pictures.
        several: how fields such as `Buckle;Zipper` are read. `unlabelled`, since the order of the values is no ranking;
            `first` keeps more labels. Either way the provenance counts them.
        seed: of the parts, a tenth each for validation and test.

    Returns:
        The labelled pictures.

    Raises:
        DataError: a folder without table or pictures, and as `label_tables` does.
    """
    if several not in ("unlabelled", "first"):
        raise ValueError(f"wanted several to be unlabelled or first, got {several!r}")
    folder = Path(folder)
    table = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    pictures = next((folder / name for name in FOLDERS if (folder / name).is_dir()), None)
    if table is None or pictures is None:
        raise DataError(
            f"{folder}: wanted one of {', '.join(TABLES)} and one of the folders {', '.join(FOLDERS)}, got no "
            f"{'table' if table is None else 'folder of pictures'}; unpack the published archives there"
        )
    rows = read_rows(table, COLUMNS)
    boots = [category == "Boots" for category in rows.columns["Category"]]
    columns = (
        rows.columns["HeelHeight"],
        [kind if boot else "" for kind, boot in zip(rows.columns["SubCategory"], boots)],
        rows.columns["Closure"],
        rows.columns["ToeStyle"],
    )
    labels, classes = zip(*(coded([_one(text, several) for text in column]) for column in columns))
    multiple = [sum(len(_values(text)) > 1 for text in column) for column in columns]
    what = "are unlabelled" if several == "unlabelled" else "count as their first"
    repairs = tuple(f"{n} fields of {name} with several values {what}" for n, name in zip(multiple, ATTRIBUTES) if n)
    files = _files(pictures)
    ids = rows.columns["CID"]
    return finished(
        LabelledPictures(
            name="ut_zap50k",
            names=ATTRIBUTES,
            classes=classes,
            labels=np.stack(labels, axis=1),
            part=drawn_parts(ids, seed),
            ids=np.array(ids),
            provenance=Provenance("real", SOURCE, LICENCE, {table.name: rows.sha256}, repairs),
            folder=str(pictures),
            # A name without a file marks a missing picture.
            files=np.array([files.get(name, f"{name}.jpg") for name in ids]),
            groups=np.array(["boot" if boot else "shoe" for boot in boots]),
        )
    )


def _values(text: str) -> list[str]:
    return [value.strip() for value in text.split(";") if value.strip()]


def _one(text: str, several: Several) -> str:
    values = _values(text)
    return "" if not values or (len(values) > 1 and several == "unlabelled") else values[0]


def _files(folder: Path) -> dict[str, str]:
    """CID -> file below `place`; of files that have the same name the first in order."""
    files: dict[str, str] = {}
    for path in sorted(folder.rglob("*.jpg")):
        files.setdefault(path.stem.replace(".", "-"), path.relative_to(folder).as_posix())
    return files
