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

import jax

from socialjax import stop
from socialjax.stop import heeded
from socialjax.train import watch
from socialjax.train.checkpoint import Checkpoints, newest
from socialjax.train.log import Callback, TrainingLog
from socialjax.train.parallel import check_stop, is_first, largest, of_first, program_start
from socialjax.train.programs import Programs, Run
from socialjax.train.recipe import evaluated, finished
from socialjax.train.step import METRIC, Resident, TrainSettings, TrainState, new_state, steps_per_epoch
from socialjax.train.together import check_devices, free_bytes, groups, most_at_a_time

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


@dataclass(frozen=True)
class Job:
    """One seed to train.

    Attributes:
        seed: of the parameters and of all randomness.
        folder: gets checkpoints and metrics.jsonl.
        fingerprint: of everything that decides the figures; a checkpoint with another one is refused.
        start: fresh parameters -> those to start from, such as another run's.
        callbacks: each gets every line of metrics.jsonl, in the process that writes it.
        described: settings of the run, for the writers that the settings of training name.
    """

    seed: int
    folder: Path
    fingerprint: str
    start: Callable[[Any], Any] | None = None
    callbacks: Sequence[Callback] = ()
    described: Mapping[str, Any] | None = None


def train(model, side, pairs: Resident, settings: TrainSettings, seed: int, folder: Path, fingerprint: str, **more):
    """Trains one seed in `folder`: its `Trained`. Arguments and errors are those of `Job` and `train_seeds`."""
    own = {name: more.pop(name) for name in ("start", "callbacks", "described") if name in more}
    return train_seeds(model, side, pairs, settings, [Job(seed, folder, fingerprint, **own)], **more)[0]


def train_seeds(
    model,
    side,
    pairs: Resident,
    settings: TrainSettings,
    jobs: Sequence[Job],
    *,
    validate: Validate | None = None,
    floor: float = 0.0,
    metric: str = METRIC,
    stop_after: int | None = None,
    devices=None,
    programs: Programs | None = None,
) -> list[Trained]:
    """Trains `model` for each job, going on from the checkpoint in its folder if there is one; the result is the same.

    With `settings.together` as many seeds are trained at the same time as memory allows. Each has its own validation,
    early stopping, checkpoints and lines, so that what was begun one by one may go on together and the other way round.

    Args:
        model: a model of the contract in `contract`, and `side`, what its `prepare` made.
        pairs: the training pairs.
        settings: how it is trained.
        jobs: the seeds and where they are kept.
        validate: params -> metrics of the validation part, or None to train all epochs.
        floor: popularity's value of `metric` on the validation part.
        metric: by which of the metrics of `validate` epochs are chosen.
        stop_after: ends after this epoch of settings.epochs, saved; a later call goes on from there as if it had not
            ended.
        devices: those to train on, by default all.
        programs: what was compiled for trainings before, by default nothing.

    Returns:
        What became of each job.

    Raises:
        Interrupted: after SIGTERM or Ctrl-C.
        Diverged: for a loss that is not finite; seeds beside it are saved.
        CheckpointError: for a checkpoint of another training, or one that cannot be read or written.
    """
    devices = jax.devices() if devices is None else devices
    check_devices(settings.together, len(devices))
    made = (programs or Programs()).of(model, side, pairs, settings, devices)

    def fresh(job: Job) -> TrainState:
        return made.runner.fresh(side, job.seed, job.start, made.drawn)

    most = 1
    if settings.together != "off":
        shape = jax.eval_shape(lambda: new_state(model, side, made.optimizer, 0, None, made.drawn))
        most = most_at_a_time(shape, shape.params, free_bytes(devices[0]))
    ways = {"side_by_side": made.side_by_side, "vmap": made.stacked}
    trained = []
    for group in groups(jobs, most):
        run = ways[settings.together] if len(group) > 1 else made.one
        with contextlib.ExitStack() as closing:
            closing.enter_context(heeded())
            check_stop()
            loops = []
            for job in group:
                loop = _Loop(settings, job, made.runner, fresh, pairs, floor, metric, stop_after)
                loops.append(loop)
                closing.callback(loop.close)
                loop.resume()
                check_stop()  # one that came while a checkpoint was read
                loop.open_log()
            slowest = min(loops, key=lambda loop: loop.step)
            watch.resumes_from(lambda slowest=slowest: _newest(slowest.saved.folder, slowest.per_epoch))
            _drive(loops, run, validate)
        trained += [loop.trained() for loop in loops]
    return trained


def _drive(loops: "list[_Loop]", run: Run, validate: Validate | None) -> None:
    """Trains all to their ends. run: (states, the step up to which each is trained) -> the new states."""
    going, is_first_call = _those_that_go_on(loops), True
    while going:
        _advance(going, run)
        if is_first_call:
            log.info("first step %.1f s after the start", time.monotonic() - program_start())
        is_first_call = False
        for loop in going:
            loop.report(validate)
        stop_by, *waited = largest(stop.asked(), *(time.monotonic() - loop.last_save for loop in going))
        if stop_by:
            _save(loops)
            raise stop.Interrupted(int(stop_by))
        for loop, seconds in zip(going, waited):
            loop.save_after(seconds)
        before, going = going, _those_that_go_on(going)
        if len(going) < len(before):
            for loop in going:
                loop.compiles_again()
    for loop in loops:
        loop.saved.wait()


def _those_that_go_on(loops: "Sequence[_Loop]") -> "list[_Loop]":
    """All that are not over; the others are saved."""
    for loop in loops:
        if loop.is_over():
            loop.finish()
    return [loop for loop in loops if not loop.is_over()]


def _save(loops: "Sequence[_Loop]") -> None:
    for loop in loops:
        loop.save()
    for loop in loops:
        loop.saved.wait()


