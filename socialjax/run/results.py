"""What a run leaves behind: settings.json, result.json and per-user metrics, and who may write into a used folder."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import jax
import numpy as np

from socialjax import json_files, models
from socialjax.atomic_write import atomic_write
from socialjax.data.schema import Dataset, counts
from socialjax.object_store import address_of
from socialjax.run.settings import EvalSettings, Experiment

# What may change between two starts in one folder: it has no bearing on the figures.
FREE = {
    "seeds",
    "workdir",
    "mirror",
    "start_from",
    "preset",
    "sweep",
    "carry",
    "data.dir",
    "data.features",
    "data.offline",
    "data.require_real",
    "train.quiet",
    "train.save_seconds",
    "train.together",
    "train.writers",
}
FEATURES = "features "  # before the name of a file that --data.features names, among the files of a provenance
PLACES = ("dir", "features")  # of the settings of data: where files lie
# By what the test part is evaluated: no bearing on parameters, so that a finished training may be evaluated anew.
TESTED = ("protocol", "also", "ks", "metrics")
# Settings that came later, with the value that all runs before had: at that value they are no other settings.
LATER = {
    "data.published_features": False,
    "train.schedule": "constant",
    "train.warmup": 0,
    "train.clip": 0.0,
    "train.ema": 0.0,
    "train.accumulate": 1,
    "train.fanouts": [],
}
CODE = ("socialjax", "experiments", "pyproject.toml", "constraints.txt")  # what figures hang on
VERSIONS = ("socialjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class Origin(TypedDict):
    """What decides figures of the data that a settings.json names."""

    kind: str
    files: dict[str, str]


class EvaluatedBy(TypedDict):
    """By what a test part was evaluated."""

    protocol: str
    also: list[str]
    ks: list[int]
    metrics: list[str]


class Claim(TypedDict):
    """Keys of every settings.json, of a run and of a search: the settings of the command line and the data."""

    settings: dict
    data: Origin


def plain(value: Any) -> Any:
    """Dataclasses, paths and tuples as JSON has them."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return (address_of(value) or str(value.absolute())) if isinstance(value, Path) else value


def settings_of(experiment: Experiment) -> dict:
    """All settings, the model with its name, and `start`, a hash of the run it starts from: settings, data and code.

    Raises ValueError when that is no run.
    """
    settings = plain(experiment)
    settings["model"] = {"name": models.name_of(experiment.model), **settings["model"]}
    settings["start"] = None if experiment.start_from is None else _identity(experiment.start_from)
    return settings


def inside(folder: Path, settings: dict) -> dict:
    """The same settings, with places that lie below the folder of the run relative to it: the two move together."""

    def place(value: Any) -> Any:
        is_below = isinstance(value, str) and Path(value).is_relative_to(folder.absolute())
        return str(Path(value).relative_to(folder.absolute())) if is_below else value

    data = {name: place(value) if name in PLACES else value for name, value in settings["data"].items()}
    return settings | {"data": data, "start_from": place(settings["start_from"])}


def _identity(folder: Path) -> str:
    path = folder / "settings.json"
    if not path.is_file():
        raise ValueError(f"--start-from wants the folder of a finished run, and {folder} has no settings.json")
    record, result = read_claim(path), folder / "result.json"
    code = read_code(result) if result.is_file() else None
    return fingerprint({**record["settings"], "code": code}, record["data"], 0)


def binding(settings: dict, data: dict) -> dict:
    """The settings that decide the figures, flat: {"model.dim": 64, ...}, with what the data is."""
    kept = {
        name: value
        for name, value in flat(settings)
        if name not in FREE and not (name in LATER and value == LATER[name])
    }
    return {**kept, "data.kind": data["kind"], "data.files": data["files"]}


def differences(before: dict, now: dict) -> list[str]:
    """Names of what decides parameters and differs between two records with `settings` and `data`."""
    old, new = (_without_feature_names(_deciding(record)) for record in (before, now))
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def _without_feature_names(decided: dict) -> dict:
    """A file that `--data.features` names may be called anything: it is known by its checksum."""
    files = {sha if name.startswith(FEATURES) else name: sha for name, sha in decided["data.files"].items()}
    return decided | {"data.files": files}


def _deciding(record: dict) -> dict:
    tested = {f"eval.{name}" for name in TESTED}
    decided = binding(complete(record["settings"]), record["data"])
    return {name: value for name, value in decided.items() if name not in tested}


def evaluation_of(settings: dict) -> dict:
    """TESTED of settings as a settings.json has them. Raises WrongType when they are of other types."""
    given, usual = settings.get("eval"), EvalSettings()
    given = json_files.typed({} if given is None else given, dict, "settings.eval")
    values = {name: given.get(name, plain(getattr(usual, name))) for name in TESTED}
    found = plain(json_files.typed(values, EvaluatedBy, "settings.eval"))
    return {name: value for name, value in found.items() if name != "metrics" or value}  # as those of before


def complete(settings: dict, defaults: Any = None) -> dict:
    """Settings as a settings.json has them, with those that came later at their defaults.

    defaults: a dataclass of all settings; without, those of a run of the model that is named. A model that nobody knows
    has no defaults.
    """
    model = settings.get("model")
    kind = models.MODELS.get(model.get("name")) if isinstance(model, dict) else None
    return settings if kind is None else _filled(settings, plain(defaults or Experiment(kind())))


