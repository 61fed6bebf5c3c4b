"""Two runs never write into one folder at the same time."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from socialjax import stop
from socialjax.run.processes import only_one

HOLD = """
import sys, time
from pathlib import Path
from socialjax.run.processes import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_by_one_process_until_it_is_killed(tmp_path):
    folder = tmp_path / "a" / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match=r"another run is at work in .*run; wait"), only_one(folder):
            pass
        other.kill()
    with only_one(folder):
        assert not os.listdir(folder)
    with only_one(folder):  # let go at the end
        pass


def test_what_is_waited_for_is_said_once_and_had_when_the_other_ends(tmp_path, caplog):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        threading.Timer(0.5, other.kill).start()
        with only_one(tmp_path, waits_for="trial 3"):
            assert other.wait() == -signal.SIGKILL
    assert caplog.messages == [f"another process is at trial 3 in {tmp_path}; waiting until it has ended"]


def test_a_wait_ends_when_the_end_is_asked_for(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        stop.ask(signal.SIGTERM)
        try:
            with pytest.raises(stop.Interrupted), only_one(tmp_path, waits_for="trial 3"):
                pass
        finally:
            stop.forget()
            other.kill()


def test_what_this_process_holds_it_may_hold_again(tmp_path):
    """A command holds its folder, and a part of it that makes the same folder does too."""
    with only_one(tmp_path):
        with only_one(tmp_path / ".." / tmp_path.name):
            pass
        held = [sys.executable, "-c", HOLD, str(tmp_path)]
        other = subprocess.run(held, capture_output=True, text=True)
        assert "another run is at work" in other.stderr


def test_a_folder_that_cannot_be_made_is_not_locked(tmp_path):
    (tmp_path / "file").write_text("")
    with only_one(tmp_path / "file" / "run"):
        pass
