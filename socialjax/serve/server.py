"""A listening socket and a server that ends cleanly: the only user of uvicorn."""

import contextlib
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn

from socialjax.stop import HANDLED

MOST_CONNECTIONS = 512
IDLE_SECONDS = 10  # after which a connection that asks nothing more is closed
LEAVE_SECONDS = 5  # for answers that are under way when the server is asked to end


def bound(host: str, port: int) -> socket.socket:
    """A socket on which nobody is answered yet; port 0 is any that is free.

    Raises:
        ValueError: the port is taken or not allowed, or the host is no address of this machine.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"wanted a port in 0..65535, got {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as problem:
        raise ValueError(f"--host {host} is no address of this machine ({problem}); try 127.0.0.1") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as problem:
        listener.close()
        if problem.errno == errno.EADDRINUSE:
            raise ValueError(f"port {port} of {host} is in use; choose another with --port, 0 for any") from None
        raise ValueError(f"cannot listen on port {port} of {host}: {os.strerror(problem.errno or 0)}") from None
    return listener


def address(listener: socket.socket) -> str:
    """Where a browser on this machine finds the server."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}/"


def serve(app, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answers until SIGTERM, SIGINT or SIGHUP; answers under way are given, and a second signal ends them too.

    Args:
        app: the ASGI application.
        listener: of `bound`; it is closed at the end.
        ready: called when requests are answered.
    """
    server = Server(app, ready)
    with contextlib.closing(listener):
        server.run(sockets=[listener])


class Server(uvicorn.Server):
    """uvicorn's server without its own logs and signals: it would end by the signal that it was ended with."""

    def __init__(self, app, ready: Callable[[], None] = lambda: None):
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",  # it limits the length of headers, which httptools does not
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=LEAVE_SECONDS,
            )
        )
        self._ready = ready

    async def startup(self, sockets=None) -> None:
        """Starts to listen."""
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals ask for the end, in the main thread; elsewhere they are somebody else's."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in HANDLED
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
