"""Requests to stop: signals set a flag, which is asked for between one piece of work and the next.

A handler of signals raises nothing: the exception would come up in the middle of any library, and whoever expects a
damaged file there would take it for one. Handlers call `ask`; what takes long calls `check` where
it can be left and gone on with: between steps, files, models, seeds and trials.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

_asked: list[int] = []


class Interrupted(BaseException):
    """The work was asked to stop; what training had done is saved. `signal` is the number of the signal.

    No `Exception`: nobody may take it for a failure of what was at work.
    """

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}; start the same command again to go on")
        self.signal = number


def ask(number: int) -> None:
    """Asks for the end, because of the signal of this number; the first one counts."""
    if not _asked:
        _asked.append(number)


def asked() -> int:
    """The number of the signal that asked for the end, 0 when none did."""
    return _asked[0] if _asked else 0


def check() -> None:
    """Raises Interrupted when the end was asked for."""
    if number := asked():
        raise Interrupted(number)


def forget() -> None:
    """The work has ended: what comes next was not asked to stop."""
    _asked.clear()


__all__ = ["Interrupted", "end_at_once", "heeded"]
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Seconds in which another signal is the first one once more: `timeout` sends it to the process and to its group, and
# what starts processes sends SIGTERM to those that a terminal has sent SIGINT already.
SAME, OTHER = 0.2, 1.0
_heeding: list[bool] = []


@contextlib.contextmanager
def heeded(is_program: bool = False) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP set the flag that `check` asks; within another `heeded`, that one counts.

    The second signal is a KeyboardInterrupt or, where this is the whole program, its end, even in the middle of a long
    call of a library: files are whole or absent, as after SIGKILL. Outside the main thread, signals are somebody
    else's.
    """
    if _heeding or threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number, _frame):
        if asked() and not is_program:
            raise KeyboardInterrupt
        ask(number)

    with contextlib.ExitStack() as closing:
        _heeding.append(True)
        closing.callback(_heeding.clear)
        closing.callback(forget)
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
