"""Optimisers that change only the rows that a batch read, and what a step needs to use them.

A dense step writes every number of every table, and of its moments, whatever the batch: on 55,000 rows that is four
fifths of its time. Here the step gathers the rows that a batch reads (`Model.touched`), differentiates with respect to
them, and writes them back. A row that occurs several times in a batch has as many gradients.

- `sgd`: minus the rate times the mean gradient, as the dense one.
- `adagrad_rows`: row-wise Adagrad, one accumulator a row, to which each occurrence adds the mean of g^2, where g is the
  gradient of the summed loss, so that neither rate nor accumulators depend on the batch size (one accumulator a
  row: Naumov et al., arXiv 1906.00091, as in their code).
- `adam_rows`: lazy Adam. Rows that were not read stay as they are: no momentum moves them, and their moments do not
  decay. Rows of padding count as read. Equal to Adam where each step reads every row (as TensorFlow Addons' LazyAdam
  and torch.optim.SparseAdam).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from socialjax.contract import Batch, Model, Params, Side, touched_by
from socialjax.ops.spread import lookup, own

Path = tuple[str, ...]


class RowOptimizer(NamedTuple):
    """An optimiser of rows.

    Attributes:
      init: As of optax, for parameters that are read whole.
      update: As of optax.
      start: Table [N, ...] -> the state of its rows.
      change: (table, state, rows i32[n], gradients [n, ...] of the summed loss, weight f32[]) -> table and state. Rows
        beyond the table are padding.
      whole: Whether `init` and `update` are the same rule for a table of which every row is read.
    """

    init: Callable
    update: Callable
    start: Callable[[jax.Array], Any]
    change: Callable[..., tuple[jax.Array, Any]]
    whole: bool


def sgd(rate) -> RowOptimizer:
    """Stochastic gradient descent: the rows' share of optax.sgd, equal to it but for the order of sums."""

    def change(table, state, rows, gradients, weight):
        return _add(table, rows, -rate / weight * gradients), state

    return RowOptimizer(*optax.sgd(rate), lambda table: (), change, whole=True)


FIRST = 1e-4  # of the accumulators: a gradient of 0.01 a number is a tenth of a full first step away from one


def adagrad_rows(rate) -> RowOptimizer:
    """Row-wise Adagrad; parameters that are read whole go by optax.adagrad."""

    def change(table, state, rows, gradients, weight):
        squares = gradients**2
        squares = jnp.mean(squares.reshape(len(squares), -1), axis=1) if squares.ndim > 1 else squares
        state = _add(state, rows, squares)
        scale = -rate * jax.lax.rsqrt(state.at[rows].get(mode="clip"))
        return _add(table, rows, scale.reshape(-1, *[1] * (gradients.ndim - 1)) * gradients), state

    start = lambda table: jnp.full(table.shape[:1], FIRST, table.dtype)  # noqa: E731
    return RowOptimizer(*optax.adagrad(rate), start, change, whole=False)


