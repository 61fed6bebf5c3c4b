"""Planted worlds that do not fit in memory: seconds and peak memory of their preparation, and the speed of streaming.

    python -m benchmarks.large --folder FOLDER               # 1 M users, 1 M items, 20 M pairs, 20 M links
    python -m benchmarks.large --folder FOLDER --world 10m   # 10 M users, 2 M items, 5 x 10^7 pairs, 10^8 links

The folder stays, and so does FOLDER-shards, its training pairs as array_record. Each part
runs in a process of its own, whose peak is that of the operating system.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.children import ALLOCATOR
from socialjax.data.large.layout import open_graph
from socialjax.data.large.pair_shards import write_training_pairs
from socialjax.data.large.pair_stream import PairStream
from socialjax.data.large.prepare import prepare
from socialjax.data.large.settings import PrepareSettings
from socialjax.data.large.verify import verify
from socialjax.eval.metrics import text_table
from socialjax.memory import peak_bytes
from socialjax.worlds.communities import Communities

WORLDS = {
    "100k": Communities(100_000, 100_000, 100, pairs_per_user=21, links_per_user=21),
    "1m": Communities(1_000_000, 1_000_000, 1_000, pairs_per_user=21, links_per_user=21),
    "10m": Communities(10_000_000, 2_000_000, 5_000, pairs_per_user=5.7, links_per_user=10.7),
}
MB = 1 << 20
COLUMNS = ("seconds", "cpu_seconds", "peak_MB")


def prepared(folder: Path, world: Communities, memory: int) -> dict:
    """Makes the graph folder."""
    settings = PrepareSettings(
        name="communities",
        ids="row numbers",
        num_users=world.num_users,
        num_items=world.num_items,
        memory_bytes=memory,
    )
    graph = prepare(folder, world.pairs(), world.links(), settings)
    return {
        "train": graph.num_pairs,
        "validation": len(graph.validation),
        "test": len(graph.test),
        "links": graph.num_links,
        "folder_MB": round(sum(path.stat().st_size for path in folder.iterdir()) / MB),
    }


def verified(folder: Path) -> dict:
    """Reads and checks everything; mapped pages count as memory."""
    verify(open_graph(folder), progress=True)
    return {}


def sharded(folder: Path) -> dict:
    """Writes the training pairs as shards beside the folder."""
    written = write_training_pairs(open_graph(folder), _shards(folder))
    return {"MB": round(sum(shard.bytes for shard in written.meta.shards) / MB)}


def streamed(folder: Path, batch_size: int = 8192, most: int = 2000) -> dict:
    """Batches of an epoch, at most `most`, as a training takes them; nothing else is done meanwhile."""
    stream = PairStream(_shards(folder), batch_size)
    steps = min(most, stream.steps_per_epoch)
    next(stream)
    begin, pairs = time.perf_counter(), 0
    for _ in range(steps - 1):
        pairs += len(next(stream).users)
    seconds = time.perf_counter() - begin
    stream.close()
    return {
        "batches": steps,
        "pairs_per_second": round(pairs / seconds),
        "MB_per_second": round(8 * pairs / MB / seconds),
        "us_per_batch": round(seconds / steps * 1e6),
    }


def _shards(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-shards")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--world", choices=WORLDS, default="1m")
    parser.add_argument("--memory-gib", type=float, default=2.0, help="that the preparation may hold")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    world, memory = WORLDS[arguments.world], int(arguments.memory_gib * (1 << 30))
    parts = {
        "prepare": lambda: prepared(arguments.folder, world, memory),
        "verify": lambda: verified(arguments.folder),
        "shards": lambda: sharded(arguments.folder),
        "stream": lambda: streamed(arguments.folder),
    }
    if arguments.part:
        begin, cpu = time.perf_counter(), time.process_time()
        found = parts[arguments.part]()
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        peak = peak_bytes() / MB
        print(json.dumps({"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_MB": round(peak), **found}))
        return
    results = {part: _measured(part, sys.argv[1:]) for part in parts}
    rows = [["part", "seconds", "CPU s", "peak, MB", "what"]]
    for part, found in results.items():
        rest = ", ".join(f"{name} {value:,}" for name, value in found.items() if name not in COLUMNS)
        rows.append([part, f"{found['seconds']:.1f}", f"{found['cpu_seconds']:.1f}", f"{found['peak_MB']:,}", rest])
    print(f"{arguments.world}: {world}, {arguments.memory_gib:g} GiB allowed")
    print(text_table(rows))
    print(json.dumps({"benchmark": "large", "world": arguments.world, "allocator": ALLOCATOR, **results}))


def _measured(part: str, words: list[str]) -> dict:
    """The last line of a process for one part. Raises RuntimeError when it fails."""
    command = [sys.executable, "-m", "benchmarks.large", *words, "--part", part]
    environment = {**os.environ, **ALLOCATOR, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{part} failed, see above")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
