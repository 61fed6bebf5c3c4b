"""Reads a finished run back from its folder and checks it: settings, data (its own included), parameters.

A training starts from the parameters of a finished run where names and shapes are the same.
"""

import contextlib
import dataclasses
import logging
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict

import jax
import numpy as np

from socialjax import json_files, models
from socialjax.contract import Model, Params
from socialjax.data import sources
from socialjax.data.schema import Dataset, counts
from socialjax.data.sources import DataSettings
from socialjax.formats.file_bytes import DataError
from socialjax.names import visible
from socialjax.object_store import address_of
from socialjax.registry import HOW
from socialjax.run import kept_data, results
from socialjax.run.record import RESULT, RunRecord
from socialjax.run.settings import EvalSettings, Experiment
from socialjax.train.checkpoint import CheckpointError, read_best
from socialjax.train.step import TrainSettings


def find_seed(folder: Path, seed: int | None) -> tuple[Path, int]:
    """Finds a finished seed of a run.

    Args:
        folder: of a run, or of one of its seeds.
        seed: its number; by default the lowest finished one.

    Returns:
        The run's folder and the seed.

    Raises:
        ValueError: when there is no run, no such seed, or the run did not finish.
    """
    if not (folder / "settings.json").is_file() and (folder.parent / "settings.json").is_file():
        own = _seed_of(folder)
        if own is not None:
            if seed not in (None, own):
                raise ValueError(f"{folder} holds seed {own}, not {seed}; name the folder of the run, {folder.parent}")
            return find_seed(folder.parent, own)
    if not (folder / "settings.json").is_file():
        inside = sorted(path.parent.name for path in folder.glob("*/settings.json"))[:20] if folder.is_dir() else []
        hint = f"; runs inside it: {', '.join(inside)}" if inside else "; name the --workdir of a finished experiment"
        raise ValueError(f"{folder} is no folder of a run: it has no settings.json{hint}")
    finished = finished_seeds(folder)
    if not finished:
        raise ValueError(f"the run in {folder} has not finished; start its command again and it goes on")
    if seed is None and (lost := sorted(_listed(folder) - set(finished))):
        raise ValueError(
            f"{folder}/result.json lists seed {lost[0]}, but seed_{lost[0]}/result.json is missing; copy the folder "
            f"again, or name one of the seeds that are there: {', '.join(map(str, finished))}"
        )
    if seed is not None and seed not in finished:
        raise ValueError(f"{folder} has no finished seed {seed}; those it has: {', '.join(map(str, finished))}")
    return folder, finished[0] if seed is None else seed


PARTS = {"data": DataSettings, "train": TrainSettings, "eval": EvalSettings}


class Settings(TypedDict):
    """What is read of settings.json's `settings`, the settings of the command line."""

    model: dict
    data: dict


class DataRecord(TypedDict):
    """What is read of settings.json's `data`."""

    kind: str
    files: dict[str, str]
    counts: dict[str, int]


class Record(TypedDict):
    """What is read of settings.json."""

    settings: Settings
    data: DataRecord


def read_settings(folder: Path) -> tuple[Model, DataSettings, dict]:
    """(model, data settings, the whole record) of settings.json. Raises ValueError when it is not what a run wrote."""
    path = folder / "settings.json"
    record = results.read_json(path)
    try:
        record = json_files.typed(record, Record)
        model = _model_of(record["settings"]["model"], path)
    except json_files.WrongType as error:
        raise ValueError(
            f"{path} is not the settings file of a run ({error}); name another folder, or start the run anew"
        ) from None
    settings = _made(DataSettings, record["settings"]["data"], path, "settings.data")
    # Places below the folder of the run are kept relative to it; addresses of object stores are no places below it.
    given = {name: place for name in results.PLACES if (place := getattr(settings, name)) is not None}
    places = {name: place if address_of(place) else folder / place for name, place in given.items()}
    return model, dataclasses.replace(settings, **places), record


def _model_of(settings: dict, path: Path) -> Model:
    """The model that a file describes. Raises WrongType without a name, ValueError for another model or settings."""
    settings = dict(settings)
    name = json_files.typed(settings.pop("name", None), str, "settings.model.name")
    if name not in models.MODELS:
        known = ", ".join(models.MODELS)
        raise ValueError(f"{path} names model '{visible(name)}', which is none of {known}; {HOW}")
    return _made(models.MODELS[name], settings, path, "settings.model")


def read_experiment(path: Path) -> Experiment:
    """Model, data, training, evaluation and seeds of a settings.json or best.json. Raises ValueError for others."""
    record = results.read_json(path)
    try:
        settings = json_files.typed(json_files.typed(record, dict).get("settings"), dict, "settings")
        parts = {name: json_files.typed(settings.get(name), dict, f"settings.{name}") for name in ("model", *PARTS)}
        model = _model_of(parts["model"], path)
        seeds = json_files.typed(settings.get("seeds"), list[int], "settings.seeds")
    except json_files.WrongType as error:
        raise ValueError(f"{path} holds no settings ({error}); name a settings.json or best.json") from None
    made = {name: _made(kind, parts[name], path, f"settings.{name}") for name, kind in PARTS.items()}
    with blamed_on(path):
        return Experiment(model=model, seeds=tuple(seeds), **made)


