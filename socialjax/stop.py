"""Whether the work should end: a flag that signals set, asked between one piece of work and the next.

A handler of signals raises nothing: the exception would come up in the middle of any library, and whoever expects a
damaged file there would take it for one. Handlers (`train/signals.py`) call `ask`; what takes long calls `check` where
it can be left and gone on with: between steps, files, models, seeds and trials.
"""

import signal

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
