"""A bar that a model must reach on a synthetic world, and the training whose result is judged."""

import dataclasses
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp

from socialjax.contract import Model
from socialjax.data.schema import Dataset
from socialjax.data.validate import check
from socialjax.eval import ranking
from socialjax.eval.metrics import text_table
from socialjax.memory import release_programs
from socialjax.recommender import Run
from socialjax.run.model_code import code_digest
from socialjax.run.record import SeedRecord
from socialjax.run.results import peak_memory_bytes
from socialjax.run.settings import EvalSettings
from socialjax.run.workbench import Workbench
from socialjax.train.step import TrainSettings


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


def train_only(
    model: Model, data: Dataset, train: TrainSettings, seed: int, protocol: str = EvalSettings.protocol
) -> Run:
    """As `socialjax.fit`, but nothing is kept and the test part is not looked at: its metrics are empty."""
    release_programs()
    check(data)
    bench, ranked = Workbench(data), EvalSettings(protocol=protocol, also=(), validation_protocol=protocol)
    validation = bench.validation(ranked)
    with tempfile.TemporaryDirectory() as folder:
        made = bench.train(model, dataclasses.replace(train, quiet=True), validation, seed, Path(folder), "fit")
    side, params = bench.side(model), jax.tree.map(jnp.asarray, made.params)
    result = SeedRecord(
        seed=seed,
        metrics={},
        also={},
        groups={},
        validation=made.validation,
        epoch=made.epoch,
        seconds=made.seconds | {"test": 0.0},
        pairs_per_second=made.pairs_per_second,
        peak_memory_bytes=peak_memory_bytes(),
        popularity_validation=validation and validation.floor,
        chosen_on=validation and validation.chosen_on(),
        code=code_digest(model),
    )
    return Run(None, seed, model, data, result, side, ranking.encode(model, params, side))
