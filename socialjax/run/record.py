"""The record of a run as result.json holds it: of all its seeds, and of one; and what it must be to be believed."""

import dataclasses
import math
import re
import shutil
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NotRequired, Self, TypedDict

import numpy as np

from socialjax import json_files
from socialjax.atomic_write import atomic_write
from socialjax.eval.protocol import parse
from socialjax.eval.significance import mean_interval
from socialjax.names import BadName, identifier
from socialjax.run import results
from socialjax.train.checkpoint import CheckpointError, newest

METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}(@\d{1,6})?")
MOST_SEEDS = 1000
# A mean of numbers that were each rounded to 16 bits, 11 of them digits, is off by at most half the last digit.
ROUNDING = 2.0**-11
SMALLEST = 1e-7
Scalar = bool | int | float | str | None


class OverSeeds(TypedDict):
    """A metric over seeds: its mean, half the width of the 95 % interval (None of one seed), and each seed's value."""

    mean: float
    ci95: float | None
    values: list[float]


class Evaluation(TypedDict):
    protocol: str
    seed: int


class Settings(TypedDict):
    model: dict[str, Scalar | list[Scalar]]
    data: dict
    train: dict
    eval: Evaluation
    preset: NotRequired[str | None]


class Origin(TypedDict):
    kind: str
    files: dict[str, str]
    published: NotRequired[str]


class Seconds(TypedDict):
    train: float
    eval: float
    test: float
    total: NotRequired[float]


Metrics = dict[str, float]
Groups = dict[str, dict[str, Metrics]]  # kind of group -> group -> its `users` and their metrics


class _Record:
    """Of a dataclass whose fields are the keys of a JSON file, in their order."""

    WHAT: ClassVar[str]
    ADVICE: ClassVar[str]
    OMITTED: ClassVar[tuple[str, ...]]  # keys that are left out while they are None

    @classmethod
    def from_json(cls, value: object, path: Path) -> Self:
        """The record that a file holds. Keys that came later have the default of their field; others are passed over.

        Raises ValueError that names the file and the key when it is no such record.
        """
        try:
            return cls(**_fields_of(cls, json_files.typed(value, dict)))
        except (json_files.WrongType, BadName, ValueError) as error:
            raise ValueError(f"{path} is not {cls.WHAT}: {error}; {cls.ADVICE}") from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """`from_json` of what is in the file."""
        return cls.from_json(results.read_json(path), path)

    def to_json(self) -> dict[str, Any]:
        """What the file holds."""
        values = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {name: value for name, value in values if value is not None or name not in self.OMITTED}


