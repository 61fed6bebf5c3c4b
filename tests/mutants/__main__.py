"""Tries mutants of the library against the tests that should notice them.

    python -m tests.mutants                      # all; goes on where it was stopped
    python -m tests.mutants --list               # their names, files and reasons
    python -m tests.mutants --only lightgcn-sum  # some of them
    python -m tests.mutants --jobs 2             # two at a time

Most take 5 s of a core's time, a few with whole runs 20; the list took 85 minutes on two cores that seven other jobs
shared. Nothing of the tree is changed: each mutant stands in a temporary copy.
"""

import dataclasses
import signal
import sys
from pathlib import Path

import tyro

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Rotten
from tests.mutants.runner import Broken, Kept, run, summary

ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The command line."""

    only: tuple[str, ...] = ()
    """Names of mutants; all without."""
    list: bool = False
    """Show the mutants and run none."""
    jobs: int = 1
    """Mutants at a time."""
    allowed: int = 0
    """So many may survive, but none that must be killed."""
    timeout: float = 600.0
    """Seconds for the tests of one mutant."""
    passing: bool = False
    """The tests have just passed without a mutant, so that they need not run first."""
    workdir: Path = Path("runs/mutants")
    """Where verdicts and compiled programs are kept."""


def main(words: list[str] | None = None) -> int:
    """Runs the command line; the exit code."""
    chosen = tyro.cli(Arguments, prog="python -m tests.mutants", description=__doc__, args=words)
    if strange := sorted(set(chosen.only) - {mutant.name for mutant in MUTANTS}):
        print(
            f"error: --only must name mutants of the list, got {', '.join(strange)}; --list shows it", file=sys.stderr
        )
        return 2
    mutants = [mutant for mutant in MUTANTS if not chosen.only or mutant.name in chosen.only]
    if chosen.list:
        for mutant in mutants:
            print(f"{mutant.name}{' (must be killed)' if mutant.must else ''}\n    {mutant.file}: {mutant.why}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the tests that run end too
    folder, verdicts = (ROOT / chosen.workdir).absolute(), []
    try:
        kept, compiled = Kept(folder / "verdicts.json"), folder / "compiled"
        for verdict in run(mutants, ROOT, kept, compiled, chosen.jobs, chosen.timeout, chosen.passing):
            verdicts.append(verdict)
            print(verdict, flush=True)
    except (Rotten, Broken) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    line, code = summary(mutants, verdicts, chosen.allowed)
    print(line)
    return code


if __name__ == "__main__":
    sys.exit(main())