def read_data(
    settings: DataSettings, record: dict, folder: Path, data_dir: Path | None = None, features: Path | None = None
) -> Dataset:
    """Loads the data that a run was trained on.

    Args:
        settings: of the run's data.
        record: the run's settings.json.
        folder: of the run.
        data_dir: where the files lie now, when they were moved; features that lay among them are looked for there.
        features: where the file of `--data.features` lies now.

    Returns:
        The data from where the training had them; where they are missing there or have changed, and no place is named,
        the copy that the run carries, with a warning.

    Raises:
        DataError: the files are missing, or differ from those of the training.
    """
    before = record["data"]
    stand_in = before["kind"] == "stand-in"
    own = None if data_dir is not None else kept_data.carried(folder) or kept_data.folder_of(folder, before["files"])
    # Places that are named are meant: then nothing else is read.
    copy = None if own is not None or data_dir is not None or features is not None else kept_data.copy_of(folder)
    # What is not found must neither be replaced by the stand-in nor, for a stand-in, come from the network.
    offline = settings.offline or stand_in or copy is not None
    settings = dataclasses.replace(settings, require_real=not stand_in, offline=offline)
    settings = _moved(settings, folder, data_dir, features)
    try:
        if own is None and data_dir is None and (url := address_of(settings.dir)) is not None:
            raise DataError(
                f"the data of {folder} lie in {url}, which is not opened unasked; --data.dir {url} fetches them"
            )
        data = _loaded(settings, own, folder)
        _check_same(data, before, folder, settings)
    except DataError as error:
        if copy is None:
            raise
        data = _of_copy(copy, before, folder, settings, error)
    return data


def _loaded(settings: DataSettings, own: Path | None, folder: Path) -> Dataset:
    both = "--data.dir DIR and --data.features FILE say where they are now"
    where = "--data.dir DIR says where it is now" if settings.features is None else both
    try:
        return sources.load(settings) if own is None else kept_data.read(own)
    except DataError as error:
        raise DataError(f"the data of {folder} cannot be read: {error}; {where}") from None


def _of_copy(copy: Path, before: dict, folder: Path, settings: DataSettings, why: DataError) -> Dataset:
    """The data that a run carries, where those it was trained on cannot be read any more; says so."""
    try:
        data = kept_data.read(copy)
        _check_same(data, before | {"counts": kept_data.counts_in_copy(before["counts"], data)}, folder, settings)
    except DataError as error:
        raise DataError(f"{why}. The copy that the run carries cannot be read either: {error}") from None
    reason = str(why).partition(". ")[0].partition("; ")[0]
    log.warning("the copy of its data that %s carries is read (%s)", folder, reason)
    return data


def _check_same(data: Dataset, before: dict, folder: Path, settings: DataSettings) -> None:
    """Raises DataError unless kind, files and counts are those that a run's settings.json has as `data`."""
    now = data.provenance
    if now.kind != before["kind"]:
        raise DataError(
            f"{folder} was trained on data set '{data.name}' as {before['kind']}, and what is found now is {now.kind}; "
            "run the experiment again with another --workdir"
        )
    old, new = before["files"], _named_as_before(now.files, before["files"])
    differ = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    if differ or counts(data) != before["counts"]:
        what = (
            f"files {visible(', '.join(differ))}" if differ else f"counts {before['counts']} then, {counts(data)} now"
        )
        former = "--data.dir DIR" if settings.features is None else "--data.dir DIR and --data.features FILE"
        raise DataError(
            f"data set '{data.name}' is not what {folder} was trained on ({what} differ); "
            f"give the former files with {former}, or run the experiment again with another --workdir"
        )


def _moved(settings: DataSettings, folder: Path, data_dir: Path | None, features: Path | None) -> DataSettings:
    """The settings with the places where files lie now. Raises DataError for features that the run did not have."""
    if features is not None and settings.features is None:
        raise DataError(f"{folder} was trained without --data.features, so it cannot be read with them; leave it out")
    if features is None and settings.features is not None and data_dir is not None and settings.dir is not None:
        if settings.features.is_relative_to(settings.dir):
            features = Path(data_dir) / settings.features.relative_to(settings.dir)
    now = {"dir": data_dir, "features": features}
    return dataclasses.replace(settings, **{name: Path(place) for name, place in now.items() if place is not None})


def _named_as_before(files: dict[str, str], before: dict[str, str]) -> dict[str, str]:
    """Checksums by name; a file of features that has another name now, and the same checksum, has its former one."""
    former = {sha: name for name, sha in before.items() if name.startswith(results.FEATURES)}
    return {former.get(sha, name) if name.startswith(results.FEATURES) else name: sha for name, sha in files.items()}


