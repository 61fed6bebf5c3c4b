"""A preparation that is killed goes on to the same bytes, and one of millions of rows stays within its memory."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from socialjax.data.large.layout import open_graph
from socialjax.data.large.verify import verify

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import json, sys
from pathlib import Path
from socialjax.data.large.inputs import Files
from socialjax.data.large.prepare import prepare
from socialjax.data.large.settings import PrepareSettings
from socialjax.memory import peak_bytes, resident_bytes
held = resident_bytes()
given = json.loads(sys.argv[1])
settings = PrepareSettings(**given["settings"])
prepare(given["folder"], Files([Path(given["pairs"])]), Files([Path(given["links"])]), settings, progress=False)
print(held >> 20, peak_bytes() >> 20)
"""


def started(**given):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(given)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def files(folder, rows, users, items):
    rng = np.random.default_rng(0)
    np.save(
        folder / "pairs.npy", np.stack([rng.integers(0, users, rows) * 3, rng.integers(0, items, rows) * 5], axis=1)
    )
    np.save(folder / "links.npy", rng.integers(0, users, (rows, 2)) * 3)
    return {"pairs": str(folder / "pairs.npy"), "links": str(folder / "links.npy")}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured as Linux tells it")
def test_millions_of_rows_stay_within_the_memory_that_is_allowed(tmp_path):
    """In their packed form the pairs alone, and the links alone, take more than the buffers that are left."""
    allowed, rows = 170, 9_000_000
    given = files(tmp_path, rows, 100_000, 50_000)
    settings = {"memory_bytes": allowed << 20, "chunk_rows": 1 << 16, "k_core": 5}
    with started(**given, folder=str(tmp_path / "g"), settings=settings) as child:
        held, peak = map(int, child.communicate(timeout=200)[0].split())
    assert child.returncode == 0 and held < peak <= allowed, (held, peak)
    graph = open_graph(tmp_path / "g")
    assert min(graph.num_pairs, graph.num_links) > 0.8 * rows
    verify(graph)


@pytest.mark.slow
def test_killed_ten_times_it_ends_with_the_same_bytes(tmp_path):
    given = files(tmp_path, 400_000, 30_000, 20_000)
    settings = {"chunk_rows": 1 << 12, "k_core": 4}
    begin = time.monotonic()
    with started(**given, folder=str(tmp_path / "whole"), settings=settings) as child:
        assert child.wait(timeout=200) == 0
    seconds = time.monotonic() - begin
    rng, kills = np.random.default_rng(int(time.time())), 0
    for _ in range(10):
        with started(**given, folder=str(tmp_path / "g"), settings=settings) as child:
            try:
                child.wait(timeout=rng.uniform(0.2, 0.9) * seconds)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                kills += 1
        if (tmp_path / "g" / "meta.json").exists():  # finished between kills: begin again
            assert content(tmp_path / "g") == content(tmp_path / "whole")
            (tmp_path / "g").rename(tmp_path / f"done{kills}")
    with started(**given, folder=str(tmp_path / "g"), settings=settings) as child:
        assert child.wait(timeout=200) == 0
    assert kills >= 4 and content(tmp_path / "g") == content(tmp_path / "whole")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
