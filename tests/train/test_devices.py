"""The number of devices, and how work is spread over them, changes nothing but the rounding of sums."""

import jax
import numpy as np
import pytest

from socialjax.models import BPR, DiffNet
from socialjax.train.parallel import make_runner
from socialjax.train.step import make_optimizer, new_state

STEPS, BATCH = 20, 32
# Smaller starts make gradients that almost cancel, and Adam, which divides by their size, makes rounding visible.
MODELS = {
    "bpr": BPR(dim=4, dropout=0.2, init_std=0.1),
    "diffnet": DiffNet(dim=4, depth=1, variant="paper", negatives=2, exclude_target=True, init_std=0.1),
}
PLACEMENTS = [
    ("jit", 8, {}),
    ("pmap", 8, {}),
    ("jit", 4, {"table_shards": 2}),
    ("jit", 8, {"table_shards": 2, "shard_edges": True}),
]
FURTHER = [*(("jit", count, {}) for count in (2, 4)), *(("pmap", count, {}) for count in (1, 2, 4))]


def runner_for(name, world, pairs, backend="jit", count=1, **mesh):
    model = MODELS[name]
    optimizer = make_optimizer("adam", 0.02)
    side = model.prepare(world)
    runner = make_runner(backend, model, optimizer, side, pairs, BATCH, devices=jax.devices()[:count], **mesh)
    return runner, new_state(model, side, optimizer, seed=3)


def trained(name, world, pairs, backend="jit", count=1, **mesh):
    runner, state = runner_for(name, world, pairs, backend, count, **mesh)
    state = runner.place(state)
    for until in (1, 7, STEPS):
        state = runner.run(state, until)
    return jax.tree.map(np.asarray, runner.whole((state.params, state.sums)))


@pytest.fixture(scope="module")
def on_one_device(world, pairs):
    return {name: trained(name, world, pairs) for name in MODELS}


CASES = [("diffnet", *placement) for placement in PLACEMENTS] + [("bpr", name, 8, {}) for name in ("jit", "pmap")]
CASES += [pytest.param("diffnet", *placement, marks=pytest.mark.slow) for placement in FURTHER]


@pytest.mark.parametrize("name, backend, count, mesh", CASES, ids=str)
def test_parameters_after_20_steps_are_those_of_one_device(on_one_device, world, pairs, name, backend, count, mesh):
    found = trained(name, world, pairs, backend, count, **mesh)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, on_one_device[name])


@pytest.mark.parametrize("mesh", [{"shard_edges": True}, {"shard_edges": True, "table_shards": 2}], ids=str)
def test_what_gpus_and_tpus_compute_is_spread_as_rightly(on_one_device, world, pairs, mesh, monkeypatch):
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, cpu, default: default(*args))
    jax.clear_caches()  # else what was traced for the CPU is found again
    found = trained("diffnet", world, pairs, "jit", 4, **mesh)
    jax.clear_caches()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, on_one_device["diffnet"])


def test_twenty_steps_move_every_parameter(on_one_device, world, pairs):
    """Else the comparisons above would compare starting points."""
    for name, (params, _) in on_one_device.items():
        _, state = runner_for(name, world, pairs)
        for before, after in zip(jax.tree.leaves(state.params), jax.tree.leaves(params)):
            assert np.abs(np.asarray(before) - after).max() > 1e-3


def test_how_many_steps_a_call_takes_changes_no_bit(world, pairs):
    runner, state = runner_for("bpr", world, pairs, count=2)
    ends = []
    for stops in ((STEPS,), range(1, STEPS + 1), (3, 4, 11, STEPS)):
        now = runner.place(jax.tree.map(np.asarray, state))
        for until in stops:
            now = runner.run(now, until)
        ends.append(jax.tree.map(np.asarray, now))
    for other in ends[1:]:
        jax.tree.map(np.testing.assert_array_equal, ends[0], other)


def test_spread_tables_stay_spread_and_compile_once(world, pairs):
    runner, state = runner_for("bpr", world, pairs, count=4, table_shards=2)
    placed = runner.place(state)
    spread = [leaf.sharding for leaf in jax.tree.leaves(placed)]
    for until in (1, 2, 3):
        placed = runner.run(placed, until)
    assert runner._run._cache_size() == 1
    assert [leaf.sharding for leaf in jax.tree.leaves(placed)] == spread
    assert len(placed.params["users"].addressable_shards[0].data) == 24  # half of the 48 users


@pytest.mark.parametrize("backend", ["jit", "pmap"])
def test_a_batch_that_does_not_divide_is_refused(world, pairs, backend):
    model, optimizer = MODELS["bpr"], make_optimizer("adam", 0.02)
    with pytest.raises(ValueError, match=r"multiple of the 8 devices.*got 30"):
        make_runner(backend, model, optimizer, model.prepare(world), pairs, 30, devices=jax.devices())


def test_table_shards_must_divide_the_devices(world, pairs):
    with pytest.raises(ValueError, match="must divide the 4 devices, got 3"):
        runner_for("bpr", world, pairs, count=4, table_shards=3)


@pytest.mark.parametrize("backend", ["jit", "pmap"])
def test_what_is_kept_survives_donation(world, pairs, backend):
    runner, state = runner_for("bpr", world, pairs, backend, count=2)
    state = runner.run(runner.place(state), 3)
    kept = runner.to_save(state)
    before = jax.tree.map(np.array, kept)
    runner.run(state, 9)
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, kept))
