"""Training over devices and processes: jit over a mesh or pmap, and what processes say to each other."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from socialjax import stop
from socialjax.ops.propagate import Bundles
from socialjax.stop import HANDLED
from socialjax.train.step import Backend, Resident, TrainState, make_batch, make_step, steps_per_epoch


def join_processes() -> None:
    """Joins the other processes when SOCIALJAX_COORDINATOR (host:port) is set, with SOCIALJAX_NUM_PROCESSES and
    SOCIALJAX_PROCESS_ID; `auto` lets JAX find them (SLURM, Cloud TPU). Raises ValueError when one of them is missing.
    """
    coordinator = os.environ.get("SOCIALJAX_COORDINATOR")
    if not coordinator or jax.distributed.is_initialized():
        return
    if coordinator == "auto":
        with _own_handlers():
            jax.distributed.initialize()
        return
    try:
        count, number = (int(os.environ[name]) for name in ("SOCIALJAX_NUM_PROCESSES", "SOCIALJAX_PROCESS_ID"))
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"with SOCIALJAX_COORDINATOR, SOCIALJAX_NUM_PROCESSES and SOCIALJAX_PROCESS_ID must be numbers: {error}"
        ) from None
    with _own_handlers():
        jax.distributed.initialize(coordinator, num_processes=count, process_id=number)


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Puts our handlers of signals back: JAX takes SIGTERM for itself when processes join."""
    before = {number: signal.getsignal(number) for number in HANDLED}
    yield
    for number, handler in before.items():
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(number, handler)


def program_start() -> float:
    """When this process started, in the clock of time.monotonic: imports count for those who wait."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        return ticks / os.sysconf("SC_CLK_TCK") - (time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())
    except (OSError, ValueError, AttributeError, IndexError):
        return time.monotonic()


def is_first() -> bool:
    """Whether this process writes files and prints."""
    return jax.process_index() == 0


def largest(*numbers: float) -> list[float]:
    """The largest of each number over all processes; all of them must call."""
    return _gathered(numbers).max(axis=0).tolist()


def check_stop() -> None:
    """Raises Interrupted in all processes when one was asked to stop; all of them must call."""
    (number,) = largest(stop.asked())
    if number:
        raise stop.Interrupted(int(number))


def of_first(*numbers: float) -> list[float]:
    """The numbers of the first process; all of them must call."""
    return _gathered(numbers)[0].tolist()


def _gathered(numbers) -> np.ndarray:
    """N numbers of each of P processes: f64[P, N]."""
    local = np.array(numbers, np.float64)
    if jax.process_count() == 1:
        return local[None]
    from jax.experimental import multihost_utils

    halves = multihost_utils.process_allgather(local.view(np.uint32))  # JAX would round float64
    return np.ascontiguousarray(halves).view(np.float64)


def make_runner(backend: Backend, model, optimizer, side, resident: Resident, batch_size: int, **mesh):
    """The runner called `backend`, with the fixed data already on its devices.

    mesh, for `jit`: devices (default all), table_shards, shard_edges. Raises ValueError when the batch does not divide
    over the devices.
    """
    return {"jit": MeshRunner, "pmap": PmapRunner}[backend](model, optimizer, side, resident, batch_size, **mesh)


def _steps(step, batch_size: int, negatives: int):
    """run(state, side, resident, rows, until): steps of `rows` up to step `until`; sums start anew each epoch."""

    def run(state: TrainState, side, resident, rows, until) -> TrainState:
        per_epoch = steps_per_epoch(resident.users.shape[0], batch_size)

        def body(state):
            fresh = state.step % per_epoch == 0
            state = state.replace(sums=jax.tree.map(lambda s: jnp.where(fresh, 0.0, s), state.sums))
            return step(state, side, make_batch(resident, state.seed, state.step, rows, batch_size, negatives))

        return jax.lax.while_loop(lambda state: state.step < until, body, state)

    return run


def _check(batch_size: int, num_devices: int) -> None:
    if batch_size < 1 or batch_size % num_devices:
        raise ValueError(
            f"the batch size must be a multiple of the {num_devices} devices it is spread over, got {batch_size}"
        )


class MeshRunner:
    """`jit` over a mesh with axes data (rows of the batch, edges) and table (rows of the embedding tables)."""

    def __init__(
        self,
        model,
        optimizer,
        side,
        resident,
        batch_size,
        devices=None,
        table_shards=1,
        shard_edges: bool | None = None,
    ):
        devices = jax.devices() if devices is None else devices
        if table_shards < 1 or len(devices) % table_shards:
            raise ValueError(f"table shards must divide the {len(devices)} devices, got {table_shards}")
        shape = (len(devices) // table_shards, table_shards)
        _check(batch_size, shape[0])
        self.mesh = jax.make_mesh(shape, ("data", "table"), devices=devices, axis_types=(AxisType.Auto,) * 2)
        if shard_edges is None:  # the CPU walks edges in blocks; elsewhere each device sums its share
            shard_edges = devices[0].platform != "cpu"
        self.side = self._place(side, shard_edges)
        self.resident = self._place(resident, False)
        rows = self._sharding("data")
        step = make_step(model, optimizer, gather=self._gathered if len(devices) > 1 else None)
        run = _steps(step, batch_size, model.negatives)

        def constrained(state, side, resident, until):
            numbers = jax.lax.with_sharding_constraint(jnp.arange(batch_size, dtype=jnp.uint32), rows)
            # Left to itself, XLA returns some arrays spread otherwise than they came, and the next call compiles anew.
            state = run(state, side, resident, numbers, until)
            return jax.lax.with_sharding_constraint(state, jax.tree.map(self._layout, state))

        self._run = jax.jit(constrained, donate_argnums=0)
        self._gather = jax.jit(lambda tree: tree, out_shardings=self._sharding())

    def _sharding(self, *axes) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def _gathered(self, tree):
        """Rows and their gradients on every device: each changes its own part of the tables."""
        return jax.lax.with_sharding_constraint(tree, self._sharding())

    def _place(self, tree, shard_edges: bool):
        """Fixed data on all devices; bundles of edges spread over `data` where they divide."""

        def put(leaf, axis=None):
            leaf = np.asarray(leaf)
            spread = axis is not None and leaf.shape[0] % self.mesh.shape[axis] == 0
            return jax.device_put(leaf, self._sharding(axis) if spread else self._sharding())

        def bundles(part):
            if isinstance(part, Bundles) and shard_edges:
                return jax.tree.map(lambda leaf: put(leaf, "data"), part)
            return jax.tree.map(put, part)

        return jax.tree.map(bundles, tree, is_leaf=lambda part: isinstance(part, Bundles))

    def place(self, state: TrainState) -> TrainState:
        """Puts a state on the mesh: tables with rows that divide are spread over `table`, the rest is everywhere."""
        return jax.tree.map(lambda leaf: jax.device_put(leaf, self._layout(leaf)), state)

    def _layout(self, leaf) -> NamedSharding:
        shards = self.mesh.shape["table"]
        spread = shards > 1 and jnp.ndim(leaf) == 2 and leaf.shape[0] % shards == 0
        return self._sharding("table") if spread else self._sharding()

    def run(self, state: TrainState, until: int) -> TrainState:
        """Trains up to step `until`. `state` is donated: it is gone afterwards."""
        return self._run(state, self.side, self.resident, jnp.int32(until))

    def whole(self, tree):
        """The tree on this process's first device, for evaluation."""
        if len(self.mesh.devices.ravel()) == 1:
            return tree
        return jax.tree.map(lambda leaf: leaf.addressable_data(0), self._gather(tree))

    def to_save(self, state: TrainState) -> TrainState:
        """A copy that later steps do not touch, as arrays over the mesh."""
        return jax.tree.map(jnp.copy, state)

    def best(self, saved):
        """What `to_save` gave, for evaluation."""
        return self.whole(saved)


