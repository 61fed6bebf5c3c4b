"""A headless Chromium, driven by the DevTools protocol over two pipes."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SECONDS = 60


def executable() -> str | None:
    """The browser on the PATH, None without one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """One tab. `errors` are messages of its console, `addresses` what it asked of the network."""

    def __init__(self, send: int, receive: int):
        self._send, self._receive, self._unread, self._number = send, receive, b"", 0
        self.errors: list[str] = []
        self.addresses: list[str] = []
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters) -> dict:
        """The result of a command of the protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _read(self) -> dict:
        while b"\0" not in self._unread:
            if not select.select([self._receive], [], [], SECONDS)[0]:
                raise TimeoutError("the browser says nothing")
            part = os.read(self._receive, 1 << 16)
            if not part:
                raise RuntimeError("the browser ended")
            self._unread += part
        text, _, self._unread = self._unread.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, event: str | None, of: dict) -> None:
        if event == "Runtime.exceptionThrown":
            self.errors.append(str(of["exceptionDetails"].get("exception", {}).get("description")))
        elif event == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning", "assert"):
            self.errors.append(str([each.get("value") for each in of["args"]]))
        elif event == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{of['entry']['text']} {of['entry'].get('url', '')}")
        elif event == "Page.javascriptDialogOpening":
            self.errors.append(f"a dialog: {of['message']}")
        elif event == "Network.requestWillBeSent":
            self.addresses.append(of["request"]["url"])

    def size(self, width: int, height: int, dark: bool = False) -> None:
        """Sets the window's size in pixels, and whether the reader wants it dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Goes there; a page that was there already is loaded anew."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)

    def value(self, script: str):
        """What an expression evaluates to; promises are awaited."""
        done = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"].get("exception", {}).get("description"))
        return done["result"].get("value")

    def wait(self, script: str):
        """The value of an expression, as soon as it is truthy."""
        end = time.monotonic() + SECONDS
        while not (value := self.value(script)):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {script}; {self.errors}")
            time.sleep(0.05)
        return value

    def type(self, text: str) -> None:
        """Types into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Presses and releases Enter, Tab, Escape, ArrowDown, ArrowUp or Space."""
        code = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, " ": 32}[key]
        of = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        text = {"text": {"Enter": "\r", " ": " "}[key]} if key in ("Enter", " ") else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **of, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **of)

    def picture(self, path: Path, whole: bool = False) -> None:
        """Writes what is seen, or the whole page, as PNG."""
        done = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(done["data"]))


@contextlib.contextmanager
def opened() -> Iterator[Page]:
    """A browser with a profile of its own, ended at the end."""
    to_browser, write = os.pipe()
    read, from_browser = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (to_browser, from_browser)]  # beyond 3 and 4
    os.close(to_browser)
    os.close(from_browser)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [executable(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        words += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", "--hide-scrollbars"]
        # The protocol is spoken over descriptors 3 and 4; dash knows none of two digits.
        started = ["bash", "-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "bash", *words]
        process = subprocess.Popen(started, pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in ends:
            os.close(end)
        try:
            yield Page(write, read)
        finally:
            process.terminate()
            process.wait(30)
            os.close(write)
            os.close(read)
