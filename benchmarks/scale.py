"""Steps on graphs of several sizes, whole and on sampled neighbourhoods, and what they learn of a planted taste.

    python -m benchmarks.large --folder small --world 100k
    python -m benchmarks.large --folder large
    python -m benchmarks.scale --folders small large --model diffnet --seconds 120
    python -m benchmarks.scale --folders small --epochs 4                           # quality at equal epochs

Each case is a process of its own on one core: CPU seconds of a step (batch 2,048, one negative, D = 64, two layers),
peak memory, and after `--seconds` of steps how often an item of a test pair scores above a random one (AUC, .5 by
chance), encoded over the whole graph. The whole graph is trained by Adam, fan-outs 10 and 5 by row-wise Adagrad.

With `--epochs`, both ways take as many passes (batch 8,192, D = 16), sampled with links and pairs left on the disk, and
the test part is evaluated: NDCG@10 and AUC of 10,000 users, sampled1000-strict.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks.children import ALLOCATOR, measured
from socialjax.data.large.layout import open_graph
from socialjax.data.large.subset import held_out_users, of_users
from socialjax.eval import protocol, ranking
from socialjax.eval.metrics import text_table
from socialjax.memory import peak_bytes
from socialjax.models import MODELS
from socialjax.ops.forest import sampled
from socialjax.run.mapped import FolderSettings, MappedEval, MappedExperiment, run
from socialjax.train.mapped import MappedTraining
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state, on_device, resident, steps_per_epoch

BATCH, FANOUTS, PAIRS = 2048, (10, 5), 20_000


def steps(folder: str, name: str, fanouts: tuple[int, ...], seconds: float) -> dict:
    """One case."""
    begin = time.perf_counter()
    data = open_graph(Path(folder)).dataset()
    model = dataclasses.replace(MODELS[name](), negatives=1, depth=2)
    side = model.prepare(data)
    prepared = time.perf_counter() - begin
    optimizer = make_optimizer("adagrad_rows" if fanouts else "adam", 0.05 if fanouts else 0.005)
    drawn = sampled(side, fanouts) if fanouts else side
    runner = make_runner("jit", model, optimizer, drawn, resident(data), BATCH)
    state = runner.place(new_state(model, side, optimizer, 0, drawn=drawn))
    state, done, spent = jax.block_until_ready(runner.run(state, 2)), 2, []
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(spent) < 3:
        count = 1 if not spent else max(1, round(2 / spent[-1]))
        start = time.process_time()
        state = jax.block_until_ready(runner.run(state, done + count))
        spent.append((time.process_time() - start) / count)
        done += count
    return {
        "users": data.num_users,
        "pairs": len(data.train),
        "prepare_s": round(prepared, 1),
        "step_s": float(np.median(spent)),
        "steps": done,
        "epoch_steps": steps_per_epoch(len(data.train), BATCH),
        "peak_GB": round(peak_bytes() / 1e9, 2),
        "auc": auc(model, state.params, side, data),
    }


def quality(folder: str, name: str, fanouts: tuple[int, ...], epochs: int) -> dict:
    """One case: both ways are evaluated by the same vectors, users and candidates."""
    graph, asked = open_graph(Path(folder)), MappedEval()
    model = dataclasses.replace(MODELS[name](), negatives=1, depth=2, dim=16)
    train = MappedTraining(epochs=epochs, batch_size=4 * BATCH, fanouts=fanouts or FANOUTS, save_every=1 << 30)
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as workdir:
        if fanouts:
            experiment = MappedExperiment(model, FolderSettings(Path(folder)), train, asked, workdir=Path(workdir))
            metrics = run(experiment, name)["metrics"]["model"]
        else:
            data = graph.dataset()
            side, optimizer = model.prepare(data), make_optimizer("adam", 0.005)
            runner = make_runner("jit", model, optimizer, side, resident(data), train.batch_size)
            state = runner.place(new_state(model, side, optimizer, 0))
            end = epochs * steps_per_epoch(len(data.train), train.batch_size)
            for until in range(50, end + 50, 50):
                state = jax.block_until_ready(runner.run(state, min(until, end)))
                print(min(until, end), end, round(time.process_time() - begin), file=sys.stderr, flush=True)
            users = held_out_users(graph, asked.part, asked.users, asked.seed)
            how = protocol.parse(asked.protocol, ks=asked.ks, seed=asked.seed)
            candidates = protocol.candidates(of_users(graph, users), how, asked.part, users)
            metrics = ranking.evaluate(model, state.params, on_device(side), candidates).mean()
    return {
        "epochs": epochs,
        "cpu_s": round(time.process_time() - begin, 1),
        "peak_GB": round(peak_bytes() / 1e9, 2),
        "ndcg": round(metrics["NDCG@10"], 4),
        "auc": round(metrics["AUC"], 4),
    }


def auc(model, params, side, data) -> float:
    """The share of test pairs whose item scores above a random one of the same user."""
    draw = np.random.default_rng(0)
    chosen = draw.choice(len(data.test), min(PAIRS, len(data.test)), replace=False)
    users, items = data.test.user[chosen], data.test.item[chosen]
    both = np.stack([items, draw.integers(data.num_items, size=len(items))], axis=1).astype(np.int32)
    state = ranking.encode(model, params, on_device(side))
    scores = np.asarray(jax.jit(model.score)(state, np.asarray(users), both))
    return float(np.mean((scores[:, 0] > scores[:, 1]) + 0.5 * (scores[:, 0] == scores[:, 1])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folders", nargs="+", required=True, help="graph folders, from small to large")
    parser.add_argument("--model", default="diffnet", choices=("diffnet", "lightgcn", "social_lightgcn"))
    parser.add_argument("--seconds", type=float, default=60, help="of steps in each case")
    parser.add_argument("--epochs", type=int, default=0, help="compare quality after so many, in place of steps")
    parser.add_argument("--only", choices=("sampled", "whole"), help="one of the two ways")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        folder, way = asked.child
        fanouts = FANOUTS if way == "sampled" else ()
        case = quality(folder, asked.model, fanouts, asked.epochs) if asked.epochs else None
        print(json.dumps(case or steps(folder, asked.model, fanouts, asked.seconds)))
        return
    found = {}
    for way in (asked.only,) if asked.only else ("sampled", "whole"):
        for folder in asked.folders:
            words = ("--child", folder, way, "--folders", folder, "--model", asked.model)
            words += "--seconds", str(asked.seconds), "--epochs", str(asked.epochs)
            found[f"{way}, {Path(folder).name}"] = measured("benchmarks.scale", *words)
    columns = list(next(iter(found.values())))
    rows = [["case", *columns], *([case, *(f"{of[name]:.4g}" for name in columns)] for case, of in found.items())]
    size = f"D = 16, batch {4 * BATCH}" if asked.epochs else f"D = 64, batch {BATCH}"
    print(f"{asked.model}, two layers, {size}, one core")
    print(text_table(rows))
    print(json.dumps({"benchmark": "scale", "model": asked.model, "allocator": ALLOCATOR, **found}))


if __name__ == "__main__":
    main()
