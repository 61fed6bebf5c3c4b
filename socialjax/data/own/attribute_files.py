"""A data set whose items have attributes located on their pictures, as a folder that an experiment writes once.

    columns.npz   pairs of each part, tables of attributes, features, names, groups and pictures of items
    data.json     name, counts, names of attributes and classes, what kind of data it is and where it comes from
    pictures/     the items' pictures, where they were drawn; else item_pictures say where they are

With `--data.dir FOLDER` the data of a run can be read back, explained and displayed.
"""

import dataclasses
import json
from pathlib import Path
from typing import TypedDict

import numpy as np

from socialjax import json_files, npz_files
from socialjax.atomic_write import atomic_write
from socialjax.data.cache import ChangedError, file_checksums
from socialjax.data.schema import PARTS, Attributes, Dataset, Provenance, interactions
from socialjax.data.validate import check
from socialjax.formats.file_bytes import DataError

COLUMNS, DESCRIBED, PICTURES = "columns.npz", "data.json", "pictures"
LARGEST = 8 << 30  # bytes of all columns; a million items of 2,048 features each
CELLS = ("features", "valid", "label", "probability", "boxes", "fallback")
TABLES = ("item_features", "user_names", "item_names", "item_titles", "item_groups", "item_pictures")


class Described(TypedDict):
    """What data.json holds."""

    name: str
    num_users: int
    num_items: int
    names: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    provenance: Provenance


def is_here(folder: Path) -> bool:
    """Whether a folder has this form."""
    return (folder / COLUMNS).is_file() and (folder / DESCRIBED).is_file()


def write(folder: Path, data: Dataset) -> None:
    """Writes a data set with attributes, each file atomically. Raises ValueError without attributes."""
    if data.attributes is None:
        raise ValueError(f"data set '{data.name}' has no attributes; write it as tables (docs/data.md)")
    columns = {f"attribute_{name}": getattr(data.attributes, name) for name in CELLS}
    for part, pairs in data.parts().items():
        columns |= {f"{part}_user": pairs.user, f"{part}_item": pairs.item}
    for name in TABLES:
        if (table := getattr(data, name)) is not None:
            columns[name] = table.astype(str) if table.dtype == object else table
    described = {
        "name": data.name,
        "num_users": data.num_users,
        "num_items": data.num_items,
        "names": list(data.attributes.names),
        "classes": [list(each) for each in data.attributes.classes],
        "provenance": data.provenance.as_dict(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / COLUMNS) as temporary, open(temporary, "wb") as file:  # a name would get the ending .npz
        np.savez_compressed(file, **columns)
    with atomic_write(folder / DESCRIBED) as temporary:
        temporary.write_text(json.dumps(described, indent=1, sort_keys=True), encoding="utf-8")


def read(folder: Path, name: str) -> Dataset:
    """Reads and checks what `write` wrote. Raises DataError for a damaged folder or one of another data set."""
    try:
        sums = file_checksums([folder / COLUMNS, folder / DESCRIBED])
        described = json_files.typed(json_files.read(folder / DESCRIBED), Described)
        columns = npz_files.read(folder / COLUMNS, largest=LARGEST)
        if file_checksums([folder / COLUMNS, folder / DESCRIBED]) != sums:
            raise ChangedError(f"{folder} was written to while it was read; start again when that has ended")
        made = described["provenance"]
        attributes = Attributes(
            names=described["names"],
            classes=described["classes"],
            **{cell: columns[f"attribute_{cell}"] for cell in CELLS},
        )
        parts = {part: interactions(columns[f"{part}_user"], columns[f"{part}_item"]) for part in PARTS}
        data = Dataset(
            name=described["name"],
            num_users=described["num_users"],
            num_items=described["num_items"],
            provenance=made,
            attributes=attributes,
            **parts,
            **{table: columns.get(table) for table in TABLES},
        )
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise DataError(
            f"{folder}: wanted {COLUMNS} and {DESCRIBED} as an experiment wrote them, got files that cannot be read "
            f"({type(problem).__name__}: {str(problem)[:80]}); delete the folder and run the experiment again"
        ) from None
    if data.name != name:
        raise DataError(f"{folder} holds data set '{data.name}', not '{name}'; give --data.name {data.name}")
    check(data)
    return dataclasses.replace(data, provenance=dataclasses.replace(data.provenance, files=made.files | sums))
