"""Some users of a graph folder with their pairs in memory: what an evaluation of them reads."""

from pathlib import Path

import numpy as np

from socialjax.data.large.layout import GraphFolder
from socialjax.data.schema import Dataset, Interactions, Provenance
from socialjax.data.split import mix
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible

PIECE = 1 << 20  # pairs at a time


def held_out_users(graph: GraphFolder, part: str, count: int, seed: int) -> np.ndarray:
    """Users with a pair in a part, i32[n], rising: all of them, or `count` at random, the same for each seed.

    Args:
        graph: an open folder.
        part: validation or test.
        count: at most this many.
        seed: of the choice.

    Raises:
        DataError: the part has no pairs.
    """
    users = getattr(graph, part).user
    if not len(users):
        raise DataError(f"{visible(Path(graph.path))}: wanted pairs of the {part} part, got none; prepare it with some")
    kept, order = np.empty(0, np.int32), np.empty(0, np.uint64)
    key = mix(np.array([seed % 2**64], np.uint64))
    for begin in range(0, len(users), PIECE):
        piece = np.asarray(users[begin : begin + PIECE])
        is_new = np.append(begin == 0 or piece[0] != users[begin - 1], piece[1:] != piece[:-1])
        kept = np.concatenate([kept, piece[is_new]])
        order = np.concatenate([order, mix(key ^ mix(piece[is_new].astype(np.uint64)))])
        if len(kept) > count:
            chosen = np.argpartition(order, count)[:count]
            kept, order = kept[chosen], order[chosen]
    return np.sort(kept)


def of_users(graph: GraphFolder, users: np.ndarray) -> Dataset:
    """The pairs of some users in all parts; counts and row numbers are those of the folder, links are left out.

    Args:
        graph: an open folder.
        users: i32[n], rising.
    """
    users = np.asarray(users, np.int32)
    held = {}
    for part in ("validation", "test"):
        pairs = getattr(graph, part)
        first, last = np.searchsorted(pairs.user, users), np.searchsorted(pairs.user, users, "right")
        held[part] = _gathered(users, first, last - first, pairs.item)
    offsets = graph.user_items.offsets
    degree = np.asarray(offsets[users.astype(np.int64) + 1]) - offsets[users]
    return Dataset(
        name=graph.meta.name,
        num_users=graph.num_users,
        num_items=graph.num_items,
        train=_gathered(users, np.asarray(offsets[users]), degree, graph.user_items.columns),
        validation=held["validation"],
        test=held["test"],
        provenance=Provenance("real", f"{graph.path.name}, {graph.digest[:16]}"),
    )


def _gathered(users: np.ndarray, first: np.ndarray, length: np.ndarray, items: np.ndarray) -> Interactions:
    """The pairs of users i32[n], whose items lie at first..first + length - 1 each."""
    before = np.cumsum(length) - length
    places = np.arange(int(length.sum())) + np.repeat(first - before, length)
    return Interactions(np.repeat(users, length), np.asarray(items[places]))
