"""What the scripts of other libraries measure of themselves; they have NumPy and their library, nothing of ours."""

import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

import numpy as np


def training_data() -> dict[str, np.ndarray]:
    """The arrays of the file that the first argument names."""
    with np.load(sys.argv[1], allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def since_start() -> float:
    """Seconds since this process started, imports included."""
    ticks = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def timed_steps(step, warm: int, calls: int, steps: int) -> dict:
    """Median CPU seconds of a step over `calls` calls of `steps` each, and when the first one was done."""
    losses = [step()]
    begun = since_start()
    for _ in range(warm - 1):
        step()
    spent = []
    for _ in range(calls):
        start = time.process_time()
        losses = [float(step()) for _ in range(steps)]
        spent.append((time.process_time() - start) / steps)
    if not np.isfinite(losses).all():
        raise RuntimeError("the loss is not finite")
    return {"seconds": float(np.median(spent)), "first_step_seconds": begun, "loss": float(np.mean(losses))}


def report(*libraries: str, **figures) -> None:
    """The last line: figures, versions and the peak resident set."""
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    versions = {name: importlib.metadata.version(name) for name in libraries}
    print(json.dumps({"versions": versions, "peak_memory_bytes": int(peak.split()[1]) * 1024, **figures}))


class Pairs:
    """Batches of training pairs in random order, each with one item that the user did not take."""

    def __init__(self, user: np.ndarray, item: np.ndarray, num_items: int, batch: int):
        self.user, self.item, self.num_items, self.batch = (
            user.astype(np.int64),
            item.astype(np.int64),
            num_items,
            batch,
        )
        self.taken = np.sort(self.user * num_items + self.item)
        self.draw, self.order, self.place = np.random.default_rng(0), None, len(user)

    def next(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Users, items and negatives i64[batch] each."""
        if self.place + self.batch > len(self.user):
            self.order, self.place = self.draw.permutation(len(self.user)), 0
        rows = self.order[self.place : self.place + self.batch]
        self.place += self.batch
        users, negatives = self.user[rows], self.draw.integers(0, self.num_items, self.batch)
        while True:
            keys = users * self.num_items + negatives
            found = np.minimum(np.searchsorted(self.taken, keys), len(self.taken) - 1)
            again = np.flatnonzero(self.taken[found] == keys)
            if not len(again):
                return users, self.item[rows], negatives
            negatives[again] = self.draw.integers(0, self.num_items, len(again))
