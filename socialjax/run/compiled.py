"""Compiled programs are kept between starts of commands, in the user's cache: a second start compiles little.

A compiled program is machine code that a later start runs. Hence the folder is used only where it is a folder of this
user's that nobody else may write to, and each kind of processor has one of its own below: a home that several machines
share must not give one of them instructions that it does not have. What was not used for longest is removed beyond
`MOST_BYTES`. Whatever is wrong with the folder, commands run without it.

SOCIALJAX_COMPILED=off keeps nothing, a path keeps them there. JAX's own setting, JAX_COMPILATION_CACHE_DIR, goes first.
"""

import contextlib
import hashlib
import logging
import os
import platform
import stat
import warnings
from pathlib import Path

import jax

from socialjax.data.cache import cache_folder

log = logging.getLogger(__name__)
VARIABLE, OFF = "SOCIALJAX_COMPILED", ("off", "0", "no", "false")
MOST_BYTES = 256 << 20
LEAST_SECONDS = 0.05  # of compiling, below which a program is not worth a file


def keep() -> Path | None:
    """Tells JAX to keep what it compiles from now on, and to look there first.

    Returns:
      The folder, or None where nothing is kept or JAX was told a folder already.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted.lower() in OFF or jax.config.jax_compilation_cache_dir is not None:
        return None
    if not hasattr(os, "geteuid"):  # no owner that could be asked for
        return None
    root = Path(wanted).expanduser() if wanted else cache_folder() / f"compiled-{os.geteuid()}"
    try:
        folder = _own_folder(root) / _processor()
        folder.mkdir(mode=0o700, exist_ok=True)
        remove_oldest(root, MOST_BYTES)
    except OSError as error:
        log.warning("compiled programs are not kept: %s; %s names another folder, or is off", error, VARIABLE)
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
    # A full disk, or a file that another start has half written or just removed: it is compiled instead.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
    return folder


def remove_oldest(root: Path, most: int) -> None:
    """Removes programs below `root`, those not used for longest first, until at most `most` bytes are left."""
    found = []
    for file in root.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):  # another start removes them too
            about = file.lstat()
            if stat.S_ISREG(about.st_mode):
                found.append((max(about.st_atime, about.st_mtime), about.st_size, file))
    left = sum(size for _, size, _ in found)
    for _, size, file in sorted(found):
        if left <= most:
            return
        file.unlink(missing_ok=True)
        left -= size


def _own_folder(path: Path) -> Path:
    """The folder, made where it is missing. Raises OSError unless it is the user's, and nobody else may write to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode):
        raise NotADirectoryError(f"{path} is no folder")
    if about.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to another user, whose programs would be run")
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path} can be written to by others, whose programs would be run (chmod go-w)")
    return path


def _processor() -> str:
    """A name for processors that run the same machine code, and for this JAX."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        kind = ""
    said = "\n".join([jax.__version__, platform.machine(), platform.processor(), kind])
    return hashlib.sha256(said.encode()).hexdigest()[:16]
