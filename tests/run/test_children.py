"""Child processes share the cores, write their logs, and end with the one that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from socialjax import stop
from socialjax.run import processes

PARENT = """
import sys, time
from pathlib import Path
from socialjax.run import processes
if sys.argv[1] == "pipe":  # as where the kernel has no such call: this one does not know it either
    processes.PR_SET_PDEATHSIG = 1 << 30

def at_work(folder):
    (folder / "pid").write_text(str(__import__("os").getpid()))
    time.sleep(60)
    return 0

if __name__ == "__main__":
    folder = Path(sys.argv[2])
    list(processes.each(at_work, {"a": (folder,)}, {"a": folder / "log.txt"}, 1))
"""


def say(word):
    print(f"said {word}", flush=True)
    return 0


def fall(how):
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return 3


def sleep(mark):
    mark.write_text(str(os.getpid()))
    time.sleep(60)


def by_name(tasks):
    """What a task does: `each` calls one function."""
    kind, *arguments = tasks
    return {"say": say, "fall": fall, "sleep": sleep}[kind](*arguments)


def test_the_cores_are_dealt_out():
    mine = os.sched_getaffinity(0)
    found = processes.shares(len(mine))
    assert set.union(*found) == mine and sum(map(len, found)) == len(mine)
    assert all(share and share <= mine for share in processes.shares(3 * len(mine)))


def test_one_that_falls_does_not_stop_the_others_and_each_has_its_log(tmp_path):
    tasks = {"a": (("fall", "killed"),), "b": (("fall", "code"),), "c": (("say", "hello"),)}
    logs = {name: tmp_path / name / "log.txt" for name in tasks}
    ended = dict(event for event in processes.each(by_name, tasks, logs, 2) if event[1] is not None)
    assert ended == {"a": -signal.SIGKILL, "b": 3, "c": 0}
    assert "said hello" in logs["c"].read_text() and "said" not in logs["a"].read_text()


def test_they_end_with_the_caller(tmp_path):
    mark = tmp_path / "mark"
    events = processes.each(by_name, {"a": (("sleep", mark),)}, {"a": tmp_path / "log.txt"}, 1)
    for _ in events:
        if mark.exists() and mark.read_text():
            break
    events.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_they_end_when_the_caller_is_asked_to_stop(tmp_path):
    mark = tmp_path / "mark"
    try:
        with pytest.raises(stop.Interrupted):
            for _ in processes.each(by_name, {"a": (("sleep", mark),)}, {"a": tmp_path / "log.txt"}, 1):
                if mark.exists() and mark.read_text():
                    stop.ask(signal.SIGTERM)
    finally:
        stop.forget()
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


@pytest.mark.parametrize("how, stopped", [("kernel", False), ("kernel", True), ("pipe", False)])
def test_none_outlives_a_caller_that_was_killed(tmp_path, how, stopped):
    """Nor one that was stopped at the time, as a process in a busy machine's swap is."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script), how, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    mark = tmp_path / "pid"
    while not mark.exists() or not mark.read_text():
        assert parent.poll() is None
        time.sleep(0.01)
    child = int(mark.read_text())
    if stopped:
        os.kill(child, signal.SIGSTOP)
    parent.kill()
    parent.wait()
    until = time.monotonic() + 20
    while is_alive(child):
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.01)


def is_alive(process):
    """Whether it runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_end_of_a_log_is_one_short_line(tmp_path):
    log = tmp_path / "log.txt"
    assert processes.last_lines(log) == ""
    log.write_bytes(b"one\ntwo\n\n  three \xff\nfour\n\n")
    assert processes.last_lines(log) == "two | three \N{REPLACEMENT CHARACTER} | four"
    log.write_text("x" * 9999)
    assert len(processes.last_lines(log)) == processes.LAST_CHARACTERS
