"""A model of what a step costs, fitted on small worlds and held against larger ones that the fit has not seen.

    python -m benchmarks.cost --folder /data/worlds             # makes the worlds, measures, fits, predicts
    python -m benchmarks.cost --folder /data/worlds --only rows
    python -m benchmarks.cost --plan                            # bytes of a very large world; measures nothing

Three kinds of steps: `rows` (BPR, row-wise Adagrad, batch 1,024), `sampled` (DiffNet of two layers, fan-outs 10 and 5,
row-wise Adagrad, batch 2,048) and `whole` (DiffNet of two layers on the whole graph, Adam, batch 2,048). Each case is a
process of its own on one core: the median CPU seconds of a step, and the peak of resident memory. A step's terms are
counts that the data and the settings give (docs/scale.md); their prices are least squares of relative errors, none
below zero.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import jax
import numpy as np
from scipy.optimize import nnls

from benchmarks.children import ALLOCATOR, measured
from benchmarks.large import prepared
from socialjax.data.large.layout import open_graph
from socialjax.eval.metrics import text_table
from socialjax.memory import peak_bytes
from socialjax.models import MODELS
from socialjax.ops.forest import sampled
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state, resident
from socialjax.worlds.communities import Communities

# What docs/scale.md plans for.
HUGE = {"users": 10**8, "items": 10**7, "pairs": 10**9, "links": 10**10, "dim": 64, "batch": 1 << 20}
KINDS = {"rows": ("bpr", 1024, ()), "sampled": ("diffnet", 2048, (10, 5)), "whole": ("diffnet", 2048, ())}
# Bytes of tables that stay in the cache: all of the 32 MiB of level 3 where one pass after the other reads a table, and
# half of them where a step also reads pairs, positives and accumulators at random (docs/scale.md).
CACHE = {"rows": 16 << 20, "sampled": 16 << 20, "whole": 32 << 20}
CHUNKS = 7


@dataclasses.dataclass(frozen=True)
class Case:
    """`users` users and as many items, `degree` draws of pairs and of links for each user, embeddings of `dim`."""

    kind: str
    users: int
    degree: int
    dim: int

    @property
    def world(self) -> str:
        return f"{self.users}x{self.degree}"

    def __str__(self) -> str:
        return f"{self.kind}, {self.users:,} users, {self.degree} a user, D = {self.dim}"


def cases(kind: str) -> tuple[list[Case], list[Case]]:
    """The cases of the fit, and those that are predicted."""
    if kind == "whole":
        fit = [
            (20_000, 8, 64),
            (20_000, 24, 64),
            (50_000, 8, 32),
            (50_000, 24, 64),
            (100_000, 8, 64),
            (100_000, 24, 32),
        ]
        predicted = [(100_000, 24, 64), (200_000, 16, 64), (400_000, 16, 64)]
    else:
        fit = [(20_000, 8, 64), (50_000, 8, 32), (100_000, 8, 64), (100_000, 24, 32), (200_000, 16, 64)]
        predicted = [(50_000, 24, 64), (400_000, 16, 32), (400_000, 16, 64), (75_000, 16, 64), (300_000, 16, 48)]
    return [Case(kind, *case) for case in fit], [Case(kind, *case) for case in predicted]


def step_terms(case: Case, pairs: int, links: int) -> dict[str, float]:
    """What a step does, in units whose prices are fitted.

    Rows that are read at random miss the cache with the share of their table that does not fit into it.
    """
    _, batch, fanouts = KINDS[case.kind]
    nodes = 2 * case.users
    missed = max(0.0, 1 - CACHE[case.kind] / (4 * nodes * case.dim))
    if case.kind == "whole":  # two layers over links, one over histories, there and back; Adam on all rows
        floats = (2 * links + pairs) * case.dim
        return {"edge float": floats, "missed edge float": floats * missed, "row float": nodes * case.dim * 1.0}
    # one positive, one negative, and what is drawn for each
    each = 3 if not fanouts else 3 + fanouts[0] * (2 + fanouts[1])
    floats = batch * each * case.dim
    return {"pair": float(batch), "float": floats, "missed float": floats * missed}


def memory_terms(case: Case, pairs: int, links: int) -> dict[str, float]:
    """What is held: the program itself, floats of tables, edges."""
    return {"program": 1.0, "table float": 2.0 * case.users * case.dim, "edge": float(pairs + links)}


def price(rows: list[dict[str, float]], values: list[float]) -> dict[str, float]:
    """Prices not below zero that make the sum of squared relative errors least."""
    values = np.asarray(values)
    matrix = np.array([list(row.values()) for row in rows]) / values[:, None]
    scale = matrix.max(axis=0)
    found, _ = nnls(matrix / scale, np.ones(len(values)))
    return dict(zip(rows[0], (found / scale).tolist(), strict=True))


def cost(terms: dict[str, float], prices: dict[str, float]) -> float:
    """The sum of terms times prices."""
    return sum(count * prices[name] for name, count in terms.items())


def plan(users: int, items: int, pairs: int, links: int, dim: int, batch: int, devices: int) -> dict[str, float]:
    """Bytes of DiffNet, two layers, the whole graph, Adam, T = `devices` shards, one negative (docs/parallel.md).

    Returns:
      What one device holds, and what it sends and reads at random in a step.
    """
    vectors = 4.0 * dim * (users + items)
    step = 4.0 * dim * batch / devices
    held = {
        "tables, Adam": 3 * vectors / devices,
        "gradients": vectors / devices,
        "layers": 2 * 4.0 * dim * users / devices + 2 * vectors / devices,  # kept for the gradient, and two going round
        "edges": 2 * 12.0 * (links + pairs) / devices,  # by receiver and by sender: two numbers and a weight
        "pairs": (2 + 2) * 4.0 * pairs / devices,  # columns, and the positives of each user with their offsets
        "batch": 6 * step,
    }
    ring = (devices - 1) / devices * 4.0 * dim
    sent = ring * (2 * 2 * users + users + items) + 4 * (devices - 1) * step
    read = 4.0 * dim * 2 * (2 * links + pairs) / devices
    return {**held, "held": sum(held.values()), "sent": sent, "read": read}


def measure(case: Case, folder: Path) -> dict:
    """One case, in this process."""
    name, batch, fanouts = KINDS[case.kind]
    data = open_graph(folder / case.world).dataset()
    layers = {"depth": 2} if name == "diffnet" else {}
    model = dataclasses.replace(MODELS[name](), negatives=1, dim=case.dim, **layers)
    side = model.prepare(data)
    optimizer = make_optimizer("adam", 0.005) if case.kind == "whole" else make_optimizer("adagrad_rows", 0.05)
    drawn = sampled(side, fanouts) if fanouts else side
    runner = make_runner("jit", model, optimizer, drawn, resident(data), batch)
    state = runner.place(new_state(model, side, optimizer, 0, drawn=drawn))
    done, spent = 1, []
    state = jax.block_until_ready(runner.run(state, done))
    count = 1
    while len(spent) < CHUNKS:
        start = time.process_time()
        state = jax.block_until_ready(runner.run(state, done + count))
        seconds, done = time.process_time() - start, done + count
        if count == 1 and seconds < 0.3:
            count = max(2, round(0.6 / max(seconds, 1e-4)))
            continue
        spent.append(seconds / count)
    return {
        "pairs": len(data.train),
        "links": len(data.links.follower),
        "step_s": float(np.median(spent)),
        "peak_B": peak_bytes(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="of the worlds; those that are there are taken")
    parser.add_argument("--plan", action="store_true", help="of a very large world: what devices hold and send")
    parser.add_argument("--only", choices=KINDS, help="one kind of steps")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        kind, *numbers = asked.child
        print(json.dumps(measure(Case(kind, *map(int, numbers)), asked.folder)))
        return
    if asked.plan:
        planned = {devices: plan(**HUGE, devices=devices) for devices in (8, 64, 512)}
        rows = [[name, *(f"{of[name] / 1e9:.3g}" for of in planned.values())] for name in planned[8]]
        print(text_table([["GB of one device", *map(str, planned)], *rows]))
        return
    if asked.folder is None:
        parser.error("--folder of the worlds is wanted, or --plan")
    rows, found = [], {}
    for kind in (asked.only,) if asked.only else KINDS:
        fit, predicted = cases(kind)
        got = {case: _measured(case, asked.folder) for case in (*fit, *predicted)}
        for what, terms in (("step_s", step_terms), ("peak_B", memory_terms)):
            counts = {case: terms(case, got[case]["pairs"], got[case]["links"]) for case in got}
            prices = price([counts[case] for case in fit], [got[case][what] for case in fit])
            found[f"{kind} {what}"] = {"prices": prices, "cases": {}}
            for case in got:
                value, guess = got[case][what], cost(counts[case], prices)
                seen = "fitted" if case in fit else "predicted"
                found[f"{kind} {what}"]["cases"][str(case)] = {"measured": value, seen: guess}
                rows.append([str(case), what, f"{value:.4g}", f"{guess:.4g}", f"{guess / value - 1:+.0%}", seen])
    print(text_table([["case", "what", "measured", "by the model", "off", ""], *rows]))
    print(json.dumps({"benchmark": "cost", "allocator": ALLOCATOR, **found}))


def _measured(case: Case, folder: Path) -> dict:
    if not (folder / case.world / "meta.json").exists():
        world = Communities(case.users, case.users, case.users // 1000, case.degree, case.degree)
        prepared(folder / case.world, world, 2 << 30)
    words = [case.kind, str(case.users), str(case.degree), str(case.dim)]
    got = measured("benchmarks.cost", "--folder", str(folder), "--child", *words)
    print(f"{case}: {got['step_s']:.4g} s, {got['peak_B'] / 1e9:.2f} GB", file=sys.stderr)
    return got


if __name__ == "__main__":
    main()
