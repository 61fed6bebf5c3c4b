"""An epoch of JIFR on a generated set of Douban's size: the time and memory of wide frames.

    python -m benchmarks.jifr                # 16,166 users, 12,811 items, 140,916 frames of 4,096 numbers
    python -m benchmarks.jifr --scale 0.1    # a tenth of each

379,727 training pairs at full size, model and batch as in `experiments.jifr_douban`. The table of frames, 1.15 GB of
float16, is written to a temporary file block by block and mapped; the model reduces it to 256 numbers a frame, once.
All cores, one fresh process: wall seconds to read and reduce, to compile with the first step, and of the whole epoch;
seconds that the cores worked for all of it, which a busy machine does not stretch; and the peak resident set, in which
pages of the mapped file count. There is no taste in it, so nothing is ranked.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from numpy.lib import format as npy

from benchmarks.children import ALLOCATOR, measured
from experiments.jifr_douban import STUDY
from socialjax.data.schema import Dataset, Frames, Provenance, interactions, no_interactions
from socialjax.eval.metrics import text_table
from socialjax.models.visual.jifr import JIFR
from socialjax.run.results import peak_memory_bytes
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state, on_device, resident, steps_per_epoch

USERS, ITEMS, FRAMES, WIDTH, TRAIN_PAIRS = 16_166, 12_811, 140_916, 4_096, 379_727
ROWS = 4_096  # of the table that are in memory at once while it is written
BARS = {"seconds": 300, "bytes": 8 * 2**30}


def write_table(path: Path, frames: int) -> None:
    """float16 [frames, WIDTH], noise around a few hundred directions, as features of pictures are."""
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(300, WIDTH)).astype(np.float32)
    table = npy.open_memmap(path, "w+", np.float16, (frames, WIDTH))
    for start in range(0, frames, ROWS):
        stop = min(start + ROWS, frames)
        table[start:stop] = np.maximum(rng.normal(size=(stop - start, 300)).astype(np.float32) @ basis / 17, 0)
    table.flush()


def generated(path: Path, scale: float) -> Dataset:
    """That share of each count: pairs at random, each once; items have frames as a Gamma distribution spreads them."""
    rng = np.random.default_rng(1)
    users, items, pairs = (round(count * scale) for count in (USERS, ITEMS, TRAIN_PAIRS))
    features = np.load(path, mmap_mode="r")
    keys = np.unique(rng.integers(users * items, size=round(pairs * 1.2)))
    keys = rng.permutation(keys)[:pairs]
    share = rng.gamma(4.0, size=items)
    count = rng.multinomial(len(features), share / share.sum())
    return Dataset(
        name="douban-size",
        num_users=users,
        num_items=items,
        train=interactions(keys // items, keys % items),
        validation=no_interactions(),
        test=no_interactions(),
        provenance=Provenance("planted", f"generated: {scale:g} of Douban's counts, no taste"),
        frames=Frames(np.concatenate([[0], np.cumsum(count)]).astype(np.int64), features),
    )


def epoch(path: Path, scale: float) -> dict:
    """Seconds and peak memory of one epoch."""
    data, train = generated(path, scale), STUDY.settings["jifr"].train
    model = JIFR(**STUDY.settings["jifr"].fields)
    start, worked = time.monotonic(), time.process_time()
    side = on_device(model.prepare(data))
    reduced = time.monotonic()
    optimizer = make_optimizer(train.optimizer, train.learning_rate)
    runner = make_runner("jit", model, optimizer, side, resident(data), train.batch_size)
    state = runner.place(new_state(model, side, optimizer, 0))
    steps = steps_per_epoch(len(data.train), train.batch_size)
    state = jax.block_until_ready(runner.run(state, 1))
    first = time.monotonic()
    state = jax.block_until_ready(runner.run(state, steps))
    ended, worked = time.monotonic(), time.process_time() - worked
    if not jnp.isfinite(state.sums["loss"]):
        raise RuntimeError("the loss is not finite")
    return {
        "scale": scale,
        "steps": steps,
        "truncated_frames": model.truncated(side),
        "seconds_to_reduce": reduced - start,
        "seconds_to_first_step": first - reduced,
        "seconds_of_epoch": ended - reduced,
        "seconds": ended - start,
        "cpu_seconds": worked,
        "pairs_per_second": (len(data.train) - train.batch_size) / (ended - first),
        "peak_memory_bytes": peak_memory_bytes(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of each count (default 1)")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if not 0.01 <= asked.scale <= 1:
        parser.error(f"--scale must be 0.01 to 1, got {asked.scale:g}")
    if asked.child:
        print(json.dumps(epoch(asked.child, asked.scale)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.npy"
        write_table(path, round(FRAMES * asked.scale))
        found = measured("benchmarks.jifr", "--child", str(path), "--scale", str(asked.scale), core=None)
    memory = found["peak_memory_bytes"]
    rows = [
        ["steps", "s to reduce", "s to first step", "s an epoch", "s in all", "CPU s", "pairs/s", "peak RSS, GiB"],
        [
            str(found["steps"]),
            *(f"{found[f'seconds_{part}']:.1f}" for part in ("to_reduce", "to_first_step", "of_epoch")),
            f"{found['seconds']:.1f}",
            f"{found['cpu_seconds']:.1f}",
            f"{found['pairs_per_second']:,.0f}",
            f"{memory / 2**30:.2f}",
        ],
    ]
    print(f"JIFR, {asked.scale:g} of Douban's counts, frames of {WIDTH:,} numbers, all cores, wall time")
    print(text_table(rows))
    met = found["seconds"] <= BARS["seconds"] and memory <= BARS["bytes"]
    print(f"at most {BARS['seconds']} s and 8 GiB: {'met' if met else 'MISSED'}")
    print(json.dumps({"benchmark": "jifr", "data": "generated", "allocator": ALLOCATOR, "met": met, **found}))


if __name__ == "__main__":
    main()
