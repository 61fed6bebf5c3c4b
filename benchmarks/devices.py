"""What devices send, hold and take for a training step whose tables and edges are spread over them.

    python -m benchmarks.devices            # steps on 1 to 8 virtual devices, 1 to 4 table shards
    python -m benchmarks.devices --lookups  # ways to look rows up in a spread table, beside each other

Bytes are read from the compiled program (`benchmarks.compiled_step`): they hold for any devices of that number. Times
are those of virtual devices, which share the cores of one CPU and its memory: they compare work, not networks. The
last line is JSON.
"""

import argparse
import functools
import json
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

from benchmarks.children import last_line
from benchmarks.compiled_step import collectives, given_bytes, largest_made
from socialjax.data.schema import Dataset, Interactions, Links, Provenance
from socialjax.eval.metrics import text_table
from socialjax.models import MODELS
from socialjax.ops.spread import ALL, TABLE, Spread, lookup, own
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state, resident

PLACES = [(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4), (8, 1), (8, 2), (8, 4)]  # devices, table shards
STEPS = [("bpr", "adagrad_rows"), ("bpr", "adam"), ("lightgcn", "adam"), ("diffnet", "adam")]
USERS, ITEMS, EACH, BATCH, DIM, ROUNDS = 20_000, 10_000, 20, 2048, 64, 7


def world() -> Dataset:
    """Users with 20 random pairs and 20 random links each."""
    draw = np.random.default_rng(0)
    user = np.repeat(np.arange(USERS, dtype=np.int32), EACH)
    item, friend = (draw.integers(0, high, len(user)).astype(np.int32) for high in (ITEMS, USERS))
    nobody = Interactions(user[:0], item[:0])
    train = Interactions(user, item)
    return Dataset("random", USERS, ITEMS, train, nobody, nobody, Provenance("", "", ""), Links(user, friend))


def step(name: str, optimizer: str, devices: int, shards: int) -> dict:
    """One step: what is held, made and sent by each device, in bytes, and seconds of all of them together."""
    data, model, rule = world(), MODELS[name](dim=DIM), make_optimizer(optimizer, 0.05)
    side = model.prepare(data)
    runner = make_runner(
        "jit", model, rule, side, resident(data), BATCH, devices=jax.devices()[:devices], table_shards=shards
    )
    state = runner.place(new_state(model, side, rule, 0))
    text = runner._run.lower(state, runner.side, runner.resident, jnp.int32(1)).compile().as_text()
    given = given_bytes(text)
    held = {part: sum(size for name, size in given.items() if name.startswith(begin)) for part, begin in HELD.items()}
    sent = {}
    for one in collectives(text):
        sent[one.kind] = sent.get(one.kind, 0) + one.sent
    state, spent = jax.block_until_ready(runner.run(state, 1)), []
    for number in range(1, 1 + ROUNDS):
        begin = time.process_time()
        state = jax.block_until_ready(runner.run(state, number + 1))
        spent.append(time.process_time() - begin)
    return {
        "model": f"{name}, {optimizer}",
        "devices": devices,
        "shards": shards,
        **held,
        "largest": largest_made(text),
        "collectives": len(collectives(text)),
        "sent": sum(sent.values()),
        "by kind": sent,
        "cpu_s": statistics.median(spent),
    }


HELD = {"tables": "state.params", "state": "state.opt_state", "edges": "side", "pairs": "resident"}


