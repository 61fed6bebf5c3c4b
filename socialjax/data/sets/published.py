"""Published sets: their files, where they are, how they are read, and what must be in them."""

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from socialjax.data.schema import PARTS, Dataset
from socialjax.data.standin_shapes import Shape
from socialjax.formats.file_bytes import FileBytes

GITHUB = "https://raw.githubusercontent.com"


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """One published file with its checksum. Mirrors of a text differ in line ends, so that of a text ignores them.

    Attributes:
        name: of the file.
        text: sha256 after CRLF becomes LF.
        blob: git blob id, in place of `text`.
    """

    name: str
    text: str | None = None
    blob: str | None = None

    @property
    def wanted(self) -> str:
        """The checksum of the published content."""
        return self.blob or self.text or ""

    def id_of(self, content: bytes) -> str:
        """The checksum, of the kind by which this file is identified, of some content."""
        if self.blob is not None:
            blob = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
            blob.update(content)
            return blob.hexdigest()
        return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()

    def is_content_of(self, file: FileBytes) -> bool:
        """Whether the file holds the published content; its own sha256 mostly suffices."""
        return file.sha256 == self.text or self.id_of(file.data) == self.wanted


@dataclasses.dataclass(frozen=True)
class Published:
    """A published set.

    Attributes:
        name: of the set.
        about: one line for people.
        addresses: folders, tried in turn; the checksums decide, not the address.
        files: required files.
        read: folder, seed -> data set; never reads optional files.
        source: where it is from and who published it.
        licence: of the data.
        facts: figures of the real files by the names of `facts.facts`, the counts of `schema.counts` among them.
        shape: what a stand-in copies.
        optional: features that are published with the set and used only on request.
        optional_at: where people find them.
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
    """The names of files."""
    return [file.name for file in files]


def counts_of(facts: Mapping[str, object]) -> dict[str, int]:
    """The figures that `schema.counts` gives, which are among all."""
    return {name: cast(int, facts[name]) for name in ("users", "items", *PARTS, "links")}


log = logging.getLogger(__name__)
AS_PUBLISHED, ALTERED = "as published", "altered: "


def compare(entry: Published, files: list[FileBytes]) -> str:
    """Compares files with those that were published; line ends and gzip do not count.

    Args:
        entry: the published set.
        files: its files as read.

    Returns:
        `as published`, or `altered: FILE, FILE`, with a warning.
    """
    known = {file.name: file for file in entry.files + entry.optional}
    altered = []
    for file in files:
        remote = known[file.path.name.removesuffix(".gz")]
        if not remote.is_content_of(file):
            altered.append(file.path.name)
            log.warning(
                "WARNING: %s is not the file that was published as %s of %s (checksum %s, published %s): what follows "
                "is not about the published set. Get it from %s, or give a set of your own another --data.name",
                *(file.path, remote.name, entry.name, remote.id_of(file.data), remote.wanted, entry.addresses[0]),
            )
    return ALTERED + ", ".join(altered) if altered else AS_PUBLISHED


def note(published: str) -> str:
    """The suffix of titles and tables for `Provenance.published`: `, ALTERED: FILE, FILE`, else nothing."""
    return f", ALTERED: {published.removeprefix(ALTERED)}" if published.startswith(ALTERED) else ""
