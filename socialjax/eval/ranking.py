"""Ranking on the device, in blocks of users: the ranks of positives, and the best items.

Work is cut into calls of one fixed shape, so that a ranking function is compiled once. A call is `BLOCKS_PER_CALL`
blocks of users, of which the device runs only those that are filled.
"""

import abc
import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from socialjax.contract import Model, Params, Side, State
from socialjax.data.schema import Interactions
from socialjax.eval.largest import LANES, largest
from socialjax.eval.metrics import Counts, Positives, Result, Rows, joined, per_user, rows_of
from socialjax.eval.protocol import Candidates

BLOCK = 256  # users per matrix product
BLOCKS_PER_CALL = 16
TABLE_LIMIT = 1 << 26  # scores held at once: a large catalogue makes the blocks smaller


@dataclasses.dataclass(frozen=True)
class Call:
    """Rows start..stop - 1 of the work, in blocks.

    Attributes:
      start: The first row.
      stop: One more than the last row.
      block: Rows of a block.
    """

    start: int
    stop: int
    block: int

    @property
    def rows(self) -> slice:
        return slice(self.start, self.stop)

    @property
    def num_blocks(self) -> np.int32:
        """Blocks that hold a row."""
        return np.int32(-(-(self.stop - self.start) // self.block))

    def blocks(self, values: np.ndarray) -> np.ndarray:
        """This call's rows [R, ...] in blocks, [BLOCKS_PER_CALL, block, ...], padded with zeros."""
        out = np.zeros((BLOCKS_PER_CALL * self.block, *values.shape[1:]), values.dtype)
        out[: len(values)] = values
        return out.reshape(BLOCKS_PER_CALL, self.block, *values.shape[1:])

    def unblocked(self, values: np.ndarray) -> np.ndarray:
        """This call's rows [R, ...] of blocks [BLOCKS_PER_CALL, block, ...]."""
        return values.reshape(-1, *values.shape[2:])[: self.stop - self.start]

    def cells(self, rows: Rows, num_items: int, width: int) -> np.ndarray:
        """This call's ragged rows as cells `row * num_items + item` of their block's table of scores.

        Args:
          rows: The ragged rows of this call.
          num_items: Columns of the table.
          width: Cells of a block, see `cells_width`.

        Returns:
          i32[BLOCKS_PER_CALL, width]; padding is a cell outside the table.
        """
        block, row = np.divmod(rows.owners(), self.block)
        starts = rows.offsets[np.minimum(np.arange(BLOCKS_PER_CALL) * self.block, len(rows))]
        out = np.full((BLOCKS_PER_CALL, width), self.block * num_items, np.int32)
        out[block, np.arange(len(row)) - starts[block]] = row * num_items + rows.items
        return out


def calls(num_rows: int, num_items: int, block: int | None = None) -> Iterator[Call]:
    """The calls for all rows, in order; block: rows of a block, by default as many as fit."""
    block = block or _block(num_items)
    for start in range(0, num_rows, BLOCKS_PER_CALL * block):
        yield Call(start, min(start + BLOCKS_PER_CALL * block, num_rows), block)


def cells_width(lengths: np.ndarray, num_items: int, block: int | None = None) -> int:
    """A power of two that is at least the number of entries of any block of ragged rows of these lengths i64[R]."""
    if not len(lengths):
        return 1
    most = int(np.add.reduceat(lengths, np.arange(0, len(lengths), block or _block(num_items))).max())
    return _power_of_two(most)


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 0).bit_length()


def _block(num_items: int) -> int:
    return max(1, min(BLOCK, TABLE_LIMIT // num_items))


WIDTH = 16  # positives per row; a user with more takes several rows
SOON = 100  # items that `few` finds at least, so that a smaller k compiles nothing
PAIRS_AT_ONCE = 1 << 19  # for models that are no dot product, which may hold a vector for each pair
GATHER_FROM = 100  # items per candidate from which on candidates are scored one by one


class Ranks(abc.ABC):
    """A state that compares its scores by itself, instead of `Model.vectors` and `Model.score` of what was encoded.

    Arguments and results are those of `_among_all`, `_among_drawn` and `_best` below, without model and state.
    """

    @abc.abstractmethod
    def among_all(self, num_items: int, num_blocks, users, positives, longest, hidden): ...

    @abc.abstractmethod
    def among_drawn(self, num_items: int, num_blocks, users, positives, longest, negatives): ...

    @abc.abstractmethod
    def best(self, num_items: int, k: int, num_blocks, users, hidden): ...


def _functions(model: Model, state: State):
    """The three of them for this state."""
    if isinstance(state, Ranks):
        return state.among_all, state.among_drawn, state.best
    return tuple(functools.partial(function, model, state) for function in (_among_all, _among_drawn, _best))


@dataclasses.dataclass(frozen=True)
class MeanMetrics:
    """Parameters -> mean metrics of all users of `candidates`; so are those of what they encode, spread over devices.

    Attributes:
      model: The model.
      side: Its fixed data.
      candidates: Who is evaluated on what.
    """

    model: Model
    side: Side
    candidates: Candidates

    def __call__(self, params: Params) -> dict[str, float]:
        return evaluate(self.model, params, self.side, self.candidates).mean()

    def of_state(self, state: State) -> dict[str, float]:
        """As of parameters, from what they encode or from `Ranks`."""
        return evaluate_state(self.model, state, self.candidates).mean()


def evaluate(model: Model, params: Params, side: Side, candidates: Candidates) -> Result:
    """All metrics of `candidates.protocol` for a model with these parameters, per user."""
    return evaluate_state(model, encode(model, params, side), candidates)


def evaluate_state(model: Model, state: State, candidates: Candidates) -> Result:
    """As `evaluate`, from the state that `model.encode` returned."""
    positives = Positives(candidates.positives.items, count(model, state, candidates), candidates.protocol.ks)
    values = per_user(positives.counts, positives.ks)
    return Result(candidates.protocol.name, candidates.part, candidates.users, values, positives)


@functools.partial(jax.jit, static_argnums=0)
def encode(model: Model, params: Params, side: Side) -> State:
    """`model.encode`, compiled once per model and shapes."""
    return model.encode(params, side)


def count(model: Model, state: State, candidates: Candidates) -> Counts:
    """The ranks of the positives of every user. A score that is not a number counts as above all others."""
    lists, num_items, negatives = candidates.positives, candidates.num_items, candidates.negatives
    owner, places, held = _pieces(lists)
    if negatives is None:
        hidden = joined(candidates.masked, lists)
        width = cells_width(hidden.lengths()[owner], num_items)
        num_negatives = num_items - hidden.lengths()
    else:
        num_negatives = np.full(len(candidates), negatives.shape[1])
    among_all, among_drawn, _ = _functions(model, state)
    columns = [np.empty(len(lists.items), dtype) for dtype in (np.float32, np.int32, np.int32)]
    for call in calls(len(owner), num_items):
        rows, is_held = owner[call.rows], held[call.rows]
        users = call.blocks(candidates.users[rows])
        positives = call.blocks(lists.items[places[call.rows]])
        longest = call.blocks(is_held.sum(axis=1, dtype=np.int32)).max(axis=1)
        if negatives is None:
            cells = call.cells(hidden.take(rows), num_items, width)
            counted = among_all(num_items, call.num_blocks, users, positives, longest, cells)
        else:
            drawn = call.blocks(negatives[rows])
            counted = among_drawn(num_items, call.num_blocks, users, positives, longest, drawn)
        for column, values in zip(columns, jax.device_get(counted)):
            column[places[call.rows][is_held]] = call.unblocked(values)[is_held]
    return Counts(lists.offsets, *columns, num_negatives)


def top_k(
    model: Model,
    state: State,
    users,
    k: int,
    num_items: int,
    exclude: Interactions | Rows | None = None,
    few: bool = False,
):
    """The k best items of each user, best first; of equal scores the lower item comes first.

    Args:
      model: The model.
      state: As `model.encode` gives it.
      users: i32[B].
      k: Items for each user.
      num_items: I.
      exclude: Pairs that are not recommended again, usually `data.train`, or the rows of all users made of them.
      few: For few users at a time, as a server asks: users are scored one by one, and neither other users nor another
        k up to `SOON` compile anew.

    Returns:
      Items i32[B, k] and scores f32[B, k], padded with item -1 and score -inf where fewer than k items are left.

    Raises:
      ValueError: for k outside 1..num_items and for users that are not one-dimensional.
    """
    users = np.asarray(users, np.int32)
    if not 1 <= k <= num_items:
        raise ValueError(f"k must be in 1..{num_items}, the size of the catalogue, got {k}")
    if users.ndim != 1:
        raise ValueError(f"users must be one-dimensional, got {users.shape}; wrap a single user in a list")
    if not isinstance(exclude, Rows):
        taken = () if exclude is None else (exclude,)
        num_users = max((int(ids.max(initial=-1)) + 1 for ids in (users, *(part.user for part in taken))), default=0)
        exclude = rows_of(taken, num_users, num_items)
    hidden = exclude.take(users)
    block, found = (1, min(num_items, SOON if k <= SOON else _power_of_two(k))) if few else (None, k)
    width = cells_width(exclude.lengths() if few else hidden.lengths(), num_items, block)
    items, scores = np.empty((len(users), k), np.int32), np.empty((len(users), k), np.float32)
    _, _, best_of = _functions(model, state)
    for call in calls(len(users), num_items, block):
        rows = np.arange(call.start, call.stop)
        cells = call.cells(hidden.take(rows), num_items, width)
        best = best_of(num_items, found, call.num_blocks, call.blocks(users[rows]), cells)
        items[rows], scores[rows] = (call.unblocked(values)[:, :k] for values in jax.device_get(best))
    return np.where(scores > -np.inf, items, -1), scores


def _pieces(lists: Rows):
    """Ragged positives cut into rows of WIDTH, short ones first, so that rows of a block have similar lengths.

    Returns:
      The row of `lists` i64[R], positions in its items i64[R, WIDTH], and bool[R, WIDTH], False for padding.
    """
    lengths = lists.lengths()
    pieces = -(-lengths // WIDTH)
    owner = np.repeat(np.arange(len(lists)), pieces)
    piece = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    left = lengths[owner] - piece * WIDTH
    held = np.arange(WIDTH) < left[:, None]
    places = np.where(held, (lists.offsets[owner] + piece * WIDTH)[:, None] + np.arange(WIDTH), 0)
    order = np.argsort(np.minimum(left, WIDTH), kind="stable")
    return owner[order], places[order], held[order]


def _table(model: Model, state: State, users: jax.Array, num_items: int) -> jax.Array:
    """All scores f32[B, I] of users i32[B]."""
    vectors = model.vectors(state)
    if vectors is not None:
        of_users, of_items, bias = vectors
        # Full float32: the shortened products of GPUs and TPUs would tie and swap neighbours.
        return jnp.dot(of_users[users], of_items.T, precision=jax.lax.Precision.HIGHEST) + bias[None, :]
    num_users = users.shape[0]
    height = max(1, min(num_users, PAIRS_AT_ONCE // num_items))
    items = jnp.broadcast_to(jnp.arange(num_items, dtype=jnp.int32), (height, num_items))

    def fill(part, table):
        start = jnp.minimum(part * height, num_users - height)  # the last part overlaps the one before it
        block_users = jax.lax.dynamic_slice_in_dim(users, start, height)
        return jax.lax.dynamic_update_slice(table, model.score(state, block_users, items), (start, jnp.int32(0)))

    return jax.lax.fori_loop(0, -(-num_users // height), fill, jnp.zeros((num_users, num_items)))


def compared(scores: jax.Array, against: jax.Array, longest: jax.Array):
    """Negatives against f32[B, C] that score higher than and as each positive f32[B, W]: i32[B, W] each.

    Only the first `longest` columns of positives count.
    """

    def column(t, counts):
        positive = jax.lax.dynamic_slice_in_dim(scores, t, 1, axis=1)
        higher, tied = jax.lax.platform_dependent(
            against, positive, cpu=_higher_and_tied_by_lanes, default=_higher_and_tied
        )
        put = jax.lax.dynamic_update_slice_in_dim
        return put(counts[0], higher, t, axis=1), put(counts[1], tied, t, axis=1)

    zeros = jnp.zeros(scores.shape, jnp.int32)
    return jax.lax.fori_loop(0, longest, column, (zeros, zeros))


def _higher_and_tied(against: jax.Array, positive: jax.Array):
    """How many of each row f32[B, C] are higher than and as one positive f32[B, 1]: i32[B, 1] each."""
    # Not `against > positive`: a score that is not a number must not count as a low one.
    is_higher, is_tied = ~(against <= positive), against == positive
    return tuple(jnp.sum(flags, axis=1, keepdims=True, dtype=jnp.int32) for flags in (is_higher, is_tied))


def _higher_and_tied_by_lanes(against: jax.Array, positive: jax.Array):
    """As `_higher_and_tied`, in one pass over the scores: XLA's CPU backend writes the flags of a long sum to memory.

    Both counts are added as one number, the ties in its upper half; first the LANES of LANES rows each, and what is
    left of a row by itself.
    """
    num_rows, num_columns = against.shape
    whole = num_columns // LANES**2 * LANES**2
    if not 0 < whole // LANES**2 < 1 << 15:  # so that neither half of the number runs over
        return _higher_and_tied(against, positive)

    flags = lambda scores, it: ~(scores <= it) + ((scores == it).astype(jnp.int32) << 16)  # noqa: E731
    lanes = flags(against[:, :whole].reshape(num_rows, -1, LANES, LANES), positive[:, :, None, None]).sum(axis=2)
    lanes = jax.lax.optimization_barrier(lanes).reshape(num_rows, -1)
    counts = jnp.stack([lanes & 0xFFFF, lanes >> 16]).sum(axis=2, dtype=jnp.int32)
    rest = _higher_and_tied(against[:, whole:], positive)
    return counts[0][:, None] + rest[0], counts[1][:, None] + rest[1]


@functools.partial(jax.jit, static_argnums=(0, 2))
def _among_drawn(model, state, num_items, num_blocks, users, positives, longest, negatives):
    """Score, higher and tied [n, B, W] of positives [n, B, W] of users [n, B] among negatives [n, B, N]."""
    num_candidates = positives.shape[2] + negatives.shape[2]
    by_table = model.vectors(state) is not None and num_items < GATHER_FROM * num_candidates

    def block(b):
        items = jnp.concatenate([positives[b], negatives[b]], axis=1)
        if by_table:
            table = _table(model, state, users[b], num_items)
            scores = jnp.take_along_axis(table, items, axis=1, mode="promise_in_bounds")
        else:
            scores = model.score(state, users[b], items)
        positive_scores, against = scores[:, : positives.shape[2]], scores[:, positives.shape[2] :]
        return positive_scores, *compared(positive_scores, against, longest[b])

    return each_block(block, num_blocks, positives.shape[0])


@functools.partial(jax.jit, static_argnums=(0, 2))
def _among_all(model, state, num_items, num_blocks, users, positives, longest, hidden):
    """As `_among_drawn`, against all items but hidden i32[n, X], cells of each block's table."""

    def block(b):
        table = _table(model, state, users[b], num_items)
        positive_scores = jnp.take_along_axis(table, positives[b], axis=1, mode="promise_in_bounds")
        return positive_scores, *compared(positive_scores, _hide(table, hidden[b]), longest[b])

    return each_block(block, num_blocks, positives.shape[0])


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def _best(model, state, num_items, k, num_blocks, users, hidden):
    """The k best items i32[n, B, k] and their scores f32[n, B, k] of users [n, B], without hidden cells i32[n, X]."""

    def block(b):
        scores, items = largest(_hide(_table(model, state, users[b], num_items), hidden[b]), k)
        return items, scores

    return each_block(block, num_blocks, users.shape[0])


def _hide(table: jax.Array, cells: jax.Array) -> jax.Array:
    """The table with -inf in the given cells; cells outside the table are padding."""
    # Not of the flat table: XLA's CPU backend would add the bias cell by cell.
    row, item = cells // table.shape[1], cells % table.shape[1]
    return table.at[row, item].set(-jnp.inf, mode="drop")


def each_block(block, num_blocks: jax.Array, size: int):
    """Stacks block(0), ..., block(num_blocks - 1) into arrays of `size` blocks, the rest zeros.

    One loop on the device: its buffers are allocated once, while a call per block would fault in every page anew.
    """
    like = jax.eval_shape(block, jnp.int32(0))
    empty = jax.tree.map(lambda part: jnp.zeros((size, *part.shape), part.dtype), like)
    put = lambda b, out: jax.tree.map(lambda all_, one: all_.at[b].set(one), out, block(b))  # noqa: E731
    return jax.lax.fori_loop(0, num_blocks, put, empty)
