"""Digests notice what changed in an array, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from socialjax.train import digests


def state_at(step):
    table = np.random.default_rng(step).normal(size=(24, 4)).astype(np.float32)
    return {"step": jnp.int32(step), "params": {"users": jnp.asarray(table), "bias": jnp.full(3, step, jnp.float32)}}


def on_devices(tree, count):
    mesh = jax.make_mesh((count,), ("table",), devices=jax.devices()[:count], axis_types=(AxisType.Auto,))
    spread = lambda leaf: PartitionSpec("table") if leaf.ndim == 2 else PartitionSpec()  # noqa: E731
    return jax.tree.map(lambda leaf: jax.device_put(leaf, NamedSharding(mesh, spread(leaf))), tree)


def test_digests_do_not_depend_on_how_arrays_are_spread():
    listed = [digests.listed(state=on_devices(state_at(1), count)) for count in (1, 4)]
    listed.append(digests.listed(state=jax.tree.map(np.asarray, state_at(1))))
    assert listed[0] == listed[1] == listed[2]


def test_digests_notice_swapped_and_changed_numbers_of_every_type():
    for dtype in ("float32", "int32", "uint32", "bfloat16", "bool", "int8"):
        values = np.array([0, 1, 0, 1, 1], dtype=jnp.dtype(dtype))
        swapped, changed = values[[1, 0, 2, 3, 4]], np.concatenate([values[:4], 1 - values[4:].astype(np.int8)])
        found = {digests.listed(x=x.astype(dtype))["x"][1] for x in (values, swapped, changed)}
        assert len(found) == 3, dtype


def test_a_listed_tree_is_made_anew_with_its_shapes():
    listed = digests.listed(best=state_at(1)["params"], other={"x": np.zeros(2)})
    made = digests.as_listed(listed, "best")
    assert jax.tree.map(np.shape, made) == {"users": (24, 4), "bias": (3,)}
    assert listed["best['users']"][0] == "float32[24, 4]"
    digests.check(listed, best=state_at(1)["params"])
    with pytest.raises(digests.Damaged, match="users"):
        digests.check(listed, best={**state_at(1)["params"], "users": made["users"]})
