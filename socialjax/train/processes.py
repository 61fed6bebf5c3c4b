"""Several processes as one: what launch/multiprocess.sh and the cluster scripts put into the environment.

All processes must make the same calls in the same order. Whatever a decision is made from that may differ between
them (clocks, signals, rounding) is exchanged first.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from socialjax import stop
from socialjax.stop import HANDLED


def join_processes() -> None:
    """Joins the other processes when SOCIALJAX_COORDINATOR (host:port) is set, with SOCIALJAX_NUM_PROCESSES and
    SOCIALJAX_PROCESS_ID; `auto` lets JAX find them (SLURM, Cloud TPU). Raises ValueError when one of them is missing.
    """
    coordinator = os.environ.get("SOCIALJAX_COORDINATOR")
    if not coordinator or jax.distributed.is_initialized():
        return
    if coordinator == "auto":
        with _own_handlers():
            jax.distributed.initialize()
        return
    try:
        count, number = (int(os.environ[name]) for name in ("SOCIALJAX_NUM_PROCESSES", "SOCIALJAX_PROCESS_ID"))
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"with SOCIALJAX_COORDINATOR, SOCIALJAX_NUM_PROCESSES and SOCIALJAX_PROCESS_ID must be numbers: {error}"
        ) from None
    with _own_handlers():
        jax.distributed.initialize(coordinator, num_processes=count, process_id=number)


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Puts our handlers of signals back: JAX takes SIGTERM for itself when processes join."""
    before = {number: signal.getsignal(number) for number in HANDLED}
    yield
    for number, handler in before.items():
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(number, handler)


def program_start() -> float:
    """When this process started, in the clock of time.monotonic: imports count for those who wait."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        return ticks / os.sysconf("SC_CLK_TCK") - (time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())
    except (OSError, ValueError, AttributeError, IndexError):
        return time.monotonic()


def is_first() -> bool:
    """Whether this process writes files and prints."""
    return jax.process_index() == 0


def largest(*numbers: float) -> list[float]:
    """The largest of each number over all processes; all of them must call."""
    return _gathered(numbers).max(axis=0).tolist()


def check_stop() -> None:
    """Raises Interrupted in all processes when one was asked to stop; all of them must call."""
    (number,) = largest(stop.asked())
    if number:
        raise stop.Interrupted(int(number))


def of_first(*numbers: float) -> list[float]:
    """The numbers of the first process; all of them must call."""
    return _gathered(numbers)[0].tolist()


def _gathered(numbers) -> np.ndarray:
    """N numbers of each of P processes: f64[P, N]."""
    local = np.array(numbers, np.float64)
    if jax.process_count() == 1:
        return local[None]
    from jax.experimental import multihost_utils

    halves = multihost_utils.process_allgather(local.view(np.uint32))  # JAX would round float64
    return np.ascontiguousarray(halves).view(np.float64)
