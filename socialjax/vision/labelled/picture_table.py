"""A user's own labelled pictures: `pictures.csv`, the pictures, and optionally interactions with them.

`pictures.csv` has a header. Column `image` is the file, below the folder or in `images.tar`; `id`, `title`, `group` and
`split` (train, val, test) are optional; every other column is an attribute, blank where not annotated.
`interactions.csv`, optional, has a line `user, item` and optionally value and time, as in a folder of one's own; items
are referred to by their `id`, or by their file without one.
"""

from pathlib import Path

import numpy as np

from socialjax.data.schema import DataError, Provenance
from socialjax.vision.labelled.fashion_products import PARTS
from socialjax.vision.labelled.label_tables import LabelledPictures, coded, drawn_parts, finished, read_rows

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
