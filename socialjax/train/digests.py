"""What arrays are, in a few bytes: shapes and digests that do not depend on the devices they are spread over."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.ops import sample

PIECE = 1 << 22  # numbers of an array of the host that are on a device at once


class Damaged(Exception):
    """Arrays that are not those that were written."""


def shapes(**trees) -> dict[str, str]:
    """{"best['users']": "float32[60, 8]", ...} of the leaves of best=..., state=..."""
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in _leaves(trees).items()}


def listed(**trees) -> dict[str, list]:
    """{"best['users']": ["float32[60, 8]", digest], ...}; with several processes, all must call."""
    leaves = _leaves(trees)
    on_host = {name: leaf for name, leaf in leaves.items() if isinstance(leaf, np.ndarray)}
    elsewhere = {name: leaf for name, leaf in leaves.items() if name not in on_host}
    sums = jax.device_get(jax.tree.map(_local, _digests(elsewhere, jnp.uint32(0))))
    sums |= {name: _in_pieces(leaf) for name, leaf in on_host.items()}
    return {name: [shape, int(sums[name])] for name, shape in shapes(**trees).items()}


def _in_pieces(array: np.ndarray) -> int:
    """The digest of an array of the host, of which no device gets the whole."""
    flat = array.reshape(-1)
    starts = range(0, max(flat.size, 1), PIECE)
    return sum(int(_digests(flat[first : first + PIECE], jnp.uint32(first))) for first in starts) % 2**32


def check(wanted: dict[str, list], **trees) -> None:
    """Raises Damaged unless the arrays are as `listed` found them."""
    for name, entry in listed(**trees).items():
        if entry != wanted[name]:
            raise Damaged(f"{name} has changed since it was written")


def listed_shapes(arrays: dict[str, list], tree: str) -> dict[str, str]:
    """The shapes of `tree` as listed. Raises Damaged for what is no list of arrays."""
    try:
        shapes_of_tree = {name: shape for name, (shape, _) in arrays.items() if name.startswith(f"{tree}[")}
    except (AttributeError, TypeError, ValueError):
        raise Damaged("its notes list no arrays") from None
    for name, shape in shapes_of_tree.items():
        if not isinstance(shape, str) or not re.fullmatch(r"[a-z][a-z0-9_]*\[(\d{1,12}(, \d{1,12})*)?\]", shape):
            raise Damaged(f"its notes say that {name} is {shape!r}")
    return shapes_of_tree


def dtype_and_sizes(shape: str) -> tuple[np.dtype, tuple[int, ...]]:
    """Of `float32[60, 8]`. Raises Damaged for a type that there is not."""
    dtype, sizes = shape.split("[", 1)
    try:
        return jnp.dtype(dtype), tuple(json.loads(f"[{sizes}"))
    except TypeError:
        raise Damaged(f"its notes name the type {dtype!r}") from None


def as_listed(arrays: dict[str, list], tree: str) -> dict:
    """Nested dicts of zeros (NumPy) with the names and shapes that are listed for `tree`; they take their memory when
    they are written to. Raises Damaged for what is no list of arrays."""
    nested: dict = {}
    for name, shape in listed_shapes(arrays, tree).items():
        *path, leaf = re.findall(r"\['([^']*)'\]", name)
        inner = functools.reduce(lambda found, key: found.setdefault(key, {}), path, nested)
        dtype, sizes = dtype_and_sizes(shape)
        inner[leaf] = np.zeros(sizes, dtype)
    return nested


@jax.jit
def _digests(arrays, first):
    """A u32 for each array: the sum of a hash of each number's bits and place, counted from `first`."""

    def digest(array):
        array = array.astype(jnp.uint8) if array.dtype == bool else array
        bits = jax.lax.bitcast_convert_type(array, f"uint{8 * min(array.dtype.itemsize, 4)}").astype(jnp.uint32)
        return jnp.sum(sample.fold(bits.ravel(), first + jnp.arange(bits.size, dtype=jnp.uint32)), dtype=jnp.uint32)

    return jax.tree.map(digest, arrays)


def _leaves(trees: dict) -> dict:
    return {f"{n}{jax.tree_util.keystr(p)}": x for n, tree in trees.items() for p, x in jax.tree.leaves_with_path(tree)}


def _local(array: jax.Array) -> jax.Array:
    """This process's copy of an array that is the same everywhere."""
    return array.addressable_data(0)
