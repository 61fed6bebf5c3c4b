"""Training steps of DiffNet (K = 2, D = 64), SVD++, LightGCN and BPR on Yelp, sampling of pairs and negatives included.

    python -m benchmarks.training

Median CPU time of a step by Adam over 8 calls, one core, and the peak resident set of the process. Beside other
libraries: `python -m benchmarks.run bpr graph --peers`.
"""

import dataclasses
import json
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.children import ALLOCATOR, child_of, measured
from socialjax.contract import Model
from socialjax.data.schema import Dataset
from socialjax.data.sources import DataSettings, load
from socialjax.eval.metrics import text_table
from socialjax.models import MODELS
from socialjax.run.results import peak_memory_bytes
from socialjax.train.parallel import make_runner, program_start
from socialjax.train.step import make_optimizer, new_state, on_device, resident

CALLS = 8
CASES = {  # name -> (model, batch, negatives, steps in a call)
    "diffnet 8192 x 8": ("diffnet", 8192, 8, 8),
    "diffnet 2048 x 1": ("diffnet", 2048, 1, 16),
    "svdpp 8192 x 8": ("svdpp", 8192, 8, 8),
    "bpr 8192 x 8": ("bpr", 8192, 8, 16),
    "bpr 2048 x 1": ("bpr", 2048, 1, 32),
    "bpr 1024 x 1": ("bpr", 1024, 1, 64),
    "lightgcn 2048 x 1": ("lightgcn", 2048, 1, 8),
}
RATES = {"adam": 5e-3, "adam_rows": 5e-3}  # learning rate by optimiser; of the others 0.05


def timed_steps(data: Dataset, model: Model, batch: int, count: int, optimizer: str = "adam") -> dict:
    """CPU seconds a step of `model`, pairs a second, peak memory; median of CALLS calls of `count` steps."""
    optimizer = make_optimizer(optimizer, RATES.get(optimizer, 0.05))
    side = on_device(model.prepare(data))
    runner = make_runner("jit", model, optimizer, side, resident(data), batch)
    state = runner.place(new_state(model, side, optimizer, 0))
    state = jax.block_until_ready(runner.run(state, 1))
    first_step = time.monotonic() - program_start()
    state = jax.block_until_ready(runner.run(state, count))
    spent = []
    for call in range(1, CALLS + 1):
        start = time.process_time()
        state = jax.block_until_ready(runner.run(state, (call + 1) * count))
        spent.append((time.process_time() - start) / count)
    seconds = float(np.median(spent))
    if not jnp.isfinite(state.sums["loss"]):
        raise RuntimeError("the loss is not finite")
    return {
        "data": data.provenance.kind,
        "seconds_per_step": seconds,
        "pairs_per_second": batch / seconds,
        "first_step_seconds": first_step,
        "loss": float(state.sums["loss"] / state.sums["weight"]),
        "peak_memory_bytes": peak_memory_bytes(),
    }


def row(case: str, of: dict) -> list[str]:
    """A line of the table of `timed_steps`."""
    memory = f"{of['peak_memory_bytes'] / 1e9:.2f}"
    return [case, f"{of['seconds_per_step']:.4f}", f"{of['pairs_per_second']:,.0f}", memory]


def steps(case: str, optimizer: str = "adam") -> dict:
    name, batch, negatives, count = CASES[case]
    data = load(DataSettings(name="yelp", offline=True))
    return timed_steps(data, dataclasses.replace(MODELS[name](), negatives=negatives), batch, count, optimizer)


def main() -> None:
    if child := child_of(__doc__):
        print(json.dumps(steps(*child)))
        return
    found = {case: measured("benchmarks.training", "--child", case) for case in CASES}
    rows = [["batch x negatives", "s a step", "pairs/s", "peak RSS, GB"], *(row(*one) for one in found.items())]
    kind = found["diffnet 8192 x 8"]["data"]
    print(f"Yelp ({kind}), D = 64, one core, CPU time, sampling included")
    print(text_table(rows))
    print(json.dumps({"benchmark": "training", "data": kind, "allocator": ALLOCATOR, **found}))


if __name__ == "__main__":
    main()
