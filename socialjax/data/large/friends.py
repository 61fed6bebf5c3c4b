"""Links of a graph folder in both directions, each once, as mapped arrays beside it: what symmetric models read."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from socialjax import json_files
from socialjax.data.large.csr_files import write_csr
from socialjax.data.large.external_sort import pack
from socialjax.data.large.layout import COLUMN, META, OFFSET, ArrayFile, Csr, GraphFolder, mapped_array
from socialjax.data.large.steps import write_json
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible

FORMAT, VERSION = "socialjax links in both directions", 1
BLOCK = 1 << 20  # links at once
ADVICE = "remove the folder, then it is made anew"


@dataclasses.dataclass(frozen=True)
class Meta:
    """The content of meta.json: `graph` is the digest of the graph folder, `arrays` says what lies in NAME.npy."""

    format: str
    version: int
    graph: str
    arrays: dict[str, ArrayFile]


def friends(graph: GraphFolder, folder: Path | str | None = None, progress: bool = True) -> Csr:
    """Everyone whom a user follows or is followed by, rising, without the user: made once, then opened.

    Memory: 12 bytes for each user and some MB. Disk: up to 8 bytes for each link. An interrupted call begins anew.

    Args:
        graph: an open folder with links.
        folder: for the arrays, by default beside the graph: its name with -friends.
        progress: whether a progress bar may be shown.

    Raises:
        DataError: the folder holds something else, or links of another graph folder; the graph has no links.
    """
    if graph.follows is None:
        raise DataError(f"{visible(graph.path)}: wanted a graph with links, got none; prepare it with links")
    folder = graph.path.with_name(f"{graph.path.name}-friends") if folder is None else Path(folder)
    if not (folder / META).is_file():
        _write(graph, folder, progress)
    return _open(graph, folder)


def _write(graph: GraphFolder, folder: Path, progress: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    others = [path for path in folder.iterdir() if not path.name.removeprefix(".part.").startswith("friends_")]
    if others:
        raise DataError(
            f"{visible(folder)}: wanted a new or empty folder, got {visible(others[0].name)}; choose another folder"
        )
    arrays = write_csr(folder, "friends", "friends", _both(graph, progress), graph.num_users)
    write_json(folder / META, dataclasses.asdict(Meta(FORMAT, VERSION, graph.digest, arrays)))


def _both(graph: GraphFolder, progress: bool) -> Iterator[np.ndarray]:
    """Packed pairs (user, friend) u64[n], rising, each once, some users at a time."""
    sides = graph.follows, graph.followed_by
    with tqdm(total=graph.num_users, desc="friends", unit="user", disable=None if progress else True) as bar:
        begin = 0
        while begin < graph.num_users:
            ends = [int(np.searchsorted(one.offsets, one.offsets[begin] + BLOCK, "right")) - 1 for one in sides]
            end = min(max(min(ends), begin + 1), begin + BLOCK, graph.num_users)
            keys = []
            for one in sides:
                offsets = np.asarray(one.offsets[begin : end + 1])
                users = np.repeat(np.arange(begin, end), np.diff(offsets))
                keys.append(pack(users, np.asarray(one.columns[offsets[0] : offsets[-1]])))
            merged = np.sort(np.concatenate(keys))
            yield merged[np.append(True, merged[1:] != merged[:-1])[: len(merged)]]
            bar.update(end - begin)
            begin = end


def _open(graph: GraphFolder, folder: Path) -> Csr:
    path = folder / META
    try:
        meta = json_files.typed(json_files.read(path, advice=ADVICE), Meta)
    except ValueError as problem:
        raise DataError(f"{visible(path)}: wanted what `friends` writes ({problem}); {ADVICE}") from None
    if (meta.format, meta.version, meta.graph) != (FORMAT, VERSION, graph.digest):
        raise DataError(f"{visible(path)}: wanted the links of {visible(graph.path)}, got those of another; {ADVICE}")
    links = meta.arrays["friends_columns"].length if "friends_columns" in meta.arrays else -1
    wanted = {
        "friends_offsets": (OFFSET, graph.num_users + 1),
        "friends_columns": (COLUMN, links),
        "friends_degree": (COLUMN, graph.num_users),
    }
    if links < 0 or {name: (held.dtype, held.length) for name, held in meta.arrays.items()} != wanted:
        raise DataError(f"{visible(path)}: wanted {', '.join(wanted)} of this graph, got other arrays; {ADVICE}")
    return Csr(*(mapped_array(folder, name, meta.arrays[name]) for name in wanted))
