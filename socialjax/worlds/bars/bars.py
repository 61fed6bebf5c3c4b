"""A bar that a model must reach on a made world, and a model fitted to one: what the planted worlds share."""

import dataclasses
import tempfile
from pathlib import Path

from socialjax.data.batches import on_device, resident
from socialjax.data.schema import Dataset
from socialjax.eval import protocol, ranking
from socialjax.eval.tables import text_table
from socialjax.models.protocol import Model
from socialjax.train.loop import train
from socialjax.train.settings import TrainSettings


@dataclasses.dataclass(frozen=True)
class Bar:
    """One line of the report: `figure` must be at least (or at most) `bar`."""

    model: str
    what: str
    bar: float
    figure: float
    at_most: bool = False

    def __post_init__(self):
        object.__setattr__(self, "figure", float(self.figure))  # NumPy's numbers are none of JSON's

    @property
    def met(self) -> bool:
        return self.figure <= self.bar if self.at_most else self.figure >= self.bar


def fitted(model: Model, data: Dataset, seed: int, training: TrainSettings, ranked: protocol.Protocol):
    """(side, state) of `model` after an ordinary training with early stopping, epochs chosen by `ranked`."""
    side = on_device(model.prepare(data))
    chosen_by = protocol.candidates(data, ranked, "validation")
    with tempfile.TemporaryDirectory() as folder:
        trained = train(
            model, side, resident(data), training, seed, Path(folder), "planted",
            validate=lambda params: ranking.evaluate(model, params, side, chosen_by).mean(),
        )  # fmt: skip
    return side, ranking.encode(model, trained.params, side)


def bars_table(bars: list[Bar]) -> str:
    """The bars as text, each with the figure reached."""
    rows = [["model", "what", "bar", "figure", ""]]
    rows += [
        [b.model, b.what, f"{'<=' if b.at_most else '>='} {b.bar:.3f}", f"{b.figure:.3f}", "met" if b.met else "MISSED"]
        for b in bars
    ]
    return text_table(rows)
