"""A paper's tables from kept runs: keep finished runs, see which are older than their code, make tables and figures.

    python -m socialjax tables keep runs/baselines_yelp           every finished run in it, sweeps too
    python -m socialjax tables keep runs/diffnet_yelp/yelp --name diffnet-mine
    python -m socialjax tables keep-search runs/tune/bpr/yelp     what a search for settings found
    python -m socialjax tables check                              exits 1 when a kept run is stale
    python -m socialjax tables --paper diffnet                    Markdown, CSV, PNG in docs/results
    python -m socialjax tables --paper diffnet --update docs/results.md

Expect seconds on a CPU. A run is stale when the code of its model has changed since; train it again and keep it again.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from socialjax.names import visible
from socialjax.report import keep as keeping
from socialjax.report.gather import finished, read
from socialjax.report.keep import keep_search as kept_search
from socialjax.report.page import update_page, write_tables
from socialjax.report.papers import PAPERS
from socialjax.run.command import say
from socialjax.run.processes import only_one

KEPT = Path("docs/results")
Runs = Annotated[tuple[Path, ...], tyro.conf.Positional]


def keep(runs: Runs, name: str | None = None, kept: Path = KEPT, stand_in: bool = False, dirty_ok: bool = False) -> int:
    """Copies finished runs to KEPT/DATASET/NAME: result.json without the machine's folders, and per-user metrics.

    Args:
        runs: folders of finished runs, or folders that hold some, such as that of a table or a sweep; what was put
            aside as out of date (NAME.old-DIGEST) and what has not finished is left out.
        name: of the one run; by default its model with what is special about it, such as diffnet-dim=16.
        kept: where results are kept.
        stand_in: keep runs on generated data too, apart from real ones and marked.
        dirty_ok: keep runs of code that no commit holds.
    """
    if not runs:
        raise ValueError("keep wants folders of finished runs, such as runs/baselines_yelp")
    finished_runs = finished(runs)
    if name is not None and len(finished_runs.runs) != 1:
        raise ValueError(
            f"--name wants exactly one run, got {len(finished_runs.runs)}: {', '.join(map(str, finished_runs.runs))}"
        )
    places = keeping.places(finished_runs.runs, kept, name, stand_in=stand_in, dirty_ok=dirty_ok)
    for target in places:
        with only_one(target.folder):
            replaced = keeping.keep(target)
        size = sum(path.stat().st_size for path in target.folder.iterdir())
        former = ", in place of the former" if replaced else ""
        say(f"{target.run} -> {target.folder}, {size / 1000:.0f} kB{former}")
    for folder, why in finished_runs.left_out.items():
        say(f"left out: {folder}, {why}")
    say(f"kept: {len(places)}; now make the tables: python -m socialjax tables --paper {'|'.join(PAPERS)}")
    return 0


def keep_search(searches: Runs, kept: Path = KEPT) -> int:
    """Copies what finished searches found, with all their trials, to KEPT/DATASET/search/MODEL.json.

    Args:
        searches: folders of `socialjax tune`, such as runs/tune/bpr/yelp.
        kept: where results are kept.
    """
    if not searches:
        raise ValueError("keep-search wants folders of finished searches, such as runs/tune/bpr/yelp")
    for folder in searches:
        say(f"{folder} -> {kept_search(folder, kept)}")
    return 0


def check(kept: Path = KEPT) -> int:
    """Lists kept runs that are older than their model's code; exits 1 when there is one.

    Args:
        kept: where results are kept.
    """
    folders = sorted(path.parent for path in kept.glob("*/*/result.json"))
    if not folders:
        raise ValueError(
            f"{kept} holds no kept runs; start from the repository's root, name another folder with --kept, or keep "
            "some with `python -m socialjax tables keep RUN`"
        )
    runs = {folder: read(folder) for folder in folders}
    stale = [folder for folder, run in runs.items() if run.is_stale]
    for folder in stale:
        say(f"STALE {folder}: the code of {runs[folder].model} has changed since; run it again and keep it")
    for folder, run in runs.items():
        if run.record.code is None:
            say(f"unknown {folder}: the run does not say by which code it was made")
    say(f"kept runs: {len(runs)}, stale: {len(stale)}")
    return 1 if stale else 0


def make(
    paper: Literal["diffnet", "hasc"],
    kept: Path = KEPT,
    out: Path = KEPT,
    datasets: tuple[str, ...] = (),
    update: Path | None = None,
) -> int:
    """Makes a paper's tables (Markdown, CSV) and figures (PNG) of the kept runs; the word `make` may be left out.

    Args:
        paper: whose tables.
        kept: where results are kept.
        out: where the tables are written.
        datasets: other data sets than the paper's; NAME-stand-in for kept runs on generated data.
        update: a page whose generated parts are made anew.
    """
    with only_one(out):
        for path in write_tables(PAPERS[paper], kept, out, datasets):
            say(path)
        if update is not None:
            say(f"{update}: {'changed' if update_page(PAPERS[paper], kept, out, update) else 'as it was'}")
    return 0


COMMANDS = {"make": make, "keep": keep, "keep-search": keep_search, "check": check}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line -> exit status; `make` may be left out. Errors are one line on stderr."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words:
        words = ["--help"]
    elif words[0].startswith("--") and words[0] != "--help":
        words = ["make", *words]
    try:
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS, args=words, prog="python -m socialjax tables", description=__doc__
        )
    except (ValueError, OSError) as error:
        print(f"error: {visible(error)}", file=sys.stderr)
        return 1
