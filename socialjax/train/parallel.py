"""Training over devices and processes: jit over a mesh or pmap, and what processes say to each other."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from socialjax import stop
from socialjax.contract import Batch
from socialjax.eval.item_shards import ItemShards, spread_vectors
from socialjax.ops.forest import Neighbours
from socialjax.ops.propagate import Bundles, Diffusion
from socialjax.ops.ring import EdgesAreSpread, Parts, spread_edges
from socialjax.ops.spread import ALL, DATA, TABLE, Spread
from socialjax.stop import HANDLED
from socialjax.train import relay
from socialjax.train.placement import Placement
from socialjax.train.rows import tables_read
from socialjax.train.spread_pairs import spread_pairs
from socialjax.train.step import Backend, Resident, TrainState, make_batch, make_step, new_state, steps_per_epoch


def join_processes() -> None:
    """Joins the other processes when SOCIALJAX_COORDINATOR (host:port) is set, with SOCIALJAX_NUM_PROCESSES and
    SOCIALJAX_PROCESS_ID; `auto` lets JAX find them (SLURM, Cloud TPU). Raises ValueError when one of them is missing.
    """
    relay.before_joining()
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


def _steps(step, batch_size: int, negatives: int, make=make_batch):
    """run(state, side, resident, rows, until): steps of `rows` up to step `until`; sums start anew each epoch."""

    def run(state: TrainState, side, resident, rows, until) -> TrainState:
        per_epoch = steps_per_epoch(resident.num_pairs, batch_size)

        def body(state):
            fresh = state.step % per_epoch == 0
            state = state.replace(sums=jax.tree.map(lambda s: jnp.where(fresh, 0.0, s), state.sums))
            return step(state, side, make(resident, state.seed, state.step, rows, batch_size, negatives))

        return jax.lax.while_loop(lambda state: state.step < until, body, state)

    return run


def _check(batch_size: int, num_devices: int) -> None:
    if batch_size < 1 or batch_size % num_devices:
        raise ValueError(
            f"the batch size must be a multiple of the {num_devices} devices it is spread over, got {batch_size}"
        )


class MeshRunner:
    """`jit` over a mesh with axes data and table.

    Batches are spread over all devices, rows of tables over `table`, and edges over all where the model only sums over
    them; see `ops.spread` and `ops.ring`. A model that reads its tables by rows runs on each device by itself, in
    `shard_map`; for all others the compiler divides the work, and is told where arrays are and how rows are looked up.
    """

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
        _check(batch_size, len(devices))
        shape = (len(devices) // table_shards, table_shards)
        self.mesh = jax.make_mesh(shape, ALL, devices=devices, axis_types=(AxisType.Auto,) * 2)
        self.spread = Spread(self.mesh)
        self._parts = (model, optimizer, batch_size)
        paths = tables_read(model, side, optimizer)
        self.by_rows = bool(paths) and table_shards > 1
        sizes = resident.known.offsets.shape[0] - 1, resident.known.num_items
        self.placement = Placement(
            self.spread,
            lambda path, shape: table_shards > 1 and (path in paths if paths else shape[0] in sizes),
        )
        self.side = self._place(side, shard_edges)
        self.resident = self._whole(resident) if table_shards == 1 else spread_pairs(resident, self.spread)
        self._run = jax.jit(self._on_rows if self.by_rows else self._on_tables, donate_argnums=0)
        self._encoded = jax.jit(self._encode)

    def _on_rows(self, state, side, resident, until):
        """Each device takes the steps of its part of the batch on its rows; loss and gradients are exchanged."""
        model, optimizer, batch_size = self._parts
        share = batch_size // self.mesh.size
        run = _steps(make_step(model, optimizer, ALL, spread=True), batch_size, model.negatives)

        def on_share(state, side, resident, until):
            first = jax.lax.axis_index(ALL).astype(jnp.uint32) * share
            return run(state, side, resident, first + jnp.arange(share, dtype=jnp.uint32), until)

        specs = self.placement.specs(state)
        mapped = self.spread.mapped(on_share, (specs, None, TABLE, None), specs)
        return mapped(state, side, resident, until)

    def _on_tables(self, state, side, resident, until):
        """All devices take one step together."""
        model, optimizer, batch_size = self._parts
        one = make_step(model, optimizer, gather=self._gathered if self.mesh.size > 1 else None)

        def step(state, side, batch):
            batch = batch.replace(spread=self.spread if self.spread.shards > 1 else None)
            return self.placement.padded(one(self.placement.unpadded(state), side, batch))

        rows = jnp.arange(batch_size, dtype=jnp.uint32)
        if self.mesh.size > 1:
            rows = self.spread.over_batch(rows)
        make = make_batch if self.spread.shards == 1 else self._make_batch
        state = _steps(step, batch_size, model.negatives, make)(state, side, resident, rows, until)
        # Left to itself, XLA returns some arrays spread otherwise than they came, and the next call compiles anew.
        return jax.lax.with_sharding_constraint(state, self.placement.shardings(state))

    def _make_batch(self, resident, seed, step, rows, batch_size: int, negatives: int) -> Batch:
        """`make_batch` of pairs that are spread, each device its own rows of it."""
        on_each = lambda resident, seed, step, rows: make_batch(resident, seed, step, rows, batch_size, negatives)  # noqa: E731
        return self.spread.mapped(on_each, (TABLE, None, None, ALL), ALL)(resident, seed, step, rows)

    def _gathered(self, tree):
        """Rows and their gradients on every device: each changes its own part of the tables."""
        return jax.lax.with_sharding_constraint(tree, self._sharding())

    def _sharding(self, *axes) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def _whole(self, tree):
        """Fixed data on all devices."""
        return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf), self._sharding()), tree)

    def _place(self, side, shard_edges: bool | None):
        """Fixed data on all devices, and edges on those that add them up.

        Where the model needs a list of all edges, bundles of them are spread over `data` if they divide, except on a
        CPU, which walks them in blocks.
        """
        is_graph = lambda part: isinstance(part, Diffusion)  # noqa: E731
        if self.mesh.size == 1 or not any(map(is_graph, jax.tree.leaves(side, is_leaf=is_graph))):
            return self._whole(side)
        if shard_edges is not False:
            spread = jax.tree.map(
                lambda part: spread_edges(part, self.spread) if is_graph(part) else part, side, is_leaf=is_graph
            )
            if self._runs_on(spread):
                return self._put(spread, lambda part: isinstance(part, Parts), self._sharding(ALL))
            if shard_edges is None:
                shard_edges = self.mesh.devices.flat[0].platform != "cpu"
        divides = lambda part: all(leaf.shape[0] % self.mesh.shape[DATA] == 0 for leaf in jax.tree.leaves(part))  # noqa: E731
        return self._put(
            side, lambda part: shard_edges and isinstance(part, Bundles) and divides(part), self._sharding(DATA)
        )

    def _put(self, tree, is_spread, sharding):
        def put(part):
            where = sharding if is_spread(part) else self._sharding()
            return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf), where), part)

        return jax.tree.map(put, tree, is_leaf=is_spread)

    def _runs_on(self, side) -> bool:
        """Whether a step of the model is defined on edges that can only be summed over."""
        model = self._parts[0]

        def one_step(side):
            number = jnp.zeros(1, jnp.int32)
            negatives = jnp.zeros((1, model.negatives), jnp.int32)
            batch = Batch(number, number, negatives, jnp.ones(1), number.astype(jnp.uint32))
            params = model.init(jax.random.key(0), side)
            return model.loss(params, side, batch, jnp.uint32(0)), model.encode(params, side)

        try:
            jax.eval_shape(one_step, side)
        except EdgesAreSpread:
            return False
        return True

    def fresh(self, side, seed: int, start: Callable | None, drawn) -> TrainState:
        """`new_state` on the mesh; without `start`, each device makes its own rows of tables alone."""
        model, optimizer, _ = self._parts
        if self.spread.shards == 1 or start is not None:
            return self.place(new_state(model, side, optimizer, seed, start, drawn))

        def make(side, drawn):
            return new_state(model, side, optimizer, seed, drawn=drawn)

        self.placement.learn(jax.eval_shape(make, side, drawn).params)
        padded = lambda *sides: self.placement.padded(make(*sides))  # noqa: E731
        shardings = self.placement.shardings(jax.eval_shape(padded, side, drawn))
        return jax.jit(padded, out_shardings=shardings)(side, drawn)

    def place(self, state: TrainState) -> TrainState:
        """Puts a state on the mesh."""
        self.placement.learn(state.params)
        return self.placement.placed(state)

    def run(self, state: TrainState, until: int) -> TrainState:
        """Trains up to step `until`. `state` is donated: it is gone afterwards."""
        return self._run(state, self.side, self.resident, jnp.int32(until))

    def whole(self, tree):
        """The tree for evaluation: tables in the host's memory, where they are spread, else on the first device."""
        if self.mesh.size == 1:
            return tree
        if self.spread.shards == 1:
            return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)
        return self.placement.on_host(tree)

    def validated(self, validate: Callable, params):
        """validate(params); from items where they are, if it can be asked so and scores are dot products."""
        if self.spread.shards > 1 and hasattr(validate, "of_state") and self._has_vectors():
            return validate.of_state(self._encoded(params, self.side))
        return validate(self.whole(params))

    def _encode(self, params, side) -> ItemShards:
        model = self._parts[0]
        state = model.encode(self.placement.unpadded(params), side)
        return spread_vectors(self.spread, *model.vectors(state))

    def _has_vectors(self) -> bool:
        """Whether the whole graph is at hand, and what it encodes is compared by dot products."""
        is_drawn = lambda part: isinstance(part, Neighbours)  # noqa: E731
        if any(map(is_drawn, jax.tree.leaves(self.side, is_leaf=is_drawn))):
            return False
        model = self._parts[0]
        params = jax.eval_shape(model.init, jax.random.key(0), self.side)
        return model.vectors(jax.eval_shape(model.encode, params, self.side)) is not None

    def to_save(self, state: TrainState) -> TrainState:
        """A copy that later steps do not touch, as arrays over the mesh, or of the host where tables are padded."""
        return self.placement.copied(state)

    def best(self, saved):
        """What `to_save` gave, for evaluation."""
        return self.whole(saved)


class PmapRunner:
    """`pmap`: every device holds the whole state and a slice of the batch."""

    def __init__(self, model, optimizer, side, resident, batch_size, devices=None):
        self.devices = jax.devices() if devices is None else devices
        _check(batch_size, len(self.devices))
        self._parts = (model, optimizer)
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

    def fresh(self, side, seed: int, start: Callable | None, drawn) -> TrainState:
        model, optimizer = self._parts
        return self.place(new_state(model, side, optimizer, seed, start, drawn))

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

    def validated(self, validate: Callable, params):
        return validate(self.whole(params))
