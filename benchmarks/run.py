"""One table of what things cost, beside other libraries where they are asked for.

    python -m benchmarks.run                      # everything of ours
    python -m benchmarks.run bpr evaluate --peers # BPR and ranking beside implicit and cornac
    python -m benchmarks.run bpr --optimizer adam

Yelp (the stand-in without the files), D = 64, one core, CPU seconds, sampling included, the same allocator and one
thread for all. Programs run in turns, one process each, `--turns` of them; a ratio is the median of those of each turn.
With `--peers`, each other library gets an environment below `--peers-folder`, which is made once and needs the network
and some gigabytes; one that does not install is named with pip's reason and left out. The last line is JSON.

  bpr       a pair, against implicit and cornac (SGD, C++) and RecBole (torch, Adam)
  graph     a step of LightGCN (3 layers) and DiffNet (2), batch 2,048, against torch with the gradient of a CSR product
            by hand, torch.sparse.mm, and RecBole
  evaluate  top 20 of all users, against implicit; protocols `full` and `sampled1000-strict`
  startup   `experiments.diffnet_yelp` from start to first step, with no compiled program kept and with those of before
  memory    the most that two epochs of it hold, evaluation included; that of the others stands in every row
"""

import argparse
import dataclasses
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.children import ALLOCATOR, last_line, measured, on_core
from benchmarks.peers.environments import PINNED, NotInstalled, python_of
from socialjax.data.cache import cache_folder
from socialjax.data.schema import Dataset
from socialjax.data.sources import DataSettings, load
from socialjax.eval.metrics import text_table
from socialjax.graph import edges, symmetrise

SCRIPTS = Path(__file__).parent / "peers"
# One thread, and nothing of ours to import.
ALONE = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONNOUSERSITE")}
ALONE["PYTHONPATH"] = ""
FIRST_STEP = re.compile(r"first step ([\d.]+) s after the start")
JOBS = ("bpr", "graph", "evaluate", "startup", "memory")


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing that is timed.

    Attributes:
      name: Of the row.
      job: Under which it is asked for.
      ours: Module and arguments of our program.
      seconds: From its last line to the CPU seconds of one unit of work.
      peers: {label: (library, script, arguments)} of programs that report `seconds` of the same unit.
      per: The unit.
      peer_units: Units of a peer's `seconds`, where they are not one.
    """

    name: str
    job: str
    ours: tuple[str, ...]
    seconds: tuple[str, float]
    per: str
    peers: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    peer_units: dict[str, int] = dataclasses.field(default_factory=dict)


def cases(optimizer: str) -> list[Case]:
    """All of them, BPR with this optimiser."""
    step, call = ("seconds_per_step", 1), ("cpu_seconds", 1)
    torch = {f"torch {kind}": ("torch", "torch_graph.py", "{model}", kind.lower()) for kind in ("CSR", "COO")}
    of = lambda model: {label: tuple(word.format(model=model) for word in words) for label, words in torch.items()}  # noqa: E731
    return [
        Case(
            f"BPR, {optimizer}",
            "bpr",
            ("benchmarks.training", "--child", "bpr 1024 x 1", optimizer),
            ("seconds_per_step", 1024),
            "pair",
            {
                "implicit": ("implicit", "factorisation.py", "implicit"),
                "cornac": ("cornac", "factorisation.py", "cornac"),
                "RecBole": ("recbole", "recbole_steps.py", "BPR"),
            },
            {"RecBole": 2048},
        ),
        Case(
            "LightGCN, 3 layers",
            "graph",
            ("benchmarks.training", "--child", "lightgcn 2048 x 1", "adam"),
            step,
            "step",
            of("lightgcn") | {"RecBole": ("recbole", "recbole_steps.py", "LightGCN")},
        ),
        Case(
            "DiffNet, 2 layers",
            "graph",
            ("benchmarks.training", "--child", "diffnet 2048 x 1", "adam"),
            step,
            "step",
            of("diffnet"),
        ),
        Case(
            "top 20 of all users",
            "evaluate",
            ("benchmarks.evaluation", "--child", "top 20"),
            call,
            "call",
            {"implicit": ("implicit", "top_items.py", "5")},
        ),
        Case("full ranking", "evaluate", ("benchmarks.evaluation", "--child", "full"), call, "call"),
        Case(
            "sampled1000-strict", "evaluate", ("benchmarks.evaluation", "--child", "sampled1000-strict"), call, "call"
        ),
    ]


def write_pairs(data: Dataset, path: Path) -> None:
    """Training pairs and friends, each in both directions, for programs that have none of our code."""
    links = symmetrise(edges(data.links.follower, data.links.followee, data.num_users, data.num_users))
    sizes = {"num_users": data.num_users, "num_items": data.num_items}
    np.savez(path, user=data.train.user, item=data.train.item, friend_of=links.receivers, friend=links.senders, **sizes)


def in_turns(case: Case, pythons: dict[str, Path], pairs: Path, turns: int) -> dict[str, dict]:
    """{program: figures}: medians over the turns, and of every other program the ratio of ours to its time."""
    runs: dict[str, list[dict]] = {}
    for _ in range(turns):
        key, units = case.seconds
        mine = measured(*case.ours)
        runs.setdefault("socialjax", []).append(mine | {"seconds": mine[key] / units})
        for label, (library, script, *arguments) in case.peers.items():
            if library in pythons:
                words = [str(pythons[library]), str(SCRIPTS / script), str(pairs), *arguments]
                found = last_line(words, ALONE)
                units = case.peer_units.get(label, 1)
                runs.setdefault(label, []).append(found | {"seconds": found["seconds"] / units})
    return {label: summary(found, runs["socialjax"]) for label, found in runs.items()}


def summary(runs: list[dict], ours: list[dict]) -> dict:
    """Medians of a program's turns, and the median of the ratios of ours to it, turn by turn."""
    names = ("seconds", "first_step_seconds", "peak_memory_bytes")
    medians = {name: statistics.median(run[name] for run in runs) for name in names}
    ratio = statistics.median(mine["seconds"] / run["seconds"] for mine, run in zip(ours, runs, strict=True))
    rest = {name: runs[-1][name] for name in ("versions", "loss", "data") if name in runs[-1]}
    return medians | {"ratio": ratio, "turns": [run["seconds"] for run in runs]} | rest


