"""Training an attribute network in two stages (docs/saers.md).

First the branches learn the classes, with the backbone where it is not frozen. Then regions are fixed, boxes are data,
and the layers over the regions learn the same classes from inside the boxes. Each stage stops early on validation
accuracy, and its best parameters are kept.
"""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from socialjax import stop
from socialjax.stop import heeded
from socialjax.train.checkpoint import Checkpoints
from socialjax.train.log import MetricsLog, Progress
from socialjax.train.loop import Diverged
from socialjax.vision.labelled.photos import LabelledBatches
from socialjax.vision.sen import SEN, locate, masked_loss

STAGES = ("classes", "regions")
REGION = "region"  # how the names of the second stage's layers begin


@dataclasses.dataclass(frozen=True)
class AttributeTraining:
    """Settings of the training.

    Attributes:
        epochs: of the branches.
        region_epochs: of the layers over the regions.
        learning_rate: of everything but the backbone.
        backbone_rate: learning rate of the backbone; 0 freezes it.
        weight_decay: of AdamW.
        decay: cosine decay of the learning rate to 0 over all epochs of a stage; constant without.
        patience: epochs without improvement on validation after which a stage ends.
        look_for: the classes whose regions the second stage learns from: the labelled ones, where given, or the
            predicted ones.
        save_seconds: between checkpoints.
        quiet: no progress bar.
    """

    epochs: int = 30
    region_epochs: int = 10
    learning_rate: float = 1e-3
    backbone_rate: float = 0.0
    weight_decay: float = 0.0
    decay: bool = True
    patience: int = 5
    look_for: Literal["label", "likeliest"] = "label"
    save_seconds: float = 60.0
    quiet: bool = False

    def __post_init__(self):
        if self.epochs < 1 or self.region_epochs < 0 or self.patience < 1:
            raise ValueError(
                "wanted at least 1 epoch, 0 region epochs and a patience of 1, got "
                f"{self.epochs}, {self.region_epochs} and {self.patience}"
            )
        if not self.learning_rate > 0 or self.backbone_rate < 0 or self.weight_decay < 0:
            raise ValueError(
                "wanted a learning rate above 0, a backbone rate and a weight decay of at least 0, got "
                f"{self.learning_rate}, {self.backbone_rate} and {self.weight_decay}"
            )


class TrainedAttributes(NamedTuple):
    """A trained network.

    Attributes:
        variables: of the network, the best of each stage.
        accuracy: stage -> f64[K] on validation, NaN where nothing is labelled.
        epoch: stage -> the best epoch.
        seconds: of training, over all resumed runs.
    """

    variables: dict
    accuracy: dict[str, np.ndarray]
    epoch: dict[str, int]
    seconds: float


def train_attributes(
    network: SEN,
    variables: Mapping[str, Any],
    batches: LabelledBatches,
    validation: tuple[np.ndarray, np.ndarray],
    settings: AttributeTraining,
    seed: int,
    folder: Path,
    fingerprint: str,
) -> TrainedAttributes:
    """Trains an attribute network; the same call resumes a stopped one.

    Args:
        network: to be trained.
        variables: initial values, of `network.init`, with a backbone's published ones inserted.
        batches: training data.
        validation: (inputs, labels) as in LabelledBatches.
        settings: of the training.
        seed: of dropout.
        folder: for checkpoints and metrics.jsonl.
        fingerprint: a hash of all settings and data; only a run with the same one is resumed.

    Returns:
        The best variables of each stage.

    Raises:
        ValueError: labels that do not fit the network.
        Diverged: the loss is not finite.
        Interrupted: after SIGTERM or Ctrl-C.
        CheckpointError: as `Checkpoints`.
    """
    _check(network, *validation)
    params, accuracy, epoch, seconds = dict(variables["params"]), {}, {}, 0.0
    stored = {name: value for name, value in variables.items() if name != "params"}
    folder.mkdir(parents=True, exist_ok=True)
    lengths = {"classes": settings.epochs, "regions": settings.region_epochs}
    before, log = 0, MetricsLog(folder / "metrics.jsonl")
    shown = Progress(sum(lengths.values()), 0, "attributes", settings.quiet)
    with heeded(), contextlib.closing(shown) as progress:
        for stage, epochs in lengths.items():
            names = [name for name in params if _learns(name, stage, settings)]
            trainer = _Stage(network, stage, epochs, before, batches, validation, settings, seed, stored, log, progress)
            best, notes = trainer.run(params, names, folder / "checkpoints" / stage, fingerprint)
            params, before = {**params, **best}, before + epochs
            accuracy[stage] = np.array(notes["accuracy"], np.float64)
            epoch[stage], seconds = notes["best_epoch"], seconds + notes["seconds"]
    return TrainedAttributes({**stored, "params": params}, accuracy, epoch, seconds)


