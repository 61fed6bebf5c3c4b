"""Short videos with visual and acoustic features (DiffMM, Jiang et al., ACM MM 2024).

`train.txt`, `val.txt`, `test.txt`: `user item`, ids from 0, one held-out item a user. There they are pickled SciPy
matrices; here they are expected as text. `image_feat.npy`, `audio_feat.npy`: float16, one row for each item.

Item features: both tables side by side, each divided by the mean length of its rows, so that neither drowns the other.
Items and users that occur in validation or test alone are kept: their features are all that is known of such items.
"""

from pathlib import Path

import numpy as np

from socialjax.data import validate
from socialjax.data.pairs_files import memory_named, read_pairs
from socialjax.data.schema import Dataset, Provenance
from socialjax.data.sets.published import Published, RemoteFile, counts_of, github, names
from socialjax.formats.file_bytes import DataError, FileBytes, parse_features, read_bytes, require

PAIRS = (
    RemoteFile("train.txt", "f09aa464293f377fe635b1d02c6a8ed0a56d4e2ba0806723e63525d44639d6ae"),
    RemoteFile("val.txt", "36dfc9c8d82315c63ce754a32321f8957ec2d6a62996df9c9ad605281103db83"),
    RemoteFile("test.txt", "eed1ebd20b52d70ef708ae9a887c625c58df1727ff78be0b870fdb45993553f2"),
)
FEATURES = (
    RemoteFile("image_feat.npy", blob="27ac000dc2feaefdfa06d238d588793dd8ea80ba"),
    RemoteFile("audio_feat.npy", blob="1d0671948dfc54756f5f20a0dbc3026e40f74452"),
)
FILES = PAIRS + FEATURES
# The paper counts 9,319 users; its matrices have 9,308 rows.
FACTS: dict[str, object] = {
    "users": 9_308,
    "items": 6_710,
    "train": 59_541,
    "validation": 3_051,
    "test": 6_130,
    "links": 0,
    "all pairs": 68_722,
    "pairs in two parts": 0,
    "duplicate pairs": 0,
    "users as DiffNet splits, %": 1.35,
    "users in train": 9_298,
    "users in validation": 3_051,
    "users in test": 6_130,
    "validation users not in test": 3_051,
    "test users not in train": 5,
    "users without rating": 0,
    "items without rating": 0,
    "items in train": 6_245,
    "items with one train pair": 1_733,
    "cold test pairs": 449,
    "train items per user": (2, 6.4, 603),
    "train users per item": (3, 8.9, 315),
    "test items per user": (1, 1.0, 1),
    "users with one test item": 6_130,
    "users with over 10 test items": 0,
    "users by train items": (9_205, 0, 0, 0, 103),
    "test users by train items": (6_061, 0, 0, 0, 69),
}
COUNTS = counts_of(FACTS)
SOURCE = "github.com/HKUDS/DiffMM, Datasets/tiktok (Jiang et al., ACM MM 2024), splits written as text"
LICENCE = "none stated; TikTok challenge data, research use"


def read(folder: Path, seed: int = 0) -> Dataset:
    """The columns of `folder`. Raises DataError when they are not as published. seed: of no use, the split is given."""
    data = read_files(folder, COUNTS["users"], COUNTS["items"])
    validate.check(data, COUNTS)
    return data


def read_files(folder: Path, num_users: int, num_items: int) -> Dataset:
    """As `read`, of files of this format and any size; item_features f32[num_items, Fv + Fa]."""
    paths = require(folder, names(FILES))
    checksums: dict[str, str] = {}
    with memory_named(folder):
        train, validation, test = (read_pairs(path, checksums) for path in paths[: len(PAIRS)])
        tables = [_scaled(read_bytes(path), num_items, checksums) for path in paths[len(PAIRS) :]]
        widths = " and ".join(f"{table.shape[1]} of {name}" for table, name in zip(tables, names(FEATURES)))
        note = f"item features: {widths}, as float32, each divided by the mean length of its rows"
        data = Dataset(
            name="tiktok",
            num_users=num_users,
            num_items=num_items,
            train=train,
            validation=validation,
            test=test,
            provenance=Provenance("real", SOURCE, LICENCE, checksums, (note,)),
            item_features=np.concatenate(tables, axis=1),
        )
        return validate.repair(data)


def _scaled(file: FileBytes, rows: int, checksums: dict[str, str]) -> np.ndarray:
    """The table f32[rows, F] over the mean length of its rows. Raises DataError for a table of zeros."""
    checksums[file.path.name] = file.sha256
    table = parse_features(file, rows)
    length = np.linalg.norm(table.astype(np.float64), axis=1).mean()
    if not length:
        raise DataError(f"{file.path}: wanted features, got zeros alone; fetch the file again")
    return (table / length).astype(np.float32)


SET = Published(
    name="tiktok",
    about="Short videos with visual and acoustic features (DiffMM, ACM MM 2024); its splits as text",
    addresses=github("HKUDS/DiffMM", "Datasets/tiktok", "main"),
    files=FILES,
    read=read,
    source=SOURCE,
    licence=LICENCE,
    facts=FACTS,
)
