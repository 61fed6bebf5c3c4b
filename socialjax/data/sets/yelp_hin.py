"""Yelp with attributes and friends, as HERec has it (Shi, Hu, Zhao, Yu, TKDE 2018).

`user_business.dat`: `user business rating`, 1 to 5; `user_user.dat`: friendships, both directions;
`business_category.dat`, `business_city.dat`: `business attribute 1`; ids from 1. Not DiffNet's sample of Yelp.

Ratings above 3 are positives, DiffNet's rule; the lower ones are left out. The files have no split: DiffNet's
(5 % validation, 10 % test of each user's pairs) is made. `user_compliment.dat` is not read.

Item features: categories, each weighted by the logarithm of its rarity and each item's row scaled to length 1, beside
the city as 0 or 1; then the first `WIDTH` principal directions of these 558 columns, which keep nearly all of what
tells items apart and make the products of a step a quarter as dear. An item without category and city has zeros. User
features: the mean over the items the user has in train, and in train alone; zeros for a user without any.
"""

import dataclasses
from pathlib import Path

import numpy as np
from scipy import sparse

from socialjax.data import validate
from socialjax.data.pairs_files import memory_named, read_links, read_pairs
from socialjax.data.schema import Dataset, Interactions, Provenance
from socialjax.data.sets.published import Published, RemoteFile, counts_of, github, names
from socialjax.data.split import DIFFNET_RATIOS, by_ratio
from socialjax.data.standin_shapes import Shape
from socialjax.formats.file_bytes import DataError, require
from socialjax.graph import unique_ints

FILES = (
    RemoteFile("user_business.dat", "d57853e95c3f49f0060f31ee9365ab3fffe1010999c76863c3cd9628b91e994d"),
    RemoteFile("user_user.dat", "d360f88f66b7ba9a1fd460b8c414dba1bec6489773283083a614a77925bcaaed"),
    RemoteFile("business_category.dat", "d3c1499e406c0a842b3c08c478ffe7bf26a8758b630e0b056d0f4bcf18c01a5b"),
    RemoteFile("business_city.dat", "09c009dfa16709aff52de4831b9cb30f45a16dcfce1db06858d54af6ef5f7d1e"),
)
# 75,918 ratings of 4 and 58,258 of 5 in three parts, whose sizes no seed changes.
FACTS: dict[str, object] = {  # split by seed 0; sizes of parts and users in them are those of any seed
    "users": 16_239,
    "items": 14_284,
    "train": 119_055,
    "validation": 3_383,
    "test": 11_738,
    "links": 158_590,
    "all pairs": 134_176,
    "pairs in two parts": 0,
    "duplicate pairs": 0,
    "users as DiffNet splits, %": 100.0,
    "users in train": 14_230,
    "users in validation": 1_645,
    "users in test": 4_529,
    "validation users not in test": 0,
    "test users not in train": 0,
    "users without rating": 2_009,
    "items without rating": 1_546,
    "items in train": 12_346,
    "items with one train pair": 3_455,
    "cold test pairs": 337,
    "train items per user": (2, 7.3, 420),
    "train users per item": (2, 8.3, 473),
    "test items per user": (2, 2.59, 49),
    "users with one test item": 1_956,
    "users with over 10 test items": 107,
    "duplicate links": 0,
    "self links": 0,
    "reciprocated links": 158_590,
    "undirected links": 79_295,
    "symmetrised entries": 158_590,
    "users without links": 5_659,
    "users without outgoing": 5_659,
    "users without incoming": 5_659,
    "social degree": (1, 9.8, 1_391),
    "users of social degree 1": 2_497,
    "components": 5_769,
    "largest component": 10_354,
    "test pairs friends had, %": 40.9,
    "users by train items": (12_376, 1_993, 1_113, 506, 251),
    "test users by train items": (666, 1_993, 1_113, 506, 251),
    "users by social degree": (10_610, 2_037, 1_551, 984, 560, 497),
    "test users by social degree": (1_947, 718, 683, 517, 323, 341),
}
# fmt: off
SHAPE = Shape.of(
    FACTS,
    user=(0, 0, 0, 0, 1, 1, 1, 2, 3, 6, 11, 20, 35, 66, 91, 119, 202, 493),
    item=(0, 0, 0, 0, 1, 1, 2, 2, 3, 5, 10, 23, 41, 74, 106, 155, 288, 515),
    out=(0, 0, 0, 0, 0, 0, 1, 1, 3, 5, 8, 20, 40, 88, 143, 214, 492, 1391),
    into=(0, 0, 0, 0, 0, 0, 1, 1, 3, 5, 8, 20, 40, 88, 143, 214, 492, 1391),
    social=0.33, mutual=1.0, diffnet_split=True,
    values=(*[4] * 9, *[5] * 7),
)
# fmt: on
COUNTS = counts_of(FACTS)
CATEGORIES, CITIES = 511, 47
SOURCE = "github.com/librahu/HIN-Datasets-for-Recommendation-and-Network-Embedding, Yelp (Shi et al., TKDE 2018)"
LICENCE = "none stated; records under Yelp's terms, academic use"
LOWEST_POSITIVE = 4
WIDTH = 128


