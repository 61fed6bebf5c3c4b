"""A user's own data: a folder of text tables; `read` documents its files.

The module finds the files, reads owners of items (`<name>.owners`, `<name>.uploads` or both),
and turns fields into ids, rows, links and titles before any split.
"""

import dataclasses
import math
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from socialjax.data import split as splits
from socialjax.data import validate
from socialjax.data.formats.file_bytes import find, read_bytes
from socialjax.data.formats.pairs_files import Rows, assign, collect, memory_named
from socialjax.data.own import ngcf
from socialjax.data.own.additions import FEATURE_FILES, SOCIAL_FILE, read_features, read_titles, stated, with_validation
from socialjax.data.own.table_columns import PairsTable, read_links_table, read_owners_table, read_pairs_table
from socialjax.data.schema import (
    DataError,
    Dataset,
    Interactions,
    Links,
    Provenance,
    interactions,
    no_interactions,
    pair_keys,
)
from socialjax.data.split import k_core as core_of
from socialjax.data.validate import first_of_each

ENDINGS = ("rating", "csv", "tsv", "txt")
PART_NAMES = {"train": "train", "validation": "val", "test": "test"}


def pairs_paths(folder: Path, name: str, wants_split: bool) -> dict[str, Path]:
    """`{train, validation?, test}` when the folder has the parts, else `{"all": path}`.

    wants_split: a split was asked for, so the unsplit file is meant. Raises DataError when files lack or compete.
    """
    parts = {part: _one(folder, f"{name}.{short}") for part, short in PART_NAMES.items()}
    parts = {part: path for part, path in parts.items() if path is not None}
    whole = _one(folder, name)
    if wants_split and whole is None and parts:
        raise DataError(f"{folder}: a split was asked for, but the files are split already; leave the split at 'auto'")
    if whole is not None and (wants_split or not parts):
        return {"all": whole}
    if {"train", "test"} <= set(parts):
        return parts
    state = f"got {', '.join(path.name for path in parts.values()) or 'none of them'}"
    raise DataError(
        f"{folder}{'' if Path(folder).is_dir() else ' is not a folder'}: wanted {name}.train.rating and "
        f"{name}.test.rating, or one file {name}.rating ({', '.join(ENDINGS)}; each plain or .gz), {state}; "
        "check the folder and the name"
    )


def _one(folder: Path, stem: str) -> Path | None:
    found = [path for ending in ENDINGS if (path := find(folder, f"{stem}.{ending}")) is not None]
    if len(found) > 1:
        raise DataError(f"{folder}: wanted one file, got {', '.join(p.name for p in found)}; take all but one away")
    return found[0] if found else None


OWNER_ENDINGS = ("owners", "uploads")


def read_owners(
    folder: Path, name: str, users: Rows, items: Rows, is_core: bool, checksums: dict[str, str], repairs: list[str]
) -> np.ndarray | None:
    """Reads the owners of items.

    Owners add no users: one that occurs in no pair and no link is an error, unless there is a k-core, which drops
    users; then the item has no owner. Items that occur in no pair are skipped.

    Args:
        folder: of the files.
        name: of the set.
        users: row numbers of users.
        items: row numbers of items.
        is_core: whether the pairs are a k-core.
        checksums: gets the sha256 of the files.
        repairs: gets notes on what was skipped.

    Returns:
        i32[I], -1 for items without an owner; None without such files.

    Raises:
        DataError: an owner is no known user, or an item has two owners.
    """
    paths = [path for ending in OWNER_ENDINGS if (path := find(folder, f"{name}.{ending}")) is not None]
    if not paths:
        return None
    owners = np.full(items.size, -1, np.int32)
    for path in paths:
        table, item_column, user_column = read_owners_table(path, checksums)
        item, user = items.find(table, item_column, "item"), users.find(table, user_column, "user")
        known = item >= 0
        unknown = np.flatnonzero(known & (user < 0))
        if len(unknown) and not is_core:
            advice = "give the owner a pair or a link, or drop the line"
            raise table.error(unknown[0], user_column, "an owner who is a user, one of a pair or a link", advice)
        for number, what in (
            ((~known).sum(), f"lines of {path.name} on items without a pair passed over"),
            (len(unknown), f"owners in {path.name} outside the core passed over"),
        ):
            repairs += [f"{number} {what}"] if number else []
        item, user, rows = item[known & (user >= 0)], user[known & (user >= 0)], np.flatnonzero(known & (user >= 0))
        before = owners.copy()
        owners[item[::-1]] = user[::-1]  # the first line of an item stays, so that a second owner shows
        earlier = np.where(before[item] >= 0, before[item], owners[item])
        other = np.flatnonzero(earlier != user)
        if len(other):
            first = users.names[earlier[other[0]]] if users.names is not None else earlier[other[0]]
            wanted = f"one owner for item {table.text(rows[other[0]], item_column)!r}, {str(first)!r} so far"
            raise table.error(rows[other[0]], user_column, wanted, "drop one of the two lines")
    if (owners < 0).all():
        raise DataError(f"{paths[0]}: wanted owners of items that occur in pairs, got none; compare the ids")
    return owners


