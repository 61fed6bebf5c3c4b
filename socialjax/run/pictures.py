"""Pictures on which no result hangs: what cannot be drawn costs a warning."""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)


def attempt(path: Path, draw: Callable[[Path], object], anew: bool = False) -> bool:
    """Calls draw(path) unless the file is there, or `anew` -> whether it is there afterwards.

    For what a result is adorned with, once it is written: what goes wrong is a warning with the reason, and the next
    start of the command tries again.
    """
    if path.exists() and not anew:
        return True
    try:
        draw(path)
    except Exception as error:  # whatever fonts, names and full disks make Matplotlib raise
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # one that was there shows something else
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        log.warning("%s could not be made (%s); the results are kept, and the same command tries again", path, why)
    return path.exists()
