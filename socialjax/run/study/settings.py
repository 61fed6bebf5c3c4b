"""What a table of models is: which models on which data, with which settings, and its rows."""

import dataclasses
from pathlib import Path
from typing import Any

import tyro

from socialjax import models
from socialjax.contract import Model
from socialjax.data.schema import Dataset
from socialjax.data.sources import DataSettings
from socialjax.run.execute import work_folder
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.train.step import TrainSettings


@dataclasses.dataclass(frozen=True)
class Setting:
    """How a row of the table is made: what differs from the defaults of the model's class, and its training.

    model: its name, where the row has another one: MODEL-WHAT, so that kept runs and tables say so. start:
    the row from whose parameters it starts.
    """

    fields: dict[str, Any]
    train: TrainSettings
    model: str = ""
    start: str = ""


@dataclasses.dataclass(frozen=True)
class Study:
    """What is compared on which data.

    summary: what --help says, the docstring of the file. settings: row -> how it is made, in the order of the table; a
    row is called like its model unless that says otherwise. sweeps: name -> (rows, changes of their fields).
    over: the row above which others are shown in per cent. only_with_features: model -> why it has no row on data
    without features. ids_only: of a table of ids alone, what `python -m`
    runs that takes features instead; here features of users or items are an error.
    """

    name: str
    summary: str
    data: DataSettings
    settings: dict[str, Setting]
    sweeps: dict[str, tuple[tuple[str, ...], tuple[dict[str, Any], ...]]] = dataclasses.field(default_factory=dict)
    over: str = ""
    only_with_features: dict[str, str] = dataclasses.field(default_factory=dict)
    eval: EvalSettings = dataclasses.field(default_factory=EvalSettings)
    reported: tuple[dict, ...] = ()
    ids_only: str = ""

    def refuse_features(self, what: str) -> None:
        """Raises ValueError, which says where `what` is taken, for a table of ids alone."""
        if self.ids_only:
            raise ValueError(
                f"{self.name} compares models on ids only, got {what}; python -m {self.ids_only} takes features"
            )


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The command line of a study."""

    data: DataSettings
    only: tuple[str, ...] = ()
    """Some of the rows."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One run each; their mean and 95 % interval are shown."""
    sweep: str | None = None
    """Vary settings of some rows instead; the text above names the sweeps."""
    workdir: Path | None = None
    """Where it is kept, a folder a model; default runs/NAME. The same command goes on with what is there."""
    jobs: int = 1
    """Models at a time, each in a process with its share of the cores. On a CPU only."""

    def __post_init__(self):
        if self.jobs < 1:
            raise ValueError(f"--jobs must be at least 1, got {self.jobs}")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table: its label, the folder below --workdir, what is run there, and after which row."""

    label: str
    place: str
    definition: Definition
    start: str = ""

    @property
    def experiment(self) -> Experiment:
        return self.definition.default


def read_arguments(study: Study, words: list[str] | None) -> Arguments:
    """The command line. Raises ValueError for another data set than the study's, whose results would lie in one folder
    with its own, and for features where the study is about ids alone."""
    arguments = tyro.cli(
        Arguments,
        prog=f"python -m experiments.{study.name}",
        description=study.summary,
        default=Arguments(data=study.data),
        args=words,
    )
    if arguments.data.name != study.data.name:
        raise ValueError(
            f"experiments.{study.name} is about {study.data.name}, got --data.name {arguments.data.name}; "
            f"python -m socialjax train MODEL --data.name {arguments.data.name} takes any data"
        )
    if arguments.data.published_features:
        study.refuse_features("--data.published-features")
    if arguments.data.features is not None:
        study.refuse_features("--data.features")
    check(study, arguments)
    return arguments


def check(study: Study, arguments: Arguments) -> tuple[str, ...]:
    """The names of the rows that there are. Raises ValueError for a sweep or a row that is not in the table."""
    if arguments.sweep is not None and arguments.sweep not in study.sweeps:
        raise ValueError(f"--sweep must be one of {', '.join(study.sweeps) or 'none'}, got {arguments.sweep}")
    names = tuple(study.settings) if arguments.sweep is None else study.sweeps[arguments.sweep][0]
    if unknown := [name for name in arguments.only if name not in names]:
        raise ValueError(f"--only must name some of {', '.join(names)}, got {', '.join(unknown)}")
    return names


def rows(study: Study, arguments: Arguments, data: Dataset) -> tuple[list[Row], dict[str, str]]:
    """The rows that are asked for, with those they start from, and label -> why there is none.

    Raises ValueError for a row that is not in the table, and for features where the study is about ids alone.
    """
    for table in ("user_features", "item_features"):
        if getattr(data, table) is not None:
            study.refuse_features(f"data with {table}")
    names = check(study, arguments)
    chosen = [name for name in names if name in arguments.only or not arguments.only]
    table_rows, skipped = {}, {}

    def add(name: str) -> Row | None:
        """The row of the main table, once."""
        if name not in table_rows and name not in skipped:
            start = study.settings[name].start
            before = add(start) if start else None
            if (why := _why_not(study, name, data, before)) is not None:
                skipped[name] = why
            else:
                table_rows[name] = _row(study, arguments, data, name, before)
        return table_rows.get(name)

    bases = [add(name) for name in chosen]
    if arguments.sweep is None:
        return list(table_rows.values()), skipped
    if study.over:
        add(study.over)
    beside = [row for name, row in table_rows.items() if name not in chosen]
    changes = study.sweeps[arguments.sweep][1]
    varied = [_changed(base, change) for base in bases if base is not None for change in changes]
    return list({row.place: row for row in [*beside, *varied]}.values()), skipped


def _row(study: Study, arguments: Arguments, data: Dataset, name: str, before: Row | None) -> Row:
    setting = study.settings[name]
    experiment = Experiment(
        model=models.MODELS[setting.model or name](**setting.fields),
        data=arguments.data,
        train=setting.train,
        eval=study.eval,
        seeds=arguments.seeds,
        workdir=arguments.workdir or Path("runs") / study.name,
    )
    if before is not None:
        start = work_folder(before.definition, before.experiment, data, before.place)
        experiment = dataclasses.replace(experiment, start_from=start)
    definition = Definition(study.name, study.summary, experiment, reported=study.reported)
    return Row(name, name, definition, before.label if before else "")


def _changed(base: Row, change: dict[str, Any]) -> Row:
    """The row with other fields of its model; the values of the main table are no other run."""
    model = dataclasses.replace(base.experiment.model, **change)
    values = ",".join(f"{name}={value}" for name, value in change.items())
    place = base.place if model == base.experiment.model else f"sweeps/{base.place}/{values}"
    experiment = dataclasses.replace(base.experiment, model=model)
    return Row(f"{base.label} {values}", place, dataclasses.replace(base.definition, default=experiment), base.start)


def _why_not(study: Study, name: str, data: Dataset, before: Row | None) -> str | None:
    setting = study.settings[name]
    model = setting.model or name
    if model not in models.MODELS:
        return "not among the models"
    missing = [need for need in models.MODELS[model].traits.needs if getattr(data, need) is None]
    if missing and not _is_content(models.MODELS[model](**setting.fields), data):
        return f"needs {' and '.join(missing)}"
    if setting.start and before is None:
        return f"starts from {setting.start}, which has no row"
    without = all(part is None for part in (data.user_features, data.item_features, data.frames, data.attributes))
    return study.only_with_features.get(name) if without else None


def _is_content(model: Model, data: Dataset) -> bool:
    """Whether a model takes something else for what the data lack, as frames in place of images."""
    try:
        model.check(data)
    except ValueError:
        return False
    return True
