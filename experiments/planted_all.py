"""Every model on worlds whose answer is known: each bar with the figure reached.

    python -m experiments.planted_all                       # all models, seeds 0 1 2
    python -m experiments.planted_all --only diffnet bpr    # some of them

Writes planted.json; exits 1 when a bar is missed. Expect 47 minutes on 2 cores, 3 for most models.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path

import tyro

from socialjax import stop
from socialjax.run.command import exit_code, set_up_logging
from socialjax.run.processes import only_writer
from socialjax.run.results import made_with, write_json
from socialjax.worlds.bars import Bar, aspects, bars_table, frames, garments, influence

# From seeds to bars. HASC has a world of its own, with owners, JIFR two, with frames, and SAERS one of
# drawn garments, which SEN has to see for itself.
MODELS: dict[str, Callable[[list[int]], list[Bar]]] = {
    **{name: functools.partial(influence.bars, name=name) for name in influence.MODELS},
    "hasc": aspects.bars,
    "jifr": frames.bars,
    "saers": garments.bars,
    "sen": garments.network_bars,
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The command line."""

    only: tuple[str, ...] = ()
    """Some of the models."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the worlds and of training."""
    out: Path = Path("planted.json")
    """Where the figures are written."""

    def __post_init__(self):
        if strange := [name for name in self.only if name not in MODELS]:
            raise ValueError(f"--only must name some of {', '.join(MODELS)}, got {', '.join(strange)}")
        if not self.seeds or min(self.seeds) < 0:
            raise ValueError(f"--seeds wants numbers from 0, such as 0 1 2, got {self.seeds}")


def report(arguments: Arguments) -> bool:
    """Prints and writes every bar; whether all are met."""
    bars: list[Bar] = []
    for name in arguments.only or MODELS:
        stop.check()
        bars += MODELS[name](list(arguments.seeds))
        bar_records = [dataclasses.asdict(bar) | {"met": bar.met} for bar in bars]
        write_json(
            arguments.out, {"seeds": list(arguments.seeds), "bars": bar_records, **made_with()}
        )  # after each: they take long
    print(bars_table(bars))
    return all(bar.met for bar in bars)


def main(words: list[str] | None = None) -> int:
    """Runs the command line -> exit status; 1 when a bar is missed."""
    set_up_logging()
    met: list[bool] = []

    def act():
        chosen = tyro.cli(Arguments, prog="python -m experiments.planted_all", description=__doc__, args=words)
        with only_writer(chosen.out):
            met.append(report(chosen))

    return exit_code(act) or (0 if all(met) else 1)


if __name__ == "__main__":
    sys.exit(main())
