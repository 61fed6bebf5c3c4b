"""Commands of all kinds that are killed at random moments until they have finished."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def number_of(usual: int) -> int:
    """How many kills a test does: $SOCIALJAX_KILLS, or its usual number."""
    return int(os.environ.get("SOCIALJAX_KILLS", usual))


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line of Python with its environment; it goes on with what is in its work folder."""

    words: Sequence[str]
    environment: dict[str, str]
    before: Sequence[str] = ()

    def start(self) -> subprocess.Popen:
        """The process, with its output in pipes that are read at its end."""
        return subprocess.Popen(
            [*self.before, sys.executable, *map(str, self.words)],
            env=self.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, timeout: float = 1800) -> tuple[int, str, str]:
        """(exit code, standard output, standard error)."""
        process = self.start()
        out, error = process.communicate(timeout=timeout)
        return process.returncode, out, error


@dataclasses.dataclass
class Tally:
    """hits: signals that met a process at work. ends: exit codes after them. outlived: children that lived on."""

    hits: int = 0
    ends: dict[int, int] = dataclasses.field(default_factory=dict)
    outlived: list[int] = dataclasses.field(default_factory=list)


def broken_again_and_again(
    command: Command,
    kills: int,
    signals: Sequence[signal.Signals],
    longest: Callable[[], float],
    seed: int = 0,
    ends_with: int = 0,
) -> tuple[Tally, str]:
    """Starts the command, breaks it at a moment drawn from 0 to longest() seconds, and so on; then lets it finish.

    A start that finishes before its moment counts no kill, and ends the breaking. -> the tally, and what the last start
    printed. SIGTERM and SIGINT must end in 128 and their number, or in that of a process that has no handler yet.
    ends_with: the exit code of a start that finishes; 1 where a bar is missed.
    """
    draw, tally = random.Random(seed), Tally()
    while tally.hits < kills:
        process, number = command.start(), draw.choice(list(signals))
        moment = draw.uniform(0, longest())
        try:
            out, error = process.communicate(timeout=moment)
            assert process.returncode == ends_with, error
            break
        except subprocess.TimeoutExpired:
            children = offspring(process.pid)
            process.send_signal(number)
            out, error = process.communicate(timeout=300)
        tally.hits += process.returncode != ends_with
        tally.ends[process.returncode] = tally.ends.get(process.returncode, 0) + 1
        allowed = {ends_with, -number} | (set() if number == signal.SIGKILL else {128 + number})
        assert process.returncode in allowed, (number, process.returncode, error)
        assert number == signal.SIGKILL or "Traceback" not in error, error
        tally.outlived += alive_after(children, 10)
    code, out, error = command.run()
    assert code == ends_with, error
    return tally, out


def offspring(process: int) -> list[int]:
    """The processes that it has started and that do work; multiprocessing's tracker ends by itself."""
    try:
        listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [int(child) for child in listed if "resource_tracker" not in command_line(int(child))]


def command_line(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive_after(processes: Sequence[int], seconds: float) -> list[int]:
    """Those that have not ended after so many seconds."""
    until, left = time.monotonic() + seconds, list(processes)
    while left and time.monotonic() < until:
        left = [process for process in left if command_line(process)]  # that of one that has ended is empty
        time.sleep(0.02)
    return left


READY = """
import json, os, sys
from importlib import import_module
command = import_module(sys.argv[1])
if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        words, log = json.loads(line)
        if (child := os.fork()) == 0:
            opened = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(opened, 1), os.dup2(opened, 2)
            sys.exit(command.main(words))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Ready:
    """Starts an experiment again and again from one process that has imported all it needs and asked for no device.

    A start then takes a fraction of a second, so that many moments can be tried.
    """

    def __init__(self, module: str, folder: Path, environment: dict[str, str]):
        script = folder / "ready.py"
        script.write_text(READY)
        self.log = folder / "ready.log"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(script), module],
            env=environment, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout.readline() == "ready\n"

    def start(self, *words) -> int:
        """The number of the process; what the one before it said is forgotten."""
        self.log.write_text("")
        self._process.stdin.write(json.dumps([list(map(str, words)), str(self.log)]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> tuple[int, str]:
        """(exit code, what it said), when it has ended."""
        return int(self._process.stdout.readline()), self.log.read_text()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
