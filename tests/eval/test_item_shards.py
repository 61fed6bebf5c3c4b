"""Ranks and best lists from items that are spread over devices are those of whole tables."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from benchmarks.compiled_step import largest_made
from socialjax.eval import item_shards, ranking
from socialjax.eval.protocol import Protocol, candidates
from socialjax.models import BPR
from socialjax.models.parts import Factors
from socialjax.ops.spread import Spread
from socialjax.train.loop import train
from socialjax.train.parallel import make_runner
from socialjax.train.step import TrainSettings, make_optimizer, new_state, resident
from socialjax.worlds import planted

MODEL = BPR(dim=4, negatives=2)


@pytest.fixture(scope="module")
def world():
    """Numbers of users and items that no number of shards divides."""
    return planted.checkerboard(num_users=53, num_items=43, links=2)


def spread(data, table):
    devices = jax.devices()[: data * table]
    return Spread(jax.make_mesh((data, table), ("data", "table"), devices=devices, axis_types=(AxisType.Auto,) * 2))


def factors(world, special=()):
    """Small whole numbers, so that sums are exact and many scores are tied."""
    draw = np.random.default_rng(1)
    tables = [draw.integers(-2, 3, (rows, 4)).astype(np.float32) for rows in (world.num_users, world.num_items)]
    bias = draw.integers(-1, 2, world.num_items).astype(np.float32)
    for item, value in special:
        bias[item] = value
    return tables[0], tables[1], bias


def both(world, mesh, special=()):
    """The state of whole tables and the spread one."""
    arrays = factors(world, special)
    shards = jax.jit(lambda *parts: item_shards.spread_vectors(spread(*mesh), *parts))(*arrays)
    return Factors(*map(jnp.asarray, arrays)), shards


MESHES = [(1, 2), (2, 2), (1, 8), (4, 2)]
SPECIAL = {"plain": (), "lowest": ((0, -np.inf), (42, -np.inf)), "no number": ((5, np.nan), (41, np.nan))}


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("mesh", MESHES, ids=str)
@pytest.mark.parametrize("name", ["full", "sampled9-strict"])
def test_ranks_are_those_of_whole_tables(world, mesh, name, special):
    asked = candidates(world, Protocol(name, (5,)), "test")
    whole, shards = (ranking.count(MODEL, state, asked) for state in both(world, mesh, SPECIAL[special]))
    for one, other in zip(dataclasses.astuple(whole), dataclasses.astuple(shards)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("mesh", MESHES, ids=str)
@pytest.mark.parametrize("k", [1, 10, 43])
def test_best_lists_are_those_of_whole_tables_and_ties_go_to_the_lower_item(world, mesh, k):
    users = np.arange(world.num_users)[::-1]
    states = both(world, mesh)
    (items, scores), (spread_items, spread_scores) = (
        ranking.top_k(MODEL, state, users, k, world.num_items, world.train) for state in states
    )
    np.testing.assert_array_equal(spread_items, items)
    np.testing.assert_array_equal(spread_scores, scores)


def test_no_device_makes_all_scores_of_a_block_or_a_whole_table():
    world = planted.checkerboard(num_users=1003, num_items=2001, links=2)
    shards = both(world, (2, 4))[1]
    block, num_items = 8, world.num_items
    users, hidden = np.zeros((16, block), np.int32), np.zeros((16, 4), np.int32)
    positives, longest = np.zeros((16, block, 3), np.int32), np.ones(16, np.int32)
    texts = [
        item_shards._among_all.lower(num_items, shards, np.int32(1), users, positives, longest, hidden),
        item_shards._best.lower(num_items, 5, shards, np.int32(1), users, hidden),
    ]
    for text in texts:
        assert largest_made(text.compile().as_text()) < 4 * min(4 * 1003, block * num_items / 2)


def test_validation_of_spread_tables_gathers_none_and_measures_the_same(world, tmp_path, monkeypatch):
    side, pairs = MODEL.prepare(world), resident(world)
    validate = ranking.MeanMetrics(MODEL, side, candidates(world, Protocol("full", (5, 10)), "validation"))
    rule = make_optimizer("adagrad_rows", 0.1)
    runner = make_runner("jit", MODEL, rule, side, pairs, 32, devices=jax.devices()[:8], table_shards=4)
    state = runner.run(runner.place(new_state(MODEL, side, rule, 0)), 20)
    wanted = validate(runner.whole(state.params))
    monkeypatch.setattr(runner, "whole", lambda tree: pytest.fail("tables were put together"))
    found = runner.validated(validate, state.params)
    assert found == pytest.approx(wanted, abs=1e-6) and found["NDCG@10"] > 0


def test_a_spread_training_chooses_the_epoch_of_one_device(world, tmp_path):
    side, pairs = MODEL.prepare(world), resident(world)
    validate = ranking.MeanMetrics(MODEL, side, candidates(world, Protocol("full", (5, 10)), "validation"))
    ends = []
    for count, shards in ((1, 1), (4, 2)):
        settings = TrainSettings(
            epochs=6,
            batch_size=32,
            evaluate_every=1,
            optimizer="sgd",
            learning_rate=0.5,
            table_shards=shards,
            quiet=True,
        )
        folder = tmp_path / str(count)
        ends.append(
            train(MODEL, side, pairs, settings, 0, folder, "x", validate=validate, devices=jax.devices()[:count])
        )
    assert ends[0].epoch == ends[1].epoch
    assert ends[0].validation == pytest.approx(ends[1].validation, abs=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), *(end.params for end in ends))
