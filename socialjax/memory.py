"""What a machine runs short of: memory and memory maps that are left, and errors that say something of the machine.

These are of memory, limits, disks and permissions, and nothing of a file.
"""

import ctypes
import errno
import gc
import os
import re
import sys
from collections.abc import Iterator
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


def available_bytes() -> int | None:
    """Memory that programs may still take without swapping; None where the system does not tell (it is not Linux)."""
    path = Path("/proc/meminfo")
    match = re.search(r"^MemAvailable:\s+(\d+) kB", path.read_text(), re.M) if path.exists() else None
    limits = [int(match[1]) << 10] if match else []
    room = left()
    return min([*limits, *([room[0]] if room else [])], default=None)


def resident_bytes() -> int:
    """Memory that this process holds now; its peak so far where the system does not tell (it is not Linux)."""
    import resource

    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def peak_bytes() -> int:
    """The most memory that this process has held. `ru_maxrss` counts that of the process from which it was started."""
    import resource

    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def return_freed() -> None:
    """Gives memory that was freed back to the system, where the C library would keep it (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


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


ADVICE = "raise the limit or end other programs, then start the same command again"
RUN = 1300 << 20  # bytes of address space: JAX on 2 cores, and compiling a small model, measured; more cores want more
# What C++ libraries and the system say, whatever Python class it comes as.
MEMORY = re.compile(
    r"RESOURCE_EXHAUSTED|bad_alloc|[Oo]ut of memory|annot allocate memory|can't start new thread|failed to map segment"
)
CODE = re.compile(r"os_error_code='?(\d+)")  # TensorStore's word for errno
MISSING = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


class NotEnoughMemory(MemoryError):
    """What there was no memory for, and what to do."""


def sentence(error: BaseException) -> str:
    """The message of an error of memory."""
    if isinstance(error, NotEnoughMemory):
        return str(error)
    description = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return f"not enough memory ({description}); {ADVICE}: it goes on from where it was"


def check_address_space() -> None:
    """Raises NotEnoughMemory before JAX starts, where a limit on the address space leaves it too little: XLA ends the
    process when a thread of its own cannot start."""
    room = left()
    if room is not None and room[0] < RUN:
        raise NotEnoughMemory(
            f"not enough memory: JAX wants {RUN >> 20} MB of address space and more, and {room[0] >> 20} are left of "
            f"the {room[1] >> 20} MB that ulimit -v allows; {ADVICE}"
        )


def shorten_memory_errors() -> None:
    """From now on a lack of memory while a program is imported is reported in one line, without a traceback."""
    before = sys.excepthook

    def tell(kind, error, trace):
        if of_memory(error):
            sys.stderr.write(f"error: {sentence(error)}\n")
        else:
            before(kind, error, trace)

    sys.excepthook = tell


def of_memory(error: BaseException) -> bool:
    """Whether the error, or what it was raised from, is that memory or threads are short."""
    for each in _chain(error):
        code = _errno(each)
        if isinstance(each, MemoryError) or code == errno.ENOMEM or (code is None and MEMORY.search(str(each))):
            return True
    return False


def of_system(error: BaseException) -> OSError | None:
    """The system's refusal that the error is, or was raised from; None where a file is merely missing."""
    for each in _chain(error):
        code = _errno(each)
        if code is not None and code not in MISSING:
            return each if isinstance(each, OSError) else OSError(code, os.strerror(code))
    return None


def _errno(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    match = CODE.search(str(error))
    return int(match[1]) if match else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it was raised from, each once."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__
