"""Makes the golden figures: every model after a few steps on small data, and short runs on real data."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "models"))

import cases
import worlds

from socialjax.eval import protocol, ranking
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state, on_device, resident
from socialjax.vision.labelled.photos import Resident
from socialjax.vision.sen import SEN, SmallCNN
from socialjax.vision.training import AttributeTraining, train_attributes

FILE = Path(__file__).resolve().with_name("figures.json")
ROOT = FILE.parents[2]
STEPS, BATCH = 7, 16
REAL = {  # data: model and settings of `socialjax train`; each takes a minute or two on a core
    "yelp": ["diffnet", "--model.layers", "all", "--model.objective", "softmax", "--model.negatives", "16"],
    "hasc_fs": ["hasc", "--model.dim", "15", "--eval.protocol", "sampled100-strict"],
    "tiktok": ["vbpr", "--model.dim", "32", "--eval.protocol", "full"],
}


def read() -> dict:
    """What is written down."""
    return json.loads(FILE.read_text())


def make() -> dict:
    """{"made_with", "models": {case: {what: digest or figures}}, "attributes", "real"}."""
    return {
        "made_with": made_with(),
        "models": {name: of_model(model) for name, model in cases.CASES.items()},
        "attributes": of_attributes(),
        "real": of_real_data(),
    }


def made_with() -> dict[str, str]:
    """What bits may depend on beside our code."""
    flags = next((line for line in _lines("/proc/cpuinfo") if line.startswith("flags")), "").split()
    widest = next((each for each in ("avx512f", "avx2", "avx") if each in flags), "none")
    return {
        "processor": f"{platform.machine()} {widest}",
        **{name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")},
    }


def digest(arrays: Iterable) -> str:
    """Of arrays with shapes and types, whatever their order and names."""
    values = [np.asarray(jax.device_get(each)) for each in arrays]
    each = sorted(f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}" for value in values)
    return hashlib.sha256("\n".join(each).encode()).hexdigest()[:16]


def of_model(model) -> dict:
    """Parameters and loss after a few steps of Adam; all scores, the best items and every metric that follow."""
    data = worlds.with_attributes(worlds.with_likes(worlds.with_frames(worlds.small(4, 4))))
    side = on_device(model.prepare(data))
    optimizer = make_optimizer("adam", 0.01)
    runner = make_runner("jit", model, optimizer, side, resident(data), BATCH, devices=jax.devices()[:1])
    state = runner.run(runner.place(new_state(model, side, optimizer, seed=3)), STEPS)
    params = runner.to_save(state).params
    encoded = ranking.encode(model, params, side)
    users = np.arange(data.num_users, dtype=np.int32)
    every = np.broadcast_to(np.arange(data.num_items, dtype=np.int32), (data.num_users, data.num_items))
    result = ranking.evaluate_state(model, encoded, protocol.candidates(data, protocol.parse("full", ks=(1, 3, 5))))
    return {
        "parameters": digest(jax.tree.leaves(params)),
        "sums": digest(state.sums.values()),
        "scores": digest([jax.jit(model.score)(encoded, users, every)]),
        "top": digest(ranking.top_k(model, encoded, users, 3, data.num_items, data.train)),
        "metrics": digest(result.mean()[name] for name in sorted(result.mean())),
    }


def of_attributes() -> dict:
    """The attribute network, both stages."""
    network = SEN((2, 3), backbone=SmallCNN((8, 8), (2, 1)), hidden=8, dropout=0.1, region_dim=8)
    draw = np.random.default_rng(5)
    inputs = draw.integers(0, 256, (96, 16, 16, 3)).astype(np.uint8)
    labels = np.stack([draw.integers(-1, 2, 96), draw.integers(-1, 3, 96)], axis=1).astype(np.int16)
    settings = AttributeTraining(epochs=2, region_epochs=2, backbone_rate=1e-3, quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        trained = train_attributes(
            network,
            network.init(jax.random.key(0), inputs[:2]),
            Resident(inputs[:64], labels[:64], batch_size=16),
            (inputs[64:], labels[64:]),
            settings,
            0,
            Path(folder),
            "golden",
        )
    return {"variables": digest(jax.tree.leaves(trained.variables)), "accuracy": digest(trained.accuracy.values())}


def of_real_data() -> dict:
    """Two epochs on each real set that is here: every metric of the test part, in full."""
    there = Path(os.environ.get("SOCIALJAX_DATA", "/nowhere"))
    return {name: _real(name, command) for name, command in REAL.items() if (there / name).is_dir()}


def _real(data: str, command: list[str]) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        short = ["--train.epochs", "2", "--train.quiet", "--seeds", "0", "--workdir", folder]
        subprocess.run(
            [sys.executable, "-m", "socialjax", "train", *command, "--data.name", data, *short],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        metrics = json.loads((Path(folder) / "result.json").read_text())["metrics"]
    return {name: metrics[name]["values"] for name in sorted(metrics)}


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).is_file() else []
