"""FilmTrust (Guo, Zhang, Yorke-Smith, IJCAI 2013) in the split of QRec.

`trainset.txt` and `testset.txt`: `user item rating`, 0.5 to 4 in halves; `trust.txt`: `trustor trustee 1`, directed;
ids from 1. Ratings stay in the value column. Trust reaches users without ratings, beyond the largest rating user.
"""

from pathlib import Path

from socialjax.data import validate
from socialjax.data.errors import DataError
from socialjax.data.formats.file_bytes import require
from socialjax.data.formats.pairs_files import memory_named, read_links, read_pairs
from socialjax.data.own.additions import with_validation
from socialjax.data.schema import Dataset, Provenance, no_interactions

FILES = ("trainset.txt", "testset.txt", "trust.txt")
OPTIONAL_FILES: tuple[str, ...] = ()
# The 33,748 distinct pairs of trainset.txt, validation included; testset.txt without the pair that train has too.
PUBLISHED = {"users": 1_642, "items": 2_071, "train": 31_026, "validation": 2_722, "test": 1_746, "links": 1_853}
SOURCE = "github.com/Coder-Yu/QRec, dataset/FilmTrust (Guo et al., IJCAI 2013)"
LICENCE = "citation of Guo, Zhang and Yorke-Smith (2013) asked; no licence text"
VALIDATION_RATIO = 0.1


def read(folder: Path, seed: int = 0) -> Dataset:
    """The columns of `folder`, validation made from train. Raises DataError when they are not as published.

    Repairs, each stated: duplicate pairs, the pair that stands in both parts (it stays in train).
    seed: which pairs go to validation.
    """
    paths = require(folder, FILES)
    checksums: dict[str, str] = {}
    with memory_named(folder):
        train, test = (read_pairs(path, checksums, lowest=1) for path in paths[:2])
        for path, pairs in zip(paths, (train, test)):
            if pairs.value is None or ((pairs.value < 0.5) | (pairs.value > 4) | (pairs.value * 2 % 1 != 0)).any():
                raise DataError(f"{path}: wanted ratings 0.5, 1, ... 4 in column 3, got others; fetch the file again")
        data = Dataset(
            name="filmtrust",
            num_users=PUBLISHED["users"],
            num_items=PUBLISHED["items"],
            train=train,
            validation=no_interactions(),
            test=test,
            provenance=Provenance("real", SOURCE, LICENCE, checksums, ("ids lowered by 1, to start at 0",)),
            links=read_links(paths[2], checksums, lowest=1),
        )
        data = with_validation(validate.repair(data, overlap="keep earlier"), VALIDATION_RATIO, seed)
        validate.check(data, PUBLISHED)
    return data
