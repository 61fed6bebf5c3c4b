"""Full metrics estimated from samples (Krichene and Rendle, KDD 2020), beside the naive reading and the truth."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from socialjax.eval.tables import cell, markdown_table
from socialjax.report.orders import FULL, Line, number, said_tau, sets, tau

METRIC = "NDCG@10"
DIRECTION = (
    "The estimate takes all ranks to be equally likely beforehand, but models put positives near the top more often: "
    "it is too low for most. The two metrics differ in scale, so that its small error does not say that it orders "
    "models better."
)


def estimated(some: Sequence[Line]) -> dict[str, list[Line]]:
    """Sampled protocol -> the lines that have an estimate of the full metric from it, and the full metric."""
    found: dict[str, list[Line]] = {}
    for line in some:
        for protocol, metrics in line.estimates.items():
            if METRIC in metrics and METRIC in line.metrics.get(FULL, {}):
                found.setdefault(protocol, []).append(line)
    return found


def estimates(some: Sequence[Line], protocol: str) -> list[list[str]]:
    """The sampled metric read as if it were the full one, the estimate, the full metric, and both errors."""
    table = [["", f"{METRIC} {protocol}", "estimate of full", FULL, "error of the naive reading", "of the estimate"]]
    for line in some:
        naive, guess, full = three(line, protocol)
        errors = [f"{number(found) - number(full):+.4f}" for found in (naive, guess)]
        table.append([line.label, cell(naive), cell(guess), cell(full), *errors])
    return table


def summary(some: Sequence[Line], protocol: str) -> str:
    """Mean absolute errors, the direction of the estimate's and Kendall's taus, in words; of all lines, and of the
    trained models apart."""
    said = []
    for of, those in sets(some).items():
        naive, guess, full = (np.array([*map(number, x)]) for x in zip(*(three(line, protocol) for line in those)))
        errors = [float(np.abs(found - full).mean()) for found in (naive, guess)]
        taus = [said_tau(tau(found.tolist(), full.tolist())) for found in (naive, guess)]
        low, short = int((guess < full).sum()), (full - guess).mean() / full.mean()
        said.append(
            f"Over {of}: mean absolute error of the naive reading {errors[0]:.4f}, of the estimate {errors[1]:.4f}, "
            f"which is too low on {low} of {len(full)} and in the mean by {short:.0%} of the full metric; Kendall's "
            f"tau with the order by `full` {taus[0]} and {taus[1]}."
        )
    return " ".join(said)


def three(line: Line, protocol: str) -> tuple:
    """(naive, estimate, full) of one line."""
    return line.metrics[protocol][METRIC], line.estimates[protocol][METRIC], line.metrics[FULL][METRIC]


def blocks(some: Sequence[Line], below: Callable[[str], str]) -> Iterator[str]:
    """A table and its reading for each sampled protocol. below: protocols -> the line below a table."""
    found = estimated(some)
    for protocol, mine in found.items():
        yield markdown_table(estimates(mine, protocol))
        yield f"{below(f'{protocol}, {FULL}')} {summary(mine, protocol)} {DIRECTION}"
    if not found:
        yield "No kept run has estimates."
