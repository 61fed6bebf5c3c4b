"""Last.fm artists and friends (HetRec 2011, Cantador et al.) in the split of LightGCN-PyTorch.

`data1.txt` and `test1.txt`: `user artist plays`; `trustnetwork.txt`: `user user`, both directions; ids from 1.
Plays (1 to 324,660) stay in the value column; every pair counts as positive.
"""

from pathlib import Path

from socialjax.data import validate
from socialjax.data.formats.file_bytes import require
from socialjax.data.formats.pairs_files import memory_named, read_links, read_pairs
from socialjax.data.own.additions import with_validation
from socialjax.data.schema import Dataset, Provenance, no_interactions

FILES = ("data1.txt", "test1.txt", "trustnetwork.txt")
OPTIONAL_FILES: tuple[str, ...] = ()
# Train and validation together are the 42,135 lines of data1.txt.
PUBLISHED = {"users": 1_892, "items": 4_489, "train": 38_792, "validation": 3_343, "test": 10_533, "links": 25_434}
SOURCE = "github.com/gusye1234/LightGCN-PyTorch, data/lastfm (HetRec 2011)"
LICENCE = "none stated; HetRec data is offered for research"
VALIDATION_RATIO = 0.1


def read(folder: Path, seed: int = 0) -> Dataset:
    """The columns of `folder`, validation made from train. Raises DataError when they are not as published.

    seed: which pairs go to validation.
    """
    paths = require(folder, FILES)
    checksums: dict[str, str] = {}
    with memory_named(folder):
        train, test = (read_pairs(path, checksums, lowest=1) for path in paths[:2])
        data = Dataset(
            name="lastfm",
            num_users=PUBLISHED["users"],
            num_items=PUBLISHED["items"],
            train=train,
            validation=no_interactions(),
            test=test,
            provenance=Provenance("real", SOURCE, LICENCE, checksums, ("ids lowered by 1, to start at 0",)),
            links=read_links(paths[2], checksums, lowest=1),
        )
        data = with_validation(validate.repair(data), VALIDATION_RATIO, seed)
        validate.check(data, PUBLISHED)
    return data
