"""Training on graphs and pairs that do not fit in memory: a thread draws what a step reads, the device steps.

The tables and the optimiser's state are in memory, once: the state is donated from step to step and written to the disk
without a copy. Links and pairs stay in their files. A training that was killed goes on from its last checkpoint and
ends with the parameters of an unbroken one, to the bit: everything drawn is a function of (seed, step).
"""

import contextlib
import dataclasses
import functools
import logging
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
from tqdm import tqdm

from socialjax import stop
from socialjax.contract import COMPUTED, Model, Side, Touched
from socialjax.memory import peak_bytes
from socialjax.ops.mapped import without_edges
from socialjax.train import rows
from socialjax.train.checkpoint import Checkpoints
from socialjax.train.host_batches import Ahead, Draws
from socialjax.train.loop import Diverged
from socialjax.train.step import TrainState, make_optimizer, make_step

log = logging.getLogger(__name__)
SHOWN = 20.0  # seconds between lines of progress where there is no terminal


@dataclasses.dataclass(frozen=True)
class MappedTraining:
    """How a model is trained on a graph folder; `--train.*` on the command line.

    Attributes:
      epochs: Passes over the training pairs.
      steps: Steps in place of epochs. More of either go on from what was trained.
      batch_size: Pairs a step.
      optimizer: Of rows, see `train/rows.py`: no other leaves the rows alone that a step does not read.
      learning_rate: Step size, above 0.
      fanouts: Neighbours drawn of each user and item of a batch, of each of these, and so on, a number a layer.
      save_every: Steps between checkpoints.
      ahead: Steps that are drawn ahead, at least 1.
      quiet: No lines of progress.
    """

    epochs: int = 1
    steps: int | None = None
    batch_size: int = 2048
    optimizer: Literal["adagrad_rows", "adam_rows", "sgd"] = "adagrad_rows"
    learning_rate: float = 0.05
    fanouts: tuple[int, ...] = (10, 5)
    save_every: int = 1000
    ahead: int = 2
    quiet: bool = False

    def __post_init__(self):
        for field in ("epochs", "steps", "batch_size", "save_every", "ahead"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise ValueError(f"--train.{field.replace('_', '-')} must be at least 1, got {value}")
        if not self.learning_rate > 0:
            raise ValueError(f"--train.learning-rate must be above 0, got {self.learning_rate}")
        if any(fanout < 1 for fanout in self.fanouts):
            raise ValueError(f"--train.fanouts must be at least 1, got {' '.join(map(str, self.fanouts))}")

    def deciding(self) -> dict[str, Any]:
        """Those that decide the parameters after a number of steps."""
        return {field: getattr(self, field) for field in ("batch_size", "optimizer", "learning_rate", "fanouts")}


class Drawn:
    """A model of which a step is given what its batch reads, in the place of the fixed data."""

    def __init__(self, model: Model):
        self.loss = model.loss

    def touched(self, side: Touched, batch: None, rng: Any) -> Touched:
        return side


def fresh_state(model: Model, side: Side, optimizer: rows.RowOptimizer, paths: list[rows.Path], seed) -> TrainState:
    """The state before the first step: parameters of `model.init`, as in a training in memory."""
    params = model.init(jax.random.key(seed), side)
    names = ("loss", "objective", "weight", *model.traits.watched)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        seed=jnp.asarray(seed, jnp.uint32),
        params=params,
        opt_state=rows.init_state(optimizer, params, paths),
        sums={name: jnp.zeros(()) for name in names},
    )


def make_run(model: Model, optimizer: rows.RowOptimizer, per_epoch: int) -> Callable[[TrainState, Touched], TrainState]:
    """One step on what was drawn for it, compiled; the state is donated. Sums start anew each epoch."""
    step = make_step(Drawn(model), optimizer)

    @functools.partial(jax.jit, donate_argnums=0)
    def run(state: TrainState, drawn: Touched) -> TrainState:
        fresh = state.step % per_epoch == 0
        state = state.replace(sums=jax.tree.map(lambda s: jnp.where(fresh, 0.0, s), state.sums))
        return step(state, drawn, None)

    return run


