"""A trained model as a StableHLO program that JAX alone runs (`jax.export`).

The state of the model is in the program, so that it is called with users and nothing else: 15 MB on Yelp, compiled in a
second. As arguments, the state would have to be rebuilt by the caller from types that only this library has.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from socialjax.contract import Model, State
from socialjax.export.answers import Catalogue, check_size
from socialjax.export.id_files import written_with_ids

PLATFORMS = ("cpu", "cuda", "tpu")
CHUNK = 32  # training items that are left out in one go


def write_stablehlo(
    path: Path, model: Model, state: State, catalogue: Catalogue, platforms: tuple[str, ...] = PLATFORMS
) -> None:
    """Writes the program that maps user i32[b] to item i32[b, k] and score f32[b, k], best first, for any b.

    Training items of the user are left out; where fewer than k are left, and for a number that is no user's, item is
    -1 and score -inf. The ids of the rows lie beside.

    Args:
        path: ends in `.stablehlo`.
        model: The model.
        state: As `model.encode` gives it.
        catalogue: Users, items and what is left out.
        platforms: Where the program will run, of `cpu`, `cuda`, `rocm`, `tpu`; it is tested on `cpu`.

    Raises:
        ValueError: for another platform, and for a program of 2 GiB or more.
    """
    unknown = sorted(set(platforms) - {"cpu", "cuda", "rocm", "tpu"})
    if unknown or not platforms:
        raise ValueError(f"platforms must be some of cpu, cuda, rocm, tpu, got {', '.join(unknown) or 'none'}")
    state = jax.device_get(state)
    check_size(sum(leaf.nbytes for leaf in jax.tree.leaves(state) if hasattr(leaf, "nbytes")), str(path))
    (batch,) = export.symbolic_shape("b")
    exported = export.export(jax.jit(_answer(model, state, catalogue)), platforms=platforms)(
        jax.ShapeDtypeStruct((batch,), jnp.int32)
    )
    content = exported.serialize()
    check_size(len(content), str(path))
    users, items = catalogue.user_ids, catalogue.item_ids
    with written_with_ids(path, users, items, **catalogue.beside(), platforms=list(platforms)) as temporary:
        temporary.write_bytes(content)


def _answer(model: Model, state: State, catalogue: Catalogue):
    """users i32[b] -> items i32[b, k], scores f32[b, k]; arrays are constants of the program."""

    def answer(numbers):
        users = jnp.clip(numbers, 0, len(catalogue.user_ids) - 1)
        own = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, state)
        table = _without_seen(_scores(model, own, users, catalogue.num_items), users, catalogue)
        table = jnp.where((users == numbers)[:, None], table, -jnp.inf)
        scores, items = jax.lax.top_k(table, catalogue.k)
        return jnp.where(scores > -jnp.inf, items, -1), scores

    return answer


def _scores(model: Model, state: State, users: jax.Array, num_items: int) -> jax.Array:
    """All scores f32[b, I]: one product, or where the score is no dot product, user by user."""
    vectors = model.vectors(state)
    if vectors is not None:
        of_users, of_items, bias = vectors
        return jnp.dot(of_users[users], of_items.T, precision=jax.lax.Precision.HIGHEST) + bias[None, :]
    everything = jnp.arange(num_items, dtype=jnp.int32)[None, :]
    return jax.lax.map(lambda user: model.score(state, user[None], everything)[0], users)


def _without_seen(table: jax.Array, users: jax.Array, catalogue: Catalogue) -> jax.Array:
    """The table f32[b, I] with -inf for the training items of each row's user.

    Histories differ in length by thousands; a loop over their chunks needs no table of the longest for everybody.
    """
    offsets, seen = jnp.asarray(catalogue.offsets), jnp.asarray(catalogue.seen)
    if not len(catalogue.seen):
        return table
    start, count = offsets[users], offsets[users + 1] - offsets[users]
    row = jnp.arange(users.shape[0], dtype=jnp.int32)[:, None]

    def leave_out(chunk, table):
        place = chunk * CHUNK + jnp.arange(CHUNK, dtype=jnp.int32)[None, :]
        held = place < count[:, None]
        item = jnp.where(held, seen[jnp.where(held, start[:, None] + place, 0)], catalogue.num_items)
        return table.at[row, item].set(-jnp.inf, mode="drop")

    chunks = (jnp.max(count, initial=0) + CHUNK - 1) // CHUNK
    return jax.lax.fori_loop(0, chunks, leave_out, table)
