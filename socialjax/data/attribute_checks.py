"""What attributes, groups and pictures of items must hold before a model sees them."""

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.schema import Attributes, Dataset


def check_attributes(data: Dataset) -> None:
    """Raises DataError for tables of attributes that do not fit each other, their classes or the data's items, and for
    groups or pictures that are not one text an item. Says nothing when there are none."""
    where = f"data set '{data.name}'"
    if data.attributes is not None:
        _check_names(data.attributes, where)
        _check_shapes(data.attributes, data.num_items, where)
        _check_values(data.attributes, where)
    for name in ("item_groups", "item_pictures"):
        column = getattr(data, name)
        if column is not None and (column.shape != (data.num_items,) or column.dtype.kind not in "UO"):
            raise DataError(
                f"{where}: {name} must be {data.num_items} texts, one for each item and '' where there is none, got "
                f"{column.dtype} {column.shape}"
            )


def attribute_notes(data: Dataset) -> list[str]:
    """What people should know of the attributes and no model stumbles over."""
    notes = []
    if data.attributes is not None:
        valid = data.attributes.valid
        none = int((~valid.any(axis=1)).sum())
        notes += [f"{none} items without an attribute"] if none else []
        nowhere = [name for name, there in zip(data.attributes.names, valid.any(axis=0)) if not there]
        notes += [f"attributes that no item has: {', '.join(nowhere)}"] if nowhere else []
    if data.item_groups is not None:
        unknown = int((data.item_groups == "").sum())
        notes += [f"{unknown} items whose product group is not known"] if unknown else []
    return notes


def _check_names(table: Attributes, where: str) -> None:
    names, classes = table.names, table.classes
    if not names or len(set(names)) != len(names) or not all(names):
        raise DataError(
            f"{where}: attributes must have names, each another, got {', '.join(map(repr, names)) or 'none'}"
        )
    if len(classes) != len(names) or not all(classes):
        raise DataError(
            f"{where}: each of {len(names)} attributes must have the names of its classes, got "
            f"{[len(each) for each in classes]} classes"
        )


def _check_shapes(table: Attributes, num_items: int, where: str) -> None:
    cells = num_items, len(table.names)
    if table.features.ndim != 3 or table.features.shape[:2] != cells or table.features.dtype != np.float32:
        raise DataError(
            f"{where}: attributes must have features f32 [{cells[0]} items, {cells[1]} attributes, numbers], got "
            f"{table.features.dtype} {table.features.shape}; convert them"
        )
    wanted = {"valid": "b", "label": "i", "probability": "f", "boxes": "f", "fallback": "b"}
    for name, kind in wanted.items():
        column, shape = getattr(table, name), cells + ((4,) if name == "boxes" else ())
        if column.shape != shape or column.dtype.kind != kind:
            of = {"b": "bool", "i": "integers", "f": "floats"}[kind]
            raise DataError(f"{where}: {name} of attributes must be {of} {shape}, got {column.dtype} {column.shape}")


def _check_values(table: Attributes, where: str) -> None:
    """Features must be finite where an attribute is not valid as well: 0 times what is no number is none either."""
    count = np.array([len(each) for each in table.classes])
    near, far = table.boxes[..., :2], table.boxes[..., 2:]
    finite = np.isfinite(table.features).all(axis=2)
    apart = (0 <= near) & (near < far) & (far <= 1)  # false for what is no number
    for bad, what, advice in (
        (~finite, "features that are finite", "compute them again"),
        ((table.label < -1) | (table.label >= count), "labels in -1..(classes - 1)", "-1 says that there is none"),
        (table.valid & ~((table.probability >= 0) & (table.probability <= 1)), "probabilities in 0..1", "check them"),
        (table.valid & ~apart.all(axis=2), "boxes with 0 <= x0 < x1 <= 1 and the same for y",
         "give parts of the picture's width and height, and the whole picture where nothing stood out"),
    ):  # fmt: skip
        if bad.any():
            item, attribute = np.argwhere(bad)[0]
            raise DataError(
                f"{where}: wanted {what}, got {bad.sum()} others of {bad.size}, first item {item}, "
                f"{table.names[attribute]}; {advice}"
            )
