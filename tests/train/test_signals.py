"""Signals set a flag and raise nothing; the second one is the end, whatever the program is at."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from socialjax import stop
from socialjax.stop import HANDLED, SAME, Interrupted, heeded

ROOT = Path(__file__).resolve().parents[2]
LONG_CALL = """
import sys, time
from socialjax import stop
from socialjax.stop import heeded

with heeded(is_program=True):
    print("at work", flush=True)
    time.sleep(float(sys.argv[1]))  # goes on after a handler that raises nothing, as any call of a library does
    print("left", stop.asked(), flush=True)
"""


def at_work(seconds, *before):
    """A process in a call that takes so long."""
    process = subprocess.Popen(
        [*before, sys.executable, "-c", LONG_CALL, str(seconds)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout.readline() == "at work\n", process.stderr.read()
    return process


@pytest.mark.parametrize("number", HANDLED)
def test_a_handler_raises_nothing_and_the_flag_does(number):
    with heeded(), heeded():  # within another it changes nothing
        try:
            os.kill(os.getpid(), number)
            sum(range(1000))
        except BaseException:
            pytest.fail("raised in the middle of something")
        assert stop.asked() == number
        with pytest.raises(Interrupted, match=f"stopped by {number.name}; start the same command again") as raised:
            try:
                stop.check()
            except Exception:
                pytest.fail("taken for a failure")
        assert raised.value.signal == number
    assert not stop.asked()
    stop.check()


def test_the_second_signal_in_a_program_that_uses_the_library_is_a_keyboard_interrupt():
    with pytest.raises(KeyboardInterrupt), heeded():
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(1000))
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(1000))
    assert not stop.asked()


@pytest.mark.parametrize("number", HANDLED)
def test_the_first_signal_waits_for_a_long_call_and_the_second_does_not(number):
    process = at_work(60)
    process.send_signal(number)
    assert process.stderr.readline().startswith(f"{number.name}: stopping as soon as what is at work can be left")
    time.sleep(2 * SAME)
    process.send_signal(number)
    out, error = process.communicate(timeout=20)
    assert (process.returncode, out) == (128 + number, "")
    assert error == f"ended at once by {number.name}; start the same command again to go on\n"


def test_one_signal_that_is_sent_twice_is_one():
    """As `timeout` does; and a terminal's SIGINT comes with the SIGTERM of what started the process."""
    process = at_work(1.0)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
        time.sleep(0.02)
    out, error = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, f"left {signal.SIGTERM.value}\n")
    assert "ended at once" not in error and "Traceback" not in error


def test_a_hang_up_that_nohup_keeps_away_stays_away():
    process = at_work(0.5, "nohup")
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=20)[0] == "left 0\n" and process.returncode == 0


@pytest.mark.parametrize("number", HANDLED)
def test_a_signal_while_a_command_is_imported_is_one_line(number):
    process = subprocess.Popen(
        [sys.executable, "-m", "socialjax", "tune", "--help"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    maps = Path(f"/proc/{process.pid}/maps")
    while "jaxlib" not in maps.read_text():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(number)
    out, error = process.communicate(timeout=20)
    assert (process.returncode, out, error) == (128 + number, "", f"stopped by {number.name}\n")