def _filled(settings: dict, defaults: dict) -> dict:
    missing = {name: value for name, value in defaults.items() if name not in settings}
    given = {
        name: _filled(value, defaults[name])
        if isinstance(value, dict) and isinstance(defaults.get(name), dict)
        else value
        for name, value in settings.items()
    }
    return missing | given


def fingerprint(settings: dict, data: dict, seed: int) -> str:
    """A hash that is equal for runs that must give equal figures.

    Args:
        settings: as in settings.json; a resumed run uses those of its file, even when fields were added since.
        data: provenance of the data.
        seed: of the training.

    Returns:
        16 hexadecimal digits.
    """
    text = json.dumps({**binding(settings, data), "seed": seed}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def claim(folder: Path, experiment: Experiment, data: Dataset) -> dict:
    """Writes settings.json into `folder`, or checks that the one there has the same settings.

    By what the test part is evaluated may differ (`for_evaluation`); settings.json stays as the training began.

    Args:
        folder: of the run.
        experiment: its settings.
        data: the data set.

    Returns:
        The content of settings.json.

    Raises:
        ValueError: the folder holds a run with other settings (the message names them), or cannot be written.
    """
    record = {
        "settings": inside(folder, settings_of(experiment)),
        "data": data.provenance.as_dict() | {"name": data.name, "counts": counts(data)},
        **made_with(),
    }
    path = folder / "settings.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_used = path.exists() and any(folder.glob("seed_*/*"))  # not by a start that failed before it trained
    except OSError as error:
        raise unwritable(folder, error) from error
    if is_used:
        before = read_claim(path)
        old, new = _deciding(before), _deciding(record)
        changed = [_difference(name, old, new) for name in differences(before, record)]
        if changed:
            raise ValueError(
                f"{folder} holds a run with other settings ({'; '.join(changed)}); choose another --workdir, or "
                "delete the folder to start anew"
            )
        now = {name: record["settings"]["data"][name] for name in PLACES if record["settings"]["data"][name]}
        again = {"seeds": record["settings"]["seeds"], "data": before["settings"]["data"] | now}
        record = before | {"settings": before["settings"] | again}
    try:
        write_json(path, record)
    except OSError as error:
        # A finished run that may only be read is shown all the same, from wherever its data are now.
        if not is_used or before["settings"].get("seeds") != record["settings"]["seeds"]:
            raise unwritable(folder, error) from error
    return record


def _difference(name: str, old: dict, new: dict) -> str:
    before, now = (of.get(name, LATER.get(name)) for of in (old, new))
    if name == "data.files":
        files = sorted(file for file in {*before, *now} if before.get(file) != now.get(file))
        return f"data.files: {', '.join(files)} differ{'s' if len(files) == 1 else ''}"
    return f"{name}: {before} there, {now} now"


def unwritable(folder: Path, error: OSError) -> ValueError:
    return ValueError(f"the work folder {folder} cannot be written ({error}); choose another with --workdir")


def made_with() -> dict:
    """Commit, versions and device."""
    versions = {name: importlib.metadata.version(name) for name in VERSIONS if _is_installed(name)}
    return {"commit": commit(), "versions": versions, "device": device()}


def device() -> str:
    """Such as `2 x cpu` or `8 x TPU v4`."""
    return f"{jax.device_count()} x {jax.devices()[0].device_kind}"


def peak_memory_bytes() -> int:
    """Of the first device where it tells (GPU, TPU), else the resident set of this process."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return int(stats["peak_bytes_in_use"])
    try:
        import resource
    except ImportError:  # not on this system
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@functools.cache
def commit() -> str:
    """The commit of the source tree, `-dirty` when it was changed since; `unknown` outside a clone."""
    root = Path(__file__).resolve().parents[2]
    git = ["git", "-C", str(root)]
    try:
        name = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no", "--", *CODE],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return name.stdout.strip() + ("-dirty" if changed.stdout.strip() else "")


def write_json(path: Path, content: Any) -> None:
    """The file is whole or absent; one that says the same stays, so that what is finished can be shown from a disk that
    cannot be written. Raises ValueError for a number that JSON does not have."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    if path.is_file() and path.read_bytes() == text.encode():
        return
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def read_json(path: Path) -> Any:
    """Raises ValueError that names the file when it is not JSON within the limits of `json_files`."""
    return json_files.read(path, advice="delete it and start the run again")


def read_claim(path: Path) -> dict:
    """A settings.json. Raises ValueError that names file and field when it is not one."""
    try:
        return json_files.typed(read_json(path), Claim)
    except json_files.WrongType as error:
        raise ValueError(f"{path} is not the settings file of a run: {error}; choose another --workdir") from None


def read_code(path: Path) -> str | None:
    """By which code a result was made, as its JSON file says; None where it does not say."""
    record = read_json(path)
    code = record.get("code") if isinstance(record, dict) else []
    if not isinstance(code, str | None):
        raise ValueError(f"{path} does not say in a text by which code it was made; delete it and start the run again")
    return code


def write_per_user(path: Path, users: np.ndarray, per_user: dict[str, np.ndarray]) -> None:
    """users i32[U] and metrics f16[U]: what paired tests need."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:  # a name that does not end in .npz would get it
        np.savez_compressed(file, users=users, **{k: v.astype(np.float16) for k, v in per_user.items()})


def flat(tree: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """("model.dim", 64), ... of nested dicts."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
