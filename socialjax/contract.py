"""The contract of a model: a frozen dataclass of settings with pure functions, and the ranges of its settings."""

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

Params = Any  # a pytree of trainable arrays
Side = Any  # the fixed data of a model as a pytree; an argument of every function, never a closure
State = Any  # what `encode` returns
Need = Literal["links", "user_features", "item_features", "social_features", "frames", "owners"]


@dataclasses.dataclass(frozen=True)
class Choice:
    """A range of a setting, of which a search for good ones draws: one of some values, equally often."""

    values: tuple

    def at(self, u: float) -> Any:
        """The value at `u` in [0, 1)."""
        return self.values[int(u * len(self.values))]


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A number of low..high, to two decimals."""

    low: float
    high: float

    def at(self, u: float) -> float:
        """The number at `u` in [0, 1)."""
        return round(self.low + u * (self.high - self.low), 2)


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """A number of low..high whose logarithm is uniform, to two digits."""

    low: float
    high: float

    def at(self, u: float) -> float:
        """The number at `u` in [0, 1)."""
        return float(f"{self.low * math.exp(u * math.log(self.high / self.low)):.2g}")


Range = Choice | Uniform | LogUniform


@struct.dataclass
class Batch:
    """Training pairs with their sampled negatives.

    Attributes:
      users: i32[B].
      items: i32[B], the positives.
      negatives: i32[B, n], the sampled negatives.
      weight: f32[B], 0 for padding.
      rows: u32[B], the row's number in the global batch, from which hashed randomness is drawn, so that the number of
        devices changes nothing.
      local: Whether users, items and negatives are numbered as they come: users 0..B - 1, items 0..B - 1, negatives
        from B on, first the first of each row. What is read of a table is then a slice, and nothing is gathered.
      spread: Looks rows up in tables that are spread over devices (`ops.spread.Spread`); None where each has them all.
    """

    users: jax.Array
    items: jax.Array
    negatives: jax.Array
    weight: jax.Array
    rows: jax.Array
    local: bool = struct.field(pytree_node=False, default=False)
    spread: Any = struct.field(pytree_node=False, default=None)

    def rows_of(self, table: jax.Array, numbers: jax.Array) -> jax.Array:
        """The rows of a table [N, ...] with these numbers i32[B] or i32[B, C]: [B, ...] or [B, C, ...]."""
        return table[numbers] if self.spread is None else self.spread.lookup(table, numbers)

    def of_users(self, table: jax.Array) -> jax.Array:
        """What a table [U, ...] holds for the users: [B, ...]."""
        return table[: self.users.shape[0]] if self.local else self.rows_of(table, self.users)

    def of_items(self, table: jax.Array) -> jax.Array:
        """What a table [I, ...] holds for the positives: [B, ...]."""
        return table[: self.items.shape[0]] if self.local else self.rows_of(table, self.items)

    def of_negatives(self, table: jax.Array) -> jax.Array:
        """What a table [I, ...] holds for the negatives: [B, n, ...]."""
        if not self.local:
            return self.rows_of(table, self.negatives)
        size, count = self.negatives.shape
        return jnp.swapaxes(table[size : size * (1 + count)].reshape(count, size, *table.shape[1:]), 0, 1)


def numbered(batch: Batch) -> Batch:
    """The batch in numbers of its own, see `Batch.local`."""
    size, count = batch.negatives.shape
    number = jnp.arange(size * (1 + count), dtype=jnp.int32)
    return batch.replace(
        users=number[:size], items=number[:size], negatives=number[size:].reshape(count, size).T, local=True
    )


def batch_items(batch: Batch) -> jax.Array:
    """The items of a batch in the order of `numbered`: positives, then negatives by columns, i32[B * (1 + n)]."""
    return jnp.concatenate([batch.items, batch.negatives.T.reshape(-1)])


@struct.dataclass
class Touched:
    """What one batch reads of the tables and of the fixed data, in numbers of its own.

    Attributes:
      rows: The path of each table in the parameters, such as ("tables", "users") -> i32[n], the row that stands there
        for each of the n numbers; a row beyond the table is padding. Other parameters are read whole.
      side: The fixed data of these rows.
      batch: The batch in these numbers.
    """

    rows: dict[tuple[str, ...], jax.Array]
    side: Any
    batch: Batch


@dataclasses.dataclass(frozen=True)
class Traits:
    """What a model promises; tests/models/test_contract.py asks each model for it.

    Attributes:
      trains: Whether it has a loss.
      personal: Whether different users may get different rankings.
      needs: Parts of the data it cannot do without.
      uses: Parts it reads where the data has them.
      additive: Whether the parts of an explanation add up to the score.
      new_users: Whether it has `new_user`, an embedding for an untrained user.
      ranks_frames: Whether it has `frame_scores`, how much each user likes each frame of an item.
      samples_frames: Whether a training pair reads only some of an item's frames; `truncated` is the share left out.
      watched: Metrics of its loss that are summed beside `objective` and logged as means.
    """

    trains: bool = True
    personal: bool = True
    needs: tuple[Need, ...] = ()
    uses: tuple[Need, ...] = ()
    additive: bool = True
    new_users: bool = False
    ranks_frames: bool = False
    samples_frames: bool = False
    watched: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Kind:
    """What the elements of an explanation are, and how reports name them.

    Attributes:
      nodes: What the ids of an element number: `user`, `item`, `frame`, `attribute`, or a kind of the model's own with
        `names`; one entry for each node where elements are paths, such as ("user", "user", "item").
      label: Name of the elements in reports; empty where the key of the elements will do.
      names: Names of the ids, for a kind of the model's own.
      part: The part that the elements add up to, where its name is another than theirs.
      ranked_by: `weight` or the column by which elements are ranked, largest first; empty for the size of their
        contribution.
      first: Name of the first element, such as `key frame`.
      words: Headings of `weight` and of columns in reports; a column without a heading is not printed.
      note: Lines that explain these headings.
    """

    nodes: tuple[str, ...]
    label: str = ""
    names: tuple[str, ...] = ()
    part: str = ""
    ranked_by: str = ""
    first: str = ""
    words: Mapping[str, str] = dataclasses.field(default_factory=lambda: {"weight": "weight"})
    note: str = ""


OF_USERS, OF_ITEMS = Kind(("user",)), Kind(("item",))


@dataclasses.dataclass(frozen=True)
class Ragged:
    """Elements of P pairs, rows of different length: row r is ids[offsets[r]:offsets[r+1]], in all columns alike.

    Attributes:
      offsets: i64[P + 1].
      ids: i32[T]; of paths of K steps i32[T, K + 1], their nodes from the first to the last.
      weight: f32[T], the attention weight.
      contribution: f32[T], share of the score.
      kind: What the elements are.
      columns: Further figures, name -> f32[T].
      exact: Whether contributions add up to the part; False where they are first-order estimates.
    """

    offsets: np.ndarray
    ids: np.ndarray
    weight: np.ndarray
    contribution: np.ndarray
    kind: Kind
    columns: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    exact: bool = True

    def row(self, pair: int) -> slice:
        """The slice of a pair's elements."""
        return slice(self.offsets[pair], self.offsets[pair + 1])


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why P pairs got their scores.

    Attributes:
      users: i32[P].
      items: i32[P].
      score: f32[P].
      parts: Name -> f32[P], the terms of the score.
      elements: Name -> the elements of the part of that name, or of the part that their kind names.
      labels: Names in reports of parts without elements; the key of a part where it is not among them.
    """

    users: np.ndarray
    items: np.ndarray
    score: np.ndarray
    parts: dict[str, np.ndarray]
    elements: dict[str, Ragged]
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether the elements of every part add up to it."""
        return all(rows.exact for rows in self.elements.values())