def first_steps(folder: Path) -> dict[str, dict]:
    """Seconds and CPU seconds to the first step without a compiled program and with those of the start before."""
    return {label: _first_step(folder, label) for label in ("first start", "second start")}


def _first_step(folder: Path, label: str) -> dict:
    words = [sys.executable, "-m", "experiments.diffnet_yelp", "--workdir", str(folder / label), "--train.quiet"]
    environment = {**os.environ, **ALLOCATOR, "JAX_PLATFORMS": "cpu", "SOCIALJAX_COMPILED": str(folder / "compiled")}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    with subprocess.Popen(
        [*words, "--data.offline"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if match := FIRST_STEP.search(line):
                ticks = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
                process.terminate()
                process.stderr.read()
                cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
                return {"seconds": float(match[1]), "cpu_seconds": cpu}
    raise RuntimeError(f"{' '.join(words[1:])} failed:\n{''.join(said)[-2000:]}")


def whole_run(folder: Path) -> dict:
    """The peak resident set of two epochs with validation, checkpoints and evaluation, on one core."""
    words = [sys.executable, "-m", "experiments.diffnet_yelp", "--workdir", str(folder / "whole"), "--train.quiet"]
    environment = {**os.environ, **ALLOCATOR, "JAX_PLATFORMS": "cpu", "SOCIALJAX_COMPILED": "off"}
    words += ["--data.offline", "--train.epochs", "2"]
    with on_core(0):
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[1:])} failed:\n{done.stderr[-2000:]}")
    (result,) = folder.glob("whole*/seed_0/result.json")
    return {"peak_memory_bytes": json.loads(result.read_text())["peak_memory_bytes"]}


def installed(wanted: set[str], folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The interpreters of the libraries, and why others have none."""
    pythons, missing = {}, {}
    for peer in sorted(wanted):
        print(f"{peer}: {', '.join(PINNED[peer])}", file=sys.stderr)
        try:
            pythons[peer] = python_of(peer, folder)
        except NotInstalled as error:
            missing[peer] = str(error)
            print(f"{peer} is left out, it does not install here: {error}", file=sys.stderr)
    return pythons, missing


def rows(case: Case, found: dict[str, dict]) -> list[list[str]]:
    """Lines of the table."""
    lines = []
    for label, of in found.items():
        rate = f"{1 / of['seconds']:,.0f} / s" if case.per == "pair" else f"{of['seconds']:.4g} s"
        ratio = "" if label == "socialjax" else f"{of['ratio']:.2f}"
        first, peak = f"{of['first_step_seconds']:.1f}", f"{of['peak_memory_bytes'] / 1e9:.2f}"
        lines.append([case.name, label, case.per, rate, ratio, first, peak])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", metavar="job", help=f"of {', '.join(JOBS)}; all by default")
    parser.add_argument("--peers", action="store_true", help="other libraries as well")
    parser.add_argument("--peers-folder", type=Path, default=cache_folder() / "peers", help="of their environments")
    parser.add_argument("--optimizer", default="adagrad_rows", help="of our BPR, as --train.optimizer has it")
    parser.add_argument("--turns", type=int, default=3, help="of each program")
    chosen = parser.parse_args()
    if unknown := set(chosen.jobs) - set(JOBS):
        parser.error(f"there is no job {', '.join(sorted(unknown))}; there are {', '.join(JOBS)}")
    if chosen.turns < 1:
        parser.error(f"--turns must be at least 1, got {chosen.turns}")
    jobs = chosen.jobs or JOBS
    todo = [case for case in cases(chosen.optimizer) if case.job in jobs]
    data = load(DataSettings(name="yelp", offline=True))
    result = {"benchmark": "run", "data": data.provenance.kind, "allocator": ALLOCATOR}
    pythons: dict[str, Path] = {}
    if chosen.peers:
        wanted = {words[0] for case in todo for words in case.peers.values()}
        pythons, result["missing"] = installed(wanted, chosen.peers_folder)
    table = [["work", "program", "unit", "CPU", "ours / theirs", "first result, s", "peak GB"]]
    with tempfile.TemporaryDirectory() as private:
        folder = Path(private)
        write_pairs(data, folder / "pairs.npz")
        for case in todo:
            result[case.name] = in_turns(case, pythons, folder / "pairs.npz", chosen.turns)
            table += rows(case, result[case.name])
        if "startup" in jobs:
            result["startup"] = first_steps(folder)
            for label, of in result["startup"].items():
                cpu = f"{of['cpu_seconds']:.1f} s"
                table.append(["DiffNet, a command", label, "first step", cpu, "", f"{of['seconds']:.1f}", ""])
        if "memory" in jobs:
            result["memory"] = whole_run(folder)
            peak = f"{result['memory']['peak_memory_bytes'] / 1e9:.2f}"
            table.append(["DiffNet, a command", "socialjax", "2 epochs", "", "", "", peak])
    print(f"Yelp ({data.provenance.kind}), D = 64, one core, medians of {chosen.turns} turns")
    print(text_table(table))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
