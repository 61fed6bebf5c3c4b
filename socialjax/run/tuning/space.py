"""The space that tuning searches: the same points of the shared settings for every model.

After a few known recipes, points are those of a scrambled Sobol sequence, which fills the space evenly whatever their
number (Owen, Journal of Complexity, 1998). Its first dimensions are the shared settings, so that trial t means the same
for every model; a model's own settings, its `search_space`, come from the dimensions after them.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from socialjax.models.protocol import Model
from socialjax.ranges import Choice, LogUniform, Range, Uniform

DIMENSIONS = 8  # of every sequence: another number would be another sequence


# Settings of the model that all models share. A loss and its number of negatives are chosen as one.
LOSSES = Choice((("bpr", 1), ("bce", 4), ("softmax", 16), ("softmax", 32)))
SHARED: dict[str, Range] = {"l2": LogUniform(0.001, 0.1), "dropout": Uniform(0.0, 0.7)}
TRAINING: dict[str, Range] = {"learning_rate": LogUniform(2e-4, 2e-2)}  # published rates are 5e-4 to 5e-3

# Shared settings that did well before, in other people's code or in prototypes: the first trials of every model, whose
# own settings stay as given. Without them a small search misses what needs many regularised epochs.
KNOWN = (
    ({"objective": "bpr", "negatives": 1, "l2": 0.02, "dropout": 0.0}, {"learning_rate": 5e-3}),
    ({"objective": "softmax", "negatives": 32, "l2": 0.04, "dropout": 0.2}, {"learning_rate": 5e-3}),
    ({"objective": "softmax", "negatives": 16, "l2": 0.05, "dropout": 0.6}, {"learning_rate": 5e-3}),
    ({"objective": "softmax", "negatives": 16, "l2": 0.001, "dropout": 0.2}, {"learning_rate": 5e-3}),
    ({"objective": "bce", "negatives": 4, "l2": 0.02, "dropout": 0.5}, {"learning_rate": 5e-3}),
)


@dataclasses.dataclass(frozen=True)
class Point:
    """What a trial changes: fields of the model and of its training."""

    model: dict[str, Any]
    training: dict[str, Any]


def points(name: str, model: Model, trials: int, seed: int) -> list[Point]:
    """The first `trials` points for the model of that name; a shared setting that the model has not is left out.

    Point t depends on (t, seed) alone, and its shared settings are those of every other model. Raises ValueError when
    the model's `search_space` names a field that it has not, and for a space of too many dimensions.
    """
    own, fields = model.search_space, [field.name for field in dataclasses.fields(model)]
    if strange := sorted(set(own) - set(fields)):
        raise ValueError(f"the search space of {name} names {', '.join(strange)}, and it has only {', '.join(fields)}")
    ranges = [LOSSES, *SHARED.values(), *TRAINING.values(), *own.values()]
    if len(ranges) > DIMENSIONS:
        raise ValueError(f"a search has at most {DIMENSIONS} dimensions, and {name} has {len(ranges)}")
    as_given = {field: getattr(model, field) for field in own}
    found = [
        Point({k: v for k, v in shared.items() if k in fields} | as_given, dict(training))
        for shared, training in KNOWN[:trials]
    ]
    for row in _sequence(max(trials - len(KNOWN), 0), seed):
        loss, *drawn = [each.at(u) for each, u in zip(ranges, row.tolist())]
        shared = {"objective": loss[0], "negatives": loss[1], **dict(zip(SHARED, drawn))}
        drawn = drawn[len(SHARED) :]
        training, rest = dict(zip(TRAINING, drawn)), drawn[len(TRAINING) :]
        found.append(Point({k: v for k, v in shared.items() if k in fields} | dict(zip(own, rest)), training))
    return found


def searched(model: Model | type[Model]) -> set[str]:
    """Fields of that model which the search sets."""
    return {"objective", "negatives", *SHARED, *model.search_space}


def _sequence(length: int, seed: int) -> np.ndarray:
    """f64[length, DIMENSIONS] in [0, 1)."""
    from scipy.stats import qmc  # half a second

    sobol = qmc.Sobol(DIMENSIONS, scramble=True, rng=np.random.default_rng(seed))
    return sobol.random_base2(math.ceil(math.log2(max(length, 1))))[:length]  # in full powers of 2, else SciPy warns
