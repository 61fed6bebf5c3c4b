"""What is left of a process's memory: its address space under a limit, and memory maps for compiled programs."""

import gc
import sys
from pathlib import Path

MOST_MAPS = 10_000


def left() -> tuple[int, int] | None:
    """(bytes that are left, bytes that the limit allows), None without a limit or where there is none to ask for."""
    if not sys.platform.startswith("linux"):
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return max(limit - used, 0), limit


def stack_bytes() -> int:
    """Bytes that a thread's stack takes."""
    import resource

    size, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return 8 << 20 if size == resource.RLIM_INFINITY else size


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
    import jax  # commands heed signals before it is imported, which takes a second

    jax.clear_caches()
    gc.collect()
    return True
