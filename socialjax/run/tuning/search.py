"""A search for good settings: the space that it searches, the same points of the shared settings for every model.

After a few known recipes, points are those of a scrambled Sobol sequence, which fills the space evenly whatever their
number (Owen, Journal of Complexity, 1998). Its first dimensions are the shared settings, so that trial t means the same
for every model; a model's own settings, its `search_space`, come from the dimensions after them.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from socialjax import models
from socialjax.contract import Choice, LogUniform, Model, Range, Uniform
from socialjax.data.sources import DataSettings
from socialjax.run.display import is_published
from socialjax.run.settings import EvalSettings, Experiment
from socialjax.train.step import TrainSettings

M = TypeVar("M")
DIMENSIONS = 8  # of every sequence: another number would be another sequence


# Settings of the model that all models share. A loss and its number of negatives are chosen as one.
LOSSES = Choice((("bpr", 1), ("bce", 4), ("softmax", 16), ("softmax", 32)))
SHARED: dict[str, Range] = {"l2": LogUniform(0.001, 0.1), "dropout": Uniform(0.0, 0.7)}
TRAINING: dict[str, Range] = {"learning_rate": LogUniform(2e-4, 2e-2)}  # published rates are 5e-4 to 5e-3

# Shared settings that did well before, in other people's code or in prototypes: the first trials of every model, whose
# own settings stay as given. Without them a small search misses what needs many regularised epochs.
KNOWN = (
    ({"objective": "bpr", "negatives": 1, "l2": 0.02, "dropout": 0.0}, {"learning_rate": 5e-3}),
    ({"objective": "softmax", "negatives": 32, "l2": 0.04, "dropout": 0.2}, {"learning_rate": 5e-3}),
    ({"objective": "softmax", "negatives": 16, "l2": 0.05, "dropout": 0.6}, {"learning_rate": 5e-3}),
    ({"objective": "softmax", "negatives": 16, "l2": 0.001, "dropout": 0.2}, {"learning_rate": 5e-3}),
    ({"objective": "bce", "negatives": 4, "l2": 0.02, "dropout": 0.5}, {"learning_rate": 5e-3}),
)


@dataclasses.dataclass(frozen=True)
class Point:
    """What a trial changes: fields of the model and of its training."""

    model: dict[str, Any]
    training: dict[str, Any]


def points(name: str, model: Model, trials: int, seed: int) -> list[Point]:
    """The first `trials` points for the model of that name; a shared setting that the model has not is left out.

    Point t depends on (t, seed) alone, and its shared settings are those of every other model. Raises ValueError when
    the model's `search_space` names a field that it has not, and for a space of too many dimensions.
    """
    own, fields = model.search_space, [field.name for field in dataclasses.fields(model)]
    if unknown := sorted(set(own) - set(fields)):
        raise ValueError(f"the search space of {name} names {', '.join(unknown)}, and it has only {', '.join(fields)}")
    ranges = [LOSSES, *SHARED.values(), *TRAINING.values(), *own.values()]
    if len(ranges) > DIMENSIONS:
        raise ValueError(f"a search has at most {DIMENSIONS} dimensions, and {name} has {len(ranges)}")
    as_given = {field: getattr(model, field) for field in own}
    sampled = [
        Point({k: v for k, v in shared.items() if k in fields} | as_given, dict(training))
        for shared, training in KNOWN[:trials]
    ]
    for row in _sequence(max(trials - len(KNOWN), 0), seed):
        loss, *drawn = [each.at(u) for each, u in zip(ranges, row.tolist())]
        shared = {"objective": loss[0], "negatives": loss[1], **dict(zip(SHARED, drawn))}
        drawn = drawn[len(SHARED) :]
        training, rest = dict(zip(TRAINING, drawn)), drawn[len(TRAINING) :]
        sampled.append(Point({k: v for k, v in shared.items() if k in fields} | dict(zip(own, rest)), training))
    return sampled


def searched(model: Model | type[Model]) -> set[str]:
    """Fields of that model which the search sets."""
    return {"objective", "negatives", *SHARED, *model.search_space}


def _sequence(length: int, seed: int) -> np.ndarray:
    """f64[length, DIMENSIONS] in [0, 1)."""
    from scipy.stats import qmc  # half a second

    sobol = qmc.Sobol(DIMENSIONS, scramble=True, rng=np.random.default_rng(seed))
    return sobol.random_base2(math.ceil(math.log2(max(length, 1))))[:length]  # in full powers of 2, else SciPy warns


@dataclasses.dataclass(frozen=True)
class Search(Generic[M]):
    """How a model is tuned on a data set.

    Attributes:
      model: What is not searched; `socialjax/run/tuning/search.py` and the model's `search_space` list what is.
      data: What is loaded and from where.
      trials: Points of the space; more of them add to a finished search.
      rungs: Epochs after which trials are cut. The first must reach beyond the plateau on which models rank by
        popularity.
      keep: One in so many trials goes on to the next rung.
      seeds: Seeds of the training of each trial; trials are compared by the mean over them.
      space_seed: Seed of the points: the same for all models that are to be compared.
      protocol: Protocol of the validation: by default sampled1000-strict for published sets, whose tables have it, and
        full for others, as `socialjax train` evaluates them.
      evaluate_every: Epochs between validations.
      patience: A trial ends after this many epochs without a better validation NDCG@10; 0 never.
      plateau: Patience starts when validation beats popularity by 5 %, or after this many epochs.
      save_seconds: Time between checkpoints.
      jobs: Trials at a time, each in a process with its share of the cores. On a CPU only.
      workdir: Where the search is kept; default runs/tune/MODEL/DATA. The same command goes on with what is there.
      quiet: No progress bars.
    """

    model: M
    data: DataSettings = dataclasses.field(default_factory=DataSettings)
    trials: int = 16
    rungs: tuple[int, ...] = (40, 400)
    keep: int = 4
    seeds: tuple[int, ...] = (0,)
    space_seed: int = 0
    protocol: str | None = None
    evaluate_every: int = 4
    patience: int = 60
    plateau: int = 60
    save_seconds: float = 30.0
    jobs: int = 1
    workdir: Path | None = None
    quiet: bool = False

    def __post_init__(self):
        if self.protocol is None:
            object.__setattr__(self, "protocol", "sampled1000-strict" if is_published(self.data.name) else "full")
        for field, least in (("trials", 1), ("keep", 2), ("jobs", 1), ("evaluate_every", 1)):
            if getattr(self, field) < least:
                raise ValueError(f"--{field.replace('_', '-')} must be at least {least}, got {getattr(self, field)}")
        rises = [0, *self.rungs] == sorted({0, *self.rungs})
        if not self.rungs or not rises or any(rung % self.evaluate_every for rung in self.rungs):
            raise ValueError(
                f"--rungs must rise and be multiples of --evaluate-every ({self.evaluate_every}), got {self.rungs}"
            )
        if not self.seeds:
            raise ValueError("--seeds wants at least one number, such as 0")
        usual = type(self.model)()
        for field in sorted(searched(self.model)):
            if getattr(self.model, field, None) != getattr(usual, field, None):
                raise ValueError(f"--model.{field.replace('_', '-')} is searched and cannot be set")

    def experiment(self, point: Point) -> Experiment:
        """What a trial trains; the same for all its rungs, so that it goes on from its checkpoints."""
        return Experiment(
            model=dataclasses.replace(self.model, **point.model),
            data=self.data,
            train=TrainSettings(
                epochs=self.rungs[-1],
                evaluate_every=self.evaluate_every,
                patience=self.patience,
                plateau=self.plateau,
                save_seconds=self.save_seconds,
                quiet=self.quiet,
                **point.training,
            ),
            eval=EvalSettings(protocol=self.protocol, also=(), validation_protocol=self.protocol),
            seeds=self.seeds,
        )

    def experiments(self) -> list[tuple[Point, Experiment]]:
        """Every trial's point and what it trains."""
        sampled = points(models.name_of(self.model), self.model, self.trials, self.space_seed)
        return [(point, self.experiment(point)) for point in sampled]

    def planned(self) -> list[int]:
        """How many trials each rung has."""
        counts = [self.trials]
        for _ in self.rungs[1:]:
            counts.append(max(1, counts[-1] // self.keep))
        return counts
