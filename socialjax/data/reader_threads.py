"""Room for the threads of array_record, which hangs if they cannot start: it is asked for before anything is read."""

import errno
import os

from socialjax import memory

THREADS = 64  # of its one pool, made with the first reader whatever is read
ARENA = 64 << 20  # bytes of address space that glibc sets aside for threads' own allocations, for up to 8 a core
SLACK = 128 << 20  # an arena is cut from twice its size; measured with 64 threads on 2 cores: 1,502 MB in all


def check_room() -> None:
    """Raises OSError (ENOMEM) where a limit on the address space, as of `ulimit -v`, leaves too little for them."""
    if (room := memory.left()) is None:
        return
    left, limit = room
    wanted = THREADS * memory.stack_bytes() + min(THREADS, 8 * (os.cpu_count() or 1)) * ARENA + SLACK
    if left < wanted:
        raise OSError(
            errno.ENOMEM,
            f"array_record's {THREADS} threads want {wanted >> 20} MB of address space, and {left >> 20} are left of "
            f"the {limit >> 20} MB that ulimit -v allows",
        )
