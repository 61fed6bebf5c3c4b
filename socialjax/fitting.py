"""The ways to a trained model: `fit` trains one, `load` reads one that was trained."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import optax

from socialjax import models
from socialjax.contract import Model
from socialjax.data import sources
from socialjax.data.checksum import named
from socialjax.data.schema import Dataset
from socialjax.data.sources import DataSettings
from socialjax.data.validate import check
from socialjax.eval.beyond import Metric
from socialjax.eval.protocol import KS
from socialjax.export.archive import unpack
from socialjax.memory import release_programs
from socialjax.recommender import Run, read
from socialjax.run.command import shown_in_python
from socialjax.run.execute import introduce, run_in
from socialjax.run.own_code import named_loss, named_metrics, named_optimizer
from socialjax.run.record import SeedRecord
from socialjax.run.saved import TemporaryFolder, blamed_on, find_seed, read_data, read_settings
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.run.workbench import Workbench
from socialjax.train.log import Callback
from socialjax.train.step import TrainSettings, on_device

log = logging.getLogger(__name__)


def fit(
    model: Model | str,
    data: Dataset | DataSettings | Path | str,
    train: TrainSettings | None = None,
    *,
    epochs: int | None = None,
    seeds: int | Sequence[int] = 1,
    folder: Path | str | None = None,
    protocol: str = "full",
    also: Sequence[str] = (),
    ks: Sequence[int] = KS,
    metrics: Mapping[str, Metric] | Sequence[str] = (),
    loss: str | Callable | None = None,
    optimizer: str | optax.GradientTransformation | Callable | None = None,
    start_from: Path | str | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> Run:
    """Trains a model on a data set, with early stopping on its validation part, and evaluates it on the test part.

    `socialjax train` with the same settings gives the same figures.

    Args:
        model: such as `BPR(dim=32)`; a class or a name, such as "bpr", has its usual settings. A class that is
            registered nowhere gets a name for this process.
        data: a data set, from where one is read, a folder, or the name of a published set. Without a validation part
            all epochs are trained.
        train: how it is trained, by default as `TrainSettings()` says.
        epochs: at most so many, in place of those of `train`.
        seeds: of the parameters and of all randomness: how many, from 0 on, or which.
        folder: where the run is kept: parameters, settings, curves, and figures of the test part beside those of the
            baselines. The same call goes on with what is there, and `load(folder)` gives the same answers. Without a
            folder the run lies in a temporary one, which goes when the answer is no longer in use.
        protocol: how the validation and the test part are ranked: `full`, `sampledN-strict` or `sampledN-official`.
        also: further protocols for the test part.
        ks: cut-offs of the metrics.
        metrics: further ones of the lists of recommendations: names in `socialjax.METRICS`, or name -> a function of
            `socialjax.eval.beyond.Lists` that gives a number, or one for each user; docs/beyond_accuracy.md.
        loss: in place of the model's `objective`: a name, or a function of the scores of positives f32[B] and of their
            negatives f32[B, n] -> f32[B], in jax.numpy.
        optimizer: in place of that of `train`: a name, an optax transformation, such as
            `optax.adamw(optax.cosine_decay_schedule(1e-3, 5000))`, or a function of the learning rate that makes one.
        start_from: a finished run; parameters of the same names and shapes are taken over from it, seed by seed.
        callbacks: functions of one dict, each called after every validation with seed, epoch, step, loss and the
            `validation` metrics; what they raise ends the training, which goes on from there when it is called again.
        progress: whether what is done to the data and how far the training is are shown.

    Returns:
        The recommender of the first seed, with the parameters of its best epoch; `of_seed` gives the others.

    Raises:
        ValueError: for a model that does not train or that is not known, settings that do not fit the data, and a
            folder that holds a run of other settings or data.
        DataError: for data that cannot be read or do not hold what a data set must.
        Diverged: when the loss is not finite.
        Interrupted: after SIGTERM or Ctrl-C; what was done stays in the folder.
    """
    with shown_in_python() if progress else contextlib.nullcontext():
        model = _model(model, loss)
        release_programs()
        changed = {"quiet": not progress} | ({} if epochs is None else {"epochs": epochs})
        if optimizer is not None:
            changed["optimizer"] = named_optimizer(optimizer)
        settings = dataclasses.replace(train or TrainSettings(), **changed)
        source, data = _source_and_data(data)
        holder = None if folder is not None else TemporaryFolder()
        folder = Path(folder) if holder is None else holder.path
        experiment = Experiment(
            model=model,
            data=source,
            train=settings,
            eval=EvalSettings(
                protocol=protocol,
                also=tuple(also),
                validation_protocol=protocol,
                ks=tuple(ks),
                metrics=named_metrics(metrics),
            ),
            seeds=tuple(map(int, range(seeds) if np.ndim(seeds) == 0 else seeds)),
            start_from=None if start_from is None else Path(start_from),
        )
        bench = Workbench(data)
        introduce(experiment, bench, folder)
        run_in(folder, Definition(models.name_of(model), "", experiment), experiment, bench, callbacks=callbacks)
    return read(folder, experiment.seeds[0], model, data, bench.side(model), holder)


def _model(given: Model | str, loss: str | Callable | None) -> Model:
    """The model that `fit` is given, with that loss; a class without a name is registered under its own."""
    model = models.named(given) if isinstance(given, str) else given
    model = model() if isinstance(model, type) and issubclass(model, Model) else model
    if not isinstance(model, Model):
        raise ValueError(f"wanted a model such as BPR(dim=32), or the name of one, got {type(model).__name__}")
    if not model.traits.trains:
        raise ValueError(f"{type(model).__name__} does not train; it is a baseline of every table")
    _name_it(type(model))
    if loss is None:
        return model
    if not hasattr(model, "objective"):
        raise ValueError(f"{type(model).__name__} has a loss of its own and takes no other; leave loss out")
    return dataclasses.replace(model, objective=named_loss(loss))


def _name_it(kind: type[Model]) -> None:
    """Registers a class that has no name yet, or that was defined once more, as the cells of a notebook do."""
    name, known = models.own_name(kind), models.MODELS.known()
    is_defined_again = name in known and _place(known[name]) == _place(kind)
    if kind in known.values() or (name in models.MODELS and not is_defined_again):
        return
    models.MODELS[name] = kind
    if not is_defined_again:
        log.info(
            "the model is called %s in this process; others load it once its package has an entry point for it, or the "
            'line socialjax.MODELS["%s"] = %s',
            *(name, name, kind.__name__),
        )


def _place(kind: type) -> tuple[str, str]:
    return kind.__module__, kind.__qualname__


def _source_and_data(given: Dataset | DataSettings | Path | str) -> tuple[DataSettings, Dataset]:
    """What a run writes down of its data, and the data."""
    if isinstance(given, Dataset):
        check(given)
        return DataSettings(name=given.name), named(given)
    if isinstance(given, Path) or (isinstance(given, str) and "/" in given):
        given = sources.folder_settings(Path(given).expanduser(), None, {})
    elif isinstance(given, str):
        given = DataSettings(name=given)
    return given, sources.load(given)


def load(
    folder: Path | str,
    seed: int | None = None,
    data_dir: Path | str | None = None,
    features: Path | str | None = None,
) -> Run:
    """Loads a finished run.

    Args:
        folder: of a run, or of one of its seeds; or the file that `Run.save` wrote.
        seed: the lowest finished one by default.
        data_dir: where the data lies now, when it was moved.
        features: where the file that was given with `--data.features` lies now, when it was moved.

    Raises:
        ValueError: there is no finished run, or its settings are damaged.
        DataError: its data are missing or have changed.
        CheckpointError: its parameters are missing, damaged or of another model.
    """
    release_programs()
    folder, holder = Path(folder), None
    if folder.suffix == ".zip" and folder.is_file():
        holder = TemporaryFolder()
        unpack(folder, folder := holder.path)
    folder, seed = find_seed(folder, seed)
    SeedRecord.read(folder / f"seed_{seed}" / "result.json")  # an unreadable result is reported before data are read
    model, settings, record = read_settings(folder)
    data = read_data(settings, record, folder, data_dir, features)
    with blamed_on(folder / "settings.json"):
        side = on_device(model.prepare(data))
    return read(folder, seed, model, data, side, holder)
