"""DiffNet's Flickr: favourite images, directed follows (Wu et al., TKDE 2019, SIGIR 2019)."""

from pathlib import Path

from socialjax.data.schema import Dataset
from socialjax.data.sets import diffnet
from socialjax.data.sets.published import Published, RemoteFile, counts_of, github
from socialjax.data.standin_shapes import Shape

SOURCE = "github.com/yanzhenxing123/DiffNet-SP, data/flickr (Wu et al., SIGIR 2019 and TKDE 2019)"
LICENCE = "repository Apache-2.0; records of Flickr and NUS-WIDE, research use"
FILES = (
    RemoteFile("flickr.train.rating", "506fec4d851f7cfe9c29c4e69268b0209663e0a6239b7669203e035a24855316"),
    RemoteFile("flickr.val.rating", "cb2e8fb82e1e5685b6eb8d63a0e95f5c3669391dd69777c2403ed4e8a2ed78d0"),
    RemoteFile("flickr.test.rating", "19bec446356247792554269cf603abc3b9a304cfb42ac774313f39b2d10a6303"),
    RemoteFile("flickr.links", "8e38640aa6774576f841041764a577d2b497a0357074674039cbac4f6184c7a3"),
)
FACTS: dict[str, object] = {
    "users": 8_358,
    "items": 82_120,
    "train": 282_444,
    "validation": 13_006,
    "test": 32_365,
    "links": 187_273,
    "all pairs": 327_815,
    "pairs in two parts": 0,
    "duplicate pairs": 0,
    "users as DiffNet splits, %": 100.0,
    "users in train": 8_252,
    "users in validation": 3_703,
    "users in test": 6_111,
    "validation users not in test": 0,
    "test users not in train": 0,
    "users without rating": 106,
    "items without rating": 0,
    "items in train": 78_358,
    "items with one train pair": 26_492,
    "cold test pairs": 2_961,
    "train items per user": (14, 33.8, 1_487),
    "train users per item": (2, 3.4, 114),
    "test items per user": (2, 5.3, 175),
    "users with one test item": 1_490,
    "users with over 10 test items": 707,
    "users by train items": (2_750, 1_647, 1_675, 1_192, 1_094),
    "test users by train items": (503, 1_647, 1_675, 1_192, 1_094),
    "duplicate links": 0,
    "self links": 0,
    "reciprocated links": 21_594,
    "undirected links": 176_476,
    "symmetrised entries": 352_952,
    "users without links": 0,
    "users without outgoing": 0,
    "users without incoming": 213,
    "social degree": (33, 42.2, 1_320),
    "users of social degree 1": 9,
    "components": 1,
    "largest component": 8_358,
    "test pairs friends had, %": 19.6,
    "users by social degree": (56, 276, 1_023, 2_559, 3_117, 1_327),
    "test users by social degree": (14, 85, 486, 1_730, 2_604, 1_192),
}
# fmt: off
SHAPE = Shape.of(
    FACTS,
    user=(0, 1, 1, 2, 5, 7, 11, 16, 22, 33, 50, 94, 154, 263, 362, 504, 763, 1749),
    item=(1, 1, 1, 1, 1, 1, 2, 2, 3, 4, 6, 9, 12, 18, 23, 29, 45, 129),
    out=(1, 3, 4, 6, 10, 14, 17, 20, 24, 28, 33, 41, 48, 56, 62, 68, 80, 100),
    into=(0, 0, 1, 2, 4, 6, 8, 11, 15, 21, 30, 51, 77, 130, 174, 233, 332, 1307),
    social=0.4, mutual=0.3, diffnet_split=True,
)
# fmt: on


def read(folder: Path, seed: int = 0, features: bool = False) -> Dataset:
    """The columns of `folder`. Raises DataError when they are not as published. seed: of no use, the split is given."""
    return diffnet.read(folder, "flickr", counts_of(FACTS), features=features, source=SOURCE, licence=LICENCE)


SET = Published(
    name="flickr",
    about="DiffNet's Flickr: favourite images, directed follows (TKDE 2019, SIGIR 2019)",
    addresses=github(
        "yanzhenxing123/DiffNet-SP", "data/flickr", "42787c543971e852c24398555eecc4aaa52026ad", "main", "master"
    ),
    files=FILES,
    read=read,
    source=SOURCE,
    licence=LICENCE,
    facts=FACTS,
    shape=SHAPE,
)
