"""Folders of object stores (s3://, gs://, az://) as named bytes: the only module that imports obstore (extra `cloud`).

An object store has no locks, renames or appends: an object is written whole or not at all. What it names, and how large
it says its objects are, is untrusted: names are checked before they become paths, and every transfer has a limit.
"""

import dataclasses
import hashlib
import os
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from socialjax import stop
from socialjax.atomic_write import atomic_write
from socialjax.names import visible

SCHEMES = ("s3", "gs", "az", "file")
CHUNK = 8 << 20  # bytes that are in memory at once
MOST_OBJECTS = 100_000
LONGEST_PART, LONGEST_NAME = 200, 1000
# A path as pathlib keeps a URL: it makes one slash of two.
ADDRESS = re.compile(rf"({'|'.join(SCHEMES)}):/+(?P<rest>[^/].*)", re.DOTALL)


class StoreError(ValueError):
    """What an object store holds or answers cannot be used. The message names the address and what to do."""


@dataclasses.dataclass(frozen=True)
class Stored:
    """An object: its name below the folder, bytes as the store says, and its tag, which changes with its content."""

    name: str
    size: int
    tag: str


def address_of(path: object) -> str | None:
    """The URL that a path or text is, else None: `s3://bucket/mine` for Path("s3://bucket/mine")."""
    match = ADDRESS.fullmatch(str(path))
    if match is None:
        return None
    rest = match["rest"].rstrip("/")
    return f"file:///{rest}" if match[1] == "file" else f"{match[1]}://{rest}"


def parts(name: str) -> tuple[str, ...]:
    """The parts of an object's name, each fit to be a folder or a file below one.

    Raises StoreError for names that lead elsewhere: absolute, with `..`, hidden, with control characters, or too long.
    """
    found = tuple(name.split("/"))
    for part in found:
        is_plain = part and not part.startswith(".") and "\\" not in part and part == visible(part)
        if not is_plain or len(part.encode()) > LONGEST_PART or len(name.encode()) > LONGEST_NAME:
            raise StoreError(
                f"an object is called {visible(name)[:200]!r}: wanted names whose parts between slashes are not empty, "
                f"do not begin with a dot, have no backslash or invisible character and at most {LONGEST_PART} bytes; "
                "rename or remove it"
            )
    return found


class Folder:
    """The objects below one URL. Raises StoreError for URLs that are none, and ImportError without the extra."""

    def __init__(self, url: str, what: str):
        """url: such as s3://bucket/runs/a; what: the option that named it, for messages."""
        self.url = address_of(url)
        if self.url is None or "@" in url or "?" in url or "#" in url:
            raise StoreError(
                f"{what} wants SCHEME://BUCKET/FOLDER with one of {', '.join(SCHEMES)}, got {visible(url)}; "
                "credentials come from the environment (launch/README.md) and never stand in the address"
            )
        self._library = _library()
        try:
            made = {"mkdir": True} if self.url.startswith("file:") else {}
            self._store = self._library.store.from_url(self.url, **made)
        except (self._errors, ValueError, OSError) as error:
            raise self._refused("cannot be opened", error) from error

    @property
    def _errors(self) -> type[Exception]:
        return self._library.exceptions.BaseError

    def _refused(self, what: str, error: Exception) -> StoreError:
        reason = visible(" ".join(str(error).split())).partition("Debug source")[0].strip()[:300]
        return StoreError(f"{self.url} {what}: {reason or type(error).__name__}")

    def listed(self) -> Iterator[Stored]:
        """All objects, their names relative to the folder. Raises StoreError, for too many as well."""
        count = 0
        try:
            for batch in self._library.list(self._store):
                for entry in batch:
                    if (count := count + 1) > MOST_OBJECTS:
                        raise StoreError(f"{self.url} has more than {MOST_OBJECTS:,} objects; name a folder with fewer")
                    yield Stored(entry["path"], int(entry["size"]), entry["e_tag"] or str(entry["last_modified"]))
        except (self._errors, OSError) as error:
            raise self._refused("cannot be listed", error) from error

    def put(self, name: str, content: bytes | Path) -> None:
        """Writes an object, whole or not at all. Raises StoreError, and OSError where the file cannot be read."""
        try:
            self._library.put(self._store, name, content, chunk_size=CHUNK, max_concurrency=2)
        except self._errors as error:
            raise self._refused(f"does not take {name}", error) from error

    def get(self, name: str, limit: int) -> bytes | None:
        """The bytes of an object, None when there is none. Raises StoreError for more than `limit` of them."""
        chunks = self._chunks(name, limit)
        return None if chunks is None else b"".join(chunks)

    def fetch(self, name: str, target: Path, size: int) -> str:
        """Copies an object of exactly `size` bytes into a file, whole or not at all -> its sha256.

        Raises StoreError for another size, for none, and Interrupted when a signal came.
        """
        digest, have = hashlib.sha256(), 0
        chunks = self._chunks(name, size)
        if chunks is None:
            raise StoreError(f"{self.url} lacks {visible(name)}, which it names")
        with atomic_write(target) as temporary:
            with temporary.open("wb") as file:
                for chunk in chunks:
                    stop.check()
                    file.write(chunk)
                    digest.update(chunk)
                    have += len(chunk)
                file.flush()
                os.fsync(file.fileno())
            if have != size:
                raise StoreError(f"{self.url}: {visible(name)} has {have:,} bytes, and {size:,} were announced")
        return digest.hexdigest()

    def _chunks(self, name: str, limit: int) -> Iterator[bytes] | None:
        try:
            answer = self._library.get(self._store, name)
        except FileNotFoundError:
            return None
        except (self._errors, OSError) as error:
            raise self._refused(f"cannot be read at {visible(name)}", error) from error
        return self._streamed(answer, name, limit)

    def _streamed(self, answer: Any, name: str, limit: int) -> Iterator[bytes]:
        have = 0
        try:
            for chunk in answer.stream(min_chunk_size=CHUNK):
                have += len(chunk)
                if have > limit:
                    raise StoreError(f"{self.url}: {visible(name)} has more than the {limit:,} bytes it may have")
                yield bytes(chunk)
        except (self._errors, OSError) as error:
            raise self._refused(f"broke off at {visible(name)}", error) from error

    def delete(self, names: list[str]) -> None:
        """Removes objects, as far as they are there. Raises StoreError."""
        try:
            for name in names:
                self._library.delete(self._store, name)
        except FileNotFoundError:
            pass
        except (self._errors, OSError) as error:
            raise self._refused("does not remove objects", error) from error


def _library() -> types.ModuleType:
    try:
        import obstore
        import obstore.store
    except ImportError:
        raise ImportError("object stores need the extra `cloud`: pip install 'socialjax[cloud]'") from None
    return obstore
