"""One's own runs side by side: figures, tests of their differences, groups of users, cost and plots on one page.

    python -m socialjax compare runs/bpr/mine runs/lightgcn/mine runs/diffnet/mine --out report
    python -m socialjax compare runs/baselines_yelp --baseline bpr --out report

CPU, seconds. The folder gets report.html, which needs nothing else, report.md, figures.csv and the pictures.
"""

import dataclasses
from pathlib import Path

import tyro

from socialjax.report.compare import compare
from socialjax.run.command import exit_code, say, set_up_logging


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Compares finished runs on one data set, measured alike."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of finished runs, or folders that hold some."""
    out: Path = Path("report")
    """The folder that gets the report."""
    baseline: str | None = None
    """Name of the run with which every other is compared; BPR's by default, or the first."""
    full: bool = False
    """Print the whole report and not its figures and tests alone."""
    names: tuple[str, ...] = ()
    """Of the runs in their order; by default their model, with the folder where models occur twice."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line -> exit status."""
    set_up_logging()
    chosen = tyro.cli(Arguments, prog="python -m socialjax compare", args=arguments)

    def act() -> None:
        if not chosen.runs:
            raise ValueError("compare wants folders of finished runs, such as runs/bpr/mine runs/lightgcn/mine")
        report = compare(chosen.runs, chosen.baseline, chosen.out, chosen.names)
        say(report if chosen.full else report.summary)
        say(f"\nthe whole report is {chosen.out / 'report.html'}")
        say(f"written: {', '.join(str(path) for path in sorted(chosen.out.iterdir()))}")

    return exit_code(act, saves=False)
