"""Two runs never write into one folder at the same time."""

import os
import subprocess
import sys

import pytest

from socialjax.run.lock import only_one

HOLD = """
import sys, time
from pathlib import Path
from socialjax.run.lock import only_one
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


def test_a_folder_that_cannot_be_made_is_not_locked(tmp_path):
    (tmp_path / "file").write_text("")
    with only_one(tmp_path / "file" / "run"):
        pass