COMPUTED = frozenset(
    "prepare init encode loss training_state training_users squared_norms penalty extra_scores".split()
)  # methods that decide what a loss reads


def touched_by(model: "Model", side: Side, batch: Batch, rng: jax.Array) -> Touched | None:
    """`model.touched`, or None where a subclass of the class that says it computes something else."""
    for kind in type(model).__mro__:
        if "touched" in vars(kind):
            return model.touched(side, batch, rng)
        if COMPUTED & vars(kind).keys():
            return None
    return None


@dataclasses.dataclass(frozen=True)
class Model(abc.ABC):
    """Base of all recommenders. Subclasses are frozen dataclasses: their fields are their settings."""

    traits: ClassVar[Traits] = Traits()
    search_space: ClassVar[Mapping[str, Range]] = {}  # fields of its own that a search sets, beside the shared ones

    def check(self, columns) -> None:
        """Raises ValueError when a part of the data that the model needs is absent."""
        missing = [need for need in self.traits.needs if getattr(columns, need, None) is None]
        if missing:
            raise ValueError(
                f"{type(self).__name__} needs {', '.join(missing)}, which data set '{columns.name}' does not have; "
                "add them to the data folder or choose a model that runs without"
            )

    @abc.abstractmethod
    def prepare(self, columns) -> Side:
        """The fixed arrays that the model needs of a `data.schema.Dataset` (NumPy); only the train part is read."""

    @abc.abstractmethod
    def init(self, rng: jax.Array, side: Side) -> Params:
        """Fresh trainable parameters."""

    @abc.abstractmethod
    def encode(self, params: Params, side: Side) -> State:
        """Everything that does not depend on the pair; once per step, once per evaluation."""

    @abc.abstractmethod
    def loss(self, params: Params, side: Side, batch: Batch, rng: jax.Array):
        """The loss of a batch as sums, so that padding and sharding are exact.

        Args:
          params: Trainable parameters.
          side: The fixed data.
          batch: B training pairs, with as many negatives as the model's field `negatives`.
          rng: u32, the key of this step's randomness.

        Returns:
          ((sum, weight), metrics): the weighted sum of the rows' losses, f32[], and the sum of their weights, f32[].
          metrics, name -> f32[], are sums as well: `objective`, the loss without regularisation, and those of
          `traits.watched`.
        """

    def touched(self, side: Side, batch: Batch, rng: jax.Array) -> Touched | None:
        """What a batch reads, for models whose loss does not need every row of every table; None for all others.

        `loss(rows of the parameters, touched.side, touched.batch, rng)` is the loss of the batch: exactly, or where
        `side` holds neighbourhoods to be sampled, in expectation of the sums over neighbours. Whether it is None, and
        which tables it names, depends on the model and on shapes alone. It is asked through `touched_by`: a class that
        changes what is computed says anew what it reads.

        Args:
          side: The fixed data, or with neighbourhoods to be sampled, see `ops.forest.sampled`.
          batch: B training pairs.
          rng: u32, the key of this step's randomness.
        """
        return None

    @abc.abstractmethod
    def score(self, state: State, users: jax.Array, items: jax.Array) -> jax.Array:
        """Scores f32[B, C] of users i32[B] with items i32[B, C]."""

    def vectors(self, state: State):
        """(users f32[U, D], items f32[I, D], item_bias f32[I]) of a dot-product model, None of any other."""
        return None

    def new_user(self, state: State, side: Side, items: np.ndarray, friends: np.ndarray) -> np.ndarray:
        """Embedding f32[D] of an untrained user from items i32[N] and friends i32[M]; of models with `new_users`."""
        raise NotImplementedError(f"{type(self).__name__} cannot take in a new user without training")

    def frame_scores(self, state: State, side: Side, users: jax.Array, frames: jax.Array) -> jax.Array:
        """How much users like frames, for models with the trait `ranks_frames`.

        Args:
          state: As `encode` gives it.
          side: The fixed data.
          users: i32[P].
          frames: i32[P, K], rows of `Frames.features`; padding may be any row.

        Returns:
          f32[P, K], larger for frames that are liked more.
        """
        raise NotImplementedError(f"{type(self).__name__} ranks no frames")

    def truncated(self, side: Side) -> float:
        """Share of all frames that training pairs leave out, for models with the trait `samples_frames`."""
        raise NotImplementedError(f"{type(self).__name__} does not sample frames")

    def explain(self, state: State, side: Side, users, items) -> Explanation:
        """Why users i32[P] got their scores of items i32[P]; on the host, for a few pairs."""
        raise NotImplementedError(f"{type(self).__name__} has no explanation")
