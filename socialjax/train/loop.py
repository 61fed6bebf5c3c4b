"""The training loop: epochs, validation, early stopping, checkpoints, and an exact way back after any stop."""

import contextlib
import dataclasses
import logging
import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from socialjax.data.batches import Resident, steps_per_epoch
from socialjax.train.checkpoint import Checkpoints
from socialjax.train.log import MetricsLog, Progress, TensorBoard
from socialjax.train.optimizers import Optimizer, make_optimizer
from socialjax.train.parallel import Backend, make_runner
from socialjax.train.state import new_state

log = logging.getLogger(__name__)
METRIC = "NDCG@10"
CALL_SECONDS = 1.0  # about how long one call on the device lasts, and so how soon a signal is heard


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """How a model is trained; `--train.*` on the command line."""

    epochs: int = 200
    """At most this many passes over the training pairs."""
    batch_size: int = 8192
    """Pairs a step, over all devices."""
    optimizer: Optimizer = "adam"
    learning_rate: float = 5e-3
    evaluate_every: int = 2
    """Epochs between validations."""
    patience: int = 30
    """Stop after this many epochs without a better validation NDCG@10; 0 trains all epochs."""
    plateau: int = 60
    """Patience starts when validation beats popularity by 5 %, or after this many epochs: many models rank by
    popularity for tens of epochs before they climb."""
    save_seconds: float = 30.0
    """Time between checkpoints; 0 saves after every validation."""
    backend: Backend = "jit"
    table_shards: int = 1
    """Devices over which the rows of embedding tables are spread (backend jit)."""
    quiet: bool = False
    """No progress bar."""

    def __post_init__(self):
        for field in ("epochs", "batch_size", "evaluate_every", "table_shards"):
            if getattr(self, field) < 1:
                raise ValueError(f"--train.{field.replace('_', '-')} must be at least 1, got {getattr(self, field)}")
        for field in ("patience", "plateau", "save_seconds"):
            if getattr(self, field) < 0:
                raise ValueError(f"--train.{field.replace('_', '-')} must not be below 0, got {getattr(self, field)}")
        if self.table_shards > 1 and self.backend == "pmap":
            raise ValueError("--train.table-shards needs --train.backend jit: pmap keeps every table on every device")


class Interrupted(Exception):
    """Training was asked to stop; everything is saved. `signal` is the number of the signal."""

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}; start the same command again to go on")
        self.signal = number


class Diverged(RuntimeError):
    """The loss is not finite."""


