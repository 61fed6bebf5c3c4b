"""Files that are whole or absent: written under a temporary name, then renamed."""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives the name to write to; it becomes `path` when the block ends well, and is gone when it does not."""
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path, older_than_s: float = 3600) -> None:
    """Removes from `folder` what writers that were killed have left under temporary names."""
    for path in folder.iterdir():
        if re.fullmatch(r"\.\d+\..+", path.name):
            with contextlib.suppress(FileNotFoundError):  # renamed by its writer meanwhile
                if time.time() - path.stat().st_mtime > older_than_s:
                    path.unlink()
