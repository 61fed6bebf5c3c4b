"""From one pure step to many devices: `jit` over a mesh (the default) and `pmap`, with the same numbers.

A program runs many steps in one call: batches are made on the device from the number of the step.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from socialjax.data.batches import Resident, make_batch, steps_per_epoch
from socialjax.ops.propagate import Bundles
from socialjax.train.step import TrainState, make_step

Backend = Literal["jit", "pmap"]


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
        run = _steps(make_step(model, optimizer), batch_size, model.negatives)

        def constrained(state, side, resident, until):
            numbers = jax.lax.with_sharding_constraint(jnp.arange(batch_size, dtype=jnp.uint32), rows)
            # Left to itself, XLA returns some arrays spread otherwise than they came, and the next call compiles anew.
            state = run(state, side, resident, numbers, until)
            return jax.lax.with_sharding_constraint(state, jax.tree.map(self._layout, state))

        self._run = jax.jit(constrained, donate_argnums=0)
        self._gather = jax.jit(lambda tree: tree, out_shardings=self._sharding())

    def _sharding(self, *axes) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*axes))

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
