"""Local object stores for tests: a folder by file://, and Moto's S3 server, which runs in an environment of its own.

Moto needs packages that do not go with ours (an older python-dateutil), so `.ci/run` installs it into `.venv-moto`;
SOCIALJAX_MOTO names another `moto_server`. Without one, tests of S3 are skipped.
"""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def moto_server() -> str | None:
    """The program, or None."""
    named, here = os.environ.get("SOCIALJAX_MOTO"), ROOT / ".venv-moto" / "bin" / "moto_server"
    return named or (str(here) if here.exists() else shutil.which("moto_server"))


class S3:
    """A server with one bucket; variables: by which clients find it."""

    def __init__(self):
        program = moto_server()
        if program is None:
            pytest.skip("no moto_server: .ci/run installs one into .venv-moto, and SOCIALJAX_MOTO names another")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], **quiet)
        self.variables = {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
        }
        deadline = time.monotonic() + 60
        while True:
            try:
                self.request("PUT", "/bucket")
                return
            except urllib.error.URLError:
                assert time.monotonic() < deadline and self._server.poll() is None, "moto_server did not start"
                time.sleep(0.1)

    def request(self, method: str, path: str, content: bytes | None = None) -> bytes:
        """What a plain client would do, past the library: keys that no library would write, for one."""
        everybody = {"x-amz-acl": "public-read-write"}
        asked = urllib.request.Request(f"{self.address}{path}", method=method, data=content, headers=everybody)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.read()

    def close(self) -> None:
        self._server.terminate()
        self._server.wait()
