"""What `socialjax serve` answers under load: requests a second, their latency, and its memory before and after.

    python -m benchmarks.serve
    python -m benchmarks.serve --run runs/diffnet_yelp/yelp --rate 200 --requests 10000

The server is a process of its own, and this one generates the load on the same cores: `GET /api/recommend` for random
users and k = 10 over connections that are kept. Open loop: requests are due at random moments, so many a second, and a
latency begins when its request is due, whether or not a connection is free. Closed loop: every connection asks again as
soon as it is answered. Without --run, BPR is trained on Yelp (the stand-in without the files) for an epoch.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np

import socialjax

CONNECTIONS = 32
MEMORY = re.compile(r"^process_resident_memory_bytes (\S+)", re.M)


class Connection:
    """One kept connection, over which requests follow each other."""

    async def open(self, host: str, port: int) -> "Connection":
        """Connects."""
        self.reader, self.writer = await asyncio.open_connection(host, port)
        self.head = f"Host: {host}:{port}\r\n\r\n"
        return self

    async def get(self, path: str) -> int:
        """The status of the answer, which is read to its end."""
        self.writer.write(f"GET {path} HTTP/1.1\r\n{self.head}".encode())
        header = await self.reader.readuntil(b"\r\n\r\n")
        await self.reader.readexactly(int(re.search(rb"content-length: (\d+)", header)[1]))
        return int(header[9:12])


async def open_loop(connections: list[Connection], paths: list[str], rate: float) -> tuple[list[float], list[int]]:
    """Seconds from when each request was due to its answer, and statuses; moments are those of a Poisson process."""
    due = np.cumsum(np.random.default_rng(1).exponential(1 / rate, len(paths)))
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for each in connections:
        free.put_nowait(each)
    seconds, statuses, start = [0.0] * len(paths), [0] * len(paths), time.perf_counter()

    async def ask(number: int) -> None:
        connection = await free.get()
        statuses[number] = await connection.get(paths[number])
        seconds[number] = time.perf_counter() - start - due[number]
        free.put_nowait(connection)

    async with asyncio.TaskGroup() as group:
        for number, moment in enumerate(due):
            await asyncio.sleep(max(0.0, start + moment - time.perf_counter()))
            group.create_task(ask(number))
    return seconds, statuses


async def closed_loop(connections: list[Connection], paths: list[str]) -> tuple[list[float], list[int]]:
    """Seconds of each request, and statuses."""
    left, seconds, statuses = iter(paths), [], []

    async def ask(connection: Connection) -> None:
        for path in left:
            begin = time.perf_counter()
            statuses.append(await connection.get(path))
            seconds.append(time.perf_counter() - begin)

    await asyncio.gather(*map(ask, connections))
    return seconds, statuses


async def measured(host: str, port: int, paths: list[str], connections: int, rate: float | None) -> dict[str, float]:
    """Figures of all requests: open loop at that rate, or closed loop."""
    opened = [await Connection().open(host, port) for _ in range(connections)]
    begin = time.perf_counter()
    seconds, statuses = await (closed_loop(opened, paths) if rate is None else open_loop(opened, paths, rate))
    wall = time.perf_counter() - begin
    for each in opened:
        each.writer.close()
    p50, p95, p99 = 1e3 * np.percentile(seconds, (50, 95, 99))
    return {
        "requests": len(paths),
        "per_second": len(paths) / wall,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "failed": sum(status != 200 for status in statuses),
    }


def resident(url: str) -> float:
    """MB of memory of the server, as it says itself."""
    with urllib.request.urlopen(f"{url}metrics") as answer:
        return float(MEMORY.search(answer.read().decode())[1]) / 2**20


def started(run: Path, threads: int) -> tuple[subprocess.Popen, str]:
    """The server's process and address."""
    words = ["serve", str(run), "--port", "0", "--threads", str(threads)]
    server = subprocess.Popen([sys.executable, "-m", "socialjax", *words], stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if found := re.match(r"http://\S+/", line):
            return server, found[0]
    raise RuntimeError("the server did not start")


def under_load(run: Path, arguments: argparse.Namespace) -> dict:
    """Figures of one run."""
    server, url = started(run, arguments.threads)
    try:
        with urllib.request.urlopen(f"{url}api/run") as answer:
            about = json.load(answer)
        host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
        draw = np.random.default_rng(0)
        ask = lambda count: [f"/api/recommend?user={u}&k=10" for u in draw.integers(about["users"], size=count)]  # noqa: E731
        go = lambda count, connections, rate: asyncio.run(measured(host, int(port), ask(count), connections, rate))  # noqa: E731
        go(200, 4, None)
        rows = {}
        for name, rate in (("open loop", arguments.rate), ("closed loop", None)):
            before, load, cpu = resident(url), os.getloadavg()[0], _cpu(server.pid)
            rows[name] = go(arguments.requests, arguments.connections if rate else 8, rate)
            cpu_ms = 1e3 * (_cpu(server.pid) - cpu) / arguments.requests
            rows[name] |= {"cpu_ms": cpu_ms, "rss_before_mb": before, "rss_after_mb": resident(url), "load": load}
        return {
            "model": about["model"],
            "data": f"{about['data_set']} ({about['data']})",
            "items": about["items"],
        } | rows
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _cpu(process: int) -> float:
    """Seconds of CPU time that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, action="append", help="a finished run; may be repeated")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second of the open loop")
    parser.add_argument("--requests", type=int, default=10_000, help="of each loop")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="of the open loop")
    parser.add_argument("--threads", type=int, default=2, help="in which the server computes")
    arguments = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.run:
            arguments.run = [Path(folder) / "run"]
            data = socialjax.DataSettings(name="yelp", offline=True)
            socialjax.fit("bpr", data, epochs=1, folder=arguments.run[0], progress=False)
        print(
            "| model | loop | requests/s | p50, ms | p95 | p99 | CPU ms | failed | MB before | after | load average |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|---|")
        for run in arguments.run:
            figures.append(found := under_load(run, arguments))
            for name in ("open loop", "closed loop"):
                row = found[name]
                cells = [f"{row['per_second']:.0f}", *(f"{row[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms"))]
                cells += [f"{row['cpu_ms']:.1f}", str(row["failed"])]
                cells += [f"{row['rss_before_mb']:.0f}", f"{row['rss_after_mb']:.0f}", f"{row['load']:.1f}"]
                print(f"| {found['model']} | {name} | " + " | ".join(cells) + " |", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
