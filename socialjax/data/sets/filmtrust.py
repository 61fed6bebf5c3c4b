"""FilmTrust (Guo, Zhang, Yorke-Smith, IJCAI 2013) in the split of QRec.

`trainset.txt` and `testset.txt`: `user item rating`, 0.5 to 4 in halves; `trust.txt`: `trustor trustee 1`, directed;
ids from 1. Ratings stay in the value column. Trust reaches users without ratings, beyond the largest rating user.
"""

from pathlib import Path

from socialjax.data import validate
from socialjax.data.pairs_files import memory_named, read_links, read_pairs
from socialjax.data.schema import Dataset, Provenance, no_interactions
from socialjax.data.sets.published import Published, RemoteFile, counts_of, github, names
from socialjax.data.split import with_validation
from socialjax.data.standin_shapes import Shape
from socialjax.formats.file_bytes import DataError, require

FILES = (
    RemoteFile("trainset.txt", "5dde957e2666697ab43fcede5067f58cd1e794450cd147e2399d9d68f07d1d5c"),
    RemoteFile("testset.txt", "65e343ac76f694d48863770b554e12fa3fdf0de431d75b35377c082bb3ef5bbb"),
    RemoteFile("trust.txt", "64573a033add72b988a0fb140fdbc0ad3464cb9821f940007aff6fda44b09603"),
)
# The 33,748 distinct pairs of trainset.txt, validation included; testset.txt without the pair that train has too.
FACTS: dict[str, object] = {
    "users": 1_642,
    "items": 2_071,
    "train": 31_026,
    "validation": 2_722,
    "test": 1_746,
    "links": 1_853,
    "all pairs": 35_494,
    "pairs in two parts": 0,
    "duplicate pairs": 0,
    "users as DiffNet splits, %": 31.24,
    "users in train": 1_499,
    "users in validation": 983,
    "users in test": 812,
    "validation users not in test": 280,
    "test users not in train": 9,
    "users without rating": 134,
    "items without rating": 0,
    "items in train": 1_965,
    "items with one train pair": 733,
    "cold test pairs": 47,
    "train items per user": (12, 18.9, 209),
    "train users per item": (2, 15.0, 921),
    "test items per user": (2, 2.15, 15),
    "users with one test item": 362,
    "users with over 10 test items": 4,
    "users by train items": (582, 358, 310, 359, 33),
    "test users by train items": (80, 162, 211, 326, 33),
    "duplicate links": 0,
    "self links": 0,
    "reciprocated links": 1_088,
    "undirected links": 1_309,
    "symmetrised entries": 2_618,
    "users without links": 768,
    "users without outgoing": 1_033,
    "users without incoming": 910,
    "social degree": (1, 1.6, 67),
    "users of social degree 1": 429,
    "components": 863,
    "largest component": 610,
    "test pairs friends had, %": 25.2,
    "users by social degree": (1_456, 120, 45, 18, 2, 1),
    "test users by social degree": (688, 75, 33, 13, 2, 1),
}
# fmt: off
SHAPE = Shape.of(
    FACTS,
    user=(0, 0, 0, 1, 3, 6, 10, 14, 19, 28, 44, 50, 51, 67, 101, 137, 197, 244),
    item=(1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 5, 8, 14, 389, 590, 734, 915, 1044),
    out=(0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3, 5, 9, 16, 19, 23, 59),
    into=(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 3, 5, 8, 12, 17, 28, 59),
    social=0.04, mutual=0.59, diffnet_split=False,
    values=(0.5, 1, 1.5, *[2] * 3, *[2.5] * 4, *[3] * 7, *[3.5] * 7, *[4] * 9),
)
# fmt: on
COUNTS = counts_of(FACTS)
SOURCE = "github.com/Coder-Yu/QRec, dataset/FilmTrust (Guo et al., IJCAI 2013)"
LICENCE = "citation of Guo, Zhang and Yorke-Smith (2013) asked; no licence text"
VALIDATION_RATIO = 0.1


def read(folder: Path, seed: int = 0) -> Dataset:
    """The columns of `folder`, validation made from train. Raises DataError when they are not as published.

    Repairs, each stated: duplicate pairs, the pair that stands in both parts (it stays in train).
    seed: which pairs go to validation.
    """
    paths = require(folder, names(FILES))
    checksums: dict[str, str] = {}
    with memory_named(folder):
        train, test = (read_pairs(path, checksums, lowest=1) for path in paths[:2])
        for path, pairs in zip(paths, (train, test)):
            if pairs.value is None or ((pairs.value < 0.5) | (pairs.value > 4) | (pairs.value * 2 % 1 != 0)).any():
                raise DataError(f"{path}: wanted ratings 0.5, 1, ... 4 in column 3, got others; fetch the file again")
        data = Dataset(
            name="filmtrust",
            num_users=COUNTS["users"],
            num_items=COUNTS["items"],
            train=train,
            validation=no_interactions(),
            test=test,
            provenance=Provenance("real", SOURCE, LICENCE, checksums, ("ids lowered by 1, to start at 0",)),
            links=read_links(paths[2], checksums, lowest=1),
        )
        data = with_validation(validate.repair(data, overlap="keep earlier"), VALIDATION_RATIO, seed)
        validate.check(data, COUNTS)
    return data


SET = Published(
    name="filmtrust",
    about="FilmTrust: films rated 0.5 to 4, directed trust (IJCAI 2013, split of QRec)",
    addresses=github("Coder-Yu/QRec", "dataset/FilmTrust", "2787cdbf536af7e08376c1a93daa0946dec34077", "master"),
    files=FILES,
    read=read,
    source=SOURCE,
    licence=LICENCE,
    facts=FACTS,
    shape=SHAPE,
)
