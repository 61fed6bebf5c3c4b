"""Servers of runs on free ports, and a client that asks them."""

import contextlib
import http.client
import json
import threading
import urllib.parse
from collections.abc import Iterator

from socialjax.serve import server
from socialjax.serve.answers import Answers
from socialjax.serve.app import application
from socialjax.serve.guard import LOOPBACK
from socialjax.serve.pictures import Pictures


class Client:
    """Asks the server at an address; a connection each time."""

    def __init__(self, url: str, run=None):
        self.url, self.run = url, run
        self.place = urllib.parse.urlsplit(url).netloc

    def raw(self, method: str, path: str, body=None, headers=()):
        """(status, headers, body) of an answer."""
        connection = http.client.HTTPConnection(self.place, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def get(self, path: str, **parameters):
        """(status, what the JSON says)."""
        status, _, body = self.raw("GET", f"/{path}?{urllib.parse.urlencode(parameters, doseq=True)}")
        return status, json.loads(body)

    def post(self, path: str, content):
        """The same of a question in JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content)
        status, _, body = self.raw("POST", f"/{path}", body, {"content-type": "application/json"})
        return status, json.loads(body)


@contextlib.contextmanager
def listening(app, run=None) -> Iterator[Client]:
    """uvicorn in a thread, as the command runs it but for the signals."""
    listener, ready = server.bound("127.0.0.1", 0), threading.Event()
    running = server.Server(app, ready.set)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        assert ready.wait(60)
        yield Client(server.address(listener), run)
    finally:
        running.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive()


@contextlib.contextmanager
def serving(run, pictures=None, warm=True) -> Iterator[Client]:
    """The server of a run."""
    answers = Answers(run, Pictures(run, pictures))
    if warm:
        answers.warm_up()
    with listening(application(answers, hosts=LOOPBACK), run) as client:
        yield client
