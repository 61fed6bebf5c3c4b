"""The training loop: epochs, validation, early stopping, checkpoints, and an exact way back after any stop.

Whatever is written is a function of the state and of what is remembered beside it, and both are saved as one. How many
steps a call on the device takes depends on time, but changes nothing: randomness hangs on the number of the step.
"""

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from socialjax import stop
from socialjax.ops.forest import sampled
from socialjax.stop import heeded
from socialjax.train import watch
from socialjax.train.checkpoint import Checkpoints, newest
from socialjax.train.log import Callback, TrainingLog
from socialjax.train.parallel import check_stop, is_first, largest, make_runner, of_first, program_start
from socialjax.train.rows import check_drawn
from socialjax.train.step import METRIC, Resident, TrainSettings, make_optimizer, steps_per_epoch

log = logging.getLogger(__name__)
CALL_SECONDS = 1.0  # about how long one call on the device lasts, and so how soon a signal takes effect
Validate = Callable[[Any], dict[str, float]]


class Diverged(RuntimeError):
    """The loss is not finite."""


@dataclass(frozen=True)
class Trained:
    """Best parameters by validation (of the last epoch without one), when, and how fast."""

    params: Any
    epoch: int
    validation: dict[str, float]
    seconds: dict[str, float]
    pairs_per_second: float


def train(
    model,
    side,
    pairs: Resident,
    settings: TrainSettings,
    seed: int,
    folder: Path,
    fingerprint: str,
    *,
    validate: Validate | None = None,
    floor: float = 0.0,
    metric: str = METRIC,
    start: Callable[[Any], Any] | None = None,
    stop_after: int | None = None,
    devices=None,
    callbacks: Sequence[Callback] = (),
    described: Mapping[str, Any] | None = None,
) -> Trained:
    """Trains `model` in `folder`, going on from the checkpoint there if there is one; the result is the same.

    Args:
        model: a model of the contract in `contract`, and `side`, what its `prepare` made.
        pairs: the training pairs.
        settings: how it is trained.
        seed: of the parameters and of all randomness.
        folder: gets checkpoints and metrics.jsonl.
        fingerprint: of everything that decides the figures; a checkpoint with another one is refused.
        validate: params -> metrics of the validation part, or None to train all epochs.
        floor: popularity's value of `metric` on the validation part.
        metric: by which of the metrics of `validate` epochs are chosen.
        start: fresh parameters -> those to start from, such as another run's.
        stop_after: ends after this epoch of settings.epochs, saved; a later call goes on from there as if it had not
            ended.
        devices: those to train on, by default all.
        callbacks: each gets every line of metrics.jsonl, in the process that writes it.
        described: settings of the run, for the writers that `settings` names.

    Raises:
        Interrupted: after SIGTERM or Ctrl-C.
        Diverged: for a loss that is not finite.
        CheckpointError: for a checkpoint of another training, or one that cannot be read or written.
    """
    optimizer = make_optimizer(settings.optimizer, settings.learning_rate)
    drawn = side
    if settings.fanouts:
        drawn = sampled(side, settings.fanouts)
        check_drawn(model, drawn, optimizer)
    mesh = {"table_shards": settings.table_shards} if settings.backend == "jit" else {}
    runner = make_runner(settings.backend, model, optimizer, drawn, pairs, settings.batch_size, devices=devices, **mesh)
    fresh = runner.fresh(side, seed, start, drawn)
    num_pairs = pairs.users.shape[0]
    with contextlib.ExitStack() as closing:
        closing.enter_context(heeded())
        check_stop()
        saved = Checkpoints(folder / "checkpoints", fingerprint)
        closing.callback(_close, saved)
        per_epoch = steps_per_epoch(num_pairs, settings.batch_size)
        loop = _Loop(settings, runner, fresh, saved, per_epoch, floor, metric)
        loop.last_epoch = settings.epochs if stop_after is None else min(settings.epochs, stop_after)
        loop.resume()
        check_stop()  # one that came while a checkpoint was read
        watch.resumes_from(lambda: _newest(saved.folder, per_epoch))
        progress_settings = dataclasses.replace(settings, epochs=loop.last_epoch)
        written = TrainingLog(
            *(folder, f"seed {seed}", progress_settings, loop.step, per_epoch, is_first(), metric, callbacks, described)
        )
        closing.callback(written.close)
        while not loop.is_over():
            loop.advance()
            if loop.is_evaluation():
                written.line(loop.evaluate(validate))
            written.progress(loop.step, loop.loss)
            stop_by, waited = largest(stop.asked(), time.monotonic() - loop.last_save)
            if stop_by:
                loop.save()
                saved.wait()
                raise stop.Interrupted(int(stop_by))
            if waited >= settings.save_seconds and (settings.save_seconds or loop.is_evaluation()):
                loop.save()
        loop.save()
        saved.wait()
    return loop.trained(num_pairs)