class PmapRunner:
    """`pmap`: every device holds the whole state and a slice of the batch."""

    def __init__(self, model, optimizer, side, resident, batch_size, devices=None):
        self.devices = jax.devices() if devices is None else devices
        _check(batch_size, len(self.devices))
        share = batch_size // len(self.devices)
        run = _steps(make_step(model, optimizer, "data"), batch_size, model.negatives)

        def on_share(state, side, resident, until):
            first = jax.lax.axis_index("data").astype(jnp.uint32) * share
            return run(state, side, resident, first + jnp.arange(share, dtype=jnp.uint32), until)

        self._run = jax.pmap(
            on_share, axis_name="data", in_axes=(0, 0, 0, None), donate_argnums=0, devices=self.devices
        )
        self._spread = jax.pmap(lambda _, tree: tree, in_axes=(0, None), devices=self.devices)
        self.side, self.resident = self._everywhere(side), self._everywhere(resident)

    def _everywhere(self, tree):
        if not jax.tree.leaves(tree):  # pmap over several processes wants an array among its results
            return tree
        count = sum(device.process_index == jax.process_index() for device in self.devices)
        return self._spread(np.arange(count), tree)

    def place(self, state: TrainState) -> TrainState:
        return self._everywhere(jax.tree.map(np.asarray, state))

    def run(self, state: TrainState, until: int) -> TrainState:
        return self._run(state, self.side, self.resident, jnp.int32(until))

    def whole(self, tree):
        return jax.tree.map(lambda leaf: leaf.addressable_data(0)[0], tree)

    def to_save(self, state: TrainState) -> TrainState:
        """One replica, as NumPy arrays (not NumPy numbers, which no checkpoint can hold)."""
        return jax.tree.map(lambda leaf: np.array(leaf.addressable_data(0)[0]), state)

    def best(self, saved):
        return saved