def _fields_of(kind: type, value: dict) -> dict:
    """The values of the fields, as they are in JSON. Raises WrongType for one of another type or that is missing."""
    hints, fields = typing.get_type_hints(kind), dataclasses.fields(kind)
    missing = sorted(
        field.name
        for field in fields
        if field.name not in value and {field.default, field.default_factory} == {dataclasses.MISSING}
    )
    if missing:
        raise json_files.WrongType(f"the file lacks {', '.join(missing)}")
    values = {field.name: value[field.name] for field in fields if field.name in value}
    for name, one in values.items():
        json_files.typed(one, hints[name], name)
    return values


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedRecord(_Record):
    """result.json of one seed.

    Attributes:
        seed: its number.
        metrics: of the table's protocol, on the test part.
        also: protocol -> metrics.
        corrected: protocol -> estimates of the full metrics.
        groups: the metrics by how much is known of users and items, those of `beyond` by users.
        validation: those by which the epoch was chosen; empty without a validation part.
        epoch: the one whose parameters were kept.
        seconds: of training, validation, test and all.
        pairs_per_second: in training.
        peak_memory_bytes: of the device, or of the process.
        popularity_validation: popularity's metric on the validation lists.
        chosen_on: part, protocol and rejected parts of these lists; None without any, and in records of before.
        code: digest of what the model's code did when it was trained; None in records of before.
        key_frames: of a model that ranks frames, where likes of them are known.
        beyond: metrics beyond accuracy, of lists from the whole catalogue; None in records of before.
        evaluation: protocol, further protocols and cut-offs; None in records of before, which are as the run began.
    """

    WHAT = "the result of a seed"
    ADVICE = "delete it and start the run again"
    OMITTED = ("key_frames", "beyond", "code", "evaluation")

    seed: int | None = None
    metrics: Metrics
    also: dict[str, Metrics]
    corrected: dict[str, Metrics] = dataclasses.field(default_factory=dict)
    groups: Groups
    validation: Metrics | None = None
    epoch: int
    seconds: Seconds
    pairs_per_second: float
    peak_memory_bytes: int
    popularity_validation: float | None = None
    chosen_on: dict | None = None
    code: str | None = None
    key_frames: dict | None = None
    beyond: Metrics | None = None
    evaluation: dict | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord(_Record):
    """result.json of a run: its seeds together.

    Attributes:
        experiment: what it is called.
        dataset: the data set, and `data`, its kind: real, stand-in, planted.
        features: `given` when the model read some, else `none`.
        model: its name.
        protocol: that of the table.
        seeds: their numbers; lists below are in this order.
        metrics: on the test part by that protocol, and `also` by others.
        corrected: protocol -> estimates of the full metrics.
        groups: of each seed.
        validation: of the epochs that were chosen; empty without a validation part.
        epoch: of each seed.
        chosen_on: as of the first seed.
        key_frames: over seeds.
        beyond: metrics beyond accuracy, of lists from the whole catalogue; None where a seed has none.
        references: baseline -> metrics of the table's protocol; `references_also` by all protocols,
            `references_corrected` the estimates and `references_beyond` the metrics beyond accuracy.
        seconds: sums over seeds, and those of the whole command.
        pairs_per_second: the mean.
        peak_memory_bytes: the largest.
        reported: what others report, for the table.
        settings: all of them.
        provenance: that of the data.
        code: digests of what the model's code does; None in records of before.
        commit: of the source tree, with `versions` of libraries and `device`.
        users: how many there are (`all`), were `evaluated`, are `cold` among these (without a training pair), and chose
            the epoch (`validation`); None in records of before.
        per_user_sha256: of the metrics of each user, in a kept run.
    """

    WHAT = "the result of a run over seeds"
    ADVICE = "run it again"
    OMITTED = ("key_frames", "beyond", "references_beyond", "code", "users", "per_user_sha256")

    experiment: str = ""
    dataset: str
    data: str
    features: str
    model: str
    protocol: str
    seeds: list[int]
    metrics: dict[str, OverSeeds]
    also: dict[str, dict[str, OverSeeds]]
    corrected: dict[str, dict[str, OverSeeds]] | None = None
    groups: list[Groups]
    validation: dict[str, OverSeeds] = dataclasses.field(default_factory=dict)
    epoch: list[int]
    chosen_on: dict | None = None
    key_frames: dict | None = None
    beyond: dict[str, OverSeeds] | None = None
    references: dict[str, Metrics]
    references_also: dict[str, dict[str, Metrics]] = dataclasses.field(default_factory=dict)
    references_corrected: dict[str, dict[str, Metrics]] = dataclasses.field(default_factory=dict)
    references_beyond: dict[str, Metrics] | None = None
    seconds: Seconds
    pairs_per_second: float
    peak_memory_bytes: int
    reported: list[dict] | None = None
    settings: Settings
    provenance: Origin
    code: str | None = None
    commit: str
    versions: dict = dataclasses.field(default_factory=dict)
    device: str
    users: dict[str, int] | None = None
    per_user_sha256: str | None = None

    @property
    def evaluated(self) -> int:
        """How many users the metrics are means over."""
        if self.users is not None:
            return self.users["evaluated"]
        return sum(group["users"] for group in self.groups[0].get("interactions", {}).values())

    def by_protocol(self) -> dict[str, dict[str, OverSeeds]]:
        """The metrics under each protocol, the table's first."""
        return {self.protocol: self.metrics, **self.also}

    @classmethod
    def from_json(cls, value: object, path: Path) -> Self:
        """As of every record; a run's figures must be the means and intervals of its seeds, too."""
        record = super().from_json(value, path)
        try:
            _check_names(record)
            for protocol, metrics in record.by_protocol().items():
                parse(protocol)
                for name, found in metrics.items():
                    _check_metric(name, found, len(record.seeds), f"{name} by {protocol}")
            for name, found in (record.beyond or {}).items():
                _check_metric(name, found, len(record.seeds), name)
        except (BadName, ValueError) as error:
            raise ValueError(f"{path} is not {cls.WHAT}: {error}; {cls.ADVICE}") from None
        return record


def _check_names(record: RunRecord) -> None:
    identifier(record.dataset, "a data set")
    identifier(record.model, "a model")
    if (preset := record.settings.get("preset")) is not None:
        identifier(preset, "a preset")
    seeds = record.seeds
    if not seeds or len(seeds) > MOST_SEEDS or len(set(seeds)) != len(seeds) or min(seeds) < 0 or max(seeds) >= 2**32:
        raise ValueError(f"seeds wants 1 to {MOST_SEEDS} different numbers of 0 to 2^32 - 1, got {seeds[:5]}")
    if record.users is not None and not {"all", "evaluated", "cold", "validation"} <= record.users.keys():
        raise ValueError("users wants how many there are, evaluated, cold and validation")
    if not record.groups:
        raise ValueError("groups wants those of each seed, got none")
    for place, seed in enumerate(record.groups):
        for kind, groups in seed.items():
            if any("users" not in found for found in groups.values()):
                raise ValueError(f"groups[{place}].{kind} lacks users")


def _check_metric(name: str, summary: OverSeeds, seeds: int, what: str) -> None:
    if not METRIC.fullmatch(name):
        raise ValueError(f"metrics wants names such as NDCG@10, got {name[:40]!r}")
    if len(summary["values"]) != seeds:
        raise ValueError(f"{what} has {len(summary['values'])} values of {seeds} seeds")
    mean, half = mean_interval(summary["values"])
    same = lambda a, b: math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)  # noqa: E731
    if not same(mean, summary["mean"]):
        raise ValueError(f"{what} is {summary['mean']}, and the mean of its seeds is {mean:.6f}")
    if (half is None) != (summary["ci95"] is None) or (half is not None and not same(half, summary["ci95"])):
        raise ValueError(f"{what} has the interval {summary['ci95']}, and its seeds give {half}")


