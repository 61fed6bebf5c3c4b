"""What SEN costs: asking it about pictures, and training its branches on feature maps.

    python -m benchmarks.sen                      # 256 pictures, EfficientNet-Lite0 at 224 pixels
    python -m benchmarks.sen --pictures 64

Seven attributes with the class counts of fashion_products, settings as in `experiments.sen_fashion`. The backbone has
weights drawn at random: its cost is the same. Asked is for all of an export: backbone, branches, maps of all
attributes, boxes, pooling inside them. Training is steps of either stage on maps in half precision. Fresh processes on
one core; the first call, which compiles, is apart; seconds that the core worked beside wall seconds, since a busy
machine stretches these alone. Memory is the peak resident set of the process.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks.children import ALLOCATOR, measured
from experiments import sen_fashion
from socialjax.eval.metrics import text_table
from socialjax.run.results import peak_memory_bytes
from socialjax.vision.backbones import EfficientNetLite0
from socialjax.vision.labelled.photos import Resident
from socialjax.vision.sen import SEN, locate
from socialjax.vision.training import AttributeTraining, train_attributes

CLASSES = (5, 3, 17, 39, 46, 4, 7)  # of fashion_products
SIDE, CELLS, CHANNELS = 224, 7, 1280
EXPORT_BATCH = 32
JOBS = ("export", "classes", "regions")


def network(backbone=None) -> SEN:
    """As the experiment makes it."""
    chosen = sen_fashion.Arguments()
    return SEN(CLASSES, backbone, hidden=chosen.hidden, dropout=chosen.dropout, region_dim=128, centred=True)


def export(pictures: int) -> dict:
    """Pictures to classes, maps, boxes and vectors."""
    asked = network(EfficientNetLite0(classes=0))
    images = np.random.default_rng(0).integers(0, 256, (EXPORT_BATCH, SIDE, SIDE, 3)).astype(np.uint8)
    variables = jax.jit(asked.init)(jax.random.key(0), images[:1])
    locating = jax.jit(lambda variables, images: locate(asked, variables, images))
    started = time.monotonic()
    jax.block_until_ready(locating(variables, images))
    first = time.monotonic()
    worked = time.process_time()
    steps = max(1, pictures // EXPORT_BATCH)
    for _ in range(steps):
        jax.block_until_ready(locating(variables, images))
    return _figures(steps * EXPORT_BATCH, first - started, time.monotonic() - first, time.process_time() - worked)


class Timed(Resident):
    """Notes when each epoch starts: (wall seconds, seconds the core worked)."""

    def epoch(self, number: int):
        if not hasattr(self, "starts"):
            self.starts = []
        self.starts.append((time.monotonic(), time.process_time()))
        return super().epoch(number)


def training(stage: str, pictures: int) -> dict:
    """Epochs of one stage over maps, with a pass over a validation batch; what comes before the second is apart."""
    rng = np.random.default_rng(0)
    maps = rng.gamma(1.0, size=(pictures, CELLS, CELLS, CHANNELS)).astype(np.float16)
    labels = np.stack([rng.integers(0, classes, pictures) for classes in CLASSES], axis=1).astype(np.int16)
    learner = network()
    variables = dict(jax.jit(learner.init)(jax.random.key(0), maps[:1].astype(np.float32)))
    lengths = {"epochs": 4, "region_epochs": 0} if stage == "classes" else {"epochs": 1, "region_epochs": 4}
    settings = AttributeTraining(
        **lengths, learning_rate=sen_fashion.TRAINING.learning_rate, patience=99, save_seconds=1e9, quiet=True
    )
    batches, began = Timed(maps, labels, sen_fashion.BATCH), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        validation = maps[: sen_fashion.BATCH], labels[: sen_fashion.BATCH]
        train_attributes(learner, variables, batches, validation, settings, 0, Path(folder), "benchmark")
    second, last = batches.starts[-3], batches.starts[-1]
    return _figures(2 * pictures, second[0] - began, last[0] - second[0], last[1] - second[1])


def _figures(pictures: int, first: float, wall: float, cpu: float) -> dict:
    return {
        "pictures": pictures,
        "seconds_first": first,
        "pictures_per_second": pictures / wall,
        "pictures_per_cpu_second": pictures / cpu,
        "peak_memory_bytes": peak_memory_bytes(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=256, help="timed in each job (default 256)")
    parser.add_argument("--child", choices=JOBS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.pictures < sen_fashion.BATCH:
        parser.error(f"--pictures must be at least {sen_fashion.BATCH}, got {asked.pictures}")
    if asked.child:
        job = export(asked.pictures) if asked.child == "export" else training(asked.child, asked.pictures)
        print(json.dumps(job))
        return
    found = {job: measured("benchmarks.sen", "--child", job, "--pictures", str(asked.pictures), core=0) for job in JOBS}
    rows = [["job", "s first", "pictures/s", "pictures/CPU s", "peak RSS, GiB"]]
    for job, of in found.items():
        rates = (f"{of[name]:.1f}" for name in ("seconds_first", "pictures_per_second", "pictures_per_cpu_second"))
        rows.append([job, *rates, f"{of['peak_memory_bytes'] / 2**30:.2f}"])
    print("SEN on one core: export of pictures of 224 pixels, and training on feature maps")
    print(text_table(rows))
    print(json.dumps({"benchmark": "sen", "data": "generated", "allocator": ALLOCATOR, **found}))


if __name__ == "__main__":
    main()
