"""The command in a process of its own: what it prints, how it ends, and what it says when it cannot start."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

import socialjax
from socialjax.commands import serve

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def start(finished_runs, run_home, compiled_for_children):
    """start(*words, run=..) -> a process of the command."""
    begun = []

    def start(*words, run="diffnet", code=None):
        place = str(run if isinstance(run, Path) else finished_runs[run])
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SOCIALJAX_CACHE": str(run_home / "cache")}
        environment.pop("SOCIALJAX_DATA", None)
        program = ["-m", "socialjax", "serve"] if code is None else ["-c", code]
        begun.append(
            subprocess.Popen(
                [sys.executable, *program, place, *words],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
            )
        )  # fmt: skip
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def address_of(process):
    for line in process.stdout:
        if found := re.match(r"(http://\S+) \(Ctrl-C ends it", line):
            return found[1]
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_address_answers_and_ends_cleanly(start, number):
    process = start("--port", "0")
    url = address_of(process)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
    with urllib.request.urlopen(f"{url}api/recommend?user=guest1&k=2") as answer:
        assert answer.status == 200
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and out == "ended\n" and "Traceback" not in err and "error" not in err
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", int(url.rstrip("/").rpartition(":")[2])), timeout=5)


def test_a_run_in_one_file_is_served_without_its_data(start, finished_runs, tmp_path, places):
    path = socialjax.load(finished_runs["diffnet"]).save(tmp_path / "run.zip")
    process = start("--port", "0", run=path)
    with urllib.request.urlopen(f"{address_of(process)}api/profile?user=guest1") as answer:
        assert b'"guest1"' in answer.read()


def test_a_port_that_is_taken_is_one_sentence_before_anything_is_loaded(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        out, err = start("--port", str(port), run=Path("/nowhere")).communicate(timeout=60)
    assert (out, err) == ("", f"error: port {port} of 127.0.0.1 is in use; choose another with --port, 0 for any\n")


@pytest.mark.parametrize(
    "words, said",
    [
        (("--port", "70000"), r"wanted a port in 0\.\.65535, got 70000"),
        (("--port", "0", "--host", "no.such.host.invalid"), "--host no.such.host.invalid is no address"),
        (("--port", "0", "--host", "203.0.113.9"), "cannot listen on port 0 of 203.0.113.9"),
        (("--port", "0", "--threads", "0"), "--threads and --timeout must be above 0, got 0 and 30"),
        (("--port", "0", "--hosts", "a b"), "--hosts wants names such as example.org, got 'a b'"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(finished_runs, call, words, said):
    code, out, err = call(lambda what, words: serve.main([str(what), *words]), finished_runs["diffnet"], *words)
    assert (code, out) == (1, "") and re.match(f"error: {said}", err) and err.count("\n") == 1


def test_a_folder_that_is_no_run_is_one_sentence(tmp_path, call):
    code, out, err = call(lambda what, words: serve.main([str(what), *words]), tmp_path, "--port", "0")
    assert (code, out) == (1, "") and re.match(r"error: .*is no folder of a run", err)


def test_without_the_extra_the_command_says_how_to_install_it(start):
    code = """
import sys
sys.modules["fastapi"] = None  # as if it were not there
from socialjax.commands import serve
sys.exit(serve.main(sys.argv[1:]))
"""
    process = start(code=code)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and out == ""
    assert err == "error: `socialjax serve` needs fastapi of the extra `serve`: pip install 'socialjax[serve]'\n"


def test_others_may_ask_only_if_told_so(start):
    chosen = serve.Arguments(run=Path("run"))
    assert chosen.host == "127.0.0.1" and serve.answered_hosts(chosen)
    assert not serve.answered_hosts(serve.Arguments(run=Path("run"), host="0.0.0.0"))
    assert serve.answered_hosts(serve.Arguments(run=Path("run"), hosts=("example.org",))) == ("example.org",)
    assert [serve.is_loopback(host) for host in ("localhost", "127.9.9.9", "::1", "0.0.0.0", "example.org")] == [
        *(True, True, True),
        *(False, False),
    ]
    process = start("--port", "0", "--host", "0.0.0.0", run="bpr")
    url = address_of(process)
    asked = urllib.request.Request(f"{url}health", headers={"host": "shop.example"})
    with urllib.request.urlopen(asked) as answer:
        assert answer.status == 200
    process.terminate()
    assert "there is no login" in process.communicate(timeout=30)[1]
