"""What arrays are, in a few bytes: shapes and digests that do not depend on the devices they are spread over."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.ops import sample


class Damaged(Exception):
    """Arrays that are not those that were written."""


def shapes(**trees) -> dict[str, str]:
    """{"best['users']": "float32[60, 8]", ...} of the leaves of best=..., state=..."""
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in _leaves(trees).items()}


def listed(**trees) -> dict[str, list]:
    """{"best['users']": ["float32[60, 8]", digest], ...}; with several processes, all must call."""
    sums = jax.device_get(jax.tree.map(_local, _digests(_leaves(trees))))
    return {name: [shape, int(sums[name])] for name, shape in shapes(**trees).items()}


def check(wanted: dict[str, list], **trees) -> None:
    """Raises Damaged unless the arrays are as `listed` found them."""
    for name, found in listed(**trees).items():
        if found != wanted[name]:
            raise Damaged(f"{name} has changed since it was written")


def as_listed(arrays: dict[str, list], tree: str) -> dict:
    """Nested dicts of zeros (NumPy) with the names and shapes that are listed for `tree`."""
    made: dict = {}
    for name, (shape, _) in arrays.items():
        if name.startswith(f"{tree}["):
            *path, leaf = re.findall(r"\['([^']*)'\]", name)
            dtype, sizes = shape.split("[", 1)
            inner = functools.reduce(lambda found, key: found.setdefault(key, {}), path, made)
            inner[leaf] = np.zeros(json.loads(f"[{sizes}"), jnp.dtype(dtype))
    return made


@jax.jit
def _digests(arrays: dict) -> dict:
    """A u32 for each array: the sum of a hash of each number's bits and place."""

    def digest(array):
        array = array.astype(jnp.uint8) if array.dtype == bool else array
        bits = jax.lax.bitcast_convert_type(array, f"uint{8 * min(array.dtype.itemsize, 4)}").astype(jnp.uint32)
        return jnp.sum(sample.fold(bits.ravel(), jnp.arange(bits.size)), dtype=jnp.uint32)

    return jax.tree.map(digest, arrays)


def _leaves(trees: dict) -> dict:
    return {f"{n}{jax.tree_util.keystr(p)}": x for n, tree in trees.items() for p, x in jax.tree.leaves_with_path(tree)}


def _local(array: jax.Array) -> jax.Array:
    """This process's copy of an array that is the same everywhere."""
    return array.addressable_data(0)
