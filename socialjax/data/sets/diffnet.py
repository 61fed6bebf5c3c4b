"""DiffNet's file format: `<name>.{train,val,test}.rating` (`user item 1`), `<name>.links` (`follower followee 1`).

Optional feature tables `user_vector.npy`, `item_vector.npy`; any of the files may be `.gz`. Ids are row numbers from 0.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from socialjax.data import validate
from socialjax.data.formats.file_bytes import require
from socialjax.data.formats.pairs_files import memory_named, read_links, read_pairs, table_size
from socialjax.data.own.additions import read_features
from socialjax.data.schema import Dataset, Provenance


def files(name: str) -> tuple[str, ...]:
    """The files that a data set of this format must have."""
    return (*(f"{name}.{part}.rating" for part in ("train", "val", "test")), f"{name}.links")


FILES = {name: files(name) for name in ("yelp", "flickr")}
PUBLISHED = {
    "yelp": {"users": 17_237, "items": 38_342, "train": 185_869, "validation": 3_497, "test": 18_579, "links": 143_765},
    "flickr": {
        "users": 8_358,
        "items": 82_120,
        "train": 282_444,
        "validation": 13_006,
        "test": 32_365,
        "links": 187_273,
    },
}
SOURCES = {
    "yelp": "github.com/PeiJieSun/diffnet, diffnet-tensorflow-v1-python3/data/yelp (Wu et al., SIGIR 2019)",
    "flickr": "github.com/yanzhenxing123/DiffNet-SP, data/flickr (Wu et al., SIGIR 2019 and TKDE 2019)",
}
LICENCES = {
    "yelp": "repository MIT; records under the Yelp Dataset Challenge's terms, academic use",
    "flickr": "repository Apache-2.0; records of Flickr and NUS-WIDE, research use",
}


def read(
    folder: Path,
    name: str,
    published: Mapping[str, int] | None = None,
    num_users: int | None = None,
    num_items: int | None = None,
    features: bool = True,
) -> Dataset:
    """The columns of `folder`, kind `real`, repaired and checked.

    published: counts to compare with (`PUBLISHED[name]`), which give the sizes too. Sizes that nobody gives are the
    rows of the feature tables, else the largest id plus one. features: whether feature tables that lie there are read.
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
            provenance=Provenance("real", SOURCES.get(name, str(folder)), LICENCES.get(name, "not stated"), checksums),
            links=links,
            user_features=user_features,
            item_features=item_features,
        )
        data = validate.repair(data)
        validate.check(data, published)
    return data


def _rows(features: np.ndarray | None) -> int:
    return 0 if features is None else len(features)
