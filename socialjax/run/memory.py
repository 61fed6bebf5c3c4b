"""Compiled programs are let go before the memory maps of a process run out."""

import gc
from pathlib import Path

import jax

MOST_MAPS = 10_000


def memory_maps() -> int | None:
    """How many memory maps this process holds; None where the system does not tell (it is not Linux)."""
    maps = Path("/proc/self/maps")
    return maps.read_bytes().count(b"\n") if maps.exists() else None


def release_programs(most: int = MOST_MAPS) -> bool:
    """Lets go of all compiled programs when the process holds more than `most` memory maps.

    Each program that XLA compiles for a CPU keeps some maps, Linux gives a process 65,530 of them (vm.max_map_count),
    and without any left XLA ends in a segmentation fault. What is called again is compiled again.

    Returns:
        Whether programs were let go.
    """
    maps = memory_maps()
    if maps is None or maps <= most:
        return False
    jax.clear_caches()
    gc.collect()
    return True
