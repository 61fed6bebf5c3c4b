"""HASC's small set of Flickr, as its authors released it (Wu, Chen, Hong, Fu, Xie, Wang, TKDE 2019).

`mymodel_train.npy`: user -> set of images favoured; `mymodel_val.npy`, `mymodel_test.npy`: user -> one image;
`ups_user.npy`: the owner of each image; `user_ups.npy`: the images of each user, which must say the same;
`user_follow.npy`: the users that each user follows. All but the owners are pickled and read by `formats.pickled`.

Image features and social embeddings were not released.
"""

from pathlib import Path

import numpy as np

from socialjax.data import validate
from socialjax.data.pairs_files import memory_named
from socialjax.data.schema import Dataset, Links, Provenance, interactions
from socialjax.data.sets.published import Published, RemoteFile, counts_of, github, names
from socialjax.data.standin_shapes import Shape
from socialjax.formats.file_bytes import DataError, FileBytes, read_bytes, read_header, require
from socialjax.formats.pickled import read_objects

PARTS = {
    "train": RemoteFile("mymodel_train.npy", blob="ffbd06dc1b06888d9d68b9dba773cf5981bcd16b"),
    "validation": RemoteFile("mymodel_val.npy", blob="d0b43ff79223560e8d3a4b7ad277bb2465dad17e"),
    "test": RemoteFile("mymodel_test.npy", blob="f1b5f0952d87e29937b02f8c0068a98b9f083c3f"),
}
OWNERS = RemoteFile("ups_user.npy", blob="28ba671b294eecda3eb1b561d3285d877fac703a")
UPLOADS = RemoteFile("user_ups.npy", blob="fcf9b75f938b215326f718675fd737d7564e5611")
FOLLOWS = RemoteFile("user_follow.npy", blob="a172c97908d94d396128afcdad7b4ad17f848b33")
FILES = (*PARTS.values(), OWNERS, UPLOADS, FOLLOWS)
# 184,991 follows stand in the file, one of them twice.
FACTS: dict[str, object] = {
    "users": 4_418,
    "items": 31_460,
    "train": 752_948,
    "validation": 4_418,
    "test": 4_418,
    "links": 184_990,
    "all pairs": 761_784,
    "pairs in two parts": 0,
    "duplicate pairs": 0,
    "users as DiffNet splits, %": 0.0,
    "users in train": 4_418,
    "users in validation": 4_418,
    "users in test": 4_418,
    "validation users not in test": 0,
    "test users not in train": 0,
    "users without rating": 0,
    "items without rating": 0,
    "items in train": 31_460,
    "items with one train pair": 0,
    "cold test pairs": 0,
    "train items per user": (75, 170.4, 5_343),
    "train users per item": (18, 23.9, 440),
    "test items per user": (1, 1.0, 1),
    "users with one test item": 4_418,
    "users with over 10 test items": 0,
    "users by train items": (0, 429, 677, 878, 2_434),
    "test users by train items": (0, 429, 677, 878, 2_434),
    "duplicate links": 0,
    "self links": 0,
    "reciprocated links": 42_150,
    "undirected links": 163_915,
    "symmetrised entries": 327_830,
    "users without links": 0,
    "users without outgoing": 0,
    "users without incoming": 36,
    "social degree": (59, 74.2, 1_555),
    "users of social degree 1": 0,
    "components": 1,
    "largest component": 4_418,
    "test pairs friends had, %": 66.4,
    "users by social degree": (0, 9, 124, 621, 1_692, 1_972),
    "test users by social degree": (0, 9, 124, 621, 1_692, 1_972),
    "items without owner": 0,
    "users without uploads": 0,
    "uploads per user": (3, 7.1, 279),
    "pairs on own items": 0,
    "pairs on items of followees, %": 24.6,
}
# fmt: off
SHAPE = Shape.of(
    FACTS,
    user=(10, 11, 13, 18, 27, 41, 56, 77, 107, 149, 227, 406, 653, 1041, 1478, 1836, 2914, 5345),
    item=(10, 10, 10, 11, 12, 13, 15, 18, 21, 25, 32, 45, 59, 81, 101, 121, 189, 446),
    out=(5, 8, 11, 15, 21, 27, 32, 38, 44, 51, 60, 74, 87, 104, 115, 123, 148, 178),
    into=(0, 1, 3, 5, 9, 12, 17, 22, 29, 40, 58, 97, 149, 231, 320, 375, 503, 1552),
    social=0.29, mutual=0.21, diffnet_split=False, one_held_out=True,
    uploads=(1, 1, 1, 1, 1, 1, 2, 3, 3, 5, 8, 16, 28, 49, 71, 98, 193, 279), famous=0.53, admired=0.9,
)
# fmt: on
COUNTS = counts_of(FACTS)
SOURCE = "github.com/newlei/HASC, data (Wu et al., TKDE 2019)"
LICENCE = "none stated; crawled from Flickr, research use"


def read(folder: Path, seed: int = 0) -> Dataset:
    """The columns of `folder`. Raises DataError when they are not as published. seed: of no use, the split is given."""
    data = read_files(folder)
    validate.check(data, COUNTS)
    return data


