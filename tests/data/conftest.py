"""The server that tests of downloads ask."""

import http.server
import threading

import pytest
from small_yelp import SMALL, publish
from web import Handler


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked, running.tree, running.done, running.daemon_threads = [], {}, threading.Event(), True
        running.sent = 0
        running.handle_error = lambda *_: None  # clients that hang up are part of the tests
        running.address = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.done.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def small(server, monkeypatch, tmp_path):
    """A server that publishes a Yelp of three users and four items; an empty cache, no other folder."""
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SOCIALJAX_DATA", raising=False)
    publish(server, monkeypatch, SMALL, 3, 4)
    return server
