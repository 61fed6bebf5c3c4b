"""What a search for good settings is, as settings."""

import dataclasses
from pathlib import Path
from typing import Generic, TypeVar

from socialjax import models
from socialjax.data.sources import DataSettings
from socialjax.run.settings import EvalSettings, Experiment
from socialjax.run.tuning import space
from socialjax.train.settings import TrainSettings

M = TypeVar("M")


@dataclasses.dataclass(frozen=True)
class Search(Generic[M]):
    """How a model is tuned on a data set.

    Attributes:
      model: What is not searched; `socialjax/run/tuning/space.py` and the model's `search_space` list what is.
      data: What is loaded and from where.
      trials: Points of the space; more of them add to a finished search.
      rungs: Epochs after which trials are cut. The first must reach beyond the plateau on which models rank by
        popularity.
      keep: One in so many trials goes on to the next rung.
      seeds: Seeds of the training of each trial; trials are compared by the mean over them.
      space_seed: Seed of the points: the same for all models that are to be compared.
      protocol: Protocol of the validation.
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
    protocol: str = "sampled1000-strict"
    evaluate_every: int = 4
    patience: int = 60
    plateau: int = 60
    save_seconds: float = 30.0
    jobs: int = 1
    workdir: Path | None = None
    quiet: bool = False

    def __post_init__(self):
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
        for field in sorted(space.searched(self.model)):
            if getattr(self.model, field, None) != getattr(usual, field, None):
                raise ValueError(f"--model.{field.replace('_', '-')} is searched and cannot be set")

    def experiment(self, point: space.Point) -> Experiment:
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

    def experiments(self) -> list[tuple[space.Point, Experiment]]:
        """Every trial's point and what it trains."""
        found = space.points(models.name_of(self.model), self.model, self.trials, self.space_seed)
        return [(point, self.experiment(point)) for point in found]

    def planned(self) -> list[int]:
        """How many trials each rung has."""
        counts = [self.trials]
        for _ in self.rungs[1:]:
            counts.append(max(1, counts[-1] // self.keep))
        return counts