def check_users(
    seeds: Sequence[int], metrics: dict[str, OverSeeds], names: Sequence[str], values: np.ndarray, path: Path
) -> None:
    """Compares each metric of each seed with the mean over users: values f16[U, S, M] of the M metrics `names`.

    Raises ValueError that says which differs; what rounding to 16 bits changes is allowed.
    """
    means = values.mean(axis=0, dtype=np.float64)
    for place, name in enumerate(names):
        if name not in metrics:
            raise ValueError(f"{path} lacks {name}, which is kept of each user; run it again")
        for seed, recorded, mean in zip(seeds, metrics[name]["values"], means[:, place]):
            if not abs(recorded - mean) <= ROUNDING * abs(mean) + SMALLEST:
                raise ValueError(
                    f"{path} says {name} {recorded:.6f} for seed {seed}, and the mean over its {len(values)} users is "
                    f"{mean:.6f}: the two do not belong together; run it again"
                )


RESULT = "result.json"
EVALUATED = ("per_user.npz", "cold_per_user.npz", "key_frames.npz", RESULT)  # of a seed; the last makes them whole
ASIDE, BY = "evaluation-", "evaluation.json"


def for_evaluation(folder: Path, asked: dict) -> list[str]:
    """Makes room in the folder of a run for results by the evaluation `asked`; parameters stay.

    Results by another evaluation are copied to `evaluation-PROTOCOL` inside, whose evaluation.json says what they are
    of, and then taken away; those by this one that were kept so are brought back. Whatever moment it is stopped at, the
    next call goes on.

    Returns:
        What was done, in lines.

    Raises:
        ValueError: a result is damaged, or the folder cannot be written.
        CheckpointError: a seed with a result by another evaluation has no parameters that could be evaluated.
    """
    places = [folder, *sorted(folder.glob("seed_*"))]
    began = results.evaluation_of(results.read_claim(folder / "settings.json")["settings"])
    others = [(place, by) for place in places if (by := _evaluated_by(place / RESULT, began)) not in (None, asked)]
    for place, _ in others:
        if place != folder and not newest(place / "checkpoints"):
            raise CheckpointError(
                f"{place} has a result by another evaluation and no parameters to evaluate anew; ask for that one, or "
                f"delete {place} to train it again"
            )
    lines = {}
    try:
        for place, by in others:
            aside = aside_of(folder, by) or _new_aside(folder, by)
            _copy(place, aside / place.relative_to(folder))
            (place / RESULT).unlink()
            lines[aside] = f"the result by {described(by)} is kept in {aside}"
        back = aside_of(folder, asked)
        for place in reversed(places if back is not None else []):  # the run's own last: with it the run is finished
            source = back / place.relative_to(folder)
            if not (place / RESULT).is_file() and (source / RESULT).is_file():
                _copy(source, place)
                lines[back] = f"the result by {described(asked)} is that of {back}"
    except OSError as error:
        raise results.unwritable(folder, error) from error
    return list(lines.values())


def described(evaluation: dict) -> str:
    """`full, sampled1000-strict; K = 5 10`."""
    further = "".join(f", {name}" for name in evaluation.get("metrics", ()))
    by = f"{', '.join((evaluation['protocol'], *evaluation['also']))}; K = {' '.join(map(str, evaluation['ks']))}"
    return f"{by}; further metrics: {further[2:]}" if further else by


def asides(folder: Path) -> list[Path]:
    """Folders inside that hold results by other evaluations."""
    return sorted(path.parent for path in folder.glob(f"{ASIDE}*/{BY}"))


def aside_of(folder: Path, evaluation: dict) -> Path | None:
    """The one of them with results by this evaluation."""
    return next((aside for aside in asides(folder) if results.read_json(aside / BY) == evaluation), None)


def _new_aside(folder: Path, evaluation: dict) -> Path:
    name = ASIDE + identifier(evaluation["protocol"], "a protocol")
    names = (name if number == 1 else f"{name}-{number}" for number in range(1, 1000))
    aside = next(path for path in map(folder.joinpath, names) if not (path / BY).exists())
    aside.mkdir(exist_ok=True)
    results.write_json(aside / BY, evaluation)
    return aside


def _evaluated_by(result: Path, began: dict) -> dict | None:
    """By what a result of a run or of a seed was evaluated; None where there is none. Those of before do not say."""
    record = results.read_json(result) if result.is_file() else None
    if not isinstance(record, dict):
        return None
    if "settings" in record:
        return results.evaluation_of(json_files.typed(record["settings"], dict, f"{result}: settings"))
    return results.evaluation_of({"eval": record["evaluation"]}) if record.get("evaluation") else began


def _copy(source: Path, target: Path) -> None:
    """The files of a result, the one that makes them whole last."""
    target.mkdir(exist_ok=True)
    for name in EVALUATED:
        if (source / name).is_file():
            with atomic_write(target / name) as temporary:
                shutil.copyfile(source / name, temporary)