def read(folder: Path, seed: int = 0) -> Dataset:
    """The positives of `folder`, split, with friends and features. Raises DataError when they are not as published.

    seed: which pairs go to validation and test.
    """
    data = read_files(folder, COUNTS["users"], COUNTS["items"], seed)
    validate.check(data, COUNTS)
    return data


def read_files(folder: Path, num_users: int, num_items: int, seed: int = 0, width: int = WIDTH) -> Dataset:
    """As `read`, of files of this format and any size; features f32[., min(width, CATEGORIES + CITIES)]."""
    paths = require(folder, names(FILES))
    checksums: dict[str, str] = {}
    with memory_named(folder):
        rated = read_pairs(paths[0], checksums, lowest=1)
        if rated.value is None or not np.isin(rated.value, np.arange(1, 6)).all():
            raise DataError(f"{paths[0]}: wanted ratings 1 to 5 in column 3, got others; fetch the file again")
        positive = rated.take(rated.value >= LOWEST_POSITIVE)
        links = read_links(paths[1], checksums, lowest=1)
        given = [read_pairs(path, checksums, lowest=1) for path in paths[2:]]
        columns = [
            _columns(path, pairs, num_items, size) for path, pairs, size in zip(paths[2:], given, (CATEGORIES, CITIES))
        ]
        train, validation, test = by_ratio(positive, DIFFNET_RATIOS, seed)
        data = Dataset(
            name="yelp_hin",
            num_users=num_users,
            num_items=num_items,
            train=train,
            validation=validation,
            test=test,
            provenance=Provenance("real", SOURCE, LICENCE, checksums, _repairs(rated, positive, seed, width)),
            links=links,
        )
        data = validate.repair(data)
        items = item_features(*columns, width)
        return dataclasses.replace(data, item_features=items, user_features=user_features(data.train, items, num_users))


def _columns(path: Path, pairs: Interactions, num_items: int, size: int) -> sparse.csr_matrix:
    """0/1 matrix [I, size] of the attributes of each item. Raises DataError for ids out of range."""
    if pairs.user.max() >= num_items or pairs.item.max() >= size:
        raise DataError(
            f"{path}: wanted business ids up to {num_items} and attribute ids up to {size}, "
            f"got {pairs.user.max() + 1} and {pairs.item.max() + 1}; fetch the file again"
        )
    keys = unique_ints(pairs.user.astype(np.int64) * size + pairs.item)
    return sparse.csr_matrix((np.ones(len(keys)), np.divmod(keys, size)), (num_items, size))


def _repairs(rated: Interactions, positive: Interactions, seed: int, width: int) -> tuple[str, ...]:
    validation, test = DIFFNET_RATIOS
    return (
        "ids lowered by 1, to start at 0",
        f"{len(rated) - len(positive)} ratings below {LOWEST_POSITIVE} left out, {len(positive)} kept as positives",
        f"no split given: {validation:.0%} of each user's pairs to validation, {test:.0%} to test, seed {seed}",
        f"item features made of categories and city, {width} directions; user features their mean over train",
    )


def item_features(category: sparse.csr_matrix, city: sparse.csr_matrix, width: int = WIDTH) -> np.ndarray:
    """f32[I, width] from 0/1 matrices [I, A] and [I, T]: see the head of this module.

    Inner products of rows are those of the weighted columns, as far as `width` directions hold them.
    """
    rarity = np.log(category.shape[0] / np.maximum(category.sum(axis=0).A1, 1))
    weighted = category @ sparse.diags(rarity)
    length = np.sqrt(weighted.multiply(weighted).sum(axis=1).A1)
    scaled = sparse.diags(np.divide(1, length, where=length > 0, out=np.zeros_like(length))) @ weighted
    both = sparse.hstack([scaled, city]).tocsr()
    _, directions = np.linalg.eigh((both.T @ both).toarray())  # ascending
    directions = directions[:, ::-1][:, :width]
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
    return (both @ (directions * np.sign(largest))).astype(np.float32)  # a direction's sign is anyone's choice


def user_features(train: Interactions, items: np.ndarray, num_users: int) -> np.ndarray:
    """f32[U, F], the mean of items f32[I, F] over each user's pairs in `train`; zeros without any."""
    taken = sparse.csr_matrix((np.ones(len(train)), (train.user, train.item)), (num_users, len(items)))
    number = np.bincount(train.user, minlength=num_users)
    return (taken @ items.astype(np.float64) / np.maximum(number, 1)[:, None]).astype(np.float32)


SET = Published(
    name="yelp_hin",
    about="Another sample of Yelp with categories, cities and mutual friends (HERec, TKDE 2018)",
    addresses=github("librahu/HIN-Datasets-for-Recommendation-and-Network-Embedding", "Yelp", "master"),
    files=FILES,
    read=read,
    source=SOURCE,
    licence=LICENCE,
    facts=FACTS,
    shape=SHAPE,
)
