"""How much memory a process has used, and letting go of compiled programs before their memory maps run out."""

import gc
import sys
from pathlib import Path

import jax

MOST_MAPS = 10_000


def peak_memory_bytes() -> int:
    """Of the first device where it tells (GPU, TPU), else the resident set of this process."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"])
    try:
        import resource
    except ImportError:  # not on this system
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


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