@dataclasses.dataclass(frozen=True)
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
    resident: Resident,
    settings: TrainSettings,
    seed: int,
    folder: Path,
    fingerprint: str,
    validate: Callable[[Any], dict[str, float]] | None = None,
    floor: float = 0.0,
    label: str = "train",
    devices=None,
    is_first_process: bool = True,
    began: float | None = None,
) -> Trained:
    """Trains `model` in `folder`, going on from the checkpoint there if there is one; the result is the same.

    validate: params -> metrics of the validation part, or None to train all epochs. floor: popularity's validation
    METRIC. began: when the program started (time.monotonic), to tell how soon the first step was done. Raises Interrupted after SIGTERM or Ctrl-C, Diverged for a loss that is not finite, CheckpointError.
    """
    optimizer = make_optimizer(settings.optimizer, settings.learning_rate)
    mesh = {"table_shards": settings.table_shards} if settings.backend == "jit" else {}
    runner = make_runner(
        settings.backend, model, optimizer, side, resident, settings.batch_size, devices=devices, **mesh
    )
    loop_began = time.monotonic()
    num_pairs = resident.users.shape[0]
    per_epoch = steps_per_epoch(num_pairs, settings.batch_size)
    state = runner.place(new_state(model, side, optimizer, seed))
    metrics = MetricsLog(folder / "metrics.jsonl")
    saved = Checkpoints(folder / "checkpoints", fingerprint)
    memory = {"best": -math.inf, "best_step": 0, "validation": {}, "train_seconds": 0.0, "eval_seconds": 0.0}

    like = runner.to_save(state)
    best = like.params
    restored = saved.restore(like, like.params)
    if restored is not None:
        kept, best, memory = restored
        state = runner.place(kept)
        log.info("going on from step %d (epoch %g)", int(kept.step), int(kept.step) / per_epoch)
    step = int(kept.step) if restored is not None else 0
    first_step, first_seconds = step, memory["train_seconds"]
    if is_first_process:
        metrics.cut_back(step)
    board = TensorBoard(folder / "tensorboard")
    progress = Progress(settings.epochs, step // per_epoch, label, settings.quiet)
    steps_per_call, last_save, shown = 1, time.monotonic(), {}

    def save():
        if is_first_process:
            log.debug("saving step %d", step)
        saved.save(step, runner.to_save(state), best, memory)

    try:
        with _signals() as heard:
            while step < settings.epochs * per_epoch and not _is_over(settings, memory, step, per_epoch, floor):
                started = time.monotonic()
                epoch_end = (step // per_epoch + 1) * per_epoch
                until = min(step + steps_per_call, epoch_end)
                state = runner.run(state, until)
                sums = {name: float(value) for name, value in runner.whole(state.sums).items()}
                took = time.monotonic() - started
                memory["train_seconds"] += took
                _must_be_finite(sums, step, until, settings)
                if step == first_step:  # the first call compiles
                    log.info("first step %.1f s after the start", time.monotonic() - (began or loop_began))
                else:
                    steps_per_call = max(1, min(per_epoch, round(steps_per_call * CALL_SECONDS / max(took, 1e-4))))
                step = until
                if step == epoch_end and (step // per_epoch % settings.evaluate_every == 0 or step // per_epoch == settings.epochs):
                    line = {"epoch": step // per_epoch, "step": step, "loss": sums["loss"] / sums["weight"]}
                    if validate is None:
                        best, memory["best_step"] = runner.to_save(state).params, step
                    else:
                        started = time.monotonic()
                        found = validate(runner.whole(state.params))
                        memory["eval_seconds"] += time.monotonic() - started
                        line["validation"] = found
                        shown[METRIC] = found[METRIC]
                        if found[METRIC] > memory["best"]:
                            best = runner.to_save(state).params
                            memory |= {"best": found[METRIC], "best_step": step, "validation": found}
                    line["seconds"] = round(memory["train_seconds"] + memory["eval_seconds"], 3)
                    if is_first_process:
                        metrics.append(line)
                        board.write(step, {"loss": line["loss"], **line.get("validation", {})})
                    if time.monotonic() - last_save >= settings.save_seconds:
                        save()
                        last_save = time.monotonic()
                progress.update(step / per_epoch, loss=sums["loss"] / sums["weight"], **shown)
                if heard:
                    save()
                    saved.wait()
                    raise Interrupted(heard[0])
            save()
            saved.wait()
    finally:
        progress.close()
        board.close()
        with contextlib.suppress(Exception):  # an error on its way out must not be hidden by that of closing
            saved.close()
    trained = (step - first_step) / per_epoch * num_pairs
    spent = memory["train_seconds"] - first_seconds
    return Trained(
        params=runner.whole(best) if settings.backend == "jit" else best,
        epoch=memory["best_step"] // per_epoch,
        validation=memory["validation"],
        seconds={"train": memory["train_seconds"], "eval": memory["eval_seconds"]},
        pairs_per_second=trained / spent if spent else 0.0,
    )


def _is_over(settings: TrainSettings, memory: dict, step: int, per_epoch: int, floor: float) -> bool:
    """Whether patience has run out; it does not run on the popularity plateau."""
    if not settings.patience or not memory["validation"]:
        return False
    if memory["best"] <= 1.05 * floor and step < settings.plateau * per_epoch:
        return False
    return step - memory["best_step"] >= settings.patience * per_epoch


def _must_be_finite(sums: dict, start: int, stop: int, settings: TrainSettings) -> None:
    if not math.isfinite(sums["loss"]):
        raise Diverged(
            f"the loss is not finite between steps {start} and {stop}; look at --train.learning-rate "
            f"({settings.learning_rate}), --model.l2, --model.init-std and the features"
        )


@contextlib.contextmanager
def _signals():
    """Collects SIGTERM and SIGINT instead of dying of them; a second Ctrl-C is a KeyboardInterrupt."""
    heard: list[int] = []

    def note(number, _frame):
        if heard and number == signal.SIGINT:
            raise KeyboardInterrupt
        heard.append(number)

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread: signals are somebody else's
        before = {}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
