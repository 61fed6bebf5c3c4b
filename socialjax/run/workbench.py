"""What the trainings and evaluations on one data set share, made once, and what is measured of each of them.

The seeds of a run share a workbench, and so do the models of a table: pairs on the device, evaluation lists, baselines.
"""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from socialjax import models
from socialjax.contract import Model
from socialjax.data.schema import Dataset
from socialjax.eval import beyond, corrected, groups, keyframes, protocol, ranking
from socialjax.eval.metrics import Result, rows_of
from socialjax.eval.significance import mean_interval
from socialjax.ops.losses import LOSSES
from socialjax.run.settings import EvalSettings
from socialjax.train.loop import Job, Trained, train_seeds
from socialjax.train.programs import Programs
from socialjax.train.step import METRIC, Resident, TrainSettings, on_device, resident

K_CHOOSES = int(METRIC.partition("@")[2])


def measured(model, state, data: Dataset, candidates: protocol.Candidates) -> tuple[Result, dict[str, float]]:
    """Evaluates a model on candidates.

    Args:
        model: the model.
        state: what its `encode` returned.
        data: the data set.
        candidates: of one protocol and part.

    Returns:
        The metrics of each user and, for strict sampled candidates of the test part, estimates of the full metrics by
        name (else empty).
    """
    result = ranking.evaluate_state(model, state, candidates)
    if candidates.protocol.num_negatives is None or not candidates.protocol.strict or candidates.part != "test":
        return result, {}
    masked = groups.interaction_counts(data)[candidates.users]
    population = corrected.populations(data.num_items, masked, candidates.positives.lengths())
    return result, corrected.estimate(result.positives.counts, population, k=min(K_CHOOSES, data.num_items))


def counted_by(data: Dataset) -> dict[str, tuple[np.ndarray, Sequence[int]]]:
    """By what users are grouped: kind of group -> a count i64[U] and the groups' bounds."""
    kinds = {"interactions": (groups.interaction_counts(data), groups.BOUNDS)}
    if data.links is not None:
        kinds["social degree"] = groups.social_degrees(data.links, data.num_users), groups.FINE_BOUNDS
    return kinds


def by_sparsity(data: Dataset, result: Result, lists: beyond.Measured | None = None) -> dict:
    """Means by sparsity: training interactions of users and of items and, with links, social degree.

    lists: what was measured of the lists of these users, which stands beside the means of its group.
    """
    means = {kind: groups.by_group(result, *counts) for kind, counts in counted_by(data).items()}
    means["item interactions"] = groups.by_item_group(result, groups.item_counts(data))
    for kind, by_label in (lists.groups if lists else {}).items():
        for label, figures in by_label.items():
            means[kind][label].update(figures)
    return means


def key_frames(model, state, side, data: Dataset) -> tuple[dict, keyframes.FrameResult] | None:
    """Key-frame metrics of a model that ranks frames, as a summary and by record; None for other models or data.

    The figures have chance in closed form beside each metric and, of a model that trains on some of an item's frames
    alone, `truncated`, the share it does not see at once.
    """
    records = keyframes.records(data)
    if records is None or not model.traits.ranks_frames:
        return None
    result = keyframes.frame_metrics(keyframes.record_scores(model, state, side, records), records)
    truncated = {"truncated": model.truncated(side)} if model.traits.samples_frames else {}
    return result.summary() | truncated, result


def key_frames_over_seeds(seeds: list[dict]) -> dict:
    """The key-frame metrics of all seeds: {metric: mean, ci95 and values over seeds, within, random}, and the counts.

    within: half the width of each seed's own interval, clustered by user, the widest of them.
    """
    metrics = {}
    for name, first in seeds[0]["metrics"].items():
        per_seed = [seed["metrics"][name] for seed in seeds]
        mean, half = mean_interval([metric["mean"] for metric in per_seed])
        widths = [metric["ci95"] for metric in per_seed if metric["ci95"] is not None]
        per_user = [metric["per_user"] for metric in per_seed]
        metrics[name] = {"mean": mean, "ci95": half, "values": [metric["mean"] for metric in per_seed]}
        metrics[name] |= {"within": max(widths, default=None), "per_user": per_user, "random": first["random"]}
    return {**seeds[0], "metrics": metrics}


def evaluated_users(data: Dataset) -> dict[str, int]:
    """How many users there are (`all`), have a test pair (`evaluated`), are `cold` among these, that is without a
    training pair, and have a validation pair (`validation`)."""
    tested = np.unique(data.test.user)
    cold = np.count_nonzero(~np.isin(tested, data.train.user))
    validated = len(np.unique(data.validation.user))
    return {"all": data.num_users, "evaluated": len(tested), "cold": int(cold), "validation": validated}


