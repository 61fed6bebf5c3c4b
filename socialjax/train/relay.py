"""Stands between JAX and its coordinator, so that the end of the coordinator's process is ours to report.

JAX's coordination service lives in the first process. When that one dies, JAX in the others sees its connection close
and aborts at once, in C++, with a stack. Through a relay in each of the others it sees nothing of that: `watch` finds
the death by its own connection, and ends the process with one line. What passes is a few kilobytes a minute.
"""

import contextlib
import os
import socket
import threading
import time

VARIABLE = "SOCIALJAX_COORDINATOR"
CONNECT_SECONDS = 300.0  # the coordinator may start later than we do; JAX waits as long
CHUNK = 1 << 16
_before: list[str] = []  # what the variable held


def before_joining() -> None:
    """Puts a relay between this process and the coordinator named in the environment, unless it is the first one.

    Nothing happens without SOCIALJAX_COORDINATOR, with `auto`, where JAX finds the coordinator by itself, and for what
    is no address: those who join say what is wrong with it.
    """
    coordinator, number = os.environ.get(VARIABLE, ""), os.environ.get("SOCIALJAX_PROCESS_ID", "")
    host, _, port = coordinator.rpartition(":")
    if host and port.isdecimal() and number.isdecimal() and int(number) and not _before:
        _before.append(coordinator)
        os.environ[VARIABLE] = through((host.strip("[]"), int(port)))


def coordinator_host() -> str:
    """The host in SOCIALJAX_COORDINATOR as it was given, empty where JAX finds the processes by itself."""
    coordinator = _before[0] if _before else os.environ.get(VARIABLE, "")
    return coordinator.rpartition(":")[0].strip("[]")


def through(address: tuple[str, int]) -> str:
    """HOST:PORT of this machine; whoever connects there reaches `address`, and never learns that it has closed."""
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(listening, address), daemon=True, name="relay").start()
    return f"127.0.0.1:{listening.getsockname()[1]}"


def _serve(listening: socket.socket, address: tuple[str, int]) -> None:
    while True:
        local, _ = listening.accept()
        threading.Thread(target=_carry, args=(local, address), daemon=True, name="relay").start()


def _carry(local: socket.socket, address: tuple[str, int]) -> None:
    far = _connected(address)
    if far is None:
        return local.close()
    for end in (local, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    back = threading.Thread(target=_pump, args=(far, local), daemon=True, name="relay")
    back.start()
    _pump(local, far)
    with contextlib.suppress(OSError):
        while local.recv(CHUNK):  # the far side is gone, and JAX need not know
            pass
    with contextlib.suppress(OSError):  # JAX has closed its end: the coordinator may know
        far.shutdown(socket.SHUT_WR)
    back.join()
    local.close()
    far.close()


def _connected(address: tuple[str, int]) -> socket.socket | None:
    """The connection, or None when nobody answers there for as long as JAX waits."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while time.monotonic() < deadline:
        try:
            far = socket.create_connection(address, timeout=10)
        except OSError:
            time.sleep(0.2)
            continue
        far.settimeout(None)
        return far
    return None


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Until either end closes; neither is closed here."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            target.sendall(chunk)
