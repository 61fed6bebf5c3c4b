"""Child processes share the cores, write their logs, and end with the one that started them."""

import os
import signal
import time

import pytest

from socialjax.run import children


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
    found = children.shares(len(mine))
    assert set.union(*found) == mine and sum(map(len, found)) == len(mine)
    assert all(share and share <= mine for share in children.shares(3 * len(mine)))


def test_one_that_falls_does_not_stop_the_others_and_each_has_its_log(tmp_path):
    tasks = {"a": (("fall", "killed"),), "b": (("fall", "code"),), "c": (("say", "hello"),)}
    logs = {name: tmp_path / name / "log.txt" for name in tasks}
    ended = dict(event for event in children.each(by_name, tasks, logs, 2) if event[1] is not None)
    assert ended == {"a": -signal.SIGKILL, "b": 3, "c": 0}
    assert "said hello" in logs["c"].read_text() and "said" not in logs["a"].read_text()


def test_they_end_with_the_caller(tmp_path):
    mark = tmp_path / "mark"
    events = children.each(by_name, {"a": (("sleep", mark),)}, {"a": tmp_path / "log.txt"}, 1)
    for _ in events:
        if mark.exists() and mark.read_text():
            break
    events.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)
