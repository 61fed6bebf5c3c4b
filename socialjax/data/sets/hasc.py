"""HASC's small set of Flickr, as its authors released it (Wu, Chen, Hong, Fu, Xie, Wang, TKDE 2019).

`mymodel_train.npy`: user -> set of images favoured; `mymodel_val.npy`, `mymodel_test.npy`: user -> one image;
`ups_user.npy`: the owner of each image; `user_ups.npy`: the images of each user, which must say the same;
`user_follow.npy`: the users that each user follows. All but the owners are pickled and read by `raw.pickled`.

Image features and social embeddings were not released.
"""

from pathlib import Path

import numpy as np

from socialjax.data import validate
from socialjax.data.errors import DataError
from socialjax.data.formats.feature_files import read_header
from socialjax.data.formats.file_bytes import FileBytes, read_bytes, require
from socialjax.data.formats.pairs_files import memory_named
from socialjax.data.formats.pickled import read_objects
from socialjax.data.schema import Dataset, Links, Provenance, interactions

PARTS = {"train": "mymodel_train.npy", "validation": "mymodel_val.npy", "test": "mymodel_test.npy"}
OWNERS, UPLOADS, FOLLOWS = "ups_user.npy", "user_ups.npy", "user_follow.npy"
FILES = (*PARTS.values(), OWNERS, UPLOADS, FOLLOWS)
OPTIONAL_FILES: tuple[str, ...] = ()
# 184,991 follows stand in the file, one of them twice.
PUBLISHED = {
    "users": 4_418,
    "items": 31_460,
    "train": 752_948,
    "validation": 4_418,
    "test": 4_418,
    "links": 184_990,
}
SOURCE = "github.com/newlei/HASC, data (Wu et al., TKDE 2019)"
LICENCE = "none stated; crawled from Flickr, research use"


def read(folder: Path, seed: int = 0) -> Dataset:
    """The columns of `folder`. Raises DataError when they are not as published. seed: of no use, the split is given."""
    data = read_files(folder)
    validate.check(data, PUBLISHED)
    return data


def read_files(folder: Path) -> Dataset:
    """As `read`, of files of this format and any size: as many users as follow lists, as many images as owners.

    Raises DataError for an image without an owner, an owner or a followee that is no user, uploads that contradict
    the owners, and whatever `raw.pickled` refuses.
    """
    files = dict(zip(FILES, map(read_bytes, require(folder, FILES))))
    with memory_named(folder):
        followees = _lists(files[FOLLOWS])
        owners = _integers(files[OWNERS])
        users, images = len(followees), len(owners)
        if (owners < 0).any():
            raise _wrong(files[OWNERS], "an owner for each image", f"none for image {(owners < 0).argmax()}")
        _within(files[OWNERS], np.arange(images), owners, users, "image {} belongs to user {}", "users")
        parts = {part: _favourites(files[name], users, images) for part, name in PARTS.items()}
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
        said = claim.format(left[bad[0]], right[bad[0]])
        raise _wrong(file, f"ids below the number of {kind}, {size}", f"{len(bad)} others, first: {said}")


def _same_owners(file: FileBytes, owners: np.ndarray, users: int) -> None:
    rows = _lists(file)
    if len(rows) != users:
        raise _wrong(file, f"a list of uploads for each of {users} users", f"{len(rows)} lists")
    user, image = _flat(file, range(users), rows)
    _within(file, user, image, len(owners), "user {} uploaded image {}", "images with an owner")
    other = np.flatnonzero(owners[image] != user)
    if len(other):
        first = f"image {image[other[0]]} is of user {owners[image[other[0]]]} there, of user {user[other[0]]} here"
        raise _wrong(file, f"the owners of {OWNERS}", first)


def _wrong(file: FileBytes, wanted: str, got: str) -> DataError:
    return DataError(f"{file.path}: wanted {wanted}, got {got}; correct the file or fetch it again")
