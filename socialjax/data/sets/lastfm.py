"""Last.fm artists and friends (HetRec 2011, Cantador et al.) in the split of LightGCN-PyTorch.

`data1.txt` and `test1.txt`: `user artist plays`; `trustnetwork.txt`: `user user`, both directions; ids from 1.
Plays (1 to 324,660) stay in the value column; every pair counts as positive.
"""

from pathlib import Path

from socialjax.data import validate
from socialjax.data.pairs_files import memory_named, read_links, read_pairs
from socialjax.data.schema import Dataset, Provenance, no_interactions
from socialjax.data.sets.published import Published, RemoteFile, counts_of, github, names
from socialjax.data.split import with_validation
from socialjax.data.standin_shapes import Shape
from socialjax.formats.file_bytes import require

FILES = (
    RemoteFile("data1.txt", "15d45d21149cf0340a4f901fceae31bae313aa2cd1f346a4c728e55685289432"),
    RemoteFile("test1.txt", "0e49491e70101693871a1890ad1d68f75a45f05067516a2ac24b8e464d7b4195"),
    RemoteFile("trustnetwork.txt", "eb2f3eb5dbee61161923d0231874cce574c33cea8b9f331d912b1642a1cd29ba"),
)
# Train and validation together are the 42,135 lines of data1.txt.
FACTS: dict[str, object] = {
    "users": 1_892,
    "items": 4_489,
    "train": 38_792,
    "validation": 3_343,
    "test": 10_533,
    "links": 25_434,
    "all pairs": 52_668,
    "pairs in two parts": 0,
    "duplicate pairs": 0,
    "users as DiffNet splits, %": 2.48,
    "users in train": 1_878,
    "users in validation": 1_818,
    "users in test": 1_858,
    "validation users not in test": 8,
    "test users not in train": 2,
    "users without rating": 12,
    "items without rating": 0,
    "items in train": 4_466,
    "items with one train pair": 226,
    "cold test pairs": 58,
    "train items per user": (21, 20.5, 36),
    "train users per item": (4, 8.6, 79),
    "test items per user": (6, 5.67, 17),
    "users with one test item": 53,
    "users with over 10 test items": 67,
    "users by train items": (56, 252, 1_554, 30, 0),
    "test users by train items": (30, 246, 1_552, 30, 0),
    "duplicate links": 0,
    "self links": 0,
    "reciprocated links": 25_434,
    "undirected links": 12_717,
    "symmetrised entries": 25_434,
    "users without links": 0,
    "users without outgoing": 0,
    "users without incoming": 0,
    "social degree": (6, 13.4, 119),
    "users of social degree 1": 203,
    "components": 20,
    "largest component": 1_843,
    "test pairs friends had, %": 34.5,
    "users by social degree": (598, 439, 349, 278, 171, 57),
    "test users by social degree": (588, 432, 342, 274, 168, 54),
}
# fmt: off
SHAPE = Shape.of(
    FACTS,
    user=(0, 7, 14, 18, 22, 25, 27, 29, 31, 32, 35, 37, 39, 41, 42, 43, 45, 46),
    item=(3, 3, 3, 3, 3, 4, 5, 6, 7, 10, 15, 27, 45, 72, 82, 89, 96, 100),
    out=(1, 1, 1, 1, 2, 3, 4, 6, 9, 13, 21, 36, 52, 72, 80, 88, 106, 119),
    into=(1, 1, 1, 1, 2, 3, 4, 6, 9, 13, 21, 36, 52, 72, 80, 88, 106, 119),
    social=-0.21, mutual=1.0, diffnet_split=False,
    values=(7, 28, 51, 74, 98, 122, 148, 175, 206, 240, 280, 327, 382, 450, 539, 654, 819, 1091, 1571, 3186),
)
# fmt: on
COUNTS = counts_of(FACTS)
SOURCE = "github.com/gusye1234/LightGCN-PyTorch, data/lastfm (HetRec 2011)"
LICENCE = "none stated; HetRec data is offered for research"
VALIDATION_RATIO = 0.1


def read(folder: Path, seed: int = 0) -> Dataset:
    """The columns of `folder`, validation made from train. Raises DataError when they are not as published.

    seed: which pairs go to validation.
    """
    paths = require(folder, names(FILES))
    checksums: dict[str, str] = {}
    with memory_named(folder):
        train, test = (read_pairs(path, checksums, lowest=1) for path in paths[:2])
        data = Dataset(
            name="lastfm",
            num_users=COUNTS["users"],
            num_items=COUNTS["items"],
            train=train,
            validation=no_interactions(),
            test=test,
            provenance=Provenance("real", SOURCE, LICENCE, checksums, ("ids lowered by 1, to start at 0",)),
            links=read_links(paths[2], checksums, lowest=1),
        )
        data = with_validation(validate.repair(data), VALIDATION_RATIO, seed)
        validate.check(data, COUNTS)
    return data


SET = Published(
    name="lastfm",
    about="Last.fm artists listened to, mutual friends (HetRec 2011, split of LightGCN-PyTorch)",
    addresses=github("gusye1234/LightGCN-PyTorch", "data/lastfm", "ef7aae37fc51973feabfc7e534720ea51f9eedf6", "master"),
    files=FILES,
    read=read,
    source=SOURCE,
    licence=LICENCE,
    facts=FACTS,
    shape=SHAPE,
)