def read_files(folder: Path) -> Dataset:
    """As `read`, of files of this format and any size: as many users as follow lists, as many images as owners.

    Raises DataError for an image without an owner, an owner or a followee that is no user, uploads that contradict
    the owners, and whatever `formats.pickled` refuses.
    """
    files = dict(zip(FILES, map(read_bytes, require(folder, names(FILES)))))
    with memory_named(folder):
        followees = _lists(files[FOLLOWS])
        owners = _integers(files[OWNERS])
        users, images = len(followees), len(owners)
        if (owners < 0).any():
            raise _wrong(files[OWNERS], "an owner for each image", f"none for image {(owners < 0).argmax()}")
        _within(files[OWNERS], np.arange(images), owners, users, "image {} belongs to user {}", "users")
        parts = {part: _favourites(files[remote], users, images) for part, remote in PARTS.items()}
        _same_owners(files[UPLOADS], owners, users)
        follower, followee = _flat(files[FOLLOWS], range(users), followees)
        _within(files[FOLLOWS], follower, followee, users, "user {} follows user {}", "users")
        data = Dataset(
            name="hasc_fs",
            num_users=users,
            num_items=images,
            **{part: interactions(*columns) for part, columns in parts.items()},
            provenance=Provenance("real", SOURCE, LICENCE, {file.path.name: file.sha256 for file in files.values()}),
            links=Links(follower.astype(np.int32), followee.astype(np.int32)),
            owners=owners.astype(np.int32),
        )
        return validate.repair(data)


def _favourites(file: FileBytes, users: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """(user, image) i64[N], sorted, of a dict from users to an image or to a set of images."""
    favoured = read_objects(file)
    if not isinstance(favoured, dict):
        raise _wrong(file, "a dict from users to images", f"a {type(favoured).__name__}")
    rows = [[image] if type(image) is int else image for image in favoured.values()]
    user, image = _flat(file, favoured, rows)
    _within(file, image, user, users, "image {} is favoured by user {}", "users")
    _within(file, user, image, images, "user {} favours image {}", "images with an owner")
    order = np.lexsort((image, user))
    return user[order], image[order]


def _lists(file: FileBytes) -> list:
    found = read_objects(file)
    if not isinstance(found, list):
        raise _wrong(file, "a list for each user", f"a {type(found).__name__}")
    return found


def _flat(file: FileBytes, keys, rows) -> tuple[np.ndarray, np.ndarray]:
    """(key, element) i64[N] of rows (list or set of int), one row for each key (int)."""
    keys, rows = list(keys), list(rows)
    for key, row in zip(keys, rows):
        if type(key) is not int or type(row) not in (list, set) or not all(type(value) is int for value in row):
            raise _wrong(file, "a list or set of whole numbers for each user", f"a {type(row).__name__} for {key!r}")
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    values = np.fromiter((value for row in rows for value in row), np.int64, int(lengths.sum()))
    return np.repeat(np.array(keys, np.int64), lengths), values


def _integers(file: FileBytes) -> np.ndarray:
    """The numbers i64[N] of a plain .npy file."""
    shape, _, dtype, body = read_header(file)
    if dtype.kind not in "iu" or len(shape) != 1 or len(file.data) - body != shape[0] * dtype.itemsize:
        got = f"{dtype} {shape} and {len(file.data) - body} bytes"
        raise _wrong(file, "whole numbers of shape (images,)", got)
    return np.frombuffer(file.data, dtype, offset=body).astype(np.int64)


def _within(file: FileBytes, left: np.ndarray, right: np.ndarray, size: int, claim: str, kind: str) -> None:
    """Raises DataError that shows the first pair whose `right` is none of 0..size-1."""
    bad = np.flatnonzero((right < 0) | (right >= size))
    if len(bad):
        example = claim.format(left[bad[0]], right[bad[0]])
        raise _wrong(file, f"ids below the number of {kind}, {size}", f"{len(bad)} others, first: {example}")


def _same_owners(file: FileBytes, owners: np.ndarray, users: int) -> None:
    rows = _lists(file)
    if len(rows) != users:
        raise _wrong(file, f"a list of uploads for each of {users} users", f"{len(rows)} lists")
    user, image = _flat(file, range(users), rows)
    _within(file, user, image, len(owners), "user {} uploaded image {}", "images with an owner")
    other = np.flatnonzero(owners[image] != user)
    if len(other):
        first = f"image {image[other[0]]} is of user {owners[image[other[0]]]} there, of user {user[other[0]]} here"
        raise _wrong(file, f"the owners of {OWNERS.name}", first)


def _wrong(file: FileBytes, wanted: str, got: str) -> DataError:
    return DataError(f"{file.path}: wanted {wanted}, got {got}; correct the file or fetch it again")


SET = Published(
    name="hasc_fs",
    about="HASC's small set of Flickr: favourites, owners of images, directed follows (TKDE 2019)",
    addresses=github("newlei/HASC", "data", "master", "main"),
    files=FILES,
    read=read,
    source=SOURCE,
    licence=LICENCE,
    facts=FACTS,
    shape=SHAPE,
)
