"""Real commands in processes of their own, on a small folder of one's own data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import os
import resource
import signal
import sys

from socialjax.data.sources import DataSettings
from socialjax.models import BPR
from socialjax.run.execute import main
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.train.step import TrainSettings

EVALUATION = EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10))
TRAINING = TrainSettings(epochs=40, batch_size=64, evaluate_every=1, patience=0, save_seconds=0)
DEFINITION = Definition(
    name="tiny",
    summary="A small run.",
    default=Experiment(model=BPR(dim=8), data=DataSettings(name="tiny"), train=TRAINING, eval=EVALUATION),
    presets={"small": Experiment(model=BPR(dim=2), data=DataSettings(name="tiny"), train=TRAINING, eval=EVALUATION)},
    sweeps={"dim": [{"dim": 2}, {"dim": 4}]},
)

if __name__ == "__main__":
    if "FILE_LIMIT" in os.environ:  # files end there, and writing on is an error instead of a signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["FILE_LIMIT"]),) * 2)
    sys.exit(main(DEFINITION))
"""


class Commands:
    """Starts the small experiment. FILE_LIMIT in its environment: bytes that a file may have."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.data = folder / "data"
        self.script = folder / "tiny.py"
        self.script.write_text(SCRIPT)
        _write_data(self.data)
        keep = {
            name: value for name, value in os.environ.items() if not name.startswith(("SOCIALJAX_", "XLA_", "JAX_"))
        }
        self.environment = keep | {
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "SOCIALJAX_CACHE": str(folder / "cache"),
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }

    def start(self, workdir: Path, *arguments: str, **environment: str) -> subprocess.Popen:
        """The process, with its output in pipes."""
        line = [sys.executable, str(self.script), "--data.dir", str(self.data), "--workdir", str(workdir), *arguments]
        return subprocess.Popen(
            line,
            env=self.environment | environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, workdir: Path, *arguments: str, **more) -> tuple[int, str, str]:
        """(exit code, standard output, standard error)."""
        process = self.start(workdir, *arguments, **more)
        out, error = process.communicate(timeout=180)
        return process.returncode, out, error


def _write_data(folder: Path) -> None:
    """40 users, 60 items; even users like even items."""
    draw = np.random.default_rng(0)
    pairs = [(user, item) for user in range(40) for item in draw.choice(np.arange(user % 2, 60, 2), 8, replace=False)]
    links = [(user, friend) for user in range(40) for friend in draw.choice(40, 3, replace=False) if user != friend]
    folder.mkdir()
    (folder / "tiny.rating").write_text("".join(f"{user}\t{item}\n" for user, item in pairs))
    (folder / "tiny.links").write_text("".join(f"{user}\t{friend}\n" for user, friend in links))


@pytest.fixture(scope="session")
def commands(tmp_path_factory) -> Commands:
    return Commands(tmp_path_factory.mktemp("commands"))


@pytest.fixture(scope="session")
def unbroken(commands):
    """The folder of a run that nobody disturbed."""
    folder = commands.folder / "unbroken"
    code, _, error = commands.run(folder)
    assert code == 0, error
    return folder


@pytest.fixture(scope="session")
def left_behind():
    """left_behind(folder): all that must not depend on interruptions."""
    return _left_behind


def _left_behind(folder: Path) -> dict:
    from socialjax.train.checkpoint import read_best

    times = {"seconds", "pairs_per_second", "peak_memory_bytes", "settings", "commit", "device"}

    def without_times(record: dict) -> dict:
        return {name: value for name, value in record.items() if name not in times}

    found = {"result": without_times(json.loads((folder / "result.json").read_text()))}
    for seed in sorted(path.name for path in folder.glob("seed_*")):
        here = folder / seed
        _, notes = read_best(here / "checkpoints")
        steps = sorted(int(path.name) for path in (here / "checkpoints").iterdir() if path.name.isdigit())
        found[seed] = {
            "arrays": notes["arrays"],  # a digest of each, of the last state and of the best parameters
            "best": (notes["best"], notes["best_step"]),
            "last step": steps[-1],
            "result": without_times(json.loads((here / "result.json").read_text())),
            "metrics": [without_times(json.loads(line)) for line in (here / "metrics.jsonl").read_text().splitlines()],
            "files": sorted(path.name for path in here.iterdir()),
        }
    return found
