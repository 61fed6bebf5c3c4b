"""What loaders add to the pairs: feature tables, and validation made from train when no file gives it."""

import dataclasses
from pathlib import Path

import numpy as np

from socialjax.data.formats.feature_files import parse_features
from socialjax.data.formats.file_bytes import find, read_bytes
from socialjax.data.schema import Dataset
from socialjax.data.split import hold_out_validation

FEATURE_FILES = {"user_vector.npy": "user_features", "item_vector.npy": "item_features"}  # file -> table
SOCIAL_FILE = "social_vector.npy"


def read_features(folder: Path, name: str, rows: int | None, checksums: dict[str, str]) -> np.ndarray | None:
    """The table f32[rows, F] of `name`, plain or .gz, or None when it is not there; its sha256 into `checksums`."""
    path = find(folder, name)
    if path is None:
        return None
    file = read_bytes(path)
    checksums[path.name] = file.sha256
    return parse_features(file, rows)


def with_features(data: Dataset, paths: list[Path]) -> Dataset:
    """`data` with the feature tables of these files, plain or .gz, one row for each id. Raises DataError."""
    tables, sums = {}, {}
    for path in paths:
        table, file = FEATURE_FILES[path.name.removesuffix(".gz")], read_bytes(path)
        tables[table] = parse_features(file, data.num_users if table == "user_features" else data.num_items)
        sums[path.name] = file.sha256
    provenance = dataclasses.replace(data.provenance, files=data.provenance.files | sums)
    return dataclasses.replace(data, provenance=provenance, **tables)


def with_validation(data: Dataset, ratio: float, seed: int) -> Dataset:
    """`data` with a share of each user's training pairs as validation, stated in the provenance."""
    train, validation = hold_out_validation(data.train, ratio, seed)
    said = f"no validation given: {len(validation)} pairs taken from train, {ratio:g} of each user's, seed {seed}"
    return stated(dataclasses.replace(data, train=train, validation=validation), said)


def stated(data: Dataset, *repairs: str) -> Dataset:
    """`data` with more repairs in its provenance."""
    provenance = dataclasses.replace(data.provenance, repairs=(*data.provenance.repairs, *repairs))
    return dataclasses.replace(data, provenance=provenance)
