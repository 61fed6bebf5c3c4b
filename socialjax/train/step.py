"""Settings of training, optimisers by name, and one pure step, which knows nothing of devices but the name of an axis.

`TrainState` is all that training carries from step to step: stopping and resuming is saving and loading it. Optimisers
are those of optax.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from socialjax.contract import Batch, touched_by
from socialjax.data.schema import Dataset
from socialjax.ops import sample
from socialjax.registry import Registry
from socialjax.train import rows

METRIC = "NDCG@10"  # of the validation part: by this epochs are chosen, where its lists are that long


Backend = Literal["jit", "pmap"]
Together = Literal["off", "side_by_side", "vmap"]
Schedule = Literal["constant", "linear", "cosine"]
Optimizer = Literal["adam", "adamw", "sgd", "adagrad", "adagrad_rows", "adam_rows"] | str
OPTIMIZERS: Registry[Callable[[float], optax.GradientTransformation]] = Registry(  # of a learning rate
    "optimiser",
    "socialjax.optimizers",
    {
        "adam": optax.adam,
        "adamw": optax.adamw,
        "sgd": rows.sgd,
        "adagrad": optax.adagrad,
        "adagrad_rows": rows.adagrad_rows,
        "adam_rows": rows.adam_rows,
    },
)


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """How a model is trained; `--train.*` on the command line.

    Attributes:
      epochs: At most this many passes over the training pairs.
      batch_size: Pairs a step, over all devices.
      optimizer: Optax optimiser of that name, with its usual settings, or one that another package registers.
        adagrad_rows and adam_rows change only the rows of tables that a batch reads, for models whose loss needs no
        others (see `train/rows.py`); sgd does so wherever it can.
      learning_rate: Step size of the optimiser, above 0.
      schedule: By what the learning rate is multiplied over all `epochs`: constant, linear or cosine, down to 0.
      warmup: Steps in which the learning rate rises to its value.
      clip: The mean gradient of a batch is scaled down to at most this global norm; 0 leaves it as it is.
      ema: Decay of an exponential moving average of the parameters, such as 0.999, which is evaluated and kept in
        their place; 0 for none.
      accumulate: The gradient of a batch is added up over this many parts of it, one after the other, for batches that
        do not fit in memory. A graph model computes all nodes anew for each part.
      fanouts: For graph models: how many neighbours are drawn of each user and item of a batch, of each of these, and
        so on, a number a layer, so that a step's cost does not depend on the size of the graph. Empty: all of them.
        Needs adagrad_rows, adam_rows or sgd.
      evaluate_every: Epochs between validations.
      patience: Stop after this many epochs without a better validation NDCG@10; 0 trains all epochs.
      plateau: Patience starts when validation beats popularity by 5 %, or after this many epochs: many models rank by
        popularity for tens of epochs before they climb.
      save_seconds: Time between checkpoints; 0 saves after every validation.
      backend: How a step is spread over devices: jit over a mesh, or pmap.
      table_shards: Devices over which rows of embedding tables, pairs and edges are spread (backend jit), so that none
        has a whole table; see docs/parallel.md. It divides the devices, and these the batch size.
      together: Seeds trained at the same time on one device, as many as memory allows: side_by_side, a program for each
        on a core of its own, gives the bits of one after the other; vmap, one program for all, its figures but for
        rounding, and is meant for GPUs and TPUs.
      quiet: No progress bar.
      writers: What gets loss and validation metrics besides metrics.jsonl: wandb, mlflow, or one that another package
        registers. TensorBoard does where it is installed.
    """

    epochs: int = 200
    batch_size: int = 8192
    optimizer: Optimizer = "adam"
    learning_rate: float = 5e-3
    schedule: Schedule = "constant"
    warmup: int = 0
    clip: float = 0.0
    ema: float = 0.0
    accumulate: int = 1
    fanouts: tuple[int, ...] = ()
    evaluate_every: int = 2
    patience: int = 30
    plateau: int = 60
    save_seconds: float = 30.0
    backend: Backend = "jit"
    table_shards: int = 1
    together: Together = "off"
    quiet: bool = False
    writers: tuple[str, ...] = ()

    def __post_init__(self):
        for field in ("epochs", "batch_size", "evaluate_every", "table_shards", "accumulate"):
            if getattr(self, field) < 1:
                raise ValueError(f"--train.{field.replace('_', '-')} must be at least 1, got {getattr(self, field)}")
        for field in ("patience", "plateau", "save_seconds", "warmup", "clip"):
            if not getattr(self, field) >= 0:
                raise ValueError(f"--train.{field.replace('_', '-')} must not be below 0, got {getattr(self, field)}")
        if not self.learning_rate > 0:
            raise ValueError(f"--train.learning-rate must be above 0, got {self.learning_rate}")
        if any(fanout < 1 for fanout in self.fanouts):
            raise ValueError(f"--train.fanouts must be at least 1, got {' '.join(map(str, self.fanouts))}")
        if self.table_shards > 1 and self.backend == "pmap":
            raise ValueError("--train.table-shards needs --train.backend jit: pmap keeps every table on every device")
        for field, kind in (("together", Together), ("schedule", Schedule)):
            if getattr(self, field) not in typing.get_args(kind):
                choices = ", ".join(typing.get_args(kind))
                raise ValueError(f"--train.{field} must be one of {choices}, got {getattr(self, field)!r}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"--train.ema must be in [0, 1), got {self.ema}")
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"--train.accumulate must divide --train.batch-size {self.batch_size}, got {self.accumulate}"
            )
        if self.together != "off" and (self.backend == "pmap" or self.table_shards > 1):
            raise ValueError(
                f"--train.together {self.together} trains seeds at the same time on one device: leave --train.backend "
                "and --train.table-shards as they are, or choose --train.together off"
            )


def make_optimizer(name: Optimizer, learning_rate: float) -> optax.GradientTransformation:
    """Raises ValueError for a learning rate that is not above 0, and for a name that nobody registered."""
    if not learning_rate > 0:
        raise ValueError(f"the learning rate must be above 0, got {learning_rate}")
    if name not in OPTIMIZERS:
        raise ValueError(f"--train.optimizer: {OPTIMIZERS.unknown(name)}")
    return OPTIMIZERS[name](learning_rate)


@struct.dataclass
class TrainState:
    """step i32[]: steps done. seed u32[]: all randomness is a hash of (seed, step). sums: of the epoch so far.

    A model may name metrics of its loss in its traits, `watched`: they are summed beside the loss and logged as means.
    """

    step: jax.Array
    seed: jax.Array
    params: Any
    opt_state: Any
    sums: dict[str, jax.Array]


@functools.partial(jax.jit, static_argnums=0)
def _fresh(model, rng, side):
    """Compiled, only the parameters are computed; once for all seeds."""
    return model.init(rng, side)


def new_state(model, side, optimizer, seed: int, start: Callable[[Any], Any] | None = None, drawn=None) -> TrainState:
    """A fresh state.

    Args:
      model: The model.
      side: Its fixed data.
      optimizer: Of `make_optimizer`.
      seed: Of the parameters.
      start: May put other parameters in their place.
      drawn: The fixed data that steps get, where it is not `side`: with neighbourhoods to be sampled.
    """
    params = _fresh(model, jax.random.key(seed), side)
    if start is not None:
        params = jax.tree.map(jnp.asarray, start(params))
    if isinstance(optimizer, rows.RowOptimizer):
        opt_state = rows.init_state(
            optimizer, params, rows.tables_read(model, side if drawn is None else drawn, optimizer)
        )
    else:
        opt_state = optimizer.init(params)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        seed=jnp.asarray(seed, jnp.uint32),
        params=params,
        opt_state=opt_state,
        sums={name: jnp.zeros(()) for name in ("loss", "objective", "weight", *model.traits.watched)},
    )


def make_step(
    model,
    optimizer,
    axis_name: str | tuple[str, ...] | None = None,
    gather: Callable[[Any], Any] | None = None,
    spread: bool = False,
):
    """Returns step(state, side, batch) -> state.

    The model's loss is a sum and a weight; both, and the gradients, are summed over `axis_name` and divided once. A
    step whose weight is 0 (a batch of padding) changes no parameter. With an optimiser of rows, and a model that can
    name those that a batch reads, only these are differentiated and changed.

    Args:
      model: The model.
      optimizer: Of `make_optimizer` or of `recipe.optimizer_of`.
      axis_name: Of the devices that share a batch, where the step is that of one of them; several names likewise.
      gather: Brings rows and their gradients of all devices to each, in the order of the batch; by default they are
        gathered over `axis_name`, where there is one.
      spread: Whether each device has one shard of the rows of each table that is read by rows, see `ops.spread`.
    """
    by_rows, parts = isinstance(optimizer, rows.RowOptimizer), getattr(optimizer, "parts", 1)
    if gather is None:
        gather = lambda tree: tree if axis_name is None else jax.lax.all_gather(tree, axis_name, tiled=True)  # noqa: E731

    def loss_and_gradients(params, side, batch, rng):
        def total(params):
            (loss, weight), metrics = model.loss(params, side, batch, rng)
            return loss, (weight, metrics)

        (loss, (weight, metrics)), gradients = jax.value_and_grad(total, has_aux=True)(params)
        return {"loss": loss, "weight": weight, **metrics}, gradients

    def by_parts(params, side, batch, rng):
        """The same, added up over every `parts`-th row: each device has its share of each part."""

        def part(total, numbers):
            of_part = jax.tree.map(lambda leaf: leaf[numbers], batch)
            return jax.tree.map(jnp.add, total, loss_and_gradients(params, side, of_part, rng)), None

        numbers = jnp.arange(batch.users.shape[0]).reshape(-1, parts).T
        zero = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(loss_and_gradients, params, side, batch, rng)
        )
        return jax.lax.scan(part, zero, numbers)[0]

    def summed(tree):
        return tree if axis_name is None else jax.lax.psum(tree, axis_name)

    def step(state: TrainState, side, batch) -> TrainState:
        rng = sample.fold(state.seed, state.step)
        touched = touched_by(model, side, batch, rng) if by_rows else None
        if touched is None:
            whole_batch = loss_and_gradients if parts == 1 else by_parts
            new, gradients = summed(whole_batch(state.params, side, batch, rng))
            gradients = jax.tree.map(lambda g: g / jnp.maximum(new["weight"], 1e-12), gradients)
            updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)
        else:
            read = rows.taken(state.params, touched.rows, spread)
            new, gradients = loss_and_gradients(read, touched.side, touched.batch, rng)
            of_rows = {path: (numbers, rows.at(gradients, path)) for path, numbers in touched.rows.items()}
            of_rows = gather(of_rows)
            new, whole = summed((new, rows.without(gradients, touched.rows)))
            params, opt_state = rows.change_rows(
                optimizer, state.params, state.opt_state, of_rows, whole, new["weight"], spread
            )
        return state.replace(
            step=state.step + 1,
            params=params,
            opt_state=opt_state,
            sums={name: state.sums[name] + new[name] for name in state.sums},
        )

    return step


@struct.dataclass
class Resident:
    """Training pairs on the device.

    Attributes:
        users: i32[N].
        items: i32[N].
        known: each user's positives, which negatives avoid.
    """

    users: jax.Array
    items: jax.Array
    known: sample.Positives

    @property
    def num_pairs(self) -> int:
        return self.users.shape[0]

    def at(self, pair: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Users and items i32[R] of pairs i32[R]."""
        return self.users[pair], self.items[pair]

    def negatives(self, key, users: jax.Array, rows: jax.Array, count: int) -> jax.Array:
        """Items that users i32[R] did not take, see `sample.negatives`: i32[R, count]."""
        return sample.negatives(self.known, key, users, rows, count)