def adam_rows(rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> RowOptimizer:
    """Lazy Adam; parameters that are read whole go by optax.adam."""

    def start(table):
        tables = {name: jnp.zeros_like(table) for name in ("first", "second", "sum")}  # not one: each is donated
        return {"count": jnp.zeros((), jnp.int32), **tables}

    def change(table, state, rows, gradients, weight):
        count = state["count"] + 1
        summed = _add(state["sum"], rows, gradients / weight)  # a table of zeros, kept: making one would cost as much
        at = lambda array: array.at[rows].get(mode="clip")  # noqa: E731
        gradient = at(summed)
        first = b1 * at(state["first"]) + (1 - b1) * gradient
        second = b2 * at(state["second"]) + (1 - b2) * gradient**2
        grown = count.astype(jnp.float32)
        step = (first / (1 - b1**grown)) / (jnp.sqrt(second / (1 - b2**grown)) + eps)
        put = lambda array, values: array.at[rows].set(values, mode="drop")  # noqa: E731
        state = {
            "count": count,
            "first": put(state["first"], first),
            "second": put(state["second"], second),
            "sum": put(summed, jnp.zeros_like(gradient)),
        }
        return put(table, at(table) - rate * step), state

    return RowOptimizer(*optax.adam(rate, b1, b2, eps), start, change, whole=False)


def _add(table, rows, values):
    return table.at[rows].add(values, mode="drop")


def read_rows(model: Model, side: Side) -> list[Path]:
    """Paths of the tables of which a batch reads only rows; empty for a model that reads them whole."""

    def paths(side):
        number = jnp.zeros(1, jnp.int32)
        batch = Batch(
            number, number, jnp.zeros((1, model.negatives), jnp.int32), jnp.ones(1), number.astype(jnp.uint32)
        )
        touched = touched_by(model, side, batch, jnp.uint32(0))
        return {} if touched is None else touched.rows

    return sorted(jax.eval_shape(paths, side))


def tables_read(model: Model, side: Side, optimizer) -> list[Path]:
    """Paths of the tables that a training step changes by rows; empty where it changes all parameters whole.

    Raises:
      ValueError: for an optimiser that has no other way and a model that reads every row.
    """
    if not isinstance(optimizer, RowOptimizer):
        return []
    paths = read_rows(model, side)
    if not paths and not optimizer.whole:
        raise ValueError(
            f"--train.optimizer adagrad_rows and adam_rows change only the rows that a batch reads, and "
            f"{type(model).__name__} reads every row in each step; choose adam, adagrad or sgd"
        )
    return paths


def check_drawn(model: Model, drawn: Side, optimizer) -> None:
    """Raises ValueError where steps cannot be taken on sampled neighbourhoods, by this optimiser or by this model."""
    if not isinstance(optimizer, RowOptimizer):
        raise ValueError(
            "--train.fanouts draws neighbours, and only the rows drawn are changed, which this --train.optimizer "
            "cannot: choose sgd, adagrad_rows or adam_rows"
        )
    if not read_rows(model, drawn):
        raise ValueError(
            f"--train.fanouts: {type(model).__name__} does not say how its neighbourhoods are drawn; leave them out, "
            "or choose svdpp, lightgcn, social_lightgcn or diffnet"
        )


def at(params: Params, path: Path) -> jax.Array:
    """The parameter at a path of keys."""
    for key in path:
        params = params[key]
    return params


def placed(params: Params, values: dict[Path, Any]) -> Params:
    """A copy of nested parameters with other values at some paths."""
    out = dict(params)
    for key in {path[0] for path in values}:
        below = {path[1:]: value for path, value in values.items() if path[0] == key}
        out[key] = below[()] if () in below else placed(params[key], below)
    return out


def taken(params: Params, rows: dict[Path, jax.Array], spread: bool = False) -> Params:
    """The parameters that a batch reads: some rows of tables, any for padding, and all else whole.

    Args:
      params: All parameters.
      rows: Path -> the rows i32[n].
      spread: Whether this device has one shard of the rows of each table, see `ops.spread`.
    """
    look_up = lookup if spread else lambda table, numbers: table.at[numbers].get(mode="clip")
    return placed(params, {path: look_up(at(params, path), numbers) for path, numbers in rows.items()})


def without(params: Params, paths) -> Params:
    """Nested parameters without those at some paths."""
    out = {}
    for key, value in params.items():
        below = [path[1:] for path in paths if path[0] == key]
        if () not in below:
            out[key] = without(value, below) if below else value
    return out


def change_rows(
    optimizer: RowOptimizer,
    params: Params,
    opt_state,
    rows: dict[Path, tuple],
    gradients: Params,
    weight,
    spread: bool = False,
) -> tuple[Params, dict[str, Any]]:
    """One update of the optimiser.

    Args:
      optimizer: The optimiser.
      params: All parameters.
      opt_state: Of `init_state`.
      rows: Path -> the rows i32[n] that were read, and the gradients [n, ...] of the summed loss.
      gradients: Of the summed loss with respect to what was read whole.
      weight: f32[], by which the sum is divided. At 0 nothing changes.
      spread: Whether this device has one shard of the rows of each table; it changes those that are its own.

    Returns:
      The parameters and the state.
    """
    weight = jnp.maximum(weight, 1e-12)
    tables, states = {}, {}
    for path, (numbers, of_rows) in rows.items():
        name, table = "/".join(path), at(params, path)
        numbers = own(numbers, len(table)) if spread else numbers
        tables[path], states[name] = optimizer.change(table, opt_state["rows"][name], numbers, of_rows, weight)
    whole = without(params, rows)
    means = jax.tree.map(lambda g: g / weight, gradients)
    updates, state = optimizer.update(means, opt_state["whole"], whole)
    changed = {path: at(optax.apply_updates(whole, updates), path) for path in paths_of(whole)}
    return placed(params, tables | changed), {"rows": states, "whole": state}


def paths_of(params: Params) -> dict[Path, tuple[int, ...]]:
    """The path of each parameter, with its shape."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {tuple(key.key for key in path): jnp.shape(leaf) for path, leaf in leaves}


def init_state(optimizer: RowOptimizer, params: Params, paths: list[Path]) -> dict[str, Any]:
    """The optimiser's state: of rows by the table's path, and of what is read whole; the dense one without paths."""
    if not paths:
        return optimizer.init(params)
    tables = {"/".join(path): optimizer.start(at(params, path)) for path in paths}
    return {"rows": tables, "whole": optimizer.init(without(params, paths))}
