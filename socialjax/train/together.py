"""Several seeds trained at the same time: each has a state of its own, and all share what is compiled.

- `one_by_one`: what a single seed does.
- `SideBySide`: as many programs at a time as there are cores. They are those of `one_by_one`, and so are all bits.
- `Stacked`: one program that takes each step for all seeds by `vmap`. Sums are added in another order there, so that
  figures equal those of one by one but for rounding.

Seeds need not be at the same step: each has the number of its own in its state. One that has stopped is left out.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp

from socialjax import memory
from socialjax.train.step import Resident, Together, TrainState, make_batch, make_step, steps_per_epoch

SHARE = 0.8  # of the free memory that seeds may take
# Copies of parameters and state of one seed at a time: of the state what is trained, what is saved, and with vmap the
# stack; of the parameters the best, a better one, gradients, updates, and what the layers of a graph model keep.
STATES, TABLES = 3, 12


def most_at_a_time(state: Any, params: Any, free: int | None) -> int:
    """How many seeds may be trained at a time, at least one.

    Args:
      state: Anything with shapes and dtypes of a seed's state.
      params: The same of its parameters.
      free: Bytes that are free on the device; None where it does not tell.
    """
    if free is None:
        return 1 << 30
    wanted = STATES * _bytes(state) + TABLES * _bytes(params)
    return max(1, int(SHARE * free / max(wanted, 1)))


def free_bytes(device: jax.Device) -> int | None:
    """Bytes that are free on a device; on a CPU those of the machine. None where nobody tells."""
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return memory.available_bytes() if device.platform == "cpu" else None


def _bytes(tree: Any) -> int:
    return sum(leaf.size * jnp.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(tree))


def check_devices(together: Together, count: int) -> None:
    """Raises ValueError where seeds cannot be trained at the same time."""
    if together != "off" and count > 1:
        raise ValueError(
            f"--train.together {together} trains seeds at the same time on one device, and there are {count}; choose "
            "off, which spreads the batches of one seed after the other over them"
        )


class SideBySide:
    """The program of one seed for several, as many at a time as this process has cores, each in a thread.

    Without threads, XLA's CPU client takes one program after the other, however soon they are given to it.
    """

    def __init__(self, runner):
        has_affinity = hasattr(os, "sched_getaffinity")
        self._cores = max(1, len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1)
        self._runner, self._has_compiled = runner, False

    def run(self, states: Sequence[TrainState], untils: Sequence[int]) -> list[TrainState]:
        """Each state trained up to its step; the states are donated."""

        def one(state, until):
            return jax.block_until_ready(self._runner.run(state, until))

        if not self._has_compiled:  # threads would all compile
            self._has_compiled = True
            return [one(state, until) for state, until in zip(states, untils)]
        with ThreadPoolExecutor(self._cores) as threads:
            return list(threads.map(one, states, untils))


class Stacked:
    """Steps of several seeds in one program, compiled once for each number of seeds."""

    def __init__(self, model, optimizer, side, resident: Resident, batch_size: int):
        step = jax.vmap(make_step(model, optimizer), in_axes=(0, None, 0))
        rows, per_epoch = jnp.arange(batch_size, dtype=jnp.uint32), steps_per_epoch(len(resident.users), batch_size)

        def run(states: tuple[TrainState, ...], side, resident, steps):
            def batch_of(state):
                return make_batch(resident, state.seed, state.step, rows, batch_size, model.negatives)

            def body(_, stack: TrainState) -> TrainState:
                fresh = stack.step % per_epoch == 0
                stack = stack.replace(sums=jax.tree.map(lambda s: jnp.where(fresh, 0.0, s), stack.sums))
                return step(stack, side, jax.vmap(batch_of)(stack))

            stack = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
            stack = jax.lax.fori_loop(0, steps, body, stack)
            return tuple(jax.tree.map(lambda leaf, n=n: leaf[n], stack) for n in range(len(states)))

        self._run, self._side, self._resident = jax.jit(run, donate_argnums=0), side, resident

    def run(self, states: Sequence[TrainState], steps: int) -> list[TrainState]:
        """So many steps of each state; the states are donated."""
        return list(jax.block_until_ready(self._run(tuple(states), self._side, self._resident, jnp.int32(steps))))


def groups(members: Sequence, most: int) -> Iterator[Sequence]:
    """The members in order, at most so many at a time, in groups of equal size where that is possible."""
    count = -(-len(members) // most)
    for number in range(count):
        yield members[number * len(members) // count : (number + 1) * len(members) // count]
