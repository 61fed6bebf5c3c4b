"""The contract of a model: a frozen dataclass of settings with pure functions, params in and params out."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import jax
import numpy as np
from flax import struct

from socialjax.ranges import Range

Params = Any  # a pytree of trainable arrays
Side = Any  # the fixed data of a model as a pytree; an argument of every function, never a closure
State = Any  # what `encode` returns
Need = Literal["links", "user_features", "item_features", "social_features", "frames", "owners"]


@struct.dataclass
class Batch:
    """Training pairs with their sampled negatives.

    Attributes:
      users: i32[B].
      items: i32[B].
      negatives: i32[B, n].
      weight: f32[B], 0 for padding.
      rows: u32[B], the row's number in the global batch, from which hashed randomness is drawn, so that the number of
        devices changes nothing.
    """

    users: jax.Array
    items: jax.Array
    negatives: jax.Array
    weight: jax.Array
    rows: jax.Array


@dataclasses.dataclass(frozen=True)
class Traits:
    """What a model promises; tests/models/test_contract.py asks each model for it.

    Attributes:
      trains: Whether it has a loss.
      personal: Whether different users may get different rankings.
      needs: Parts of the data it cannot do without.
      uses: Parts it reads where the data has them.
      additive: Whether the parts of an explanation add up to the score.
      new_users: Whether it has `new_user`, a vector for a user who was not trained.
      ranks_frames: Whether it has `frame_scores`, how much each user likes each frame of an item.
      samples_frames: Whether a training pair reads some of an item's frames alone, whose share `truncated` says.
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
    """What the elements of an explanation are, and the words for them.

    Attributes:
        nodes: what the ids of an element are numbers of: `user`, `item`, `frame`, `attribute`, or a kind of the model's
            own with `names`; one for each node where elements are paths, such as ("user", "user", "item").
        label: what people read for the elements; empty where their name does.
        names: of the numbers of a kind of the model's own.
        part: the part that they add up to, where it is called otherwise than they.
        ranked_by: `weight` or the column by which they are ranked, largest first; by the size of their contribution
            where it is empty.
        first: what the first of them is called, such as `key frame`.
        words: what people read for `weight` and for columns; a column without a word is for programs alone.
        note: lines on what these mean, for people.
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
    """Elements of P pairs, rows of different length: row r is ids[offsets[r]:offsets[r+1]], and so of all columns.

    Attributes:
        offsets: i64[P + 1].
        ids: i32[T]; of paths of K steps i32[T, K + 1], their nodes from the first to the last.
        weight: f32[T].
        contribution: f32[T], share of the score.
        kind: what they are.
        columns: further figures, name -> f32[T].
        exact: whether contributions add up to the part; False where they are first-order estimates.
    """

    offsets: np.ndarray
    ids: np.ndarray
    weight: np.ndarray
    contribution: np.ndarray
    kind: Kind
    columns: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    exact: bool = True

    def row(self, pair: int) -> slice:
        """Where the elements of that pair are."""
        return slice(self.offsets[pair], self.offsets[pair + 1])


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why P pairs got their scores.

    Attributes:
        users: i32[P].
        items: i32[P].
        score: f32[P].
        parts: name -> f32[P].
        elements: name -> what the part of that name, or the part that their kind names, is made of.
        labels: what people read for parts that have no elements; the name of the part where it is not among them.
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
        """columns: a `data.schema.Dataset` -> the fixed arrays the model needs (NumPy; only train is read)."""

    @abc.abstractmethod
    def init(self, rng: jax.Array, side: Side) -> Params:
        """Fresh trainable parameters."""

    @abc.abstractmethod
    def encode(self, params: Params, side: Side) -> State:
        """Everything that does not depend on the pair; once per step, once per evaluation."""

    @abc.abstractmethod
    def loss(self, params: Params, side: Side, batch: Batch, rng: jax.Array):
        """-> ((sum, weight), metrics): sums, so that padding and sharding are exact.

        metrics are sums as well; `objective`, the loss without regularisation, and those of `traits.watched` are among
        them. How many negatives a batch has is the model's field `negatives`.
        """

    @abc.abstractmethod
    def score(self, state: State, users: jax.Array, items: jax.Array) -> jax.Array:
        """users i32[B], items i32[B, C] -> f32[B, C]."""

    def vectors(self, state: State):
        """(users f32[U, D], items f32[I, D], item_bias f32[I]) of a dot-product model, None of any other."""
        return None

    def new_user(self, state: State, side: Side, items: np.ndarray, friends: np.ndarray) -> np.ndarray:
        """Vector f32[D] of a user who was not trained, from items i32[N] they took and friends i32[M]; `new_users`."""
        raise NotImplementedError(f"{type(self).__name__} cannot take in a new user without training")

    def frame_scores(self, state: State, side: Side, users: jax.Array, frames: jax.Array) -> jax.Array:
        """users i32[P], frames i32[P, K], rows of `Frames.features` -> f32[P, K], larger for frames liked more.

        Of models with the trait `ranks_frames`. A padded place may hold any row; the caller knows which are padded.
        """
        raise NotImplementedError(f"{type(self).__name__} ranks no frames")

    def truncated(self, side: Side) -> float:
        """Share of an item's frames that a training pair does not read, a mean over all frames; `samples_frames`."""
        raise NotImplementedError(f"{type(self).__name__} does not sample frames")

    def explain(self, state: State, side: Side, users, items) -> Explanation:
        """users i32[P], items i32[P] -> why each pair got its score. Small, on the host, not for all pairs."""
        raise NotImplementedError(f"{type(self).__name__} has no explanation")
