"""The folders of checkpoints, looked at before anything in them is read: which there are and what their files weigh."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from socialjax.train.digests import Damaged

MOST_FILES = 20_000  # of one checkpoint; ours have some tens for each process that wrote them
LARGEST_NOTE = 16 << 20  # bytes of a file that holds no arrays
ALWAYS_FINE = 64 << 20  # bytes of arrays that nobody needs to ask about
RATIO = 100  # of the bytes of arrays to those on disk; parameters barely compress, made-up ones do by thousands
ARRAYS = "d"  # the folder in which OCDBT keeps them


def newest(folder: Path) -> list[int]:
    """The steps of which `folder` has a checkpoint, the newest first; nothing in them is opened."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.isascii() and entry.name.isdecimal()]
    except OSError:
        return []
    return sorted((int(name) for name in names if len(name) < 20 and name == str(int(name))), reverse=True)


def bytes_on_disk(folder: Path) -> int:
    """What the files of one checkpoint take on the disk, holes left out.

    Raises Damaged for anything but plain files and folders (a pipe would be waited for, a link leads elsewhere), for
    more files than a checkpoint has, and for notes as large as arrays.
    """
    total = count = 0
    waiting = [Path(folder)]
    while waiting:
        inside = waiting.pop()
        if not stat.S_ISDIR(os.lstat(inside).st_mode):
            raise Damaged(f"{inside.name} is no folder")
        with os.scandir(inside) as entries:
            for entry in entries:
                count += 1
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(Path(entry.path))
                elif not stat.S_ISREG(status.st_mode):
                    raise Damaged(f"{entry.name} is no plain file")
                elif status.st_size > LARGEST_NOTE and inside.name != ARRAYS:
                    raise Damaged(f"{entry.name} has {status.st_size} bytes, wanted at most {LARGEST_NOTE}")
                total += min(status.st_size, 512 * status.st_blocks)
                if count > MOST_FILES:
                    raise Damaged(f"it has more than {MOST_FILES} files")
    return total


def check_weight(shapes: Iterable[tuple[np.dtype, tuple[int, ...]]], on_disk: int) -> None:
    """Raises Damaged for arrays that are far larger than the files they are to come from."""
    wanted = sum(np.dtype(dtype).itemsize * int(np.prod(sizes, dtype=object)) for dtype, sizes in shapes)
    if wanted > max(ALWAYS_FINE, RATIO * on_disk):
        raise Damaged(f"its arrays would have {wanted} bytes and come from files of {on_disk}")
