"""SIGTERM and Ctrl-C: heard at a good moment while training, an exception anywhere else."""

import contextlib
import signal
from collections.abc import Iterator


class Interrupted(Exception):
    """The run was asked to stop; what training had done is saved. `signal` is the number of the signal."""

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}; start the same command again to go on")
        self.signal = number


@contextlib.contextmanager
def collected() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT instead of dying of them; a second Ctrl-C is a KeyboardInterrupt."""
    heard: list[int] = []

    def note(number, _frame):
        if heard and number == signal.SIGINT:
            raise KeyboardInterrupt
        heard.append(number)

    with _handled_by(note):
        yield heard


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """SIGTERM and SIGINT raise Interrupted wherever the program is."""

    def stop(number, _frame):
        raise Interrupted(number)

    with _handled_by(stop):
        yield


@contextlib.contextmanager
def _handled_by(handler) -> Iterator[None]:
    before = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread: signals are somebody else's
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