def predicted(network: SEN, variables, inputs: np.ndarray, stage: str = "classes", batch: int = 128) -> np.ndarray:
    """i32[N, K]: the predicted classes, by the branches or, in stage "regions", from inside their boxes."""
    predictions, size = [], min(batch, len(inputs))
    for start in range(0, len(inputs), size):
        chunk = inputs[start : start + size]
        filled = np.concatenate([chunk, np.repeat(chunk[:1], size - len(chunk), axis=0)])  # one shape, one compilation
        predictions.append(np.asarray(_likeliest(network, stage, variables, filled))[: len(chunk)])
    return np.concatenate(predictions)


def accuracy_of(predictions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Accuracy of each attribute over its labels.

    Args:
        predictions: i[N, K].
        labels: i[N, K], -1 where unlabelled.

    Returns:
        f64[K], NaN for an attribute without labels.
    """
    known = labels >= 0
    count = known.sum(axis=0)
    return np.where(count > 0, ((predictions == labels) & known).sum(axis=0) / np.maximum(count, 1), np.nan)


@dataclasses.dataclass(frozen=True)
class _Stage:
    """One of the two stages; `before` epochs precede it."""

    network: SEN
    stage: str
    epochs: int
    before: int
    batches: LabelledBatches
    validation: tuple[np.ndarray, np.ndarray]
    settings: AttributeTraining
    seed: int
    stored: dict
    log: MetricsLog
    progress: Progress

    def run(self, params: dict, names: list[str], folder: Path, fingerprint: str) -> tuple[dict, dict]:
        """(the best of the layers `names`, notes)."""
        optimizer = self._optimizer()
        best = {name: jax.tree.map(jnp.asarray, params[name]) for name in names}
        state = {"trainable": best, "optimizer": optimizer.init(best)}
        notes = {"epoch": 0, "best_epoch": 0, "mean": -1.0, "accuracy": [], "seconds": 0.0}
        stop.check()
        saved = Checkpoints(folder, fingerprint)
        try:
            if (found := saved.restore(state, best)) is not None:
                # Through the host: arrays committed to a device would cause every program to be compiled again.
                state, best = jax.tree.map(jnp.asarray, jax.device_get(found[:2]))
                notes = found[2]
            if self._goes_on(notes):  # else lines of the next stage may follow
                self.log.cut_back(self.before + notes["epoch"])
            stop.check()  # one that came while a checkpoint was read
            best = self._epochs(params, state, best, notes, optimizer, saved)
            saved.wait()
        finally:
            with contextlib.suppress(Exception):  # an error of closing must not hide the one that is being raised
                saved.close()
        return best, {**notes, "accuracy": [np.nan if one is None else one for one in notes["accuracy"]]}

    def _epochs(self, params, state, best, notes: dict, optimizer, saved: Checkpoints):
        step = _stepper(self.network, self.stage, self.settings.look_for, optimizer)
        frozen = {"params": {n: v for n, v in params.items() if n not in best}, **self.stored}
        last_saved, is_saved = time.monotonic(), True
        while self._goes_on(notes):
            started = time.monotonic()
            state, loss = self._epoch(step, state, frozen, notes["epoch"])
            variables = {**frozen, "params": {**frozen["params"], **state["trainable"]}}
            accuracies = accuracy_of(
                predicted(self.network, variables, self.validation[0], self.stage), self.validation[1]
            )
            mean = float(np.nanmean(accuracies))
            notes["epoch"] += 1
            notes["seconds"] += time.monotonic() - started
            if mean > notes["mean"]:
                listed = [None if np.isnan(one) else float(one) for one in accuracies]
                notes |= {"mean": mean, "accuracy": listed, "best_epoch": notes["epoch"]}
                best = state["trainable"]
            number = self.before + notes["epoch"]
            self.log.append({"step": number, "stage": self.stage, "loss": loss, "accuracy": mean})
            self.progress.update(number, loss=loss, accuracy=mean)
            is_saved = False
            stop_by = stop.asked()
            if stop_by or time.monotonic() - last_saved > self.settings.save_seconds:
                saved.save(notes["epoch"], state, best, notes)
                last_saved, is_saved = time.monotonic(), True
            if stop_by:
                saved.wait()
                raise stop.Interrupted(stop_by)
        if not is_saved or notes["epoch"] == 0:
            saved.save(notes["epoch"], state, best, notes)
        return best

    def _goes_on(self, notes: dict) -> bool:
        return notes["epoch"] < self.epochs and notes["epoch"] - notes["best_epoch"] < self.settings.patience

    def _epoch(self, step, state, frozen, number: int):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(self.seed), self.before), number)
        trainable, moments, losses = state["trainable"], state["optimizer"], []
        for place, (inputs, labels) in enumerate(self.batches.epoch(self.before + number)):
            trainable, moments, loss = step(trainable, moments, frozen, inputs, labels, jax.random.fold_in(key, place))
            losses.append(loss)
        total, weight = np.sum(jax.device_get(losses), axis=0)
        if not math.isfinite(total):
            raise Diverged(
                f"the loss of stage {self.stage} is not finite in epoch {number + 1}; lower the learning rate "
                f"({self.settings.learning_rate}) and look at the pictures"
            )
        return {"trainable": trainable, "optimizer": moments}, float(total / max(weight, 1))

    def _optimizer(self) -> optax.GradientTransformation:
        def at(rate):
            if self.settings.decay:
                rate = optax.cosine_decay_schedule(rate, max(1, self.epochs * self.batches.steps))
            return optax.adamw(rate, weight_decay=self.settings.weight_decay)

        rates = {"backbone": at(self.settings.backbone_rate), "others": at(self.settings.learning_rate)}
        return optax.multi_transform(rates, lambda params: {n: n if n in rates else "others" for n in params})


def _learns(name: str, stage: str, settings: AttributeTraining) -> bool:
    """Whether a stage trains the layer of this name."""
    if name.startswith(REGION):
        return stage == "regions"
    return stage == "classes" and (name != "backbone" or settings.backbone_rate > 0)


def _stepper(network: SEN, stage: str, look_for: str, optimizer):
    """step(trainable, moments, frozen, inputs, labels, key) -> (trainable, moments, (loss, weight))."""

    def total(trainable, frozen, inputs, labels, key):
        variables = {**frozen, "params": {**frozen["params"], **trainable}}
        if stage == "classes":
            maps = network.apply(variables, inputs, method="see")
            values, method = network.apply(variables, maps, method="branches"), "classify"
        else:
            values = locate(network, variables, inputs, labels if look_for == "label" else None).vectors
            method = "region_logits"
        logits = network.apply(variables, values, True, method=method, rngs={"dropout": key})
        loss, weight = masked_loss(logits, labels)
        return loss / jnp.maximum(weight, 1), (loss, weight)

    @functools.partial(jax.jit, donate_argnums=1)
    def step(trainable, moments, frozen, inputs, labels, key):
        gradients, sums = jax.grad(total, has_aux=True)(trainable, frozen, inputs, labels, key)
        updates, moments = optimizer.update(gradients, moments, trainable)
        return optax.apply_updates(trainable, updates), moments, sums

    return step


@functools.partial(jax.jit, static_argnums=(0, 1))
def _likeliest(network: SEN, stage: str, variables, inputs):
    if stage == "regions":
        logits = network.apply(variables, locate(network, variables, inputs).vectors, method="region_logits")
    else:
        maps = network.apply(variables, inputs, method="see")
        logits = network.apply(variables, network.apply(variables, maps, method="branches"), method="classify")
    return jnp.argmax(logits, axis=-1)


def _check(network: SEN, inputs, labels) -> None:
    labels = np.asarray(labels)
    if len(inputs) != len(labels) or labels.ndim != 2 or labels.shape[1] != len(network.classes):
        raise ValueError(
            f"wanted validation labels i[{len(inputs)}, {len(network.classes)}], got {list(labels.shape)}; give a "
            "column for each attribute of the network"
        )
    if (labels >= np.array(network.classes)).any() or (labels < -1).any():
        raise ValueError(f"wanted labels from -1 to below {network.classes}, got {labels.min()} to {labels.max(0)}")
    if (labels < 0).all():
        raise ValueError("wanted validation labels, got none: without them nothing says when to stop")
