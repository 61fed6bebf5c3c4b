"""One run at a time in a folder."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Holds the lock of `folder`, which is made. The system lets go of it when the process ends, however it ends.

    Raises ValueError while another process holds it. A folder that cannot be made or locked (some network file
    systems) is used without a lock.
    """
    with contextlib.ExitStack() as closing:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            opened = os.open(folder, os.O_RDONLY)
            closing.callback(os.close, opened)
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"another run is at work in {folder}; wait until it has ended, or choose another --workdir"
            ) from None
        except OSError:
            pass  # one that cannot be written is told of when something is written
        yield
