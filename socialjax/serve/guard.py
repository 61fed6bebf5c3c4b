"""Stands between the network and the application: sizes, hosts and headers, and errors that tell no secrets."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Sequence

from socialjax.names import visible
from socialjax.serve.metrics import OTHER, Metrics

MOST_BYTES = 64 << 10  # of a body
BODY_SECONDS = 10.0  # in which a body must have come
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
# Of every answer. Scripts, styles and pictures come from this server alone, and nothing is sent anywhere else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
log = logging.getLogger(__name__)


class _Refused(Exception):
    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


class Guard:
    """ASGI middleware, outside of everything that knows what is asked.

    Args:
        app: what answers.
        metrics: in which every request is counted.
        hosts: names in the header Host that are answered; empty for any. A page of somebody else whose name was made
            to lead to this machine ("DNS rebinding") has another.
        most_bytes: of a body.
        body_seconds: in which a body must have come.
    """

    def __init__(
        self,
        app,
        metrics: Metrics,
        hosts: Sequence[str] = (),
        most_bytes: int = MOST_BYTES,
        body_seconds: float = BODY_SECONDS,
    ):
        self.app, self.metrics, self.hosts = app, metrics, {host.lower() for host in hosts}
        self.most_bytes, self.body_seconds = most_bytes, body_seconds

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":  # lifespan; there are no web sockets
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), None

        async def send_on(message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = list(message.get("headers", ()))
                there = {name.lower() for name, _ in own}
                message = {**message, "headers": own + [header for header in HEADERS if header[0] not in there]}
            await send(message)

        try:
            self._check_host(scope)
            receive = await self._body(scope, receive)
            await self.app(scope, receive, send_on)
        except _Refused as refused:
            await _answer(send_on, refused.status, {"error": str(refused)})
        except Exception:
            number = uuid.uuid4().hex[:12]
            log.exception("error %s: %s %s", number, scope["method"], visible(scope["path"][:200]))
            if status is None:
                sentence = "an unexpected error; the server's log says more under this id"
                await _answer(send_on, 500, {"error": sentence, "id": number})
        finally:
            route = getattr(scope.get("route"), "path", OTHER)
            self.metrics.count(route, status or 499, time.perf_counter() - began)  # 499: the client went away

    def _check_host(self, scope) -> None:
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self.hosts and name not in self.hosts:
            asked = visible(name[:100])
            raise _Refused(421, f"this server does not answer for the host '{asked}'; start it with --hosts {asked}")

    async def _body(self, scope, receive):
        """Reads the body, which is short, and gives it on."""
        if scope["method"] in ("GET", "HEAD"):
            return receive
        too_large = _Refused(413, f"a body may have at most {self.most_bytes:,} bytes; ask for less at a time")
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if length.isdigit() and int(length[:20]) > self.most_bytes:
            raise too_large
        body, more = b"", True
        try:
            async with asyncio.timeout(self.body_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > self.most_bytes:
                        raise too_large
        except TimeoutError:
            raise _Refused(408, f"the body did not come within {self.body_seconds:g} s; send it again") from None
        return _replayed(body, receive)


def _replayed(body: bytes, receive):
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again():
        return messages.pop() if messages else await receive()

    return again


async def _answer(send, status: int, content: dict) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status in (408, 413):
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
