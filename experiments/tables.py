"""A paper's tables from kept runs: keep finished runs, see which are older than their code, make tables and figures.

    python -m experiments.tables keep runs/bpr/yelp runs/diffnet_yelp/yelp
    python -m experiments.tables check                              exits 1 when a kept run is stale
    python -m experiments.tables --paper diffnet                    Markdown, CSV, PNG in docs/results
    python -m experiments.tables --paper diffnet --update docs/results.md

Expect seconds on a CPU. A run is stale when the code of its model has changed since; train it again and keep it again.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from socialjax.run.report import write
from socialjax.run.report.gather import read
from socialjax.run.report.keep import keep as keep_run
from socialjax.run.report.paper import Paper, Reported

RESULTS = Path("docs/results")
Runs = Annotated[tuple[Path, ...], tyro.conf.Positional]

DIFFNET = Paper(
    name="diffnet",
    title="DiffNet (Wu et al., SIGIR 2019)",
    datasets=("yelp", "flickr", "yelp_hin"),
    models={
        "bpr": "BPR",
        "fm": "FM",
        "svdpp": "SVD++",
        "trust_svd": "TrustSVD",
        "social_mf": "SocialMF",
        "soreg": "SoReg",
        "context_mf": "ContextMF",
        "gcmc": "GC-MC",
        "pinsage": "PinSage",
        "diffnet": "DiffNet",
        "diffnet_pp": "DiffNet++",
        "lr_gccf": "LR-GCCF",
        "lightgcn": "LightGCN",
        "social_lightgcn": "Social LightGCN",
    },
    notes={"fm": "without features FM is BPR with item bias: reported once, as BPR"},
    swept={"dim": (16, 32, 64), "depth": (0, 1, 2, 3)},
    # Only what could be checked at its source; the papers' own tables could not. Without a row: not available.
    reported=(
        Reported(
            "yelp",
            "diffnet",
            "DiffNet, the authors' TensorFlow code",
            "review features, D = 32, epoch chosen on test",
            {"HR@10": 0.3437, "NDCG@10": 0.2095},
        ),
        Reported(
            "yelp",
            "diffnet",
            "DiffNet, the authors' PaddlePaddle port",
            "review features, D = 32",
            {"HR@10": 0.3421, "NDCG@10": 0.2128},
        ),
        Reported(
            "yelp",
            "diffnet_pp",
            "a user's run of the authors' code",
            "features, D = 64",
            {"HR@10": 0.3676, "NDCG@10": 0.2274},
        ),
        Reported(
            "yelp",
            "diffnet_pp",
            "a user's run of the authors' code",
            "without features, D = 64",
            {"HR@10": 0.3104, "NDCG@10": 0.1877},
        ),
        Reported(
            "yelp",
            "bpr",
            "matrix factorisation, GRecX",
            "ids only, D = 64, no selection on validation",
            {"NDCG@5": 0.1587, "NDCG@10": 0.1965, "NDCG@15": 0.2181},
        ),
        Reported(
            "flickr",
            "bpr",
            "matrix factorisation, GRecX",
            "ids only, D = 64, no selection on validation",
            {"NDCG@5": 0.0977, "NDCG@10": 0.1072, "NDCG@15": 0.1159},
        ),
    ),
)
PAPERS = {paper.name: paper for paper in (DIFFNET,)}


def keep(
    runs: Runs, name: str | None = None, out: Path = RESULTS, stand_in: bool = False, dirty_ok: bool = False
) -> int:
    """Copies finished runs to OUT/DATASET/NAME: result.json without the machine's folders, and per-user metrics.

    Args:
        runs: folders of finished runs, those with a folder for each seed.
        name: of the one run; by default its model with what is special about it, such as diffnet-dim=16.
        out: where results are kept.
        stand_in: keep runs on generated data too, apart from real ones and marked.
        dirty_ok: keep runs of code that no commit holds.
    """
    if not runs or (name is not None and len(runs) != 1):
        raise ValueError("keep wants folders of finished runs, with --name exactly one")
    for run in runs:
        folder, replaced = keep_run(run, out, name, stand_in=stand_in, dirty_ok=dirty_ok)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{run} -> {folder}, {size / 1000:.0f} kB{', in place of the former' if replaced else ''}")
    return 0


def check(out: Path = RESULTS) -> int:
    """Lists kept runs that are older than their model's code; exits 1 when there is one.

    Args:
        out: where results are kept.
    """
    folders = sorted(path.parent for path in out.glob("*/*/result.json"))
    if not folders:
        raise ValueError(
            f"{out.absolute()} holds no kept runs; start from the repository's root, or name it with --out"
        )
    runs = {folder: read(folder) for folder in folders}
    stale = [folder for folder, run in runs.items() if run.is_stale]
    for folder in stale:
        print(f"STALE {folder}: the code of {runs[folder].model} has changed since; run it again and keep it")
    for folder, run in runs.items():
        if "code" not in run.record:
            print(f"unknown {folder}: the run does not say by which code it was made")
    print(f"kept runs: {len(runs)}, stale: {len(stale)}")
    return 1 if stale else 0


def make(
    paper: Literal["diffnet"],
    out: Path = RESULTS,
    kept: Path = RESULTS,
    datasets: tuple[str, ...] = (),
    update: Path | None = None,
) -> int:
    """Makes a paper's tables (Markdown, CSV) and figures (PNG) of the kept runs.

    Args:
        paper: whose tables.
        out: where the tables are written.
        kept: where results are kept.
        datasets: other data sets than the paper's; NAME-stand-in for kept runs on generated data.
        update: a page whose generated parts are made anew.
    """
    for path in write.tables(PAPERS[paper], kept, out, datasets):
        print(path)
    if update is not None:
        print(f"{update}: {'changed' if write.page(PAPERS[paper], kept, out, update) else 'as it was'}")
    return 0


COMMANDS = {"make": make, "keep": keep, "check": check}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line -> exit status; `make` need not be said. What cannot be used is one line on stderr."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words and words[0].startswith("--") and words[0] != "--help":
        words = ["make", *words]
    try:
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS, args=words, prog="python -m experiments.tables", description=__doc__
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
