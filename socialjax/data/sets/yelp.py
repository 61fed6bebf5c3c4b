"""DiffNet's Yelp: ratings above 3 of businesses, directed links (Wu et al., SIGIR 2019)."""

from pathlib import Path

from socialjax.data.schema import Dataset
from socialjax.data.sets import diffnet
from socialjax.data.sets.published import Published, RemoteFile, counts_of, github
from socialjax.data.standin_shapes import Shape

SOURCE = "github.com/PeiJieSun/diffnet, diffnet-tensorflow-v1-python3/data/yelp (Wu et al., SIGIR 2019)"
LICENCE = "repository MIT; records under the Yelp Dataset Challenge's terms, academic use"
FILES = (
    RemoteFile("yelp.train.rating", "7870b0889831108633e1ca3bbdaf8c56ebe7b68f282ebc0030f05e49eca1b478"),
    RemoteFile("yelp.val.rating", "dd2b45c434af3e10ffa26974507f6365b50ab55be163be4dd840da3df8e855eb"),
    RemoteFile("yelp.test.rating", "794644f954a5afd53e719bc42d5d2b08a26ef6f93575c1eceb47b2f482154385"),
    RemoteFile("yelp.links", "c15e94ee0dd50899eff283d2d08f6b9701abad888750cffcd17a0e142edf4613"),
)
FACTS: dict[str, object] = {
    "users": 17_237,
    "items": 38_342,
    "train": 185_869,
    "validation": 3_497,
    "test": 18_579,
    "links": 143_765,
    "all pairs": 207_945,
    "pairs in two parts": 0,
    "duplicate pairs": 0,
    "users as DiffNet splits, %": 100.0,
    "users in train": 17_235,
    "users in validation": 2_402,
    "users in test": 10_622,
    "validation users not in test": 0,
    "test users not in train": 0,
    "users without rating": 2,
    "items without rating": 964,
    "items in train": 36_443,
    "items with one train pair": 9_025,
    "cold test pairs": 877,
    "train items per user": (7, 10.8, 343),
    "train users per item": (3, 4.8, 187),
    "test items per user": (1, 1.75, 40),
    "users with one test item": 6_301,
    "users with over 10 test items": 43,
    "duplicate links": 0,
    "self links": 0,
    "reciprocated links": 28_516,
    "undirected links": 129_507,
    "symmetrised entries": 259_014,
    "users without links": 0,
    "users without outgoing": 1_829,
    "users without incoming": 1_685,
    "social degree": (5, 15.0, 715),
    "users of social degree 1": 2_572,
    "components": 48,
    "largest component": 17_138,
    "test pairs friends had, %": 17.3,
    "users by train items": (9_422, 4_938, 2_162, 585, 130),
    "test users by train items": (2_807, 4_938, 2_162, 585, 130),
    "users by social degree": (6_377, 3_996, 2_976, 1_946, 1_154, 788),
    "test users by social degree": (2_859, 2_452, 2_154, 1_548, 931, 678),
}
# fmt: off
SHAPE = Shape.of(
    FACTS,
    user=(0, 3, 4, 4, 5, 6, 7, 8, 9, 12, 16, 23, 33, 50, 68, 87, 136, 403),
    item=(0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 7, 12, 18, 29, 40, 54, 94, 202),
    out=(0, 0, 0, 0, 1, 1, 2, 3, 4, 6, 10, 20, 33, 60, 86, 119, 199, 419),
    into=(0, 0, 0, 1, 1, 1, 2, 3, 4, 6, 10, 19, 34, 61, 85, 119, 205, 372),
    social=0.41, mutual=0.81, diffnet_split=True,
)
# fmt: on


def read(folder: Path, seed: int = 0, features: bool = False) -> Dataset:
    """The columns of `folder`. Raises DataError when they are not as published. seed: of no use, the split is given."""
    return diffnet.read(folder, "yelp", counts_of(FACTS), features=features, source=SOURCE, licence=LICENCE)


SET = Published(
    name="yelp",
    about="DiffNet's Yelp: businesses rated, directed user links (SIGIR 2019)",
    addresses=github("PeiJieSun/diffnet", "diffnet-tensorflow-v1-python3/data/yelp", "cad45d5", "master"),
    files=FILES,
    optional=(
        RemoteFile("user_vector.npy", blob="85009b43aa2c5f6d6cb11c6c53665ad299781620"),
        RemoteFile("item_vector.npy", blob="374f0e2ff7a64a068540e73d5d64ebd41af5cc8e"),
    ),
    optional_at="github.com/PeiJieSun/diffnet, folder diffnet-tensorflow-v1-python3/data/yelp",
    read=read,
    source=SOURCE,
    licence=LICENCE,
    facts=FACTS,
    shape=SHAPE,
)
