"""The address space that a limit such as `ulimit -v` leaves: libraries in C++ end a process that runs out of it."""

import sys
from pathlib import Path


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