@dataclasses.dataclass(frozen=True)
class Validation:
    """By what epochs are chosen.

    Attributes:
        candidates: those of the validation part.
        floor: popularity's `metric` on them, the plateau from which patience starts.
        metric: of which the highest epoch is chosen.
    """

    candidates: protocol.Candidates
    floor: float
    metric: str = METRIC

    def chosen_on(self) -> dict:
        """Metric, part, protocol, and the parts whose pairs are never negatives, as in result.json."""
        part, protocol_used = self.candidates.part, self.candidates.protocol
        rejected = protocol.rejecting(part) if protocol_used.strict else (part,)
        return {"part": part, "protocol": protocol_used.name, "rejected": list(rejected), "metric": self.metric}


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
        self._programs = Programs()

    @functools.cached_property
    def pairs(self) -> Resident:
        """The training pairs. Raises ValueError when there are none."""
        return resident(self.data)

    @functools.cached_property
    def catalogue(self) -> beyond.Catalogue:
        """What lists of recommendations are measured against."""
        return beyond.Catalogue(self.data)

    def side(self, model: Model) -> Any:
        """What `model.prepare` makes of the data, on the device; that of the last model is kept."""
        if self._side is None or self._side[0] != model:
            self._side, self._programs = None, Programs()  # let go before another one takes room
            self._side = model, on_device(model.prepare(self.data))
        return self._side[1]

    def candidates(self, settings: EvalSettings, name: str, part: protocol.Part = "test") -> protocol.Candidates:
        """The candidates under that protocol of all users of the part."""
        key = protocol_of(settings, self.data, name, part), part
        if key not in self._candidates:
            self._candidates[key] = protocol.candidates(self.data, *key)
        return self._candidates[key]

    def validation(self, settings: EvalSettings) -> Validation | None:
        """By what epochs are chosen; None for data without a validation part."""
        if not len(self.data.validation):
            return None
        candidates = self.candidates(settings, settings.validation_protocol, "validation")
        metric = chosen_by(candidates.protocol, self.data)
        if candidates.protocol not in self._floors:
            popularity = models.REFERENCES["popularity"]
            result, _ = measured(popularity, self._state(popularity), self.data, candidates)
            self._floors[candidates.protocol] = result.mean()[metric]
        return Validation(candidates, self._floors[candidates.protocol], metric)

    def references(self, settings: EvalSettings) -> dict[str, dict]:
        """{"metrics", "corrected"}: name -> protocol -> metrics of the baselines that do not train, and the same of the
        estimates of full metrics; and "beyond": name -> metrics beyond accuracy."""
        key = (*(protocol_of(settings, self.data, name) for name in settings.protocols()), settings.metrics)
        if key not in self._references:
            found: dict[str, dict] = {"metrics": {}, "corrected": {}, "beyond": {}}
            candidates = {name: self.candidates(settings, name) for name in settings.protocols()}
            for baseline, model in models.REFERENCES.items():
                if any(getattr(self.data, need) is None for need in model.traits.needs):
                    continue
                state = self._state(model)
                each = {name: measured(model, state, self.data, mine) for name, mine in candidates.items()}
                found["metrics"][baseline] = {name: result.mean() for name, (result, _) in each.items()}
                found["corrected"][baseline] = {name: estimate for name, (_, estimate) in each.items() if estimate}
                found["beyond"][baseline] = self.beyond(model, state, settings, by_group=False).figures
            self._references[key] = found
        return self._references[key]

    def _state(self, model: Model) -> Any:
        """That of a baseline without parameters."""
        side = on_device(model.prepare(self.data))
        return ranking.encode(model, model.init(jax.random.key(0), side), side)

    def beyond(self, model: Model, state: Any, settings: EvalSettings, by_group: bool = True) -> beyond.Measured:
        """Metrics beyond accuracy of the lists of all test users, from all items but those they took in train.

        Args:
            model: the model.
            state: what its `encode` returned.
            settings: whose cut-offs count; the lists are the same for every protocol.
            by_group: whether the groups of users are measured as well.
        """
        data, ks = self.data, beyond.cut_offs(protocol_of(settings, self.data, "full").ks)
        users = np.unique(data.test.user).astype(np.int32)
        items, _ = ranking.top_k(model, state, users, max(ks), data.num_items, self.catalogue.taken)
        positives = rows_of([data.test], data.num_users, data.num_items).take(users)
        kinds = counted_by(data).items() if by_group else ()
        members = {kind: groups.members(users, *counts) for kind, counts in kinds}
        lists = beyond.Lists(users, items, self.catalogue, positives)
        return beyond.measure(lists, ks, members, beyond.LISTED | settings.further())

    def train(
        self,
        model: Model,
        settings: TrainSettings,
        validation: Validation | None,
        seed: int,
        folder: Path,
        fingerprint: str,
        stop_after: int | None = None,
    ) -> Trained:
        """`train_seeds` of one seed."""
        return self.train_seeds(model, settings, validation, [Job(seed, folder, fingerprint)], stop_after)[0]

    def train_seeds(
        self,
        model: Model,
        settings: TrainSettings,
        validation: Validation | None,
        jobs: Sequence[Job],
        stop_after: int | None = None,
    ) -> list[Trained]:
        """`train.loop.train_seeds` on these data; without a validation all epochs are trained. What was compiled for
        the last model serves further seeds of it.

        Raises ValueError for a model that does not train.
        """
        if not model.traits.trains:
            raise ValueError(f"{type(model).__name__} does not train; it is a baseline of every table")
        side, validated = self.side(model), {}
        if validation is not None:
            candidates = validation.candidates
            validated["validate"] = ranking.MeanMetrics(model, side, candidates)
            validated["floor"] = validation.floor
            validated["metric"] = validation.metric
        for job in jobs:
            job.folder.mkdir(parents=True, exist_ok=True)
        return train_seeds(
            model, side, self.pairs, settings, jobs, stop_after=stop_after, programs=self._programs, **validated
        )


