"""A server on this machine that publishes files, and has the troubles that servers have."""

import contextlib
import http.server

BODY = b"".join(b"%d\t%d\t1\n" % (k, k * 7) for k in range(30000))


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves BODY for paths under /good, `tree[path]` for those under /tree, and the troubles of other folders."""

    def do_GET(self):
        folder = self.path.split("/")[1]
        self.server.asked.append((self.path, self.headers.get("Range")))
        if folder == "hang":
            self.server.done.wait(5)
            return
        if folder == "missing" or (folder == "tree" and self.path not in self.server.tree):
            self.send_error(404)
            return
        body = {"wrong": BODY[:-2] + b"2\n", "windows": BODY.replace(b"\n", b"\r\n")}.get(folder, BODY)
        body = self.server.tree.get(self.path, body)
        start, wanted = 0, self.headers.get("Range")
        if wanted and folder != "deaf":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if folder != "endless":
            self.send_header("Content-Length", str(1 << 40 if folder == "huge" else len(body) - start))
        self.end_headers()
        if folder in ("huge", "endless"):
            with contextlib.suppress(OSError):  # until the other side hangs up
                while not self.server.done.is_set():
                    self.wfile.write(body)
                    self.server.sent += len(body)
            return
        stop = len(body)
        if (folder == "breaks" and len(self.server.asked) < 3) or folder == "stops":
            stop = start + (len(body) - start) // 2
        self.wfile.write(body[start:stop])
        if folder == "stops":
            self.wfile.flush()
            self.server.done.wait(5)

    def log_message(self, *_):
        pass
