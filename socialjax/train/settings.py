"""How a model is trained, as settings."""

import dataclasses

from socialjax.train.parallel import Backend
from socialjax.train.step import Optimizer

METRIC = "NDCG@10"  # of the validation part: by this epochs are chosen


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """How a model is trained; `--train.*` on the command line.

    Attributes:
      epochs: At most this many passes over the training pairs.
      batch_size: Pairs a step, over all devices.
      optimizer: Optax optimiser of that name, with its usual settings.
      learning_rate: Step size of the optimiser, above 0.
      evaluate_every: Epochs between validations.
      patience: Stop after this many epochs without a better validation NDCG@10; 0 trains all epochs.
      plateau: Patience starts when validation beats popularity by 5 %, or after this many epochs: many models rank by
        popularity for tens of epochs before they climb.
      save_seconds: Time between checkpoints; 0 saves after every validation.
      backend: How a step is spread over devices: jit over a mesh, or pmap.
      table_shards: Devices over which the rows of embedding tables are spread (backend jit).
      quiet: No progress bar.
    """

    epochs: int = 200
    batch_size: int = 8192
    optimizer: Optimizer = "adam"
    learning_rate: float = 5e-3
    evaluate_every: int = 2
    patience: int = 30
    plateau: int = 60
    save_seconds: float = 30.0
    backend: Backend = "jit"
    table_shards: int = 1
    quiet: bool = False

    def __post_init__(self):
        for field in ("epochs", "batch_size", "evaluate_every", "table_shards"):
            if getattr(self, field) < 1:
                raise ValueError(f"--train.{field.replace('_', '-')} must be at least 1, got {getattr(self, field)}")
        for field in ("patience", "plateau", "save_seconds"):
            if not getattr(self, field) >= 0:
                raise ValueError(f"--train.{field.replace('_', '-')} must not be below 0, got {getattr(self, field)}")
        if not self.learning_rate > 0:
            raise ValueError(f"--train.learning-rate must be above 0, got {self.learning_rate}")
        if self.table_shards > 1 and self.backend == "pmap":
            raise ValueError("--train.table-shards needs --train.backend jit: pmap keeps every table on every device")
