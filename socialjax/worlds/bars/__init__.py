"""A bar that a model must reach on a synthetic world."""

import dataclasses

from socialjax.eval.metrics import text_table


@dataclasses.dataclass(frozen=True)
class Bar:
    """One line of the report.

    Attributes:
        model: name of the model.
        what: what is measured, and where.
        bar: the threshold.
        figure: what was reached: at least `bar`, or at most.
        at_most: whether the bar is an upper bound.
    """

    model: str
    what: str
    bar: float
    figure: float
    at_most: bool = False

    def __post_init__(self):
        object.__setattr__(self, "figure", float(self.figure))  # JSON cannot hold NumPy's numbers

    @property
    def met(self) -> bool:
        return self.figure <= self.bar if self.at_most else self.figure >= self.bar


def bars_table(bars: list[Bar]) -> str:
    """The bars as text, each with the figure reached."""
    rows = [["model", "what", "bar", "figure", ""]]
    rows += [
        [b.model, b.what, f"{'<=' if b.at_most else '>='} {b.bar:.3f}", f"{b.figure:.3f}", "met" if b.met else "MISSED"]
        for b in bars
    ]
    return text_table(rows)