class _Loop:
    """One training: the state on its devices, the best parameters so far, and what is remembered beside them.

    memory is saved with the state, as JSON: the best validation `metric`, its step and its other metrics; seconds of
    training and evaluation; and, for speed, the steps and seconds of the calls that did not compile.
    """

    def __init__(
        self, settings: TrainSettings, runner, state, saved: Checkpoints, per_epoch: int, floor: float, metric: str
    ):
        self.settings, self.runner, self.saved = settings, runner, saved
        self.per_epoch, self.floor, self.metric, self.last_epoch = per_epoch, floor, metric, settings.epochs
        self.state, self.best, self.step = state, None, 0
        self.memory = {"best": -math.inf, "best_step": 0, "validation": {}, "train_seconds": 0.0, "eval_seconds": 0.0}
        self.memory |= {"timed_steps": 0, "timed_seconds": 0.0}
        self.loss, self.watched, self.last_save = math.nan, {}, time.monotonic()
        self._steps_per_call, self._has_compiled = 1, False

    def resume(self) -> None:
        """Goes on from the newest checkpoint, if there is one."""
        copy = self.runner.to_save(self.state)
        self.best = copy.params
        restored = self.saved.restore(copy, copy.params)
        if restored is not None:
            state, self.best, self.memory = restored
            self.step = int(state.step)
            self.state = self.runner.place(state)
            log.info("going on from step %d (epoch %g)", self.step, self.step / self.per_epoch)

    def advance(self) -> None:
        """Some steps, never beyond the end of an epoch. Raises Diverged."""
        started = time.monotonic()
        until = min(self.step + self._steps_per_call, (self.step // self.per_epoch + 1) * self.per_epoch)
        self.state = self.runner.run(self.state, until)
        sums = {name: float(value) for name, value in self.runner.whole(self.state.sums).items()}
        (seconds,) = largest(time.monotonic() - started)  # all processes must choose the same number of steps
        self.memory["train_seconds"] += seconds
        _must_be_finite(sums, self.step, until, self.settings)
        if self._has_compiled:
            self.memory["timed_steps"] += until - self.step
            self.memory["timed_seconds"] += seconds
            steps = round((until - self.step) * CALL_SECONDS / max(seconds, 1e-4))
            self._steps_per_call = max(1, min(self.per_epoch, steps))
        else:
            log.info("first step %.1f s after the start", time.monotonic() - program_start())
        self.step, self._has_compiled = until, True
        self.loss = sums["loss"] / sums["weight"]
        watched = sums.keys() - {"loss", "objective", "weight"}
        self.watched = {name: sums[name] / sums["weight"] for name in sorted(watched)}

    def is_evaluation(self) -> bool:
        """Whether this step ends an epoch after which is validated; the last one always is."""
        epoch, within = divmod(self.step, self.per_epoch)
        return not within and (epoch % self.settings.evaluate_every == 0 or epoch == self.settings.epochs)

    def evaluate(self, validate: Validate | None) -> dict:
        """The line of metrics.jsonl; keeps the parameters when they are the best so far."""
        line = {"epoch": self.step // self.per_epoch, "step": self.step, "loss": self.loss, **self.watched}
        if validate is None:
            self._keep({})
        else:
            started = time.monotonic()
            metrics = self.runner.validated(validate, self.state.params)
            metrics = dict(zip(metrics, of_first(*metrics.values()), strict=True))  # processes may round differently
            self.memory["eval_seconds"] += time.monotonic() - started
            line["validation"] = metrics
            if metrics[self.metric] > self.memory["best"]:
                self._keep(metrics)
        line["seconds"] = round(self.memory["train_seconds"] + self.memory["eval_seconds"], 3)
        return line

    def _keep(self, metrics: dict) -> None:
        self.best = self.runner.to_save(self.state).params
        self.memory |= {"best_step": self.step, "validation": metrics, "best": metrics.get(self.metric, -math.inf)}

    def is_over(self) -> bool:
        """Whether all epochs are done or patience has run out; it does not run on the popularity plateau."""
        if self.step >= self.last_epoch * self.per_epoch:
            return True
        if not self.settings.patience or not self.memory["validation"]:
            return False
        since = self.memory["best_step"]
        if self.memory["best"] <= 1.05 * self.floor:
            since = max(since, self.settings.plateau * self.per_epoch)
        return self.step - since >= self.settings.patience * self.per_epoch

    def save(self) -> None:
        """Starts saving; training may go on meanwhile."""
        log.debug("saving step %d", self.step)
        self.saved.save(self.step, self.runner.to_save(self.state), self.best, self.memory)
        self.last_save = time.monotonic()

    def trained(self, num_pairs: int) -> Trained:
        pairs = self.memory["timed_steps"] / self.per_epoch * num_pairs
        return Trained(
            params=self.runner.best(self.best),
            epoch=self.memory["best_step"] // self.per_epoch,
            validation=self.memory["validation"],
            seconds={"train": self.memory["train_seconds"], "eval": self.memory["eval_seconds"]},
            pairs_per_second=pairs / self.memory["timed_seconds"] if pairs else 0.0,
        )


def _must_be_finite(sums: dict, start: int, stop: int, settings: TrainSettings) -> None:
    if not math.isfinite(sums["loss"]):
        raise Diverged(
            f"the loss is not finite between steps {start} and {stop}; look at --train.learning-rate "
            f"({settings.learning_rate}), --model.l2, --model.init-std and the features"
        )


def _newest(checkpoints: Path, per_epoch: int) -> str:
    """The epoch of the newest whole checkpoint, in words."""
    steps = newest(checkpoints)
    return f"epoch {round(steps[0] / per_epoch, 2):g}" if steps else "the start"


def _close(saved: Checkpoints) -> None:
    with contextlib.suppress(Exception):  # an error on its way out must not be hidden by that of closing
        saved.close()
