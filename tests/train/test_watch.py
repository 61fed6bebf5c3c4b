"""When one of several processes dies or fails, the others end soon, with one line that says why."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import pytest

from socialjax.train import watch

PROGRAM = """
import sys, time
from socialjax.train import parallel, relay, watch
relay.before_joining()
parallel.join_processes()
with watch.peers():
    watch.resumes_from(lambda: "epoch 7")
    print("in", flush=True)
    while True:
        parallel.largest(1.0)
        if sys.argv[1] in ("all", str(parallel.jax.process_index())):
            raise ValueError("the disk is full")
        time.sleep(0.01)
"""


ROOT = Path(__file__).resolve().parents[2]


def environment():
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SOCIALJAX_", "XLA_", "JAX_"))}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def started(count, failing="none"):
    """`count` processes in collectives; the one of number `failing`, or all, raise an error."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    joined = {"SOCIALJAX_COORDINATOR": f"127.0.0.1:{port}", "SOCIALJAX_NUM_PROCESSES": str(count)}
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = [sys.executable, "-c", PROGRAM, failing]
    processes = [
        subprocess.Popen(line, env=environment() | joined | {"SOCIALJAX_PROCESS_ID": str(number)}, **pipes)
        for number in range(count)
    ]
    for process in processes:
        while (line := process.stdout.readline()) != "in\n":  # Gloo writes there, too
            assert line, process.stderr.read()
    return processes


def ends(processes):
    """[(exit status, the lines of the watch, standard error)] and the seconds until the last has ended."""
    begin = time.monotonic()
    try:
        errors = [process.communicate(timeout=60)[1] for process in processes]
    except subprocess.TimeoutExpired:
        for process in processes:
            process.kill()
            process.communicate()
        raise
    seconds = time.monotonic() - begin
    ours = [[line for line in error.splitlines() if "start all again" in line] for error in errors]
    return [(process.returncode, *end) for process, *end in zip(processes, ours, errors)], seconds


@pytest.mark.parametrize("dead", [2, 0])
def test_the_death_of_one_ends_the_others_with_one_line(dead):
    processes = started(3)
    processes[dead].kill()
    found, seconds = ends(processes)
    assert seconds < 30  # in about 0.2
    for number, (status, lines, error) in enumerate(found):
        if number != dead:
            wanted = (
                rf"process {dead} of 3 \(host \S+\) is gone; ending; start all again and the run goes on from epoch 7"
            )
            assert status == watch.GONE and len(lines) == 1 and re.fullmatch(wanted, lines[0]), error
            assert "Traceback" not in error and "fatal" not in error


@pytest.mark.parametrize("failing", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_one_that_fails_says_why_and_the_others_end(failing):
    found, seconds = ends(started(2, str(failing)))
    status, lines, error = found[failing]
    assert status == 1 and lines == [] and "ValueError: the disk is full" in error
    status, lines, error = found[1 - failing]
    assert status == watch.GONE and len(lines) == 1, error
    assert lines[0].startswith(f"process {failing} of 2 (host ") and "has ended with status 1; ending" in lines[0]
    assert seconds < watch.VERDICT_SECONDS + watch.LEAVING_SECONDS + 5


@pytest.mark.slow
def test_when_all_fail_each_says_why_and_nobody_waits():
    found, seconds = ends(started(2, "all"))
    assert [(status, lines) for status, lines, _ in found] == [(1, [])] * 2
    assert all("ValueError: the disk is full" in error for *_, error in found)
    assert seconds < watch.VERDICT_SECONDS + watch.LEAVING_SECONDS - 3  # in about 3


def test_one_process_has_no_peers():
    before = threading.active_count()
    with watch.peers():
        watch.resumes_from(lambda: "nowhere")
        assert threading.active_count() == before


def greeted(monkeypatch, *greetings, patience=0.5):
    """What `_accept` makes of those who connect with these bytes, where two processes are wanted."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(watch, "CONNECT_SECONDS", patience - 5)
    listening = watch._listen()
    strangers = []
    for greeting in greetings:
        strangers.append(socket.create_connection(("127.0.0.1", listening.getsockname()[1])))
        strangers[-1].sendall(greeting)
    try:
        return watch._accept(listening, "token")
    finally:
        for opened in (*strangers, listening):
            opened.close()


def test_whoever_does_not_know_the_token_is_no_process_of_the_run(monkeypatch):
    strangers = (b"x" * 5000, b"wrong 1 host\n", b"token 7 host\n", b"token one host\n", b"token 0 host\n", b"\xff\n")
    with pytest.raises(OSError, match="no connection from process 1"):
        greeted(monkeypatch, *strangers)
    found = greeted(monkeypatch, *strangers, b"token 1 %s\n" % (b"h" * 90), patience=5)
    assert found[1].host == "h" * watch.LONGEST_HOST
    found[1].socket.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="options as Linux calls them")
def test_the_kernel_looks_for_a_silent_machine_within_a_minute():
    listening = watch._listen()
    client = socket.create_connection(("127.0.0.1", listening.getsockname()[1]))
    connection = watch.Connection(client, "host")
    options = [client.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in watch.PROBES]
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) and options == list(watch.PROBES.values())
    idle, between, lost = options
    assert idle + between * lost < 60 and watch.SILENT_SECONDS < 60
    for opened in (listening, connection.socket):
        opened.close()


def test_lines_come_whole_and_are_of_limited_length():
    ours, other = socket.socketpair()
    connection = watch.Connection.__new__(watch.Connection)
    connection.socket, connection.host, connection._rest = ours, "host", b""
    other.sendall(b"leaving 1 0\ngone 2")
    assert connection.lines() == ["leaving 1 0"]
    other.sendall(b" host\n")
    assert connection.lines() == ["gone 2 host"]
    other.sendall(b"x" * 1000)
    with pytest.raises(OSError, match="too long"):
        connection.lines()
    other.close()
    ours.close()
