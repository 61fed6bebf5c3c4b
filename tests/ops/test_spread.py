"""Rows and edges that are spread over devices give what one device gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from socialjax.graph import edges, normalise
from socialjax.ops.lookup import candidate_scores
from socialjax.ops.propagate import diffusion, propagate
from socialjax.ops.ring import EdgesAreSpread, spread_edges
from socialjax.ops.spread import Spread

MESHES = [(1, 1), (2, 1), (1, 4), (2, 4), (4, 2)]  # data, table
close = lambda found, wanted: np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)  # noqa: E731


def spread(data, table):
    devices = jax.devices()[: data * table]
    return Spread(jax.make_mesh((data, table), ("data", "table"), devices=devices, axis_types=(AxisType.Auto,) * 2))


@pytest.mark.parametrize("mesh", MESHES, ids=str)
@pytest.mark.parametrize("shape", [(11,), (11, 3), (8, 2, 3), (3, 2)], ids=str)
def test_a_lookup_gives_the_rows_and_adds_their_gradients(mesh, shape):
    draw = np.random.default_rng(0)
    table = draw.normal(size=shape).astype(np.float32)
    numbers = draw.integers(0, shape[0], (16, 2)).astype(np.int32)
    towards = draw.normal(size=(16, 2, *shape[1:])).astype(np.float32)
    found, back = jax.vjp(jax.jit(lambda table: spread(*mesh).lookup(table, numbers)), table)
    np.testing.assert_array_equal(found, table[numbers])
    gradient = np.zeros_like(table)
    np.add.at(gradient, numbers, towards)  # by hand: every place that read a row adds to it
    close(jax.jit(back)(towards)[0], gradient)


@pytest.mark.parametrize("mesh", MESHES, ids=str)
def test_scores_are_those_of_whole_tables_with_their_gradients(mesh):
    draw = np.random.default_rng(1)
    users, items = (draw.normal(size=(rows, 4)).astype(np.float32) for rows in (8, 13))
    candidates = draw.integers(0, 13, (8, 3)).astype(np.int32)
    towards = draw.normal(size=(8, 3)).astype(np.float32)
    found, back = jax.vjp(jax.jit(lambda *tables: spread(*mesh).scores(*tables, candidates)), users, items)
    wanted, plain = jax.vjp(lambda *tables: candidate_scores(*tables, candidates), users, items)
    close(found, wanted)
    for one, other in zip(jax.jit(back)(towards), plain(towards)):
        close(one, other)


def graph(num_senders, num_receivers, count):
    draw = np.random.default_rng(2)
    senders = (num_senders * draw.random(count) ** 2).astype(np.int32)  # some are popular
    receivers = draw.integers(0, num_receivers, count).astype(np.int32)
    made = edges(senders, receivers, num_senders, num_receivers)
    return diffusion(normalise(made, "mean"))


@pytest.mark.parametrize("mesh", MESHES, ids=str)
@pytest.mark.parametrize("sizes", [(23, 17, 200), (5, 40, 90), (40, 3, 64), (9, 9, 0), (2, 2, 1)], ids=str)
def test_the_sum_over_spread_edges_is_that_of_all(mesh, sizes):
    whole = graph(*sizes)
    parts = spread_edges(whole, spread(*mesh), block=8)
    draw = np.random.default_rng(3)
    values, towards = (draw.normal(size=(rows, 5)).astype(np.float32) for rows in sizes[:2])
    found, back = jax.vjp(jax.jit(lambda values: propagate(parts, values)), values)
    wanted, plain = jax.vjp(jax.jit(lambda values: propagate(jax.tree.map(jnp.asarray, whole), values)), values)
    close(found, wanted)
    close(jax.jit(back)(towards)[0], plain(towards)[0])


def test_each_device_has_its_share_of_the_edges():
    whole = graph(400, 400, 20_000)
    count = len(whole.senders)
    for mesh in MESHES:
        parts = spread_edges(whole, spread(*mesh))
        for direction in (parts.forth, parts.back):
            held = direction.starts[:, -1]
            assert held.sum() == count, "every edge is on one device"
            length = direction.senders.shape[1] - parts.block
            assert length == held.max()
        assert parts.forth.starts[:, -1].max() <= 1.2 * count / (mesh[0] * mesh[1])


def test_what_only_a_list_of_edges_can_give_is_refused():
    parts = spread_edges(graph(9, 9, 30), spread(1, 2))
    with pytest.raises(EdgesAreSpread, match="edges' senders are on many devices"):
        parts.senders  # noqa: B018
    with pytest.raises(EdgesAreSpread, match="weights that a model computes"):
        propagate(parts, jnp.ones((9, 2)), jnp.ones(30))
