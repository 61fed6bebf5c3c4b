"""Ends this process soon after another of the same run has died, instead of waiting in a collective for ever.

JAX notices a dead process by missed heartbeats, after more than a minute, and ends the others in C++. Here each process
keeps one TCP connection to the first, over which almost nothing is sent: the kernel closes it when a process ends,
however it ends, and its keep-alive probes find a machine that is gone. A thread waits for that while the main thread is
inside a collective. Checkpoints are written under other names and renamed, so that ending at any moment leaves whole
ones.
"""

import atexit
import contextlib
import logging
import os
import queue
import secrets
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import jax

from socialjax.names import visible
from socialjax.stop import Interrupted
from socialjax.train import relay
from socialjax.train.parallel import is_first, largest, of_first

log = logging.getLogger(__name__)
GONE = 75  # exit status, "try again" in sysexits.h: nothing is wrong with this process or its settings
CONNECT_SECONDS = 20.0
VERDICT_SECONDS = 3.0  # a collective fails at about the moment at which the connection of the dead process closes
LEAVING_SECONDS = 8.0  # that one stays after it has failed or was stopped: usually all have, and JAX can end in peace
FIRST_SECONDS = 3.0  # that the first process stays until the others have ended: JAX aborts them when it is gone
LONGEST_LINE, LONGEST_HOST = 256, 64
# Seconds until the first probe of a silent connection, between two, and how many are lost before it counts as closed.
PROBES = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
SILENT_SECONDS = 30  # the same for bytes on their way

_watch: "list[Watch]" = []


@contextlib.contextmanager
def peers() -> Iterator[None]:
    """While the block runs, the death of another process ends this one; all processes must enter.

    An error of the block waits for a moment: when another process has died, that is the reason, and the line that says
    so is all that is printed. Otherwise the others are notified that this process fails. Nothing happens where a single
    process runs.
    """
    if jax.process_count() == 1:
        yield
        return
    watch = _begin()
    try:
        yield
    except BaseException as error:
        if watch is not None:
            if isinstance(error, Exception):
                watch.wait_for_verdict(VERDICT_SECONDS)
            watch.leave(_status(error))
        raise
    if watch is not None:
        watch.leave(0)


def resumes_from(describe: Callable[[], str]) -> None:
    """describe() -> where the run goes on from, such as "epoch 3"; it is asked when another process has died."""
    for watch in _watch:
        watch.describe = describe


def _status(error: BaseException) -> int:
    if isinstance(error, Interrupted):
        return 128 + error.signal
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def _begin() -> "Watch | None":
    """The watch of this process, or None where the processes cannot reach each other on other ports than JAX's."""
    listening = _listen() if is_first() else None
    port = listening.getsockname()[1] if listening else 0
    here = socket.inet_aton(_address()) if is_first() else bytes(4)
    tokens = [secrets.randbelow(1 << 48) for _ in range(3)]  # float64 holds them exactly
    port, *numbers = (int(number) for number in of_first(port, *here, *tokens))
    address, token = bytes(numbers[:4]), "-".join(map(str, numbers[4:]))
    try:
        if listening is not None:
            connections = _accept(listening, token)
        else:
            connections = {0: _connect((relay.coordinator_host() or socket.inet_ntoa(address), port), token)}
        failure = ""
    except OSError as error:
        connections, failure = {}, str(error)
    finally:
        if listening is not None:
            listening.close()
    (has_failed,) = largest(bool(failure))
    if has_failed:
        for connection in connections.values():
            connection.socket.close()
        if failure or is_first():
            log.warning(
                "the processes cannot watch each other over TCP port %s of the first one (%s): when one dies, JAX ends "
                "the others after about 100 seconds",
                port, visible(failure or "another process says why"),
            )  # fmt: skip
        return None
    watch = Watch(connections, jax.process_index(), jax.process_count())
    _watch[:] = [watch]
    atexit.register(watch.end)  # before what JAX has registered, which would wait for those that are gone
    threading.Thread(target=watch.run, daemon=True, name="watch").start()
    return watch


