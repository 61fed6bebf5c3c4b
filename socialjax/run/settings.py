"""What an experiment is: a model, data, training and evaluation, all of them settings."""

import dataclasses
import re
from pathlib import Path
from typing import Any, Generic, TypeVar

from socialjax.data.sources import DataSettings
from socialjax.eval.beyond import METRICS, Metric
from socialjax.eval.protocol import KS, Protocol, parse
from socialjax.object_store import address_of
from socialjax.train.step import TrainSettings

M = TypeVar("M")
METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")


@dataclasses.dataclass(frozen=True)
class EvalSettings:
    """How results are measured; `--eval.*` on the command line.

    Attributes:
      protocol: Protocol of the table: sampledN-official, sampledN-strict (N negatives a user) or full; see
        docs/architecture.md.
      also: Further protocols for the result file.
      validation_protocol: Protocol by which epochs are chosen.
      ks: Cut-offs K of the metrics of the test part. Epochs are chosen by NDCG@10 whatever they are. Of the default
        ones, those above a small catalogue are left out.
      metrics: Further metrics of lists, which another package registers in socialjax.METRICS, beside the library's own.
      seed: Seed of the sampled negatives.
    """

    protocol: str = "sampled1000-strict"
    also: tuple[str, ...] = ("sampled1000-official", "full")
    validation_protocol: str = "sampled1000-strict"
    ks: tuple[int, ...] = KS
    metrics: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self):
        for name in (self.protocol, self.validation_protocol, *self.also):
            self.make(name)

    def further(self) -> dict[str, Metric]:
        """The further metrics by name; what follows a colon tells functions of one name apart.

        Raises ValueError for one that is not registered.
        """
        names = [entry.partition(":")[0] for entry in self.metrics]
        for name in names:
            if name not in METRICS:
                raise ValueError(f"--eval.metrics: {METRICS.unknown(name)}")
            if not METRIC.fullmatch(name):
                raise ValueError(
                    f"--eval.metrics: wanted names of a letter and up to 39 letters, digits or '_', got '{name}', "
                    "which could not be the heading of a column"
                )
        return {name: METRICS[name] for name in names}

    def protocols(self) -> list[str]:
        """All by which the test part is evaluated, the one of the table first, each once."""
        return list(dict.fromkeys((self.protocol, *self.also)))

    def make(self, name: str) -> Protocol:
        """The protocol of that name with these cut-offs and this seed."""
        return parse(name, ks=self.ks, seed=self.seed)


@dataclasses.dataclass(frozen=True)
class Experiment(Generic[M]):
    """One model on one data set, for some seeds.

    Attributes:
      model: Its settings.
      data: What is loaded and from where.
      train: How the model is trained.
      eval: How results are measured.
      seeds: Seeds of training, one run each; their mean and 95 % interval are reported.
      workdir: Where the run is kept; default runs/NAME/DATA. The same command resumes what is there.
      start_from: A finished run; parameters of the same names and shapes are taken over from it, seed by seed.
      preset: Start from other settings of this experiment.
      sweep: Vary one setting; one folder for each value.
      carry: Whether the folder of the run holds a copy of the data that its model reads, so that it recommends where
        the data are not; of at most 256 MB.
      mirror: A folder of an object store (s3://bucket/run, gs://..., az://...) to which the folder of the run is copied
        after every checkpoint and at the end, and from which it is brought back where --workdir is empty.
    """

    model: M
    data: DataSettings = dataclasses.field(default_factory=DataSettings)
    train: TrainSettings = dataclasses.field(default_factory=TrainSettings)
    eval: EvalSettings = dataclasses.field(default_factory=EvalSettings)
    seeds: tuple[int, ...] = (0,)
    workdir: Path | None = None
    start_from: Path | None = None
    preset: str | None = None
    sweep: str | None = None
    carry: bool = True
    mirror: str | None = None

    def __post_init__(self):
        if self.workdir is not None and (url := address_of(self.workdir)) is not None:
            raise ValueError(
                f"--workdir must be a local folder, got {url}: object stores have no locks, renames or appends. "
                f"--mirror {url} copies every checkpoint and the results there, and brings them back where the local "
                "folder is empty"
            )
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0 or max(self.seeds) >= 2**32:
            raise ValueError(f"--seeds wants different numbers of 0 to 2^32 - 1, such as 0 1 2, got {self.seeds}")


@dataclasses.dataclass(frozen=True)
class Definition:
    """An experiment file: its default, its presets and sweeps, and what the paper reports.

    summary: what --help says, the docstring of the file. sweeps: name -> changes to the model's fields, one run folder
    each. reported: rows of the table as {"name", "note", "metrics": {"HR@10": ...}}. command: what people type, when it
    is not `python -m experiments.NAME`.
    """

    name: str
    summary: str
    default: Experiment
    presets: dict[str, Experiment] = dataclasses.field(default_factory=dict)
    sweeps: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    reported: tuple[dict, ...] = ()
    command: str = ""

    def typed(self) -> str:
        """What people type to run it."""
        return self.command or f"python -m experiments.{self.name}"
