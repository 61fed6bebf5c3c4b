"""Serves a finished run over HTTP, with a page in the browser: recommendations, reasons, and what would follow.

    python -m socialjax serve runs/diffnet_yelp/yelp
    python -m socialjax serve runs/mine.zip --port 9000 --pictures photos/
    python -m socialjax serve runs/mine.zip --host 0.0.0.0        for other machines too: read docs/serve.md first

It needs the extra `serve`. Ctrl-C ends it. The interface is described at /docs and in docs/serve.md.
"""

import dataclasses
import ipaddress
import logging
import re
from pathlib import Path

import tyro

from socialjax import load
from socialjax.run.command import FinishedRun, exit_code, say, set_up_logging

log = logging.getLogger(__name__)
HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(FinishedRun):
    """A finished run over HTTP, with a page in the browser."""

    host: str = "127.0.0.1"
    """Address on which it listens; by default only this machine can ask. There is no login: see docs/serve.md."""
    port: int = 8000
    """Port; 0 for any that is free."""
    hosts: tuple[str, ...] = ()
    """Names in the header Host that are answered; by default localhost with the default --host, else any."""
    pictures: Path | None = None
    """Folder (of items also a tar archive) of the pictures that the data name; by default that of the data."""
    threads: int = 2
    """Answers that are computed at a time."""
    timeout: float = 30.0
    """Seconds after which a client is told that there is no answer."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line -> exit status."""
    set_up_logging()
    chosen = tyro.cli(Arguments, prog="python -m socialjax serve", args=arguments)
    return exit_code(lambda: serve(chosen), saves=False)


def serve(arguments: Arguments) -> None:
    """Loads the run and answers until it is told to end."""
    try:
        from socialjax.serve import server
        from socialjax.serve.answers import Answers
        from socialjax.serve.app import application
        from socialjax.serve.pictures import Pictures
        from socialjax.serve.workers import Workers
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("socialjax"):
            raise
        raise ValueError(
            f"`socialjax serve` needs {missing.name} of the extra `serve`: pip install 'socialjax[serve]'"
        ) from None
    if arguments.threads < 1 or not arguments.timeout > 0:
        raise ValueError(f"--threads and --timeout must be above 0, got {arguments.threads} and {arguments.timeout:g}")
    if wrong := [host for host in arguments.hosts if not HOST.fullmatch(host)]:
        raise ValueError(f"--hosts wants names such as example.org, got '{wrong[0]}'")
    with server.bound(arguments.host, arguments.port) as listener:  # before the run is read: it may be taken
        run = load(*arguments.where())
        answers = Answers(run, Pictures(run, arguments.pictures, arguments.data_dir))
        answers.warm_up()
        workers = Workers(arguments.threads, seconds=arguments.timeout)
        app = application(answers, workers, hosts=answered_hosts(arguments))
        about, where = answers.served, server.address(listener)

        def ready() -> None:
            say(f"{about.model} on {about.data_set}: {about.users:,} users, {about.items:,} items. {about.banner}")
            say(f"{where} (Ctrl-C ends it; the interface is described at {where}docs)")
            if not is_loopback(arguments.host):
                log.warning("other machines may ask, and there is no login: put a proxy before it that has one")

        server.serve(app, listener, ready)
        workers.close()
        say("ended")


def answered_hosts(arguments: Arguments) -> tuple[str, ...]:
    """Names in the header Host that are answered; none for any."""
    from socialjax.serve.guard import LOOPBACK

    return arguments.hosts or (LOOPBACK if is_loopback(arguments.host) else ())


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
