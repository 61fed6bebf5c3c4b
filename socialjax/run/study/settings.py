"""What a table of models is: which models on which data, with which settings, and its rows."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import tyro

from socialjax import models
from socialjax.data.schema import Dataset
from socialjax.data.sources import DataSettings
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.train.settings import TrainSettings


@dataclasses.dataclass(frozen=True)
class Study:
    """What is compared on which data.

    summary: what --help says, the docstring of the file. settings: model -> (what differs from the defaults of its
    class, its training), in the order of the table. sweeps: name of a setting -> (models, values). only_with_features:
    model -> why it has no row on data without features.
    """

    name: str
    summary: str
    data: DataSettings
    settings: dict[str, tuple[dict[str, Any], TrainSettings]]
    sweeps: dict[str, tuple[tuple[str, ...], tuple]] = dataclasses.field(default_factory=dict)
    only_with_features: dict[str, str] = dataclasses.field(default_factory=dict)
    eval: EvalSettings = dataclasses.field(default_factory=EvalSettings)
    reported: tuple[dict, ...] = ()


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The command line of a study."""

    data: DataSettings
    only: tuple[str, ...] = ()
    """Some of the models."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run each; their mean and 95 % interval are shown."""
    sweep: Literal["dim", "depth"] | None = None
    """Vary one setting of some models instead."""
    workdir: Path | None = None
    """Where it is kept, a folder a model; default runs/NAME. The same command goes on with what is there."""
    jobs: int = 1
    """Models at a time, each in a process with its share of the cores. On a CPU only."""

    def __post_init__(self):
        if self.jobs < 1:
            raise ValueError(f"--jobs must be at least 1, got {self.jobs}")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table: its label, the folder below --workdir, and what is run there."""

    label: str
    place: str
    definition: Definition

    @property
    def experiment(self) -> Experiment:
        return self.definition.default


def read_arguments(study: Study, words: list[str] | None) -> Arguments:
    """The command line. Raises ValueError for another data set than the study's, whose results would lie in one folder
    with its own."""
    found = tyro.cli(
        Arguments,
        prog=f"python -m experiments.{study.name}",
        description=study.summary,
        default=Arguments(data=study.data),
        args=words,
    )
    if found.data.name != study.data.name:
        raise ValueError(
            f"experiments.{study.name} is about {study.data.name}, got --data.name {found.data.name}; "
            f"python -m experiments.train MODEL --data.name {found.data.name} takes any data"
        )
    return found


def rows(study: Study, arguments: Arguments, data: Dataset) -> tuple[list[Row], dict[str, str]]:
    """The rows that are asked for, and label -> why there is none. Raises ValueError for a model that is not in it."""
    names = study.settings if arguments.sweep is None else study.sweeps[arguments.sweep][0]
    if strange := [name for name in arguments.only if name not in names]:
        raise ValueError(f"--only must name some of {', '.join(names)}, got {', '.join(strange)}")
    found, skipped = [], {}
    for name in [name for name in names if name in arguments.only or not arguments.only]:
        if (why := _why_not(study, name, data)) is not None:
            skipped[name] = why
            continue
        fields, training = study.settings[name]
        base = Experiment(
            model=models.MODELS[name](**fields),
            data=arguments.data,
            train=training,
            eval=study.eval,
            seeds=arguments.seeds,
            workdir=arguments.workdir or Path("runs") / study.name,
        )
        if arguments.sweep is None:
            found.append(Row(name, name, _definition(study, base)))
            continue
        for value in study.sweeps[arguments.sweep][1]:
            model, change = dataclasses.replace(base.model, **{arguments.sweep: value}), f"{arguments.sweep}={value}"
            # The value of the main table is no other run.
            place = name if model == base.model else f"sweeps/{name}/{change}"
            changed = dataclasses.replace(base, model=model)
            found.append(Row(f"{name} {change}", place, _definition(study, changed)))
    return found, skipped


def _why_not(study: Study, name: str, data: Dataset) -> str | None:
    if name not in models.MODELS:
        return "not among the models"
    if missing := [need for need in models.MODELS[name].traits.needs if getattr(data, need) is None]:
        return f"needs {' and '.join(missing)}"
    without = data.user_features is None and data.item_features is None
    return study.only_with_features.get(name) if without else None


def _definition(study: Study, experiment: Experiment) -> Definition:
    return Definition(study.name, study.summary, experiment, reported=study.reported)
