"""All numbers of a graph folder checked, piece by piece: checksums, ranges, order, and that both directions agree."""

import hashlib
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from socialjax.data.large.layout import ADVICE, Csr, GraphFolder
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible

PIECE = 1 << 20  # numbers at a time


def verify(graph: GraphFolder, progress: bool = False) -> None:
    """Reads every array once or twice and compares it with what the layout promises (docs/scale_data.md).

    Memory: 8 bytes for each user and item, and a few MB.

    Args:
        graph: an open folder.
        progress: whether to show a progress bar.

    Raises:
        DataError: the first promise that is not kept, with the array.
    """
    checks = [lambda name=name: _checksum(graph, name) for name in graph.arrays]
    sides = (
        ("user_item", graph.user_items, "user", graph.num_items, graph.item_users),
        ("item_user", graph.item_users, "item", graph.num_users, graph.user_items),
        ("follows", graph.follows, "follows", graph.num_users, graph.followed_by),
        ("followed_by", graph.followed_by, "followed_by", graph.num_users, graph.follows),
    )
    for name, csr, degree, size, back in sides:
        if csr is not None:
            checks.append(lambda name=name, csr=csr, degree=degree: _offsets(graph, name, csr, degree))
            checks.append(lambda name=name, csr=csr, size=size, back=back: _columns(graph, name, csr, size, back))
    checks.append(lambda: _train_users(graph))
    for part in ("validation", "test"):
        checks.append(lambda part=part: _held_out(graph, part))
    checks += [lambda kind=kind: _text(graph, kind) for kind in ("user", "item") if f"{kind}_ids_text" in graph.arrays]
    for check in tqdm(checks, desc="verify", unit="check", disable=None if progress else True):
        check()


def _pieces(length: int) -> Iterator[slice]:
    return (slice(begin, min(begin + PIECE, length)) for begin in range(0, length, PIECE))


def _wrong(graph: GraphFolder, name: str, wanted: str, came: str) -> DataError:
    return DataError(f"{visible(graph.path)}: {name}: wanted {wanted}, got {came}; {ADVICE}")


def _checksum(graph: GraphFolder, name: str) -> None:
    array, digest = graph.arrays[name], hashlib.sha256()
    for piece in _pieces(len(array)):
        digest.update(np.ascontiguousarray(array[piece]))
    if digest.hexdigest() != graph.meta.arrays[name].sha256:
        raise _wrong(graph, name, "the checksum of meta.json", "other bytes")


def _offsets(graph: GraphFolder, name: str, csr: Csr, degree: str) -> None:
    _rising(graph, f"{name}_offsets", csr.offsets, len(csr.columns))
    for piece in _pieces(len(csr.degree)):
        counted = np.diff(csr.offsets[piece.start : piece.stop + 1])
        if not np.array_equal(counted, csr.degree[piece]):
            raise _wrong(graph, f"{degree}_degree", f"the differences of {name}_offsets", "others")


def _rising(graph: GraphFolder, name: str, offsets: np.ndarray, end: int) -> None:
    if offsets[0] != 0 or offsets[-1] != end:
        raise _wrong(graph, name, f"numbers from 0 to {end}", f"{offsets[0]} to {offsets[-1]}")
    for piece in _pieces(len(offsets) - 1):
        if (np.diff(offsets[piece.start : piece.stop + 1]) < 0).any():
            raise _wrong(graph, name, "numbers that never fall", f"one that does in {piece.start}..{piece.stop}")


def _in_range(graph: GraphFolder, name: str, array: np.ndarray, size: int) -> None:
    for piece in _pieces(len(array)):
        least, most = int(array[piece].min()), int(array[piece].max())
        if least < 0 or most >= size:
            raise _wrong(graph, name, f"numbers in 0..{size - 1}", f"{least}..{most}")


def _columns(graph: GraphFolder, name: str, csr: Csr, size: int, back: Csr) -> None:
    """Range, order within each row, and as many of each number as the other direction has in its row."""
    name = f"{name}_columns"
    _in_range(graph, name, csr.columns, size)
    counted = np.zeros(size, np.int64)
    for piece in _pieces(len(csr.columns)):
        begin = max(piece.start - 1, 0)
        values = np.asarray(csr.columns[begin : piece.stop])
        falls = begin + 1 + np.flatnonzero(values[1:] <= values[:-1])
        at = np.searchsorted(csr.offsets, falls)
        if (csr.offsets[np.minimum(at, len(csr.offsets) - 1)] != falls).any():
            raise _wrong(graph, name, "rising numbers within each row", "others")
        added = np.bincount(csr.columns[piece])
        counted[: len(added)] += added
    if not np.array_equal(counted, back.degree):
        raise _wrong(graph, name, "the edges of the other direction", "others")


def _train_users(graph: GraphFolder) -> None:
    """Each user as often as the offsets say, in order."""
    users, offsets = graph.arrays["train_user"], graph.user_items.offsets
    _in_range(graph, "train_user", users, graph.num_users)
    for piece in _pieces(len(users)):
        user, place = np.asarray(users[piece]), np.arange(piece.start, piece.stop)
        if ((offsets[user] > place) | (place >= offsets[user.astype(np.int64) + 1])).any():
            raise _wrong(graph, "train_user", "the users of user_item_offsets", "others")


def _held_out(graph: GraphFolder, part: str) -> None:
    pairs = getattr(graph, part)
    _in_range(graph, f"{part}_user", pairs.user, graph.num_users)
    _in_range(graph, f"{part}_item", pairs.item, graph.num_items)
    for piece in _pieces(len(pairs)):
        begin = max(piece.start - 1, 0)
        keys = (pairs.user[begin : piece.stop].astype(np.int64) << 32) | pairs.item[begin : piece.stop]
        if (np.diff(keys) <= 0).any():
            raise _wrong(graph, f"{part}_user, {part}_item", "pairs by user, then item, each once", "others")


def _text(graph: GraphFolder, kind: str) -> None:
    text = graph.arrays[f"{kind}_ids_text"]
    _rising(graph, f"{kind}_ids_offsets", graph.arrays[f"{kind}_ids_offsets"], len(text))