def by_all_to_all(shard, numbers, capacity: int):
    """`ops.spread.lookup` by two all-to-alls: of numbers to those who have the rows, of rows back.

    Each device may ask each other for `capacity` rows; what is beyond comes back as zeros, so that exact is only the
    number of all.
    """
    shards, rows = jax.lax.axis_size(TABLE), len(shard)
    owner = jnp.minimum(numbers // rows, shards - 1)
    order = jnp.argsort(owner, stable=True)
    first = jnp.searchsorted(owner[order], jnp.arange(shards))
    place = jnp.zeros_like(order).at[order].set(jnp.arange(len(order)) - first[owner[order]])
    slot = jnp.where(place < capacity, owner * capacity + place, shards * capacity)
    asked = jnp.full(shards * capacity, shards * rows, numbers.dtype).at[slot].set(numbers, mode="drop")
    wanted = jax.lax.all_to_all(asked, TABLE, 0, 0, tiled=True)
    held = shard.at[own(wanted, rows)].get(mode="fill", fill_value=0)
    return jax.lax.all_to_all(held, TABLE, 0, 0, tiled=True).at[slot].get(mode="fill", fill_value=0)


def by_sum_on_all(shard, numbers):
    """The same by a sum that each device of the table gets whole, of which it keeps its part."""
    wanted = jax.lax.all_gather(numbers, TABLE, tiled=True)
    every = jax.lax.psum(shard.at[own(wanted, len(shard))].get(mode="fill", fill_value=0), TABLE)
    return jax.lax.dynamic_slice_in_dim(every, jax.lax.axis_index(TABLE) * len(numbers), len(numbers))


def lookups() -> list[dict]:
    """Ways to look up the rows of a batch on 8 devices, for several numbers of shards."""
    draw, rows = np.random.default_rng(0), []
    table = draw.normal(size=(USERS, DIM)).astype(np.float32)
    numbers = draw.integers(0, USERS, 4 * BATCH).astype(np.int32)
    share = len(numbers) // 8
    for shards in (2, 4, 8):
        mesh = jax.make_mesh((8 // shards, shards), ALL, axis_types=(AxisType.Auto,) * 2)
        spread, ways = Spread(mesh), {}
        ways["gather, reduce-scatter"] = lookup
        ways["gather, all-reduce"] = by_sum_on_all
        ways["all-to-all, room for all"] = functools.partial(by_all_to_all, capacity=share)
        ways["all-to-all, room for 1.25 of the mean"] = functools.partial(
            by_all_to_all, capacity=-(-5 * share // (4 * shards))
        )
        for name, way in ways.items():
            found = jax.jit(spread.mapped(way, (TABLE, ALL), ALL))
            compiled = found.lower(table, numbers).compile()
            placed = [jax.device_put(part, where) for part, where in zip((table, numbers), compiled.input_shardings[0])]
            result = np.asarray(compiled(*placed))
            spent = []
            for _ in range(9 * ROUNDS):
                begin = time.process_time()
                jax.block_until_ready(compiled(*placed))
                spent.append(time.process_time() - begin)
            sent = sum(one.sent for one in collectives(compiled.as_text()))
            wrong = int((result != table[numbers]).any(axis=1).sum())
            row = {"way": name, "shards": shards, "sent": sent, "cpu_ms": 1e3 * statistics.median(spent)}
            rows.append({**row, "rows missed": wrong})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lookups", action="store_true", help="ways to look rows up, instead of steps")
    parser.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, optimizer, *place = arguments.child
        print(json.dumps(lookups() if name == "lookups" else step(name, optimizer, *map(int, place))))
        return
    if arguments.lookups:
        rows = child("lookups", "")
    else:
        rows = [child(*case, *map(str, place)) for case in STEPS for place in PLACES]
    shown = [{name: value for name, value in row.items() if name != "by kind"} for row in rows]
    print(text_table([list(shown[0]), *([_short(value) for value in row.values()] for row in shown)]))
    print(json.dumps(rows))


def child(*arguments: str):
    """The last line of a process with 8 virtual devices."""
    words = [sys.executable, "-m", "benchmarks.devices", "--child", *arguments]
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    return last_line(words, flags, core=None)


def _short(value) -> str:
    if isinstance(value, str) or (isinstance(value, int) and value < 1000):
        return str(value)
    return f"{value / 1e6:.2f} M" if value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    main()