def _address() -> str:
    """An IPv4 address of this machine, for those who were given none."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


class Connection:
    """A connection to another process, and what has come of it that is no whole line yet."""

    def __init__(self, opened: socket.socket, host: str):
        self.socket, self.host, self._rest = opened, host, b""
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in PROBES.items():
            if hasattr(socket, name):  # as Linux calls them
                opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * SILENT_SECONDS)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, line: str) -> None:
        """Sends a line; a connection that is closed is noticed by who reads it."""
        with contextlib.suppress(OSError):
            self.socket.sendall(line.encode() + b"\n")

    def lines(self) -> list[str] | None:
        """The whole lines that have come, None at the end. Raises OSError for a connection that broke."""
        received = self.socket.recv(4096)
        if not received:
            return None
        *whole, self._rest = (self._rest + received).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise OSError("a line of the watch is too long")
        return [line[:LONGEST_LINE].decode(errors="replace") for line in whole]


def _listen() -> socket.socket:
    has_both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if has_both else socket.AF_INET
    return socket.create_server(("", 0), family=family, backlog=1024, dualstack_ipv6=has_both)


def _accept(listening: socket.socket, token: str) -> dict[int, Connection]:
    """Connections to all others, by number. Whoever does not know the token is not counted. Raises OSError."""
    found: dict[int, Connection] = {}
    deadline, wanted = time.monotonic() + CONNECT_SECONDS + 5, range(1, jax.process_count())
    while len(found) < len(wanted):
        listening.settimeout(max(deadline - time.monotonic(), 0.01))
        try:
            opened, _ = listening.accept()
        except TimeoutError:
            missing = ", ".join(str(number) for number in wanted if number not in found)
            raise OSError(f"no connection from process {missing}") from None
        opened.settimeout(5.0)
        try:
            with opened.makefile("rb", buffering=0) as stream:
                words = stream.readline(LONGEST_LINE).decode(errors="replace").split()
        except OSError:
            words = []
        is_known = len(words) == 3 and words[1].isdecimal() and secrets.compare_digest(words[0], token)
        if not is_known or (number := int(words[1])) not in wanted or number in found:
            opened.close()
            continue
        opened.settimeout(None)
        found[number] = Connection(opened, words[2][:LONGEST_HOST])
    for connection in found.values():
        connection.send(socket.gethostname()[:LONGEST_HOST])
    return found


def _connect(address: tuple[str, int], token: str) -> Connection:
    """The connection to the first process. Raises OSError."""
    opened = socket.create_connection(address, timeout=CONNECT_SECONDS)
    opened.sendall(f"{token} {jax.process_index()} {socket.gethostname()[:LONGEST_HOST]}\n".encode())
    opened.settimeout(CONNECT_SECONDS + 5)
    with opened.makefile("rb", buffering=0) as stream:
        host = stream.readline(LONGEST_LINE).decode(errors="replace").strip()
    opened.settimeout(None)
    return Connection(opened, host)


class Watch:
    """What one process knows of the others.

    Over a connection go lines of three words: `leaving NUMBER STATUS` of a process that ends by itself, and, from the
    first to the others, the same and `gone NUMBER HOST`.
    """

    def __init__(self, connections: dict[int, Connection], number: int, count: int):
        self.describe: Callable[[], str] | None = None
        self._connections, self._number, self._count = connections, number, count
        self._leaving: dict[int, int] = {}  # number of a process -> its exit status
        self._closed: set[int] = set()
        self._changed, self._verdict = threading.Condition(), threading.Event()

    def run(self) -> None:
        """Waits for the end of connections, until the process ends."""
        with selectors.DefaultSelector() as selector:
            for number, connection in self._connections.items():
                selector.register(connection.socket, selectors.EVENT_READ, number)
            while selector.get_map():
                for key, _ in selector.select():
                    if not self._received(key.data):
                        selector.unregister(key.fileobj)

    def _received(self, number: int) -> bool:
        """Whether there is more to come from that process."""
        try:
            lines = self._connections[number].lines()
        except OSError:
            lines = None
        for line in lines or ():
            self._act(line.split())
        if lines is None:
            self._has_closed(number, self._connections[number].host)
        return lines is not None

    def _act(self, words: list[str]) -> None:
        if len(words) != 3 or not words[1].isdecimal() or int(words[1]) >= self._count:
            return
        if words[0] == "gone" and self._number != 0:
            self._has_closed(int(words[1]), words[2])
        elif words[0] == "leaving" and words[2].isdecimal():
            if self._number == 0:
                self._tell(" ".join(words), but=int(words[1]))
            with self._changed:
                self._leaving[int(words[1])] = int(words[2])
                self._changed.notify_all()

    def _has_closed(self, number: int, host: str) -> None:
        """The connection of that process has ended: it is the end of this one, unless both end by themselves."""
        with self._changed:
            self._closed.add(number)
            self._changed.notify_all()
        status = self._leaving.get(number)
        if status == 0 or self._leaving.get(self._number):
            return
        if self._number == 0:
            self._tell(f"gone {number} {host or '-'}", but=number)
        name = f"process {number} of {self._count}" + (f" (host {visible(host)})" if host.strip("-") else "")
        self._end(f"{name} {f'has ended with status {status}' if status else 'is gone'}")

    def _tell(self, line: str, but: int) -> None:
        for number, connection in self._connections.items():
            if number != but:
                connection.send(line)

    def _end(self, what: str) -> None:
        """One line, and the end of this process: its main thread may be where no exception reaches it."""
        self._verdict.set()
        line = f"{what}; ending; start all again and the run goes on from {self._resumes()}\n"
        with contextlib.suppress(OSError):
            os.write(2, ("\n" if os.isatty(2) else "").encode() + line.encode())
        if self._number == 0:
            self._wait_for_the_others()
        os._exit(GONE)

    def _wait_for_the_others(self) -> None:
        deadline = time.monotonic() + FIRST_SECONDS
        for number, connection in self._connections.items():
            with contextlib.suppress(OSError):
                while number not in self._closed and time.monotonic() < deadline:
                    connection.socket.settimeout(max(deadline - time.monotonic(), 0.001))
                    if not connection.socket.recv(4096):
                        break

    def _resumes(self) -> str:
        """What `describe` says; a file system that hangs must not hold this process."""
        usual, answers = "its last checkpoint", queue.SimpleQueue[str]()
        describe = self.describe
        if describe is None:
            return usual
        threading.Thread(target=lambda: answers.put(describe()), daemon=True).start()
        try:
            return answers.get(timeout=2.0)
        except queue.Empty:
            return usual

    def wait_for_verdict(self, seconds: float) -> None:
        """Gives the thread time to notice that another process has died, after which this one has ended."""
        if self._verdict.wait(seconds):
            time.sleep(60)  # it is about to end

    def leave(self, status: int) -> None:
        """Notifies the others that this process ends by itself, with this exit status."""
        with self._changed:
            self._leaving[self._number] = status
        self._tell(f"leaving {self._number} {status}", but=self._number)

    def end(self) -> None:
        """When the interpreter ends: what JAX does next waits for all others, and some of them may never come."""
        status = self._leaving.get(self._number, 1)
        if not status:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._leaving) == self._count, LEAVING_SECONDS)
            in_peace = not self._closed and len(self._leaving) == self._count
        if not in_peace:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            os._exit(status)