def read_parameters(model: Model, side, record: dict, folder: Path, seed: int) -> Any:
    """The best parameters of that seed. Raises CheckpointError when there are none or they do not fit the model."""
    checkpoints = folder / f"seed_{seed}" / "checkpoints"
    if not checkpoints.is_dir():
        raise CheckpointError(
            f"{checkpoints} is missing, so there are no parameters to read; "
            f"delete {checkpoints.parent} and start the run again"
        )
    with blamed_on(folder / "settings.json"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that sizes which nobody can have want 64 bits: they are refused below
        wanted = jax.eval_shape(model.init, jax.random.key(0), side)
    return read_best(checkpoints, wanted, results.fingerprint(record["settings"], record["data"], seed))[0]


@contextlib.contextmanager
def blamed_on(path: Path) -> Iterator[None]:
    """Turns what a model makes of settings that nobody trained with into a ValueError that names the file."""
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError) as error:
        why = f"{type(error).__name__}: {visible(error)[:200]}"
        raise ValueError(
            f"the settings in {path} make no model of these data ({why}); was the file changed?"
        ) from error


def finished_seeds(folder: Path) -> list[int]:
    """The seeds of a run that have a result, ascending."""
    numbers = (number for number in map(_seed_of, folder.glob("seed_*")) if number is not None)
    return sorted(number for number in numbers if (folder / f"seed_{number}" / RESULT).is_file())


class TemporaryFolder:
    """A folder that goes when nobody holds this object any more, or with the process.

    Attributes:
        path: of the folder.
    """

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="socialjax-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _listed(folder: Path) -> set[int]:
    """The seeds of the result of a run; none while it has not ended, or where it cannot be read, with a warning."""
    path = folder / RESULT
    if not path.is_file():
        return set()
    try:
        return set(RunRecord.read(path).seeds)
    except (ValueError, OSError) as error:
        log.warning("%s; its seeds have results of their own", error)
        return set()


def _seed_of(folder: Path) -> int | None:
    number = folder.name.removeprefix("seed_")
    is_seed = folder.name.startswith("seed_") and number.isascii() and number.isdecimal() and len(number) <= 10
    return int(number) if is_seed and number == str(int(number)) else None


def _made(kind: type, values: dict, path: Path, field: str) -> Any:
    """A settings dataclass from what JSON kept of it; fields that were added since keep their defaults."""
    try:
        return json_files.typed(values, kind, field)
    except json_files.WrongType as error:
        raise ValueError(f"{path}: {error}; the run was made by another version, or the file was changed") from None
    except (ValueError, TypeError) as error:  # what the settings themselves ask for
        raise ValueError(f"{path}: {field}: {error}") from None


log = logging.getLogger(__name__)


def from_run(folder: Path, seed: int) -> Callable[[Params], Params]:
    """Returns a function that replaces fresh parameters by the best ones of a finished run.

    Args:
        folder: of the finished run.
        seed: whose parameters are read.

    Returns:
        A function from fresh parameters to the same tree with the matching arrays replaced (`taken_over`).

    Raises:
        ValueError: the run or the seed is missing.
        CheckpointError: its parameters cannot be read.
    """
    folder, seed = find_seed(folder, seed)
    checkpoints = folder / f"seed_{seed}" / "checkpoints"
    if not checkpoints.is_dir():
        raise CheckpointError(f"{checkpoints} is missing, so there are no parameters to start from; run {folder} again")
    best, _ = read_best(checkpoints)
    return lambda fresh: taken_over(fresh, best, str(folder))


def taken_over(fresh: Params, finished: Params, source: str) -> Params:
    """Replaces arrays of `fresh` by those of `finished` that have their name and shape.

    A name is a path in the tree; a path that ends with the name matches too, as `tables/users` matches `users`.

    Args:
        fresh: newly initialised parameters.
        finished: parameters of the finished run.
        source: its name, for messages.

    Raises:
        ValueError: no array matches, or one matches several.
    """
    given = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(finished)}
    wanted = {_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(fresh)}
    matches: dict[str, str] = {}  # name in fresh -> name in finished
    for name, leaf in given.items():
        fits = [at for at, shape in wanted.items() if f"/{at}".endswith(f"/{name}") and shape == leaf.shape]
        if len(fits) > 1:
            raise ValueError(f"{name} of {source} fits {', '.join(fits)}; a start must fit one array only")
        matches |= {fits[0]: name} if fits else {}
    if not matches:
        shapes = lambda of: ", ".join(f"{n} {s}" for n, s in of.items())  # noqa: E731
        raise ValueError(
            f"nothing of {source} fits this model: it has {shapes({n: v.shape for n, v in given.items()})}, and wanted "
            f"are {shapes(wanted)}; start from a run of the same data and width"
        )
    log.info(
        "from %s: %s; drawn anew: %s", source, ", ".join(matches), ", ".join(set(wanted) - set(matches)) or "nothing"
    )
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.asarray(given[matches[_name(path)]]) if _name(path) in matches else leaf, fresh
    )


def _name(path) -> str:
    return "/".join(str(getattr(part, "key", getattr(part, "name", part))) for part in path)
