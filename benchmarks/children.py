"""Fresh processes pinned to one core, all with the same allocator, each of which prints one JSON line at its end."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

# What launch/local.sh sets: without it the page faults of large temporaries are measured, not the arithmetic.
ALLOCATOR = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=30000000:"
    "glibc.malloc.trim_threshold=4000000000:glibc.malloc.arena_max=1"
}


def child_of(description: str | None) -> list[str] | None:
    """The words after --child in a child's process, None in the benchmark's own; --help prints the description."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args().child


def measured(module: str, *arguments: str, core: int | None = 0) -> dict:
    """Runs `python -m module arguments` on one core (None: all) and returns its last line.

    Raises RuntimeError with the end of what it said when it fails.
    """
    return last_line([sys.executable, "-m", module, *arguments], {"JAX_PLATFORMS": "cpu"}, core)


def last_line(words: list[str], variables: dict[str, str], core: int | None = 0) -> dict:
    """Runs a command on one core (None: all) with the allocator of all, and returns its last line, which is JSON.

    Raises RuntimeError with the end of what it said when it fails.
    """
    with on_core(core):
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **ALLOCATOR, **variables})
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[1:])} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Processes that this thread starts meanwhile stay on one core; None for all cores.

    A function for the child to call first would need a fork, which JAX's threads do not stand.
    """
    cores = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {sorted(cores)[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
