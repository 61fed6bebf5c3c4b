"""Evaluation of a dot-product model (D = 64) on Yelp: sampled, full, and lists of the top 20.

    python -m benchmarks.evaluation

One core, in a fresh process for each job: the first call with its compilation, then the median of 5 more, wall and CPU
time, with the allocator settings of launch/local.sh. About a minute.
"""

import json
import time

import jax
import numpy as np

from benchmarks.children import ALLOCATOR, child_of, measured
from socialjax.data.schema import Dataset
from socialjax.data.sources import DataSettings, load
from socialjax.eval import metrics, ranking
from socialjax.eval.metrics import text_table
from socialjax.eval.protocol import candidates, parse
from socialjax.models.cf.bpr import BPR
from socialjax.models.parts import Factors
from socialjax.run.results import peak_memory_bytes
from socialjax.train.parallel import program_start

DIM, CALLS, K = 64, 5, 20
JOBS = ("draw negatives", "sampled1000-strict", "full", f"top {K}")


def job(name: str, data: Dataset):
    """-> (what to time, number of users)."""
    rng = np.random.default_rng(0)
    normal = lambda *shape: jax.device_put(rng.normal(size=shape).astype(np.float32))  # noqa: E731
    model, state = (
        BPR(dim=DIM),
        Factors(normal(data.num_users, DIM), normal(data.num_items, DIM), normal(data.num_items)),
    )
    if name == f"top {K}":
        users = np.arange(data.num_users)
        return lambda: ranking.top_k(model, state, users, K, data.num_items, exclude=data.train), len(users)
    if name == "draw negatives":
        lists = candidates(data, parse("sampled1000-strict"))
        return lambda: candidates(data, parse("sampled1000-strict")), len(lists)
    lists = candidates(data, parse(name))
    return lambda: metrics.per_user(ranking.count(model, state, lists), lists.protocol.ks), len(lists)


def timed(name: str) -> dict:
    """Seconds of the first call and medians of the others."""
    data = load(DataSettings(name="yelp", offline=True))
    run, num_users = job(name, data)
    wall, cpu, first = [], [], None
    for _ in range(1 + CALLS):
        start, spent = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - spent)
        first = first or time.monotonic() - program_start()
    return {
        "data": data.provenance.kind,
        "users": num_users,
        "first_seconds": wall[0],
        "first_step_seconds": first,
        "seconds": float(np.median(wall[1:])),
        "cpu_seconds": float(np.median(cpu[1:])),
        "users_per_cpu_second": num_users / float(np.median(cpu[1:])),
        "peak_memory_bytes": peak_memory_bytes(),
    }


def main() -> None:
    if child := child_of(__doc__):
        print(json.dumps(timed(*child)))
        return
    found = {name: measured("benchmarks.evaluation", "--child", name) for name in JOBS}
    rows = [["job", "users", "first call, s", "s", "CPU s", "users / CPU s", "peak GB"]]
    for name, one in found.items():
        seconds = (f"{one[key]:.2f}" for key in ("first_seconds", "seconds", "cpu_seconds"))
        speed, memory = f"{one['users_per_cpu_second']:,.0f}", f"{one['peak_memory_bytes'] / 1e9:.2f}"
        rows.append([name, f"{one['users']:,}", *seconds, speed, memory])
    kind = found["full"]["data"]
    print(f"D = {DIM}, one core, {kind} data; allocator {ALLOCATOR}")
    print(text_table(rows))
    print(json.dumps({"benchmark": "evaluation", "data": kind, "allocator": ALLOCATOR, **found}))


if __name__ == "__main__":
    main()
