"""What is known of a published set: its files, where they are, how they are read, and what must be in them."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from socialjax.data.formats.file_bytes import FileBytes
from socialjax.data.schema import PARTS, Dataset
from socialjax.data.standin_shapes import Shape

GITHUB = "https://raw.githubusercontent.com"


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """One published file and how it is recognised: `text` (sha256 after CRLF becomes LF) or `blob` (git blob id).

    Mirrors of the same text differ in line ends, so the checksum of a text is that of its lines.
    """

    name: str
    text: str | None = None
    blob: str | None = None

    @property
    def wanted(self) -> str:
        """The checksum of the published content."""
        return self.blob or self.text or ""

    def id_of(self, content: bytes) -> str:
        """The checksum by which this file is known, of another content."""
        if self.blob is not None:
            blob = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
            blob.update(content)
            return blob.hexdigest()
        return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()

    def is_content_of(self, file: FileBytes) -> bool:
        """Whether the file holds the published content; its own checksum tells that in most cases without another."""
        return file.sha256 == self.text or self.id_of(file.data) == self.wanted


@dataclasses.dataclass(frozen=True)
class Published:
    """A published set. `addresses` are folders, tried in turn; the checksums decide, not the address.

    optional: features that are published beside the set and are taken only when they are asked for; optional_at: where
    a person finds them. `read` never reads them. source: where it is from and who published it. facts: figures of the
    real files by the names of `facts.facts`, the counts of `schema.counts` among them. shape: what a stand-in copies.
    """

    name: str
    about: str
    addresses: tuple[str, ...]
    files: tuple[RemoteFile, ...]
    read: Callable[[Path, int], Dataset]  # folder, seed of the validation part where the files have none
    source: str
    licence: str
    facts: Mapping[str, object]
    shape: Shape | None = None
    optional: tuple[RemoteFile, ...] = ()
    optional_at: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Sizes of tables and parts, as `schema.counts` gives them."""
        return counts_of(self.facts)

    def missing(self, folder: Path) -> list[str]:
        """Names of the required files that `folder` lacks; `<name>.gz` counts."""
        here = lambda name: (folder / name).is_file() or (folder / f"{name}.gz").is_file()  # noqa: E731
        return [file.name for file in self.files if not here(file.name)]


def github(repository: str, folder: str, *commits: str) -> tuple[str, ...]:
    """Addresses of a folder of a repository, one for each commit or branch."""
    return tuple(f"{GITHUB}/{repository}/{commit}/{folder}" for commit in commits)


def names(files: Sequence[RemoteFile]) -> list[str]:
    """Of files."""
    return [file.name for file in files]


def counts_of(facts: Mapping[str, object]) -> dict[str, int]:
    """The figures that `schema.counts` gives, which are among all."""
    return {name: cast(int, facts[name]) for name in ("users", "items", *PARTS, "links")}
