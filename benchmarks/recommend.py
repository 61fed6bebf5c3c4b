"""What a trained model answers: a user at a time, warm, and everybody into a file.

    python -m benchmarks.recommend

One user on Yelp's sizes (the stand-in without the files), CPU milliseconds of this process, other users and another k
each time; then 100,000 users with words as ids and 20,000 items into Parquet and CSV. Parameters are fresh: what they
are costs the same.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from socialjax.contract import Model
from socialjax.data.schema import Dataset
from socialjax.data.sources import load_dataset
from socialjax.eval import ranking
from socialjax.models import BPR, LightGCN
from socialjax.recommender import Run
from socialjax.train.step import on_device

ASKED, WIDTH = 300, 64


def answering(model: Model, data: Dataset) -> Run:
    """A run with parameters as they start."""
    side = on_device(model.prepare(data))
    return Run(None, 0, model, data, None, side, ranking.encode(model, model.init(jax.random.key(0), side), side))


def one_by_one(model: Model, data: Dataset) -> dict[str, float]:
    """The first answer in seconds, and of those that follow CPU and wall milliseconds."""
    run, draw = answering(model, data), np.random.default_rng(0)
    users = data.users.typed
    begin = time.perf_counter()
    run.recommend(users(5), k=10)
    first, cpu, wall = time.perf_counter() - begin, [], []
    for number in range(ASKED):
        user, k = users(int(draw.integers(data.num_users))), 10 if number % 2 else int(draw.integers(1, 100))
        marks = time.process_time(), time.perf_counter()
        run.recommend(user, k=k)
        cpu.append(1e3 * (time.process_time() - marks[0]))
        wall.append(1e3 * (time.perf_counter() - marks[1]))
    return {
        "first_s": first,
        "cpu_ms": float(np.median(cpu)),
        "cpu_ms_p95": float(np.percentile(cpu, 95)),
        "wall_ms_p95": float(np.percentile(wall, 95)),
    }


def many_users(users: int = 100_000, items: int = 20_000, pairs: int = 1_000_000) -> Dataset:
    """A data set whose ids are words, items as popular as a Pareto distribution makes them."""
    draw = np.random.default_rng(0)
    who = np.concatenate([np.arange(users), draw.integers(users, size=pairs)])
    popular = (draw.pareto(1, size=pairs) * 200).astype(np.int64) % items
    what = np.concatenate([draw.integers(items, size=users), popular])
    return Dataset.from_pairs(np.char.add("customer-", who.astype(str)), np.char.add("B00", what.astype(str)))


def main() -> None:
    yelp = load_dataset("yelp", offline=True)
    figures = {}
    print(f"yelp, {yelp.provenance.kind}\n| model | first, s | CPU ms | p95 | wall ms, p95 |\n|---|---|---|---|---|")
    for model in (BPR(dim=WIDTH), LightGCN(dim=WIDTH)):
        name = type(model).__name__
        figures[name] = found = one_by_one(model, yelp)
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in found.values()) + " |")
    data = many_users()
    run = answering(BPR(dim=WIDTH), data)
    print("| file | users | items | s | MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".parquet", ".csv"):
            begin = time.perf_counter()
            path = run.recommend_all(Path(folder) / f"best{ending}", k=10)
            seconds, size = time.perf_counter() - begin, path.stat().st_size / 2**20
            figures[ending] = {"seconds": seconds, "mb": size}
            print(f"| {ending} | {data.num_users:,} | {data.num_items:,} | {seconds:.1f} | {size:.0f} |")
    sys.stdout.flush()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
