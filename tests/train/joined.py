"""What each process of tests/train/test_parallel_processes.py runs: python joined.py steps|train OUT [shards epoch].

`steps` trains some models with some numbers of table shards and leaves parameters, a saved copy and validation of each
in OUT; `train` goes on with the training in the folder OUT up to an epoch.
"""

import pickle
import sys
from pathlib import Path

import jax
import numpy as np

from socialjax.eval.protocol import Protocol, candidates
from socialjax.eval.ranking import MeanMetrics
from socialjax.models import BPR, DiffNet, LightGCN
from socialjax.train.loop import train
from socialjax.train.parallel import join_processes, make_runner
from socialjax.train.step import TrainSettings, make_optimizer, resident
from socialjax.worlds import planted

COMMON = {"dim": 8, "init_std": 0.1, "negatives": 2}
CASES = {  # model, optimiser, table shards
    "bpr": (BPR(**COMMON), "adagrad_rows", (1, 2, 4)),
    "lightgcn": (LightGCN(**COMMON, depth=1), "adam", (1, 2, 4)),
    "diffnet": (DiffNet(**COMMON, depth=1), "sgd", (1, 4)),
}


def steps(out: Path) -> None:
    world = planted.checkerboard(num_users=51, num_items=37, links=3)
    asked, found = candidates(world, Protocol("full", (5, 10)), "validation"), {}
    for name, (model, optimizer, numbers) in CASES.items():
        side, rule = model.prepare(world), make_optimizer(optimizer, 0.02)
        for shards in numbers:
            runner = make_runner("jit", model, rule, side, resident(world), 32, table_shards=shards)
            state = runner.run(runner.fresh(side, 3, None, side), 6)
            metrics = runner.validated(MeanMetrics(model, side, asked), state.params)
            kept = runner.best(runner.to_save(state).params)
            ends = jax.tree.map(np.asarray, (runner.whole(state.params), kept))
            found[name, shards] = (*ends, metrics)
    if jax.process_index() == 0:
        out.write_bytes(pickle.dumps(found))


def go_on(folder: Path, shards: int, epoch: int) -> None:
    world = planted.checkerboard(num_users=51, num_items=37, links=3)
    model = CASES["lightgcn"][0]
    settings = TrainSettings(
        epochs=3, batch_size=32, optimizer="sgd", learning_rate=0.5, table_shards=shards, quiet=True
    )
    done = train(model, model.prepare(world), resident(world), settings, 0, folder, "x", stop_after=epoch)
    if jax.process_index() == 0:
        (folder / "parameters").write_bytes(pickle.dumps(jax.tree.map(np.asarray, done.params)))


if __name__ == "__main__":
    join_processes()
    if sys.argv[1] == "steps":
        steps(Path(sys.argv[2]))
    else:
        go_on(Path(sys.argv[2]), *map(int, sys.argv[3:]))
