"""The diffusion sum, forward and backward, against SciPy's CSR product with the matrix and with its transpose.

    python -m benchmarks.propagate

Yelp's social and user-item graphs (the stand-in without the data), D = 64, float32, one core: median CPU time of 30
alternating runs, in each of 3 fresh processes with the same allocator.
"""

import json
import time

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from benchmarks.children import ALLOCATOR, child_of, measured
from socialjax.data.sources import DataSettings, load
from socialjax.eval.metrics import text_table
from socialjax.graph import Edges, edges, normalise, symmetrise
from socialjax.ops.propagate import diffusion, propagate

DIM, RUNS, PROCESSES = 64, 30, 3


def graphs() -> tuple[str, dict[str, Edges]]:
    """Kind of the data, and the graphs by name."""
    data = load(DataSettings(name="yelp", offline=True))
    users, items = data.num_users, data.num_items
    social = symmetrise(edges(data.links.followee, data.links.follower, users, users))
    user, item = data.train.user, data.train.item + users
    both = edges(np.concatenate([item, user]), np.concatenate([user, item]), users + items, users + items)
    return data.provenance.kind, {"social": normalise(social, "mean"), "user-item": normalise(both, "symmetric")}


def compare(graph: Edges) -> dict:
    """Median CPU milliseconds of both; the results are compared first."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(graph.num_senders, DIM)).astype(np.float32)
    cotangent = rng.normal(size=(graph.num_receivers, DIM)).astype(np.float32)
    shape = (graph.num_receivers, graph.num_senders)
    matrix = sparse.csr_array((graph.weight, (graph.receivers, graph.senders)), shape=shape)
    transposed = sparse.csr_array(matrix.T)

    @jax.jit
    def ours(held, values, cotangent):
        out, back = jax.vjp(lambda v: propagate(held, v), values)
        return out, back(cotangent)[0]

    held = jax.tree.map(jnp.asarray, diffusion(graph))
    arguments = held, jnp.asarray(values), jnp.asarray(cotangent)
    for got, wanted in zip(ours(*arguments), (matrix @ values, transposed @ cotangent)):
        np.testing.assert_allclose(got, wanted, atol=1e-4)
    spent = {"ours": [], "scipy": []}
    for _ in range(RUNS):
        start = time.process_time()
        jax.block_until_ready(ours(*arguments))
        middle = time.process_time()
        matrix @ values, transposed @ cotangent
        spent["ours"].append(middle - start)
        spent["scipy"].append(time.process_time() - middle)
    medians = {f"{name}_ms": float(np.median(times)) * 1e3 for name, times in spent.items()}
    return {"edges": len(graph), **medians, "ratio": medians["ours_ms"] / medians["scipy_ms"]}


def main() -> None:
    if child_of(__doc__) is not None:
        kind, held = graphs()
        print(json.dumps({"data": kind, **{name: compare(graph) for name, graph in held.items()}}))
        return
    runs = [measured("benchmarks.propagate", "--child") for _ in range(PROCESSES)]
    worst = {name: max((run[name] for run in runs), key=lambda r: r["ratio"]) for name in runs[0] if name != "data"}
    rows = [["graph", "edges", "ours, ms", "scipy, ms", "ratio", "ns per edge"]]
    for name, found in worst.items():
        per_edge = found["ours_ms"] * 1e6 / found["edges"]
        numbers = f"{found['ours_ms']:.2f}", f"{found['scipy_ms']:.2f}", f"{found['ratio']:.3f}", f"{per_edge:.1f}"
        rows.append([name, f"{found['edges']:,}", *numbers])
    print(f"forward + backward, D = {DIM}, one core, {runs[0]['data']} data, worst of {PROCESSES} processes")
    print(text_table(rows))
    print(json.dumps({"benchmark": "propagate", "data": runs[0]["data"], "allocator": ALLOCATOR, **worst}))


if __name__ == "__main__":
    main()
