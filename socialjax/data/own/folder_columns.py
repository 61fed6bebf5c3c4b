"""The columns of anyone's own folder before any split: fields to ids, rows kept and dropped, links, titles."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from socialjax.data.errors import DataError
from socialjax.data.formats.file_bytes import find, read_bytes
from socialjax.data.formats.ids import Rows, assign, collect
from socialjax.data.own.additions import FEATURE_FILES, SOCIAL_FILE, read_features
from socialjax.data.own.folder_files import PairsTable, read_links_table, read_pairs_table
from socialjax.data.own.folder_owners import read_owners
from socialjax.data.own.titles import read_titles
from socialjax.data.schema import Dataset, Interactions, Links, Provenance, interactions, no_interactions, pair_keys
from socialjax.data.split import k_core as core_of
from socialjax.data.validate import first_of_each


class Choice(NamedTuple):
    """Which pairs are kept: those of at least min_value, then those of the k-core."""

    min_value: float | None
    k_core: int


def read_columns(folder: Path, name: str, paths: dict[str, Path], choice: Choice) -> Dataset:
    """A data set with the pairs of each part in `paths`; those of one unsplit file ("all") are all in train."""
    checksums: dict[str, str] = {}
    tables = {part: read_pairs_table(path, checksums) for part, path in paths.items()}
    said = [line for table in tables.values() for line in table.stated]
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
        part: _kept(_pairs(table, user, item), len(items.keys), choice, said)
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
        links=_links(user_rows, linked_codes, choice, said),
        user_features=user_features,
        item_features=item_features,
        owners=read_owners(folder, name, user_rows, item_rows, bool(choice.k_core), checksums, said),
        social_features=social_features,
        user_names=user_rows.names,
        item_names=item_rows.names,
        item_titles=_titles(folder, name, item_rows, checksums),
        provenance=Provenance("real", f"folder {folder}", files=checksums, repairs=tuple(said)),
    )


def _pairs(table: PairsTable, user: np.ndarray, item: np.ndarray) -> Interactions:
    value = None if table.value is None or (table.value == 1).all() else table.value
    return Interactions(user, item, value, table.time)


def _kept(pairs: Interactions, num_items: int, choice: Choice, said: list[str]) -> Interactions:
    """The pairs that the choice leaves, each once; what went is added to `said`."""
    if choice.min_value is not None:
        value = np.ones(len(pairs)) if pairs.value is None else pairs.value
        enough = value >= choice.min_value
        said.append(f"{(~enough).sum()} pairs with a value below {choice.min_value:g} dropped")
        pairs = pairs.take(enough)
    if choice.k_core:
        once = pairs.take(first_of_each(pair_keys(pairs, num_items)))
        core = core_of(once, choice.k_core)
        said.append(f"{len(pairs) - len(once)} duplicate pairs dropped, the first of each kept")
        said.append(f"{len(once) - len(core)} pairs outside the {choice.k_core}-core dropped")
        pairs = core
    return pairs


def _links(users: Rows, codes: tuple[np.ndarray, ...], choice: Choice, said: list[str]) -> Links | None:
    if not codes:
        return None
    follower, followee = (users.of_code[column].astype(np.int32) for column in codes)
    inside = (follower >= 0) & (followee >= 0)
    if not inside.all():
        said.append(f"{(~inside).sum()} links of users outside the {choice.k_core}-core dropped")
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