def protocol_of(settings: EvalSettings, data: Dataset, name: str, part: protocol.Part = "test") -> protocol.Protocol:
    """The protocol of that name on these data.

    Of the default cut-offs, those above a small catalogue are left out (`Protocol.within`); cut-offs that were asked
    for stay an error. The validation part has the one that chooses the epoch, and of the others those that fit.
    """
    made = settings.make(name)
    if part == "validation":
        longest = made.longest(data.num_items)
        fitting = (k for k in made.ks if k <= longest)
        return dataclasses.replace(made, ks=tuple(dict.fromkeys((*fitting, min(K_CHOOSES, longest)))))
    return made.within(data.num_items) if made.ks == protocol.KS else made


def chosen_by(used: protocol.Protocol, data: Dataset) -> str:
    """The metric by which epochs are chosen: METRIC, or NDCG of the longest list where that is shorter."""
    return f"NDCG@{min(K_CHOOSES, used.longest(data.num_items))}"


# In what file one's own data have a part that a model needs (docs/data.md).
FILES = {
    "links": "{}.links with a line `follower followee` for each",
    "owners": "{}.owners with a line `item user` for each",
    "user_features": "user_features.csv with a column of ids and numbers in all others",
    "item_features": "item_features.csv with a column of ids and numbers in all others",
}


def check_parts(model: Model, data: Dataset) -> None:
    """Raises ValueError for data without a part that the model needs, with the files that would bring it, and for a
    loss that is not here."""
    objective = getattr(model, "objective", None)
    if isinstance(objective, str) and objective not in LOSSES:
        raise ValueError(LOSSES.unknown(objective))
    try:
        model.check(data)
    except ValueError as error:
        absent = [need for need in model.traits.needs if getattr(data, need, None) is None and need in FILES]
        files = " and ".join(FILES[need].format(data.name) for need in absent)
        raise ValueError(f"{error}{': ' * bool(files)}{files}") from None


def check(data: Dataset, settings: EvalSettings) -> None:
    """Refuses, from counts alone, what could not be evaluated after a training: every protocol, for every user.

    Key frames have no such limit: their lists are the frames of an item, and items without a choice are left out.

    Raises:
        ValueError: what was wanted by which option, what the data set has, and what to do.
    """
    settings.further()
    asked = [("--eval.protocol", settings.protocol), *(("--eval.also", name) for name in settings.also)]
    wanted: list[tuple[str, str, protocol.Part]] = [(option, name, "test") for option, name in asked]
    if len(data.validation):
        wanted.append(("--eval.validation-protocol", settings.validation_protocol, "validation"))
    for option, name, part in wanted:
        try:
            protocol.check(data, protocol_of(settings, data, name, part), part)
        except ValueError as error:
            raise ValueError(f"{option} {name}, {part} part of data set '{data.name}': {error}") from None


def shortened(data: Dataset, settings: EvalSettings) -> list[str]:
    """A line for each protocol whose default cut-offs a small catalogue has shortened, and one for the choosing one."""
    lines = []
    for name in settings.protocols():
        used = protocol_of(settings, data, name)
        if left_out := sorted(set(settings.ks) - set(used.ks)):
            kept, longest = " ".join(map(str, used.ks)), used.longest(data.num_items)
            lines.append(
                f"cut-offs of {name}: {kept}; {' '.join(map(str, left_out))} exceed lists of {longest} items "
                f"(the catalogue has {data.num_items})"
            )
    if len(data.validation):
        metric = chosen_by(protocol_of(settings, data, settings.validation_protocol, "validation"), data)
        if metric != METRIC:
            lines.append(f"epochs are chosen by validation {metric} in place of {METRIC}")
    return lines
