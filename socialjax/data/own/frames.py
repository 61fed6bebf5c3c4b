"""Data sets from columns in memory: pandas and Polars frames, Arrow tables, arrays, through the checks of files."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from socialjax.data import validate
from socialjax.data.own import features
from socialjax.data.own.additions import stated
from socialjax.data.own.joined import joined
from socialjax.data.own.options import FolderOptions, finish, split
from socialjax.data.own.table_columns import links_of, pairs_of
from socialjax.data.schema import Dataset
from socialjax.formats.arrow_tables import cut_frame
from socialjax.formats.text_tables import Table, table_of

PAIRS, LINKS = ("user", "item", "value", "time"), ("follower", "followee", "value")
PLAIN = FolderOptions()


def from_frames(
    pairs: Any,
    links: Any = None,
    item_features: Any = None,
    user_features: Any = None,
    name: str = "mine",
    options: FolderOptions = PLAIN,
) -> Dataset:
    """A data set, split, repaired and checked as one that is read from a folder.

    Args:
      pairs: a frame whose columns are found by their names as those of files are, a dict of columns, or a tuple of
        users, items and perhaps values and times, each [N].
      links: who follows whom, in the same forms: `follower` and `followee`, or a tuple of the two, each [E].
      item_features: a column of item ids and numbers in all others, [I, F]. Ids may come in any order.
      user_features: the same of users.
      name: what the set is called.
      options: as for a folder; errors name them as on the command line.

    Returns:
      The data set, whose provenance states what was repaired, dropped and joined.

    Raises:
      DataError: columns that cannot be used, with the row, counted from 1.
    """
    table = pairs_of(_table(pairs, PAIRS, f"{name} (pairs)"), options.chosen)
    linked = None if links is None else links_of(_table(links, LINKS, f"{name} (links)"), options.chosen)
    data = validate.repair(joined(name, {"all": table}, linked, (None, None, None), options, name))
    for kind, frame in (("item", item_features), ("user", user_features)):
        if frame is not None:
            ids, numbers = features.ids_and_numbers(_table(frame, (), f"{name} ({kind} features)"))
            names, size = (data.item_names, data.num_items) if kind == "item" else (data.user_names, data.num_users)
            values, notes = features.matched(Path(f"{name} ({kind} features)"), ids, numbers, names, size, kind)
            data = stated(dataclasses.replace(data, **{f"{kind}_features": values}), *notes)
    return finish(data if len(data.test) else split(data, options), options)


def _table(columns: Any, roles: Sequence[str], name: str) -> Table:
    """The table of a frame, or of columns whose roles are known by their place."""
    if isinstance(columns, tuple | list):
        columns = dict(zip(roles, columns))
    if isinstance(columns, Mapping):
        columns = {str(title): np.asarray(column) for title, column in columns.items()}
    return table_of(Path(name), cut_frame(columns, name), (2, 2))
