"""With too little address space a command says so at once, or passes over prepared data: nothing waits or aborts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from socialjax import memory
from socialjax.data import reader_threads

ROOT = Path(__file__).resolve().parents[1]
MB = 1 << 20
RUN = [sys.executable, "-m", "socialjax", "train", "bpr", "--data.name", "own", "--train.epochs", "1", "--train.quiet"]


@pytest.mark.parametrize(
    "room, enough", [(None, True), ((1299 * MB, 2000 * MB), False), ((1300 * MB, 2000 * MB), True)]
)
def test_a_run_starts_only_with_room_for_jax(monkeypatch, room, enough):
    monkeypatch.setattr(memory, "left", lambda: room)
    if enough:
        return memory.check_address_space()
    with pytest.raises(memory.NotEnoughMemory, match=r"JAX wants 1300 MB .* 1299 are left of the 2000 MB"):
        memory.check_address_space()


def test_threads_that_find_no_room_are_refused_and_no_damage(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(memory, "stack_bytes", lambda: 8 * MB)
    monkeypatch.setattr(memory, "left", lambda: (1664 * MB, 4000 * MB))
    reader_threads.check_room()
    monkeypatch.setattr(memory, "left", lambda: (1664 * MB - 1, 4000 * MB))
    with pytest.raises(OSError, match="64 threads want 1664 MB of address space, and 1663 are left of the 4000 MB"):
        reader_threads.check_room()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_what_is_left_is_the_limit_less_what_is_used():
    script = "import resource; from socialjax import memory; print(memory.left(), memory.stack_bytes())"
    command = [*limited(3000), sys.executable, "-c", script]
    child = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True)
    left, limit = (int(word.strip("(),")) for word in child.stdout.split()[:2])
    assert limit == 3000 * MB and 2500 * MB < left < 3000 * MB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
@pytest.mark.parametrize(
    "limit",
    [
        1200,
        pytest.param(1500, marks=pytest.mark.slow),
        *(pytest.param(n, marks=pytest.mark.slow) for n in (1900, 2300, 3500)),
    ],
)
def test_a_run_under_a_limit_ends_with_a_sentence_or_with_its_figures(tmp_path, limit):
    (tmp_path / "own").mkdir()
    pairs = "".join(f"{user}\t{item}\n" for user in range(30) for item in range(user % 2, 20, 2))
    (tmp_path / "own" / "own.rating").write_text(pairs)
    places = ["--data.dir", str(tmp_path / "own"), "--workdir", str(tmp_path / "run")]
    command = [*limited(limit), *RUN, *places, "--eval.protocol", "full"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_", "SOCIALJAX_"))}
    kept["SOCIALJAX_CACHE"] = str(tmp_path / "cache")
    for _ in range(2):  # the second time there are prepared data, and where it came so far a finished run
        child = subprocess.run(command, cwd=ROOT, env=kept, text=True, capture_output=True, timeout=120)
        if child.returncode:
            assert child.returncode == 1
            assert "not enough memory" in child.stderr.strip().splitlines()[-1]
    assert limit < 2300 or child.returncode == 0


def limited(megabytes: int) -> list[str]:
    """How a command begins that has so many MB of address space. A shell sets it: a fork of JAX's threads warns."""
    return ["bash", "-c", f'ulimit -v {megabytes * 1024}; exec "$@"', "limited"]
