"""LightGCN with its paper's settings (3 layers, D = 64, batch 2,048) on a generated set of Gowalla's size.

    python -m benchmarks.lightgcn
    python -m benchmarks.lightgcn --steps 396        # a whole epoch

29,858 users, 40,981 items, 810,128 training pairs; degrees fall off like a power law, from 10 up. CPU time of a step,
sampling included, over some steps after compilation, on one core, as seconds an epoch of 396 steps; and the peak
resident set of the process. There is no taste in it, so nothing is ranked. The authors' PyTorch code takes 31 s an
epoch, 17 of them for sampling, by the log in its README (the machine is not named).
"""

import argparse
import json
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.children import ALLOCATOR, measured
from experiments.lightgcn_gowalla import PAPER, TRAIN
from socialjax.data.schema import Dataset, Provenance, interactions, no_interactions
from socialjax.eval.metrics import text_table
from socialjax.run.results import peak_memory_bytes
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state, on_device, resident, steps_per_epoch

USERS, ITEMS, TRAIN_PAIRS, TEST_PAIRS = 29_858, 40_981, 810_128, 217_242
LEAST, MOST_OF_USERS, MOST_OF_ITEMS = 10, 1_000, 1_700  # a 10-core; the tails of the check-ins that it was made from


def generated(seed: int = 0) -> Dataset:
    """Exactly these counts: ends of users and ends of items joined at random, each pair once."""
    rng = np.random.default_rng(seed)
    total = TRAIN_PAIRS + TEST_PAIRS
    user = np.repeat(np.arange(USERS), _degrees(USERS, total, MOST_OF_USERS, rng))
    item = rng.permutation(np.repeat(np.arange(ITEMS), _degrees(ITEMS, total, MOST_OF_ITEMS, rng)))
    while True:
        keys = user.astype(np.int64) * ITEMS + item
        again = np.ones(total, bool)
        again[np.unique(keys, return_index=True)[1]] = False
        if not again.any():
            break
        some = np.concatenate([np.flatnonzero(again), rng.choice(np.flatnonzero(~again), 4 * again.sum(), False)])
        item[some] = rng.permutation(item[some])
    train, test = np.split(rng.permutation(total), [TRAIN_PAIRS])
    return Dataset(
        name="gowalla-size",
        num_users=USERS,
        num_items=ITEMS,
        train=interactions(user[train], item[train]),
        validation=no_interactions(),
        test=interactions(user[test], item[test]),
        provenance=Provenance("planted", f"generated, seed {seed}: counts and skew of Gowalla, no taste"),
    )


def _degrees(number: int, total: int, most: int, rng) -> np.ndarray:
    """i64[number] from LEAST to `most`, LEAST * rank^-power of the share above it, with exactly this sum."""
    share = (np.arange(number) + 0.5) / number
    low, high = 0.0, 2.0
    spread = lambda power: np.clip(np.rint(LEAST * share**-power), LEAST, most).astype(np.int64)  # noqa: E731
    for _ in range(50):
        power = (low + high) / 2
        low, high = (power, high) if spread(power).sum() < total else (low, power)
    degree = spread(low)
    able = np.flatnonzero(degree < most)
    np.add.at(degree, rng.choice(able, total - degree.sum()), 1)
    return rng.permutation(degree)


def steps(count: int) -> dict:
    """CPU seconds a step and an epoch, peak memory."""
    data = generated()
    optimizer = make_optimizer(TRAIN.optimizer, TRAIN.learning_rate)
    side = on_device(PAPER.prepare(data))
    runner = make_runner("jit", PAPER, optimizer, side, resident(data), TRAIN.batch_size)
    state = runner.place(new_state(PAPER, side, optimizer, 0))
    start = time.process_time()
    state = jax.block_until_ready(runner.run(state, 2))
    compiled = time.process_time() - start
    start, wall = time.process_time(), time.monotonic()
    state = jax.block_until_ready(runner.run(state, 2 + count))
    seconds, wall = (time.process_time() - start) / count, (time.monotonic() - wall) / count
    if not jnp.isfinite(state.sums["loss"]):
        raise RuntimeError("the loss is not finite")
    per_epoch = steps_per_epoch(TRAIN_PAIRS, TRAIN.batch_size)
    return {
        "steps": count,
        "seconds_to_compile": compiled,
        "seconds_per_step": seconds,
        "wall_seconds_per_step": wall,
        "steps_per_epoch": per_epoch,
        "seconds_per_epoch": seconds * per_epoch,
        "pairs_per_second": TRAIN.batch_size / seconds,
        "peak_memory_bytes": peak_memory_bytes(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=16, help="steps that are timed (default 16, at most 396)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    most = steps_per_epoch(TRAIN_PAIRS, TRAIN.batch_size)
    if not 1 <= asked.steps <= most:
        parser.error(f"--steps must be 1 to {most}, the steps of an epoch, got {asked.steps}")
    if asked.child:
        print(json.dumps(steps(asked.steps)))
        return
    found = measured("benchmarks.lightgcn", "--child", "--steps", str(asked.steps))
    rows = [
        ["steps timed", "s a step", "s an epoch", "pairs/s", "peak RSS, GB"],
        [
            str(found["steps"]),
            f"{found['seconds_per_step']:.3f}",
            f"{found['seconds_per_epoch']:.0f}",
            f"{found['pairs_per_second']:,.0f}",
            f"{found['peak_memory_bytes'] / 1e9:.2f}",
        ],
    ]
    print("LightGCN, 3 layers, D = 64, batch 2,048, a generated set of Gowalla's size, one core, CPU time")
    print(text_table(rows))
    print(json.dumps({"benchmark": "lightgcn", "data": "generated", "allocator": ALLOCATOR, **found}))


if __name__ == "__main__":
    main()
