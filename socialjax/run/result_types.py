"""What a result.json must be before a table believes it: its types, its names, and sums that come out."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from socialjax import json_files
from socialjax.eval.protocol import parse
from socialjax.eval.significance import mean_interval
from socialjax.names import BadName, identifier

METRIC = re.compile(r"[A-Za-z]{1,20}(@\d{1,6})?")
MOST_SEEDS = 1000
# A mean of numbers that were each rounded to 16 bits, 11 of them digits, is off by at most half the last digit.
ROUNDING = 2.0**-11
SMALLEST = 1e-7
Scalar = bool | int | float | str | None


class OverSeeds(TypedDict):
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


class Result(TypedDict):
    experiment: NotRequired[str]
    dataset: str
    data: str
    features: str
    model: str
    protocol: str
    seeds: list[int]
    metrics: dict[str, OverSeeds]
    also: dict[str, dict[str, OverSeeds]]
    corrected: NotRequired[dict[str, dict[str, OverSeeds]] | None]
    groups: list[dict[str, dict[str, dict[str, float]]]]
    references: dict[str, dict[str, float]]
    references_also: NotRequired[dict[str, dict[str, dict[str, float]]]]
    references_corrected: NotRequired[dict[str, dict[str, dict[str, float]]]]
    commit: str
    settings: Settings
    provenance: Origin
    epoch: list[int]
    seconds: Seconds
    pairs_per_second: float
    peak_memory_bytes: int
    device: str
    code: NotRequired[str]
    per_user_sha256: NotRequired[str]


class SeedResult(TypedDict):
    """result.json of one seed."""

    metrics: dict[str, float]
    also: dict[str, dict[str, float]]
    corrected: NotRequired[dict[str, dict[str, float]]]
    groups: dict[str, dict[str, dict[str, float]]]
    validation: dict[str, float] | None
    epoch: int
    seconds: Seconds
    pairs_per_second: float
    peak_memory_bytes: int
    code: NotRequired[str]
    key_frames: NotRequired[dict]


def check_seed(record: object, path: Path) -> dict:
    """The record, when it is the result of one seed. Raises ValueError that names the file and the field."""
    try:
        json_files.typed(record, SeedResult)
    except json_files.WrongType as error:
        raise ValueError(f"{path} is not the result of a seed: {error}; delete it and start the run again") from None
    return record


def check(record: object, path: Path) -> dict:
    """The record, when it is the result of a run over seeds. Raises ValueError that names the file and the field."""
    try:
        json_files.typed(record, Result)
        _check_names(record)
        for protocol, metrics in {record["protocol"]: record["metrics"], **record["also"]}.items():
            parse(protocol)
            for name, found in metrics.items():
                _check_metric(name, found, len(record["seeds"]), f"{name} by {protocol}")
    except (json_files.WrongType, BadName, ValueError) as error:
        raise ValueError(f"{path} is not the result of a run over seeds: {error}; run it again") from None
    return record


def _check_names(record: dict) -> None:
    identifier(record["dataset"], "a data set")
    identifier(record["model"], "a model")
    if (preset := record["settings"].get("preset")) is not None:
        identifier(preset, "a preset")
    seeds = record["seeds"]
    if not seeds or len(seeds) > MOST_SEEDS or len(set(seeds)) != len(seeds) or min(seeds) < 0 or max(seeds) >= 2**32:
        raise ValueError(f"seeds wants 1 to {MOST_SEEDS} different numbers of 0 to 2^32 - 1, got {seeds[:5]}")
    if not record["groups"]:
        raise ValueError("groups wants those of each seed, got none")
    for place, seed in enumerate(record["groups"]):
        for kind, groups in seed.items():
            if any("users" not in found for found in groups.values()):
                raise ValueError(f"groups[{place}].{kind} lacks users")


def _check_metric(name: str, found: OverSeeds, seeds: int, what: str) -> None:
    if not METRIC.fullmatch(name):
        raise ValueError(f"metrics wants names such as NDCG@10, got {name[:40]!r}")
    if len(found["values"]) != seeds:
        raise ValueError(f"{what} has {len(found['values'])} values of {seeds} seeds")
    mean, half = mean_interval(found["values"])
    same = lambda a, b: math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)  # noqa: E731
    if not same(mean, found["mean"]):
        raise ValueError(f"{what} is {found['mean']}, and the mean of its seeds is {mean:.6f}")
    if (half is None) != (found["ci95"] is None) or (half is not None and not same(half, found["ci95"])):
        raise ValueError(f"{what} has the interval {found['ci95']}, and its seeds give {half}")


def check_users(record: dict, names: Sequence[str], values: np.ndarray, path: Path) -> None:
    """Compares each metric of each seed with the mean over users: values f16[U, S, M] of the M metrics `names`.

    Raises ValueError that says which differs; what rounding to 16 bits changes is allowed.
    """
    means = values.mean(axis=0, dtype=np.float64)
    for place, name in enumerate(names):
        if name not in record["metrics"]:
            raise ValueError(f"{path} lacks {name}, which is kept of each user; run it again")
        for seed, said, got in zip(record["seeds"], record["metrics"][name]["values"], means[:, place]):
            if not abs(said - got) <= ROUNDING * abs(got) + SMALLEST:
                raise ValueError(
                    f"{path} says {name} {said:.6f} for seed {seed}, and the mean over its {len(values)} users is "
                    f"{got:.6f}: the two do not belong together; run it again"
                )
