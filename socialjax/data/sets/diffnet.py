"""DiffNet's file format: `<name>.{train,val,test}.rating` (`user item 1`), `<name>.links` (`follower followee 1`).

Optional feature tables `user_vector.npy`, `item_vector.npy`; any of the files may be `.gz`. Ids are row numbers from 0.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from socialjax.data import validate
from socialjax.data.own.features import read_features
from socialjax.data.pairs_files import memory_named, read_links, read_pairs, table_size
from socialjax.data.schema import Dataset, Provenance
from socialjax.formats.file_bytes import require


def files(name: str) -> tuple[str, ...]:
    """The files that a data set of this format must have."""
    return (*(f"{name}.{part}.rating" for part in ("train", "val", "test")), f"{name}.links")


def read(
    folder: Path,
    name: str,
    published: Mapping[str, int] | None = None,
    num_users: int | None = None,
    num_items: int | None = None,
    features: bool = True,
    source: str = "",
    licence: str = "not stated",
) -> Dataset:
    """The columns of `folder`, kind `real`, repaired and checked.

    published: counts to compare with, which give the sizes too. Sizes that nobody gives are the
    rows of the feature tables, else the largest id plus one. features: whether feature tables that lie there are read.
    source, licence: what provenance says; by default the folder, and that nothing is stated.
    Raises DataError.
    """
    folder = Path(folder)
    paths = require(folder, files(name))
    checksums: dict[str, str] = {}
    with memory_named(folder):
        train, validation, test = (read_pairs(path, checksums) for path in paths[:3])
        links = read_links(paths[3], checksums)
        sizes = dict(published or {})
        num_users = num_users or sizes.get("users")
        num_items = num_items or sizes.get("items")
        user_features, item_features = (
            read_features(folder, file, rows, checksums) if features else None
            for file, rows in (("user_vector.npy", num_users), ("item_vector.npy", num_items))
        )
        parts = (train, validation, test)
        users = [*(part.user for part in parts), links.follower, links.followee]
        data = Dataset(
            name=name,
            num_users=num_users or _rows(user_features) or table_size("user", users, folder),
            num_items=num_items or _rows(item_features) or table_size("item", [part.item for part in parts], folder),
            train=train,
            validation=validation,
            test=test,
            provenance=Provenance("real", source or str(folder), licence, checksums),
            links=links,
            user_features=user_features,
            item_features=item_features,
        )
        data = validate.repair(data)
        validate.check(data, published)
    return data


def _rows(features: np.ndarray | None) -> int:
    return 0 if features is None else len(features)
