"""SIGTERM, Ctrl-C and a hang-up: the first one asks for the end at a good moment, the second one is the end."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from socialjax import stop
from socialjax.stop import Interrupted

__all__ = ["Interrupted", "end_at_once", "heeded"]
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Seconds in which another signal is the first one once more: `timeout` sends it to the process and to its group, and
# what starts processes sends SIGTERM to those that a terminal has sent SIGINT already.
SAME, OTHER = 0.2, 1.0
_heeding: list[bool] = []


@contextlib.contextmanager
def heeded(is_program: bool = False) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP set the flag that `stop.check` asks; within another `heeded`, that one counts.

    The second signal is a KeyboardInterrupt or, where this is the whole program, its end, even in the middle of a long
    call of a library: files are whole or absent, as after SIGKILL. Outside the main thread, signals are somebody
    else's.
    """
    if _heeding or threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number, _frame):
        if stop.asked() and not is_program:
            raise KeyboardInterrupt
        stop.ask(number)

    with contextlib.ExitStack() as closing:
        _heeding.append(True)
        closing.callback(_heeding.clear)
        closing.callback(stop.forget)
        if is_program:
            closing.enter_context(_watched())
        for number in HANDLED:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                closing.callback(signal.signal, number, signal.signal(number, note) or signal.SIG_DFL)
        yield


def end_at_once() -> None:
    """From now on such a signal ends the process with one line: for the seconds in which a program is imported, and
    for its last ones. Nothing is at stake, and a KeyboardInterrupt in threads of libraries ends in a crash."""
    for number in HANDLED:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: _end(number, "stopped by {}"))


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """A thread is notified of each signal as it arrives, while the main thread may be in a call that takes minutes."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read,), daemon=True, name="signals").start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)


def _watch(read: int) -> None:
    first, began = 0, 0.0
    while received := os.read(read, 1):  # nothing when the other end is closed
        number, since = received[0], time.monotonic() - began
        if number not in HANDLED:
            continue
        if not first:
            first, began = number, time.monotonic()
            _write_line(number, "{}: stopping as soon as what is at work can be left; once more ends it at once")
        elif since > (SAME if number == first else OTHER) and multiprocessing.parent_process() is None:
            # A child is its parent's to kill: both are asked to stop when a whole group of processes is.
            _end(number, "ended at once by {}; start the same command again to go on")
    os.close(read)


def _write_line(number: int, words: str) -> None:
    """To standard error, past all buffers and locks that the interrupted code may hold."""
    with contextlib.suppress(OSError):
        line_before = "\n" if os.isatty(2) else ""
        os.write(2, f"{line_before}{words.format(signal.Signals(number).name)}\n".encode())


def _end(number: int, words: str) -> None:
    _write_line(number, words)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(128 + number)
