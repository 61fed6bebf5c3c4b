"""Training pairs as array_record files: a record is a block of pairs, as columns.

A pair goes into the shard that a hash of it names, so that the pairs of one user, who stand together in the input, are
spread over all shards, and few of a block are of one user.
"""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from tqdm import tqdm

from socialjax import json_files, stop
from socialjax.data.large.array_files import sync_folder
from socialjax.data.large.layout import MOST, GraphFolder
from socialjax.data.large.steps import write_json
from socialjax.data.split import mix
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible

FORMAT, VERSION, META = "socialjax pair shards", 1, "shards.json"
PER_BLOCK = 8192  # pairs of a record, 64 KB
LARGEST_BLOCK = 1 << 20
MOST_SHARDS = 10_000
READ = 1 << 18
ADVICE = "write the shards again"


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file: its pairs, its bytes, and the sha256 of its records."""

    pairs: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class ShardsMeta:
    """The content of shards.json, which is written last.

    Attributes:
        format: FORMAT.
        version: VERSION.
        num_users: U.
        num_items: I.
        per_block: pairs of every record but a shard's last.
        shards: in order.
    """

    format: str
    version: int
    num_users: int
    num_items: int
    per_block: int
    shards: tuple[Shard, ...]


@dataclasses.dataclass(frozen=True)
class PairShards:
    """Shards that were opened.

    Attributes:
        meta: of shards.json.
        digest: sha256 of shards.json, which holds the checksums of all records.
        paths: of the files.
        sizes: i64[n], pairs of each block, over all files.
    """

    meta: ShardsMeta
    digest: str
    paths: tuple[Path, ...]
    sizes: np.ndarray

    def block(self, number: int, record: bytes) -> np.ndarray:
        """The pairs i32[2, n] of a block from its record. Raises DataError for another length or ids out of range."""
        size = int(self.sizes[number])
        if len(record) != 8 * size:
            raise DataError(f"{self.paths[0].parent}: wanted a record of {8 * size} bytes, got {len(record)}; {ADVICE}")
        block = np.frombuffer(record, "<i4").reshape(2, size)
        for ids, most, kind in zip(block, (self.meta.num_users, self.meta.num_items), ("users", "items")):
            if ids.min() < 0 or ids.max() >= most:
                came = f"{ids.min()}..{ids.max()}"
                raise DataError(f"{self.paths[0].parent}: wanted {kind} in 0..{most - 1}, got {came}; {ADVICE}")
        return block


def write_shards(
    folder: Path | str,
    pieces: Iterable[tuple[np.ndarray, np.ndarray]],
    num_users: int,
    num_items: int,
    num_shards: int = 16,
    per_block: int = PER_BLOCK,
) -> PairShards:
    """Writes pairs into a new or empty folder; one that was left half written is begun again.

    Args:
        folder: of the shards.
        pieces: users and items, integers[n] each.
        num_users: U.
        num_items: I.
        num_shards: files; each keeps one block in memory.
        per_block: pairs of a record.

    Raises:
        DataError: the folder holds shards already, ids out of range, no pairs.
    """
    folder = Path(folder)
    if (folder / META).exists():
        raise DataError(f"{visible(folder)}: wanted a folder without shards, got some; remove them or choose another")
    if not (1 <= num_shards <= MOST_SHARDS and 1 <= per_block <= LARGEST_BLOCK):
        raise DataError(
            f"wanted 1..{MOST_SHARDS} shards of blocks of 1..{LARGEST_BLOCK} pairs, got {num_shards} of {per_block}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(_ShardWriter(path, per_block)) for path in _paths(folder, num_shards)]
        for users, items in pieces:
            stop.check()
            for ids, most, kind in ((users, num_users, "users"), (items, num_items, "items")):
                if len(ids) and (ids.min() < 0 or ids.max() >= most):
                    raise DataError(f"wanted {kind} in 0..{most - 1}, got {ids.min()}..{ids.max()}; re-index them")
            pairs = np.stack([users, items]).astype("<i4")
            shard = mix(mix(users.astype(np.uint64)) ^ items.astype(np.uint64)) % np.uint64(num_shards)
            order = np.argsort(shard, kind="stable")
            ends = np.cumsum(np.bincount(shard.astype(np.int64), minlength=num_shards))[:-1]
            for writer, part in zip(writers, np.split(pairs[:, order], ends, axis=1)):
                writer.append(part)
    shards = tuple(writer.written for writer in writers)
    if not any(shard.pairs for shard in shards):
        raise DataError(f"{visible(folder)}: wanted pairs, got none")
    meta = ShardsMeta(FORMAT, VERSION, num_users, num_items, per_block, shards)
    write_json(folder / META, dataclasses.asdict(meta))
    return open_shards(folder)


def write_training_pairs(graph: GraphFolder, folder: Path | str, progress: bool = True, **options: int) -> PairShards:
    """The training pairs of a graph folder as shards; options as those of `write_shards`."""
    quiet = None if progress else True

    def pieces() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        with tqdm(total=graph.num_pairs, desc="shards", unit="pair", unit_scale=True, disable=quiet) as bar:
            for begin in range(0, graph.num_pairs, READ):
                rows = graph.train.take(slice(begin, begin + READ))
                yield rows.user, rows.item
                bar.update(len(rows))

    return write_shards(folder, pieces(), graph.num_users, graph.num_items, **options)


def open_shards(folder: Path | str) -> PairShards:
    """The shards of a folder; sizes of files are compared with what shards.json says. Raises DataError."""
    folder = Path(folder)
    path = folder / META
    if not path.is_file():
        raise DataError(f"{visible(folder)}: wanted shards of pairs, got none that are finished; {ADVICE}")
    try:
        meta = json_files.typed(json_files.read(path, advice=ADVICE), ShardsMeta)
    except ValueError as problem:
        raise DataError(f"{visible(path)}: wanted what `write_shards` writes ({problem}); {ADVICE}") from None
    counts = (meta.num_users, meta.num_items, meta.per_block)
    fits = all(0 < count <= most for count, most in zip(counts, (MOST, MOST, LARGEST_BLOCK)))
    pairs = [shard.pairs for shard in meta.shards]
    right = (meta.format, meta.version) == (FORMAT, VERSION) and fits and 0 < len(pairs) <= MOST_SHARDS
    fit = all(0 <= shard.pairs <= shard.bytes // 8 for shard in meta.shards)
    if not right or not fit or not sum(pairs):
        raise DataError(f"{visible(path)}: wanted {FORMAT} of version {VERSION} with pairs, got others; {ADVICE}")
    paths = _paths(folder, len(pairs))
    for file, shard in zip(paths, meta.shards):
        if file.is_symlink() or not file.is_file() or file.stat().st_size != shard.bytes:
            raise DataError(
                f"{visible(file)}: wanted a plain file of {shard.bytes} bytes, got another or none; {ADVICE}"
            )
    per_file = [_sizes(number, meta.per_block) for number in pairs]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return PairShards(meta, digest, paths, np.concatenate(per_file))


def _sizes(pairs: int, per_block: int) -> np.ndarray:
    whole, rest = divmod(pairs, per_block)
    return np.append(np.full(whole, per_block, np.int64), [rest] if rest else np.empty(0, np.int64))


def _paths(folder: Path, number: int) -> tuple[Path, ...]:
    return tuple(folder / f"pairs-{place:05d}-of-{number:05d}.array_record" for place in range(number))


class _ShardWriter:
    """Writes one shard, which gets its name when it is on the disk."""

    written: Shard

    def __init__(self, path: Path, per_block: int):
        self._path, self._temporary = path, path.with_name(f".part.{path.name}")
        self._block, self._held = np.empty((2, per_block), "<i4"), 0
        self._digest, self._pairs = hashlib.sha256(), 0

    def __enter__(self) -> "_ShardWriter":
        # A record is read alone, and ids in random order do not compress: 0.36 s against 0.68 s for 131 MB.
        self._writer = ArrayRecordWriter(str(self._temporary), "group_size:1,uncompressed")
        return self

    def append(self, pairs: np.ndarray) -> None:
        """pairs: i32[2, n]."""
        while pairs.shape[1]:
            taken = min(pairs.shape[1], self._block.shape[1] - self._held)
            self._block[:, self._held : self._held + taken] = pairs[:, :taken]
            self._held, pairs = self._held + taken, pairs[:, taken:]
            if self._held == self._block.shape[1]:
                self._flush()

    def _flush(self) -> None:
        record = self._block[:, : self._held].tobytes()
        if record:
            self._writer.write(record)
            self._digest.update(record)
            self._pairs += self._held
        self._held = 0

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
        if kind is not None:
            return self._temporary.unlink(missing_ok=True)
        with open(self._temporary, "rb") as file:
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        os.replace(self._temporary, self._path)
        sync_folder(self._path.parent)
        self.written = Shard(self._pairs, size, self._digest.hexdigest())
