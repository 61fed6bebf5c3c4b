"""Child processes that share the cores of this machine, each with its log; none outlives the command."""

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path


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
    When the caller stops in between, the children get SIGTERM, and are waited for.
    """
    waiting, free = list(tasks), shares(jobs)
    running: dict[str, tuple[BaseProcess, set[int]]] = {}
    fresh = multiprocessing.get_context("spawn")  # a fork would copy JAX's threads' locks
    try:
        while waiting or running:
            while waiting and free:
                name, cores = waiting.pop(0), free.pop(0)
                child = fresh.Process(target=_begin, args=(function, tasks[name], cores, logs[name]), name=name)
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
        for child, _ in running.values():
            child.join()


def _begin(function: Callable[..., int], arguments: tuple, cores: set[int], log: Path) -> None:
    if cores:
        os.sched_setaffinity(0, cores)  # before JAX looks for devices
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        print(f"-- {time.strftime('%Y-%m-%d %H:%M:%S')}, cores {sorted(cores) or 'all'}", file=file, flush=True)
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    with contextlib.suppress(BrokenPipeError):
        sys.exit(function(*arguments))
