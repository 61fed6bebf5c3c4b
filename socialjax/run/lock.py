"""One run at a time in a folder: whoever makes a work folder makes it here."""

import contextlib
import fcntl
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from socialjax import stop

log = logging.getLogger(__name__)
_held: list[tuple[int, int]] = []  # device and inode of the folders that this process holds


class Held(ValueError):
    """Another process holds the folder."""


@contextlib.contextmanager
def only_one(folder: Path, waits_for: str = "") -> Iterator[None]:
    """Holds the lock of `folder`, which is made. The system lets go of it when the process ends, however it ends.

    Within this process it may be held again. A folder that cannot be made or locked (some network file systems) is used
    without a lock.

    Args:
        folder: the folder.
        waits_for: the work in it, for the log; with it, the lock of another process is waited for.

    Raises:
        Held: another process holds it, and `waits_for` is empty.
    """
    with contextlib.ExitStack() as closing:
        try:
            made = [place for place in (folder, *folder.parents) if not place.exists()]
            closing.callback(_remove_empty, made)
            folder.mkdir(parents=True, exist_ok=True)
            opened = os.open(folder, os.O_RDONLY)
            closing.callback(os.close, opened)
            known = os.fstat(opened)
            if (known.st_dev, known.st_ino) not in _held:
                _lock(opened, folder, waits_for)
                _held.append((known.st_dev, known.st_ino))
                closing.callback(_held.remove, (known.st_dev, known.st_ino))
        except OSError:
            pass  # a folder that cannot be written fails with its reason at the first write
        yield


@contextlib.contextmanager
def only_writer(file: Path) -> Iterator[None]:
    """The same for a file that commands write anew, alone in no folder of its own. Raises Held."""
    name = hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"socialjax-{os.getuid()}-{name}"
    try:
        with only_one(folder):
            yield
    except Held:
        raise Held(f"another run is at work on {file}; wait until it has ended, or name another file") from None


def _remove_empty(folders: list[Path]) -> None:
    """Whoever is refused after the lock was taken leaves no empty folder behind."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _lock(opened: int, folder: Path, waits_for: str) -> None:
    is_reported = False
    while True:
        try:
            return fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waits_for:
                raise Held(
                    f"another run is at work in {folder}; wait until it has ended, or choose another folder"
                ) from None
        if not is_reported:
            log.warning("another process is at %s in %s; waiting until it has ended", waits_for, folder)
            is_reported = True
        stop.check()
        time.sleep(0.2)
