"""The TFDS form of labelled pictures: their columns in one `array_record` record; pictures in files stay files."""

import os

import numpy as np
import tensorflow_datasets as tfds

from socialjax.data.builders.columns import ColumnsBuilder, read_records
from socialjax.data.labelled import LabelledPictures
from socialjax.data.schema import Provenance

COLUMNS = ("labels", "part", "ids", "files", "pixels", "groups", "boxes")
TEXTS = ("ids", "files", "groups")


class LabelledBuilder(ColumnsBuilder, skip_registration=True):
    """Writes the columns of `pictures` under `data_dir`: one split, `pictures`, of one record."""

    def __init__(self, *, pictures: LabelledPictures, data_dir: str | os.PathLike):
        columns = {name: getattr(pictures, name) for name in COLUMNS}
        present = {name: column for name, column in columns.items() if column is not None}
        self._records = {
            "pictures": {name: column.astype(object) if name in TEXTS else column for name, column in present.items()}
        }
        self._described = {
            "name": pictures.name,
            "names": list(pictures.names),
            "classes": [list(classes) for classes in pictures.classes],
            "folder": pictures.folder,
            "provenance": pictures.provenance.as_dict() | {"repairs": list(pictures.provenance.repairs)},
            "columns": {"pictures": list(present)},
        }
        tfds.core.GeneratorBasedBuilder.__init__(self, data_dir=data_dir, file_format="array_record")


def read(folder: str | os.PathLike) -> LabelledPictures:
    """The pictures that a builder wrote into `folder`. Raises DamagedError for a folder that is no such thing."""
    records, described = read_records(folder)
    columns = records["pictures"]
    for name in set(TEXTS) & set(columns):
        texts = columns[name]
        columns[name] = np.array([text if isinstance(text, str) else text.decode() for text in texts], np.str_)
    provenance = described["provenance"]
    return LabelledPictures(
        name=described["name"],
        names=tuple(described["names"]),
        classes=tuple(map(tuple, described["classes"])),
        folder=described["folder"],
        provenance=Provenance(**provenance | {"repairs": tuple(provenance["repairs"])}),
        **columns,
    )