def _advance(going: "Sequence[_Loop]", run: Run) -> None:
    """Some steps of all, never beyond the end of an epoch. Raises Diverged, with the others saved."""
    started = time.monotonic()
    steps = min(loop.steps_to_go() for loop in going)
    for loop, state in zip(going, run([loop.state for loop in going], [loop.step + steps for loop in going])):
        loop.state = state
    sums = [loop.sums() for loop in going]
    (seconds,) = largest(time.monotonic() - started)  # all processes must choose the same number of steps
    diverged, lost = None, []
    for loop, each in zip(going, sums):
        try:
            loop.has_taken(steps, each, seconds, len(going))
        except Diverged as error:
            diverged = error
            lost.append(loop)
    if diverged is not None:
        _save([loop for loop in going if loop not in lost])
        raise diverged


class _Loop:
    """One training: the state on its devices, the best parameters so far, and what is remembered beside them.

    memory is saved with the state, as JSON: the best validation `metric`, its step and its other metrics; seconds of
    training and evaluation; and, for speed, the steps and seconds of the calls that did not compile.
    """

    def __init__(
        self,
        settings: TrainSettings,
        job: Job,
        runner,
        fresh: Callable[[Job], TrainState],
        pairs: Resident,
        floor: float,
        metric: str,
        stop_after: int | None,
    ):
        self.settings, self.job, self.runner, self.floor, self.metric = settings, job, runner, floor, metric
        self.num_pairs = pairs.users.shape[0]
        self.per_epoch = steps_per_epoch(self.num_pairs, settings.batch_size)
        self.last_epoch = settings.epochs if stop_after is None else min(settings.epochs, stop_after)
        self.state, self.best, self.step = fresh(job), None, 0
        self.memory = {"best": -math.inf, "best_step": 0, "validation": {}, "train_seconds": 0.0, "eval_seconds": 0.0}
        self.memory |= {"timed_steps": 0, "timed_seconds": 0.0}
        self.loss, self.watched, self.last_save = math.nan, {}, time.monotonic()
        self._steps_per_call, self._has_compiled = 1, False
        self.saved, self.written = Checkpoints(job.folder / "checkpoints", job.fingerprint), None

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

    def open_log(self) -> None:
        """From now on lines are written and progress is shown."""
        shown, job = dataclasses.replace(self.settings, epochs=self.last_epoch), self.job
        self.written = TrainingLog(
            *(job.folder, f"seed {job.seed}", shown, self.step, self.per_epoch, is_first(), self.metric),
            *(job.callbacks, job.described),
        )

    def close(self) -> None:
        if self.written is not None:
            self.written.close()
        with contextlib.suppress(Exception):  # an error on its way out must not be hidden by that of closing
            self.saved.close()

    def steps_to_go(self) -> int:
        """Steps that the next call should take, at most to the end of the epoch."""
        return min(self._steps_per_call, self.per_epoch - self.step % self.per_epoch)

    def sums(self) -> dict[str, float]:
        """Those of the epoch so far."""
        return {name: float(value) for name, value in self.runner.whole(self.state.sums).items()}

    def has_taken(self, steps: int, sums: dict[str, float], seconds: float, seeds: int) -> None:
        """Counts steps that took so many seconds for all seeds that were trained at the same time. Raises Diverged."""
        until = self.step + steps
        self.memory["train_seconds"] += seconds / seeds
        _must_be_finite(sums, self.step, until, self.settings)
        if self._has_compiled:
            self.memory["timed_steps"] += steps
            self.memory["timed_seconds"] += seconds / seeds
            self._steps_per_call = max(1, min(self.per_epoch, round(steps * CALL_SECONDS / max(seconds, 1e-4))))
        self.step, self._has_compiled = until, True
        self.loss = sums["loss"] / sums["weight"]
        watched = sums.keys() - {"loss", "objective", "weight"}
        self.watched = {name: sums[name] / sums["weight"] for name in sorted(watched)}

    def report(self, validate: Validate | None) -> None:
        """A line where an epoch ends after which is validated, and how far it is."""
        if self.is_evaluation():
            self.written.line(self.evaluate(validate))
        self.written.progress(self.step, self.loss)

    def save_after(self, waited: float) -> None:
        """Saves when it is time. waited: seconds since the last checkpoint."""
        if waited >= self.settings.save_seconds and (self.settings.save_seconds or self.is_evaluation()):
            self.save()

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
            started, decay = time.monotonic(), self.settings.ema
            if decay:
                metrics = validate(finished(self.runner.whole(evaluated(self.state, decay)), decay))
            else:
                metrics = self.runner.validated(validate, self.state.params)
            metrics = dict(zip(metrics, of_first(*metrics.values()), strict=True))  # processes may round differently
            self.memory["eval_seconds"] += time.monotonic() - started
            line["validation"] = metrics
            if metrics[self.metric] > self.memory["best"]:
                self._keep(metrics)
        line["seconds"] = round(self.memory["train_seconds"] + self.memory["eval_seconds"], 3)
        return line

    def _keep(self, metrics: dict) -> None:
        decay = self.settings.ema
        self.best = finished(evaluated(self.runner.to_save(self.state), decay), decay)
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
        """Starts saving, where that was not done at its end; training may go on meanwhile."""
        if self.state is None:
            return
        log.debug("saving step %d", self.step)
        self.saved.save(self.step, self.runner.to_save(self.state), self.best, self.memory)
        self.last_save = time.monotonic()

    def finish(self) -> None:
        """Starts saving for the last time and lets go of the state."""
        self.save()
        self.state = None

    def compiles_again(self) -> None:
        """The next call is not timed."""
        self._has_compiled = False

    def trained(self) -> Trained:
        pairs = self.memory["timed_steps"] / self.per_epoch * self.num_pairs
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
