"""What leaves a run: sizes, seconds, and the answers of programs in processes that do not have this library.

    python -m benchmarks.export

On Yelp's sizes (the stand-in without the files), D = 64, parameters as drawn with a deviation of 0.1; BPR, a dot
product, and ContextMF, which is none. Of each program the top ten of 1,000 users is compared with the run's.
"""

import json
import os
import subprocess
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
from socialjax.models import BPR, ContextMF
from socialjax.recommender import Run
from socialjax.run import kept_data
from socialjax.train.step import on_device

USERS, K = 1000, 10
LOADERS = {
    ".stablehlo": "from jax import export\n"
    "call = export.deserialize(bytearray(open(path, 'rb').read())).call\n"
    "answer = lambda users: [np.asarray(part) for part in call(users)]",
    ".onnx": "import onnxruntime\n"
    "session = onnxruntime.InferenceSession(path)\n"
    "answer = lambda users: session.run(['item', 'score'], {'user': users})",
}
ELSEWHERE = """
import json, sys, time
import numpy as np
path, users = sys.argv[1], np.load(sys.argv[2])
begin = time.perf_counter()
{load}
answer(users[:1])
first = time.perf_counter() - begin
one = []
for user in users[:200]:
    begin = time.perf_counter()
    answer(user[None])
    one.append(1e3 * (time.perf_counter() - begin))
answer(users)
begin = time.perf_counter()
item, score = answer(users)
thousand = time.perf_counter() - begin
assert "socialjax" not in sys.modules
np.savez(sys.argv[3], item=item, score=score)
middle, slow = np.percentile(one, [50, 95]).tolist()
print(json.dumps(dict(first_s=first, one_ms=middle, one_ms_p95=slow, thousand_s=thousand)))
"""


def drawn(model: Model, data: Dataset) -> Run:
    """A run with parameters of which every number is drawn."""
    side, draw = on_device(model.prepare(data)), np.random.default_rng(0)
    shapes = jax.eval_shape(lambda side: model.init(jax.random.key(0), side), side)
    params = jax.tree.map(lambda leaf: draw.normal(0, 0.1, leaf.shape).astype(leaf.dtype), shapes)
    return Run(None, 0, model, data, None, side, ranking.encode(model, params, side))


def elsewhere(run: Run, path: Path, folder: Path) -> dict[str, float]:
    """Figures of a program in a fresh process, with how many of 1,000 users get the run's ten items in its order."""
    users = np.random.default_rng(1).choice(run.data.num_users, USERS, replace=False).astype(np.int32)
    np.save(folder / "users.npy", users)
    program = ELSEWHERE.format(load=LOADERS[path.suffix])
    words = [sys.executable, "-P", "-c", program, str(path), str(folder / "users.npy"), str(folder / "found.npz")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder, env=environment)
    expected, scores = ranking.top_k(run.model, run.state, users, K, run.data.num_items, run.data.train)
    with np.load(folder / "found.npz") as found:
        same = int((found["item"][:, :K] == expected).all(axis=1).sum())
        off = float(np.abs(found["score"][:, :K] - scores).max())
    return json.loads(done.stdout) | {"same": same, "largest_difference": off}


def main() -> None:
    yelp = load_dataset("yelp", offline=True)
    figures: dict[str, dict] = {}
    print(f"yelp, {yelp.provenance.kind}")
    print("| model | file | MB | s | first answer, s | one user, ms | 1,000 users, s | alike |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as private:
        folder = Path(private)
        for model, endings in ((BPR(), (".stablehlo", ".onnx", ".faiss", "")), (ContextMF(), (".stablehlo",))):
            run = drawn(model, yelp)
            for ending in endings:
                begin = time.perf_counter()
                path = run.export(folder / f"{type(model).__name__}{ending}")
                found = {"s": time.perf_counter() - begin}
                found["mb"] = (
                    sum(each.stat().st_size for each in ([*path.iterdir()] if path.is_dir() else [path])) / 1e6
                )
                if ending in LOADERS:
                    found |= elsewhere(run, path, folder)
                figures[f"{type(model).__name__} {ending or 'vectors'}"] = found
                answers = ("first_s", "one_ms", "thousand_s", "same")
                shown = [f"{found[name]:.2f}" if name in found else "" for name in answers[:-1]]
                alike = f"{found['same']:,} of {USERS:,}" if "same" in found else ""
                cells = [type(model).__name__, ending or "vectors", f"{found['mb']:.1f}", f"{found['s']:.2f}", *shown]
                print("| " + " | ".join([*cells, alike]) + " |", flush=True)
        begin = time.perf_counter()
        (folder / "run").mkdir()
        kept_data.carry(yelp, BPR(), folder / "run")
        copy = folder / "run" / kept_data.COPY
        if copy.is_dir():
            written, begin = time.perf_counter() - begin, time.perf_counter()
            kept_data.read(copy)
            size = sum(each.stat().st_size for each in copy.iterdir()) / 1e6
            figures["copy of the data"] = {"s": written, "read_s": time.perf_counter() - begin, "mb": size}
            print(f"copy of the data in a run: {size:.1f} MB, written in {written:.3f} s")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