class Choice(NamedTuple):
    """The filter of pairs: those of at least min_value, then those of the k-core."""

    min_value: float | None
    k_core: int


def read_columns(folder: Path, name: str, paths: dict[str, Path], choice: Choice) -> Dataset:
    """A data set with the pairs of each part in `paths`; those of one unsplit file ("all") are all in train."""
    checksums: dict[str, str] = {}
    tables = {part: read_pairs_table(path, checksums) for part, path in paths.items()}
    repairs = [line for table in tables.values() for line in table.stated]
    links_path = find(folder, f"{name}.links")
    linked = []
    if links_path is not None:
        links, follower, followee = read_links_table(links_path, checksums)
        linked = [(links, follower), (links, followee)]
    user_features, item_features = (read_features(folder, file, None, checksums) for file in FEATURE_FILES)
    social_features = read_features(folder, SOCIAL_FILE, _length(user_features), checksums)
    num_rows = _length(social_features) if user_features is None else _length(user_features)

    users = collect("user", [(table.table, table.user) for table in tables.values()] + linked)
    items = collect("item", [(table.table, table.item) for table in tables.values()])
    pairs = {
        part: _kept(_pairs(table, user, item), len(items.keys), choice, repairs)
        for (part, table), user, item in zip(tables.items(), users.codes, items.codes)
    }
    if not any(map(len, pairs.values())):
        chosen = f"min_value {choice.min_value}, k_core {choice.k_core}"
        raise DataError(f"{folder}: wanted pairs, got none with {chosen}; lower them, or look at the file")
    seen = [part.user for part in pairs.values()]
    linked_codes = users.codes[len(tables) :]
    user_rows = assign(users, [*seen, *linked_codes] if not choice.k_core else seen, num_rows)
    item_rows = assign(items, [part.item for part in pairs.values()], _length(item_features))
    for part, columns in pairs.items():
        user, item = user_rows.of_code[columns.user], item_rows.of_code[columns.item]
        pairs[part] = interactions(user, item, columns.value, columns.time)
    return Dataset(
        name=name,
        num_users=user_rows.size,
        num_items=item_rows.size,
        train=pairs.get("train", pairs.get("all", no_interactions())),
        validation=pairs.get("validation", no_interactions()),
        test=pairs.get("test", no_interactions()),
        links=_links(user_rows, linked_codes, choice, repairs),
        user_features=user_features,
        item_features=item_features,
        owners=read_owners(folder, name, user_rows, item_rows, bool(choice.k_core), checksums, repairs),
        social_features=social_features,
        user_names=user_rows.names,
        item_names=item_rows.names,
        item_titles=_titles(folder, name, item_rows, checksums),
        provenance=Provenance("real", f"folder {folder}", files=checksums, repairs=tuple(repairs)),
    )


def _pairs(table: PairsTable, user: np.ndarray, item: np.ndarray) -> Interactions:
    value = None if table.value is None or (table.value == 1).all() else table.value
    return Interactions(user, item, value, table.time)


