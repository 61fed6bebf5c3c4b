"""The bytes of an input file, plain or gzip, with the checksum that goes into the provenance."""

import dataclasses
import gzip
import hashlib
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

from socialjax.data.schema import DataError

LARGEST = 4 << 30  # bytes after decompression; a gzip bomb stops here instead of filling the memory
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class FileBytes:
    """A file as read: `data` decompressed, `sha256` of the file as it is on disk."""

    path: Path
    data: bytes
    sha256: str


def find(folder: Path, name: str) -> Path | None:
    """`folder/name`, else `folder/name.gz`, else None."""
    for path in (Path(folder) / name, Path(folder) / f"{name}.gz"):
        if path.is_file():
            return path
    return None


def require(folder: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """The path of every name, plain or .gz. Raises DataError that lists the missing names."""
    paths = [find(folder, name) for name in names]
    missing = [name for name, path in zip(names, paths) if path is None]
    if missing:
        state = "is not a folder" if not Path(folder).is_dir() else f"lacks {', '.join(missing)}"
        raise DataError(f"{folder} {state}; wanted {', '.join(names)}, each plain or .gz; check the folder's path")
    return tuple(path for path in paths if path is not None)


def read_bytes(path: Path, largest: int = LARGEST) -> FileBytes:
    """Reads one file. Raises DataError when it cannot be read, is damaged, or is larger than `largest` bytes."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > largest:
            raise DataError(f"{path}: wanted at most {largest} bytes, got {size}; split the file or drop columns")
        raw = path.read_bytes()
        data = _decompress(path, raw, largest) if path.suffix == ".gz" or raw[:2] == b"\x1f\x8b" else raw
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror or problem}); check path and permissions") from None
    except MemoryError:
        raise DataError(f"{path}: too large for the memory of this machine; split the file or drop columns") from None
    return FileBytes(path, data, hashlib.sha256(raw).hexdigest())


def _decompress(path: Path, raw: bytes, largest: int) -> bytes:
    parts, total = [], 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            while part := stream.read(_CHUNK):
                total += len(part)
                if total > largest:
                    raise DataError(f"{path}: holds more than {largest} bytes; split the file or drop columns")
                parts.append(part)
    except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
        raise DataError(
            f"{path}: wanted a whole gzip file, got a damaged one after {total} bytes ({problem}); "
            "copy or download it again"
        ) from None
    return b"".join(parts)
