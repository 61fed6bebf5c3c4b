"""What the trainings and evaluations on one data set share: made when it is first asked for, and once.

The seeds of a run share a workbench, and so do the models of a table: pairs on the device, evaluation lists, baselines.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from socialjax import models
from socialjax.data.batches import Resident, on_device, resident
from socialjax.data.schema import Dataset
from socialjax.eval import protocol, ranking
from socialjax.eval.metrics import Result
from socialjax.models.protocol import Model
from socialjax.run.measure import measured
from socialjax.run.settings import EvalSettings
from socialjax.train.loop import Trained, train
from socialjax.train.settings import METRIC, TrainSettings


@dataclasses.dataclass(frozen=True)
class Validation:
    """By what epochs are chosen.

    Attributes:
        candidates: those of the validation part.
        floor: popularity's METRIC on them, the plateau from which patience starts.
    """

    candidates: protocol.Candidates
    floor: float

    def chosen_on(self) -> dict:
        """Part, protocol, and the parts whose pairs are never negatives, as in result.json."""
        part, protocol_used = self.candidates.part, self.candidates.protocol
        rejected = protocol.rejecting(part) if protocol_used.strict else (part,)
        return {"part": part, "protocol": protocol_used.name, "rejected": list(rejected)}


class Workbench:
    """A data set, and what is made of it for all who train and evaluate on it.

    Attributes:
        data: the data set.
    """

    def __init__(self, data: Dataset):
        self.data = data
        self._side: tuple[Model, Any] | None = None
        self._candidates: dict[tuple, protocol.Candidates] = {}
        self._floors: dict[protocol.Protocol, float] = {}
        self._references: dict[tuple, dict[str, dict]] = {}

    @functools.cached_property
    def pairs(self) -> Resident:
        """The training pairs. Raises ValueError when there are none."""
        return resident(self.data)

    def side(self, model: Model) -> Any:
        """What `model.prepare` makes of the data, on the device; that of the last model is kept."""
        if self._side is None or self._side[0] != model:
            self._side = None  # let go before another one takes room
            self._side = model, on_device(model.prepare(self.data))
        return self._side[1]

    def candidates(self, settings: EvalSettings, name: str, part: protocol.Part = "test") -> protocol.Candidates:
        """The candidates under that protocol of all users of the part."""
        key = protocol_of(settings, self.data, name), part
        if key not in self._candidates:
            self._candidates[key] = protocol.candidates(self.data, *key)
        return self._candidates[key]

    def validation(self, settings: EvalSettings) -> Validation | None:
        """By what epochs are chosen; None for data without a validation part."""
        if not len(self.data.validation):
            return None
        candidates = self.candidates(settings, settings.validation_protocol, "validation")
        if candidates.protocol not in self._floors:
            self._floors[candidates.protocol] = self._reference(models.REFERENCES["popularity"], candidates)[0].mean()[
                METRIC
            ]
        return Validation(candidates, self._floors[candidates.protocol])

    def references(self, settings: EvalSettings) -> dict[str, dict]:
        """{"metrics", "corrected"}: name -> protocol -> metrics of the baselines that do not train, and the same of the
        estimates of full metrics."""
        key = tuple(protocol_of(settings, self.data, name) for name in settings.protocols())
        if key not in self._references:
            metrics: dict[str, dict] = {"metrics": {}, "corrected": {}}
            candidates = {name: self.candidates(settings, name) for name in settings.protocols()}
            for baseline, model in models.REFERENCES.items():
                if any(getattr(self.data, need) is None for need in model.traits.needs):
                    continue
                each = {name: self._reference(model, mine) for name, mine in candidates.items()}
                metrics["metrics"][baseline] = {name: result.mean() for name, (result, _) in each.items()}
                metrics["corrected"][baseline] = {name: estimate for name, (_, estimate) in each.items() if estimate}
            self._references[key] = metrics
        return self._references[key]

    def _reference(self, model: Model, candidates: protocol.Candidates) -> tuple[Result, dict[str, float]]:
        side = on_device(model.prepare(self.data))
        return measured(model, ranking.encode(model, model.init(jax.random.key(0), side), side), self.data, candidates)

    def train(
        self,
        model: Model,
        settings: TrainSettings,
        validation: Validation | None,
        seed: int,
        folder: Path,
        fingerprint: str,
        start: Callable[[Any], Any] | None = None,
        stop_after: int | None = None,
    ) -> Trained:
        """`train.loop.train` on these data; without a validation all epochs are trained.

        Raises ValueError for a model that does not train.
        """
        if not model.traits.trains:
            raise ValueError(f"{type(model).__name__} does not train; it is a baseline of every table")
        side, validated = self.side(model), {}
        if validation is not None:
            candidates = validation.candidates
            validated["validate"] = lambda params: ranking.evaluate(model, params, side, candidates).mean()
            validated["floor"] = validation.floor
        folder.mkdir(parents=True, exist_ok=True)
        return train(
            model,
            side,
            self.pairs,
            settings,
            seed,
            folder,
            fingerprint,
            start=start,
            stop_after=stop_after,
            **validated,
        )


def protocol_of(settings: EvalSettings, data: Dataset, name: str) -> protocol.Protocol:
    """The protocol of that name on these data.

    Of the default cut-offs, those above a small catalogue are left out; cut-offs that were asked for stay an error.
    """
    made = settings.make(name)
    if made.ks == protocol.KS and data.num_items >= 10:
        made = dataclasses.replace(made, ks=tuple(k for k in made.ks if k <= data.num_items))
    return made