def _kept(pairs: Interactions, num_items: int, choice: Choice, repairs: list[str]) -> Interactions:
    """The pairs that pass the filter, each once; notes on what was dropped are added to `repairs`."""
    if choice.min_value is not None:
        value = np.ones(len(pairs)) if pairs.value is None else pairs.value
        enough = value >= choice.min_value
        repairs.append(f"{(~enough).sum()} pairs with a value below {choice.min_value:g} dropped")
        pairs = pairs.take(enough)
    if choice.k_core:
        once = pairs.take(first_of_each(pair_keys(pairs, num_items)))
        core = core_of(once, choice.k_core)
        repairs.append(f"{len(pairs) - len(once)} duplicate pairs dropped, the first of each kept")
        repairs.append(f"{len(once) - len(core)} pairs outside the {choice.k_core}-core dropped")
        pairs = core
    return pairs


def _links(users: Rows, codes: tuple[np.ndarray, ...], choice: Choice, repairs: list[str]) -> Links | None:
    if not codes:
        return None
    follower, followee = (users.of_code[column].astype(np.int32) for column in codes)
    inside = (follower >= 0) & (followee >= 0)
    if not inside.all():
        repairs.append(f"{(~inside).sum()} links of users outside the {choice.k_core}-core dropped")
    return Links(follower[inside], followee[inside])


def _titles(folder: Path, name: str, items: Rows, checksums: dict[str, str]) -> np.ndarray | None:
    """Titles U[I], empty where the file has none; items that occur in no pair are passed over."""
    path = find(folder, f"{name}.items")
    if path is None:
        return None
    file = read_bytes(path)
    checksums[path.name] = file.sha256
    titles = read_titles(file)
    names = map(str, range(items.size)) if items.names is None else items.names.tolist()
    return np.array([titles.get(item, "") for item in names], dtype=np.str_)


def _length(features: np.ndarray | None) -> int | None:
    return None if features is None else len(features)


@dataclasses.dataclass(frozen=True)
class FolderOptions:
    """How a folder is read. Files that are split already take `min_value`, `validation`, `seed` and ratios[0] alone.

    Attributes:
      split: How pairs are split. auto: the parts if the folder has them, else by ratio, else (nobody has enough pairs
        for that) leave-one-out.
      ratios: Shares of validation and test; the first is also the share taken from train when validation is missing.
      k_core: Keep only users and items with at least so many pairs among each other; 0 keeps all.
      min_value: Pairs with a smaller value are dropped; None keeps every pair.
      validation: auto makes the part from train when it is missing; none leaves its pairs in train.
      seed: Seed of the split and of the cold items.
      cold_items: Share of the items, in [0, 1), whose pairs all go to test.
    """

    split: Literal["auto", "ratio", "leave-one-out", "time"] = "auto"
    ratios: tuple[float, float] = splits.DIFFNET_RATIOS
    k_core: int = 0
    min_value: float | None = None
    validation: Literal["auto", "none"] = "auto"
    seed: int = 0
    cold_items: float = 0.0

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

    Or, where nothing is called `<name>.*`, `train.txt`, `test.txt` and perhaps `val.txt` as `own.ngcf` reads them.

    Ids may be any words. Integer ids are kept as row numbers when there is a feature table for them or when they are
    dense (`formats.pairs_files.assign`); all others are numbered in sorted order and kept as user_names and item_names.
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
    """Reads tables of pairs, in parts or split here."""
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
    """Splits train, which holds all pairs, by the options, and states it in the provenance."""
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
    note = f"one file split by {how}" + ("" if how == "leave-one-out" else f" {options.ratios}")
    if options.cold_items:
        parts = splits.cold_items(parts, options.cold_items, options.seed)
        note += f", {options.cold_items:g} of the items in test only"
    data = dataclasses.replace(data, train=parts.train, validation=parts.validation, test=parts.test)
    return stated(data, f"{note}, seed {options.seed}")


def _parts(data: Dataset, how: str, options: FolderOptions) -> splits.Parts:
    if how == "time":
        return splits.by_time(data.train, options.ratios)
    if how == "leave-one-out":
        return splits.leave_one_out(data.train, options.seed)
    return splits.by_ratio(data.train, options.ratios, options.seed)
