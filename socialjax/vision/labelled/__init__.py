"""Pictures with labelled attributes, by name: from a named folder, else $SOCIALJAX_DATA/NAME."""

import os
from pathlib import Path

from socialjax.formats.file_bytes import DataError
from socialjax.names import BadName, identifier
from socialjax.vision.labelled import fashion_ai, label_tables, ut_zap50k
from socialjax.vision.labelled.label_tables import LabelledPictures

READERS = {
    "fashion_products": label_tables.read_fashion_products,
    "ut_zap50k": ut_zap50k.read,
    "fashion_ai": fashion_ai.read,
}


def labelled_pictures(name: str, folder: str | os.PathLike | None = None) -> LabelledPictures:
    """A set of labelled pictures; none is downloaded.

    Args:
        name: one of READERS, or any other name for a `picture_table` of one's own.
        folder: of the files; $SOCIALJAX_DATA/NAME by default.

    Returns:
        The labelled pictures.

    Raises:
        DataError: no folder has it, or the name is invalid.
    """
    try:
        identifier(name, "a labelled set")
    except BadName as error:
        raise DataError(str(error)) from None
    parent = os.environ.get("SOCIALJAX_DATA")
    path = Path(folder) if folder is not None else Path(parent) / name if parent else None
    if path is None or not path.is_dir():
        raise DataError(
            f"wanted a folder with {name}, got {path or 'none, and SOCIALJAX_DATA is not set'}; name the folder, or "
            f"put the files into $SOCIALJAX_DATA/{name}; known are {', '.join(READERS)} and any folder with "
            f"{label_tables.TABLE} (docs/data.md)"
        )
    return READERS.get(name, lambda path: label_tables.read(path, name))(path)
