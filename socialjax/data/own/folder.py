"""Anyone's own data: a folder of text tables; `read` says what may be in it."""

import dataclasses
import math
from pathlib import Path
from typing import Literal

from socialjax.data import split as splits
from socialjax.data import validate
from socialjax.data.errors import DataError
from socialjax.data.formats.pairs_files import memory_named
from socialjax.data.own import ngcf
from socialjax.data.own.additions import stated, with_validation
from socialjax.data.own.folder_columns import Choice, read_columns
from socialjax.data.own.folder_files import pairs_paths
from socialjax.data.schema import Dataset, no_interactions


@dataclasses.dataclass(frozen=True)
class FolderOptions:
    """How a folder is read. Files that are split already take `min_value`, `validation`, `seed` and ratios[0] alone."""

    split: Literal["auto", "ratio", "leave-one-out", "time"] = "auto"
    """auto: the parts if the folder has them, else by ratio, else (nobody has enough pairs for that) leave-one-out."""
    ratios: tuple[float, float] = splits.DIFFNET_RATIOS
    """Shares of validation and test; the first is also the share taken from train when validation is missing."""
    k_core: int = 0
    """Keep only users and items with at least so many pairs among each other."""
    min_value: float | None = None
    """Pairs with a smaller value are dropped; without it every pair is positive."""
    validation: Literal["auto", "none"] = "auto"
    """auto: made from train when missing. none: no validation part, its pairs stay in train."""
    seed: int = 0
    """Chance of the split and of the cold items."""
    cold_items: float = 0.0
    """Share of the items whose pairs all go to test."""

    def __post_init__(self):
        if self.split not in ("auto", "ratio", "leave-one-out", "time") or self.validation not in ("auto", "none"):
            raise DataError(f"split must be auto, ratio, leave-one-out or time, validation auto or none, got {self}")
        if self.k_core < 0 or not 0 <= self.cold_items < 1:
            raise DataError(f"k_core must be 0 or more and cold_items in 0..1, got {self.k_core}, {self.cold_items}")
        if self.min_value is not None and not math.isfinite(self.min_value):
            raise DataError(f"min_value must be a finite number, got {self.min_value}")
        splits.check_ratios(self.ratios)


def read(folder: Path, name: str, options: FolderOptions | None = None) -> Dataset:
    """The columns of `folder`, kind `real`, repaired (stated in the provenance) and checked. Raises DataError.

    Files, each plain or `.gz`, parted by tabs, commas or blanks, UTF-8, with or without a header:
    - `<name>.{train,val,test}.rating` or one `<name>.rating` (also .csv, .tsv, .txt): `user item [value [time]]`,
      time in seconds; a header may name the columns in another order. `.val` may be missing.
    - `<name>.links`, optional: `follower followee`.
    - `<name>.items`, optional: item id and title.
    - `<name>.owners`, optional: `item user`, who made the item; or `<name>.uploads`: `user item`; or both.
    - `user_vector.npy`, `item_vector.npy`, `social_vector.npy`, optional: row r holds the features of id r, the last
      those of a user's place in the social graph.

    Or, where nothing is called `<name>.*`, `train.txt`, `test.txt` and perhaps `val.txt` as `raw.ngcf` reads them.

    Ids may be any words. Integer ids are kept as row numbers when there is a feature table for them or when they are
    dense (`ids.assign`); all others are numbered in sorted order and kept as user_names and item_names.
    """
    folder, options = Path(folder), options or FolderOptions()
    with memory_named(folder):
        data = _lists(folder, name, options) if ngcf.paths(folder, name) else _tables(folder, name, options)
        if options.validation == "none":
            train = splits.concatenate([data.train, data.validation])
            data = dataclasses.replace(data, train=train, validation=no_interactions())
        elif not len(data.validation):
            data = with_validation(data, options.ratios[0] or splits.DIFFNET_RATIOS[0], options.seed)
        validate.check(data)
    return data


def _tables(folder: Path, name: str, options: FolderOptions) -> Dataset:
    """Tables of pairs, in parts or split here."""
    paths = pairs_paths(folder, name, wants_split=options.split != "auto")
    is_split = "all" not in paths
    if is_split and (options.k_core or options.cold_items):
        names = ", ".join(path.name for path in paths.values())
        raise DataError(f"{folder}: k_core and cold_items need one unsplit file, got {names}; join them into one")
    data = validate.repair(read_columns(folder, name, paths, Choice(options.min_value, options.k_core)))
    return data if is_split else _split(data, options)


def _lists(folder: Path, name: str, options: FolderOptions) -> Dataset:
    """Lists of items, which come in parts and without values."""
    plain = FolderOptions()
    changed = [f for f in ("split", "k_core", "min_value", "cold_items") if getattr(options, f) != getattr(plain, f)]
    if changed:
        raise DataError(
            f"{folder}: train.txt and test.txt are split already and have no values, got {', '.join(changed)}; "
            "leave that out, or give one unsplit file of pairs"
        )
    return validate.repair(ngcf.read(folder, name))


def _split(data: Dataset, options: FolderOptions) -> Dataset:
    """Train, which holds all pairs, parted as the options say; what was done is stated."""
    how = "ratio" if options.split == "auto" else options.split
    parts = _parts(data, how, options)
    if not len(parts.test) and options.split == "auto":
        how = "leave-one-out"
        parts = _parts(data, how, options)
    if not len(parts.test):
        raise DataError(
            f"data set '{data.name}': wanted test pairs, got none from a split by {how} of {len(data.train)} pairs; "
            "raise the ratios or use leave-one-out"
        )
    said = f"one file split by {how}" + ("" if how == "leave-one-out" else f" {options.ratios}")
    if options.cold_items:
        parts = splits.cold_items(parts, options.cold_items, options.seed)
        said += f", {options.cold_items:g} of the items in test only"
    data = dataclasses.replace(data, train=parts.train, validation=parts.validation, test=parts.test)
    return stated(data, f"{said}, seed {options.seed}")


def _parts(data: Dataset, how: str, options: FolderOptions) -> splits.Parts:
    if how == "time":
        return splits.by_time(data.train, options.ratios)
    if how == "leave-one-out":
        return splits.leave_one_out(data.train, options.seed)
    return splits.by_ratio(data.train, options.ratios, options.seed)
