"""HASC on the authors' small Flickr set, D = 15: training steps beside BPR's, and all images ranked for all users.

    python -m benchmarks.hasc

Each in a fresh process. Training: one core, batches of 4,096 pairs with one negative, sampling included, median CPU
time of a step over 8 calls. Ranking: all cores, wall seconds of the first call with its compilation and of the
second, parameters as they start (what they are does not change the work). About a minute.
"""

import json
import time

import jax

from benchmarks.children import ALLOCATOR, child_of, measured
from benchmarks.training import row, timed_steps
from socialjax.data.sources import DataSettings, load
from socialjax.eval import ranking
from socialjax.eval.metrics import text_table
from socialjax.eval.protocol import candidates, parse
from socialjax.models.cf.bpr import BPR
from socialjax.models.social.hasc import HASC
from socialjax.run.results import peak_memory_bytes
from socialjax.train.step import on_device

DIM, BATCH, STEPS = 15, 4096, 16
MODELS = {
    "bpr": BPR(dim=DIM),
    "hasc avg": HASC(dim=DIM, bottom="avg", top="avg"),
    "hasc att": HASC(dim=DIM),
    "hasc att, owner history": HASC(dim=DIM, owner_history=True),
}


def ranked(name: str) -> dict:
    """Seconds in which all users' lists over all images are counted, twice."""
    data, model = load(DataSettings(name="hasc_fs", offline=True)), MODELS[name]
    side = on_device(model.prepare(data))
    state = jax.block_until_ready(ranking.encode(model, model.init(jax.random.key(0), side), side))
    lists, seconds = candidates(data, parse("full")), []
    for _ in range(2):
        start = time.perf_counter()
        ranking.count(model, state, lists)
        seconds.append(time.perf_counter() - start)
    users = len(lists)
    return {
        "users": users,
        "first_seconds": seconds[0],
        "seconds": seconds[1],
        "peak_memory_bytes": peak_memory_bytes(),
    }


def main() -> None:
    if child := child_of(__doc__):
        job, name = child
        if job == "rank":
            print(json.dumps(ranked(name)))
        else:
            print(json.dumps(timed_steps(load(DataSettings(name="hasc_fs", offline=True)), MODELS[name], BATCH, STEPS)))
        return
    training = {name: measured("benchmarks.hasc", "--child", "train", name) for name in MODELS}
    ranks = {name: measured("benchmarks.hasc", "--child", "rank", name, core=None) for name in MODELS}
    kind = training["bpr"]["data"]
    print(f"hasc_fs ({kind}), D = {DIM}, batch {BATCH:,}, one negative, one core, CPU time, sampling included")
    print(text_table([["model", "s a step", "pairs/s", "peak RSS, GB"], *(row(*one) for one in training.items())]))
    rows = [["full ranking, all cores", "users", "first call, s", "second call, s", "peak RSS, GB"]]
    for name, of in ranks.items():
        seconds = (f"{of[key]:.2f}" for key in ("first_seconds", "seconds"))
        rows.append([name, f"{of['users']:,}", *seconds, f"{of['peak_memory_bytes'] / 1e9:.2f}"])
    print(text_table(rows))
    print(json.dumps({"benchmark": "hasc", "data": kind, "allocator": ALLOCATOR, "train": training, "rank": ranks}))


if __name__ == "__main__":
    main()
