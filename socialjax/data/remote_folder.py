"""A data folder in an object store, copied into the cache: `--data.dir s3://bucket/mine`."""

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

from socialjax.data import cache
from socialjax.formats.file_bytes import DataError
from socialjax.names import below, visible
from socialjax.object_store import Folder, Stored, StoreError, address_of, parts

log = logging.getLogger(__name__)
LARGEST = 256 << 30  # bytes of a folder, and at most half of the free room of the disk
MOST = 20_000  # files
SUMS, LARGEST_SUMS = "SHA256SUMS", 4 << 20  # of the other files, as `sha256sum *` writes it; checked where it is there


def local(folder: Path | None) -> Path | None:
    """`folder` as it is, or the copy of it where it is the address of one in an object store.

    A copy is made anew when names, sizes or tags of the objects have changed. Files of a copy that was broken off are
    not fetched again.

    Raises:
        DataError: the address cannot be read, or holds too much, files with impossible names, or others than it says.
    """
    url = address_of(folder) if folder is not None else None
    if url is None:
        return folder
    try:
        return _copy(url)
    except StoreError as error:
        raise DataError(str(error)) from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:  # `a` and `a/b` are two objects
        raise DataError(f"{url} has an object whose name is also that of a folder ({error}); rename it") from None


def _copy(url: str) -> Path:
    store = Folder(url, "--data.dir")
    objects = sorted((stored for stored in store.listed() if not stored.name.endswith("/")), key=lambda s: s.name)
    for stored in objects:
        parts(stored.name)
    if not 0 < len(objects) <= MOST:
        raise DataError(f"{url} has {len(objects):,} files, wanted 1 to {MOST:,}; name the folder that holds the data")
    folder = cache.cache_folder() / "remote"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / _key(url, objects)
    if target.is_dir():
        log.info("%s: its copy in the cache, %s", url, target)
        return target
    total, room = sum(stored.size for stored in objects), min(LARGEST, shutil.disk_usage(folder).free // 2)
    log.info("%s: %s files, %s bytes, copied to %s", url, len(objects), f"{total:,}", target)
    if total > room:
        raise DataError(
            f"{url} wants {total:,} bytes, more than the {room:,} that a folder may have or that are half of the free "
            "room; set SOCIALJAX_CACHE to a folder with room, or name a folder with less"
        )
    part = folder / f".{target.name}.part"
    try:
        sums = {stored.name: _fetched(store, part, stored) for stored in objects}
        _check_sums(store, sums)
        os.replace(part, target)
    except FileNotFoundError:  # another process has finished the same copy meanwhile
        if not target.is_dir():
            raise
    except DataError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return target


def _key(url: str, objects: list[Stored]) -> str:
    listing = [[stored.name, stored.size, stored.tag] for stored in objects]
    return hashlib.sha256(json.dumps([url, listing]).encode()).hexdigest()[:20]


def _fetched(store: Folder, part: Path, stored: Stored) -> str:
    """Fetches a file unless a copy that was broken off has it -> its sha256."""
    path = below(part, *parts(stored.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.stat().st_size == stored.size:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return store.fetch(stored.name, path, stored.size)


def _check_sums(store: Folder, found: dict[str, str]) -> None:
    """Raises DataError for files that are others than SHA256SUMS says, where there is one."""
    text = store.get(SUMS, LARGEST_SUMS) if SUMS in found else None
    for line in (text or b"").decode(errors="replace").splitlines():
        digest, _, name = line.partition(" ")
        name = name.removeprefix(" ").removeprefix("*").removeprefix("./")
        if name and found.get(name, digest) != digest:
            raise DataError(
                f"{store.url}: {visible(name)} has sha256 {found[name]}, and {SUMS} says {visible(digest)}: it was "
                "damaged or changed; nothing of the copy is kept"
            )