def train(
    model: Model,
    side: Side,
    draws: Draws,
    per_epoch: int,
    settings: MappedTraining,
    seed: int,
    folder: Path,
    fingerprint: str,
) -> tuple[TrainState, dict[str, float]]:
    """Trains, or goes on from the newest checkpoint in a folder.

    Args:
      model: A model whose batches read rows.
      side: Its fixed data, of a `MappedGraph`.
      draws: What each step reads.
      per_epoch: Steps of an epoch.
      settings: How it is trained.
      seed: Of the parameters and of all draws.
      folder: Gets checkpoints.
      fingerprint: Of all that decides the parameters; a checkpoint with another one is refused.

    Returns:
      The state after the last step, and what the steps of this call cost: steps, seconds of a step, of it waiting for
      draws, and seconds of saving.

    Raises:
      ValueError: a model whose loss reads every row.
      Interrupted: after SIGTERM or Ctrl-C; the state was saved.
      Diverged: a loss that is not finite.
      CheckpointError: a checkpoint of another training, or one that cannot be read or written.
    """
    optimizer = make_optimizer(settings.optimizer, settings.learning_rate)
    begin = jax.jit(functools.partial(fresh_state, model, without_edges(side), optimizer, _paths(model, draws)))
    end = settings.steps or settings.epochs * per_epoch
    with contextlib.ExitStack() as closing:
        closing.enter_context(stop.heeded())
        saved = Checkpoints(folder, fingerprint, asynchronous=False)
        closing.callback(_close, saved)
        state = _restored(saved, begin, seed)
        state = begin(seed) if state is None else state
        first = done = int(state.step)
        if first > end:
            raise ValueError(f"{folder} holds {first} steps, more than the {end} wanted; ask for as many, or more")
        run, spent, shown = make_run(model, optimizer, per_epoch), {"draws": 0.0, "saving": 0.0}, time.monotonic()
        ahead = closing.enter_context(Ahead(draws, first, settings.ahead))
        bar = closing.enter_context(
            tqdm(total=end, initial=first, unit="step", disable=settings.quiet or not sys.stderr.isatty())
        )
        times = []
        while done < end:
            started = time.monotonic()
            drawn = next(ahead)
            waited = time.monotonic() - started
            state = jax.block_until_ready(run(state, drawn))
            done += 1
            times.append((time.monotonic() - started, waited))
            bar.update()
            is_save = done % settings.save_every == 0 or done == end or bool(stop.asked())
            if is_save or time.monotonic() - shown > SHOWN:
                shown = time.monotonic()
                loss = _loss(state, done, settings)
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                if not settings.quiet and not sys.stderr.isatty():
                    log.info("step %d of %d  loss %.4f  peak %.1f GB", done, end, loss, peak_bytes() / 1e9)
            if is_save:
                started = time.monotonic()
                saved.save(done, state, {"step": state.step}, {})  # waits: nothing is copied
                saved.wait()
                spent["saving"] += time.monotonic() - started
            stop.check()
    return state, {"steps": done - first, **_timed(times), "saving": round(spent["saving"], 3)}


def check_model(model: Model) -> None:
    """Raises ValueError for a model that does not say which rows its loss reads; to be asked before `prepare`."""
    kinds = (kind for kind in type(model).__mro__ if "touched" in vars(kind) or COMPUTED & vars(kind).keys())
    if "touched" not in vars(next(kinds)):
        raise ValueError(
            f"{type(model).__name__} reads every row of its tables in each step, which a graph of any size forbids; "
            "choose bpr, svdpp, lightgcn, social_lightgcn or diffnet"
        )


def _paths(model: Model, draws: Draws) -> list[rows.Path]:
    """The tables of which a step reads rows. Raises ValueError for a model that reads them whole."""
    check_model(model)
    return sorted(draws(0).rows)


def _restored(saved: Checkpoints, begin, seed: int) -> TrainState | None:
    """The state of the newest checkpoint; a fresh one is not made for it, so that memory holds one state."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), jax.eval_shape(begin, seed)
    )
    found = saved.restore(like, {"step": like.step})
    if found is None:
        return None
    log.info("going on from step %d", int(found[0].step))
    return found[0]


def _loss(state: TrainState, step: int, settings: MappedTraining) -> float:
    """The mean loss of the epoch so far. Raises Diverged."""
    loss = float(state.sums["loss"])
    if not math.isfinite(loss):
        raise Diverged(
            f"the loss is not finite by step {step}; look at --train.learning-rate ({settings.learning_rate}) and "
            "--model.init-std"
        )
    return loss / max(float(state.sums["weight"]), 1e-12)


def _timed(times: list[tuple[float, float]]) -> dict[str, float]:
    """Medians over the steps after the first two, which compile."""
    rest = sorted(times[2:]) or [(0.0, 0.0)]
    waited = sorted(wait for _, wait in rest)
    return {"step_seconds": round(rest[len(rest) // 2][0], 4), "waited_seconds": round(waited[len(waited) // 2], 4)}


def _close(saved: Checkpoints) -> None:
    with contextlib.suppress(Exception):  # an error on its way out must not be hidden by that of closing
        saved.close()
