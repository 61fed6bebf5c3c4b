"""Folders with the checksums of all their files in SHA256SUMS, in the form that `sha256sum -c` reads."""

import hashlib
from pathlib import Path

from socialjax.atomic_write import atomic_write

SUMS = "SHA256SUMS"


class DamagedError(ValueError):
    """A folder that has changed since it was written, or was not written by this library."""


def seal(folder: Path) -> None:
    """Writes the checksums of all files of `folder`."""
    with atomic_write(folder / SUMS) as temporary:
        temporary.write_bytes(_as_text(_sums(folder)))


def check(folder: Path) -> list[str]:
    """The names of the files of a sealed folder, sorted. Raises DamagedError that names the files that differ."""
    path = folder / SUMS
    if not path.is_file():
        raise DamagedError(f"{path} is missing")
    sealed, sums = path.read_bytes(), _sums(folder)
    if sealed == _as_text(sums):
        return sorted(sums)
    lines = (line.split("  ", 1) for line in sealed.decode("utf-8", "replace").splitlines())
    before = {line[1]: line[0] for line in lines if len(line) == 2}
    differ = sorted(name for name in {*before, *sums} if before.get(name) != sums.get(name))
    # A name that is not there comes from a damaged line, as does a line of another length.
    there = [name for name in differ if name in sums]
    raise DamagedError(f"{', '.join(there or differ or [SUMS])}: not as {SUMS} has it, or {SUMS} is damaged")


def _sums(folder: Path) -> dict[str, str]:
    """{name: sha256} of everything in `folder` but the checksums themselves."""
    sums = {}
    for path in sorted(folder.iterdir()):
        if path.name == SUMS:
            continue
        if path.is_symlink() or not path.is_file():
            raise DamagedError(f"{path.name}: no regular file")
        with open(path, "rb") as content:
            sums[path.name] = hashlib.file_digest(content, "sha256").hexdigest()
    return sums


def _as_text(sums: dict[str, str]) -> bytes:
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
