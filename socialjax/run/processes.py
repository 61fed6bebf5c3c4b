"""Processes that share a machine: one run at a time in a folder, and children that end with their command.

Whoever makes a work folder makes it here. Each child has its share of the cores and its log.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from socialjax import registry, stop
from socialjax.object_store import address_of

log = logging.getLogger(__name__)
_held: list[tuple[int, int]] = []  # device and inode of the folders that this process holds


class Held(ValueError):
    """Another process holds the folder."""


@contextlib.contextmanager
def only_one(folder: Path, waits_for: str = "") -> Iterator[None]:
    """Holds the lock of `folder`, which is made. The system lets go of it when the process ends, however it ends.

    Within this process it may be held again. A folder that cannot be made or locked (some network file systems) is used
    without a lock.

    Args:
        folder: the folder.
        waits_for: the work in it, for the log; with it, the lock of another process is waited for.

    Raises:
        Held: another process holds it, and `waits_for` is empty.
        ValueError: the folder is the address of one in an object store.
    """
    if (url := address_of(folder)) is not None:
        raise ValueError(f"a work folder must be local, got {url}: object stores have no locks, renames or appends")
    with contextlib.ExitStack() as closing:
        try:
            made = [place for place in (folder, *folder.parents) if not place.exists()]
            closing.callback(_remove_empty, made)
            folder.mkdir(parents=True, exist_ok=True)
            opened = os.open(folder, os.O_RDONLY)
            closing.callback(os.close, opened)
            known = os.fstat(opened)
            if (known.st_dev, known.st_ino) not in _held:
                _lock(opened, folder, waits_for)
                _held.append((known.st_dev, known.st_ino))
                closing.callback(_held.remove, (known.st_dev, known.st_ino))
        except OSError:
            pass  # a folder that cannot be written fails with its reason at the first write
        yield


@contextlib.contextmanager
def only_writer(file: Path) -> Iterator[None]:
    """The same for a file that commands write anew, alone in no folder of its own. Raises Held."""
    name = hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"socialjax-{os.getuid()}-{name}"
    try:
        with only_one(folder):
            yield
    except Held:
        raise Held(f"another run is at work on {file}; wait until it has ended, or name another file") from None


def _remove_empty(folders: list[Path]) -> None:
    """Whoever is refused after the lock was taken leaves no empty folder behind."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _lock(opened: int, folder: Path, waits_for: str) -> None:
    is_reported = False
    while True:
        try:
            return fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waits_for:
                raise Held(
                    f"another run is at work in {folder}; wait until it has ended, or choose another folder"
                ) from None
        if not is_reported:
            log.warning("another process is at %s in %s; waiting until it has ended", waits_for, folder)
            is_reported = True
        stop.check()
        time.sleep(0.2)


PR_SET_PDEATHSIG = 1  # of Linux's prctl
LAST_LINES, LAST_CHARACTERS = 3, 400


def shares(jobs: int) -> list[set[int]]:
    """The cores that this process may use, dealt to `jobs` children; empty sets where a system cannot bind to cores.

    A child's XLA makes as many threads as it has cores.
    """
    if not hasattr(os, "sched_getaffinity"):
        return [set() for _ in range(jobs)]
    cores = sorted(os.sched_getaffinity(0))
    return [set(cores[job::jobs]) or {cores[job % len(cores)]} for job in range(jobs)]


def each(
    function: Callable[..., int], tasks: dict[str, tuple], logs: dict[str, Path], jobs: int
) -> Iterator[tuple[str, int | None]]:
    """Calls function(*tasks[name]) for every name, each in a process of its own, `jobs` at a time, in this order.

    Gives (name, exit code), negative for a process that a signal ended, as they end, and ("", None) about every second
    between. What they print goes to logs[name]. `function` returns the exit code; it and the arguments are pickled.
    When the caller stops in between, or is asked to, the children get SIGTERM, and are waited for. When it ends without
    a word, the kernel ends them with it. The signals of a terminal reach the caller alone.
    """
    waiting, free = list(tasks), shares(jobs)
    running: dict[str, tuple[BaseProcess, set[int]]] = {}
    fresh = multiprocessing.get_context("spawn")  # a fork would copy JAX's threads' locks
    try:
        while waiting or running:
            stop.check()
            while waiting and free:
                name, cores = waiting.pop(0), free.pop(0)
                task = function, tasks[name], cores, logs[name], os.getpid()
                child = fresh.Process(target=_begin, args=task, name=name)
                with _kept_from({signal.SIGINT, signal.SIGHUP}):
                    child.start()
                running[name] = child, cores
            next(iter(running.values()))[0].join(timeout=1.0 if len(running) == 1 else 0.2)
            ended = [name for name, (child, _) in running.items() if child.exitcode is not None]
            for name in ended:
                child, cores = running.pop(name)
                free.append(cores)
                yield name, child.exitcode
            if not ended:
                yield "", None
    finally:
        for child, _ in running.values():
            child.terminate()
        try:
            for child, _ in running.values():
                child.join()
        except BaseException:  # not even the wait for them was waited for
            for child, _ in running.values():
                child.kill()
            raise


def last_lines(log: Path) -> str:
    """The end of a log, in one line; empty when there is none."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    except OSError:
        return ""
    return " | ".join([line for line in lines if line][-LAST_LINES:])[-LAST_CHARACTERS:]


@contextlib.contextmanager
def _kept_from(signals: set[signal.Signals]) -> Iterator[None]:
    """What is started meanwhile never gets these signals; this process gets them afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with(parent: int) -> None:
    """This process is killed as soon as its parent has ended, however that ended and whatever this one is at."""
    if sys.platform != "linux" or ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL):
        threading.Thread(target=_end_after_parent, daemon=True, name="parent").start()
    if os.getppid() != parent:  # it ended before it was asked about
        os.kill(os.getpid(), signal.SIGKILL)


def _end_after_parent() -> None:
    """Where the kernel does not: waits for the end of a pipe that the parent holds."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def _begin(function: Callable[..., int], arguments: tuple, cores: set[int], log: Path, parent: int) -> None:
    end_with(parent)
    if cores:
        os.sched_setaffinity(0, cores)  # before JAX looks for devices
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        print(f"-- {time.strftime('%Y-%m-%d %H:%M:%S')}, cores {sorted(cores) or 'all'}", file=file, flush=True)
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    registry.import_inherited()
    with contextlib.suppress(BrokenPipeError):
        sys.exit(function(*arguments))