def resident(data: Dataset) -> Resident:
    """The training pairs of a data set, as NumPy arrays. Raises ValueError when there are none."""
    if not len(data.train):
        raise ValueError(f"data set '{data.name}' has no training pairs; check its files and its split")
    known = sample.positives(data.train.user, data.train.item, data.num_users, data.num_items)
    return Resident(data.train.user, data.train.item, known)


def steps_per_epoch(num_pairs: int, batch_size: int) -> int:
    """Steps that cover all pairs; the last is filled with padding."""
    return -(-num_pairs // batch_size)


def make_batch(data: Resident, seed, step, rows: jax.Array, batch_size: int, negatives: int) -> Batch:
    """Some rows of the batch of a training step: a pure function of (seed, step, rows). Pairs are shuffled every epoch.

    Args:
        data: training pairs, all of them or those of this device (`train.spread_pairs`).
        seed: u32, of shuffling and negatives.
        step: number of the step.
        rows: u32[R], numbers within the global batch.
        batch_size: of the global batch.
        negatives: of each row.

    Returns:
        The rows as a batch; padding at the end of an epoch has weight 0.
    """
    num_pairs = data.num_pairs
    per_epoch = steps_per_epoch(num_pairs, batch_size)
    epoch, within = step // per_epoch, step % per_epoch
    position = within * batch_size + rows.astype(jnp.int32)
    order = sample.fold(sample.fold(seed, epoch), sample.SHUFFLE)  # a stream: epochs and steps both count from 0
    pair = sample.shuffled(order, position % num_pairs, num_pairs)
    users, items = data.at(pair)
    drawn = data.negatives(sample.fold(seed, step), users, rows, negatives)
    return Batch(users, items, drawn, (position < num_pairs).astype(jnp.float32), rows)


def on_device(tree):
    """NumPy leaves to device arrays."""
    return jax.tree.map(lambda a: jnp.asarray(a) if isinstance(a, np.ndarray) else a, tree)
