"""Bytes pass both ways, and the end of the far side is not passed on."""

import os
import socket
import threading

import jax
import pytest

from socialjax.train import parallel, relay


@pytest.fixture
def far():
    """A listening socket, the address of a relay to it, and what closes at the end."""
    listening = socket.create_server(("127.0.0.1", 0))
    opened = [listening]
    host, _, port = relay.through(listening.getsockname()[:2]).rpartition(":")
    yield listening, (host, int(port)), opened
    for end in opened:
        end.close()


def connected(far):
    listening, address, opened = far
    near = socket.create_connection(address, timeout=10)
    listening.settimeout(10)
    end, _ = listening.accept()
    opened += [near, end]
    return near, end


def test_bytes_pass_both_ways(far):
    near, end = connected(far)
    sent = os.urandom(300_000)
    writer = threading.Thread(target=near.sendall, args=(sent,))
    writer.start()
    with end.makefile("rb") as stream:
        assert stream.read(len(sent)) == sent
    writer.join()
    end.sendall(b"answer")
    assert near.recv(100) == b"answer"


def test_the_end_of_the_far_side_is_not_passed_on_and_that_of_ours_is(far):
    near, end = connected(far)
    end.close()
    near.settimeout(0.3)
    with pytest.raises(TimeoutError):
        near.recv(1)
    near, end = connected(far)
    near.close()
    end.settimeout(10)
    assert end.recv(1) == b""


@pytest.mark.parametrize(
    "coordinator, number, is_relayed",
    [
        ("node7:1234", "1", True),
        ("[fe80::1]:1234", "3", True),
        ("node7:1234", "0", False),
        ("auto", "1", False),
        ("", "1", False),
        ("node7:port", "1", False),
        ("node7:1234", "one", False),
    ],
)
def test_only_those_who_are_not_the_first_get_a_relay(monkeypatch, coordinator, number, is_relayed):
    monkeypatch.setattr(relay, "_before", [])
    monkeypatch.setenv("SOCIALJAX_COORDINATOR", coordinator)
    monkeypatch.setenv("SOCIALJAX_PROCESS_ID", number)
    relay.before_joining()
    assert os.environ["SOCIALJAX_COORDINATOR"].startswith("127.0.0.1:") == is_relayed
    assert is_relayed or os.environ["SOCIALJAX_COORDINATOR"] == coordinator
    assert relay.coordinator_host() == coordinator.rpartition(":")[0].strip("[]")
    relay.before_joining()  # once is enough
    assert relay.coordinator_host() == coordinator.rpartition(":")[0].strip("[]")


def test_processes_join_through_their_relay(monkeypatch):
    joined = []
    monkeypatch.setattr(relay, "_before", [])
    monkeypatch.setattr(jax.distributed, "initialize", lambda coordinator, **more: joined.append((coordinator, more)))
    monkeypatch.setenv("SOCIALJAX_COORDINATOR", "node7:1234")
    monkeypatch.setenv("SOCIALJAX_NUM_PROCESSES", "3")
    monkeypatch.setenv("SOCIALJAX_PROCESS_ID", "2")
    parallel.join_processes()
    ((coordinator, more),) = joined
    assert coordinator.startswith("127.0.0.1:") and more == {"num_processes": 3, "process_id": 2}
    assert relay.coordinator_host() == "node7"
