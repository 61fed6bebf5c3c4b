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

    users i32[B], items i32[B], negatives i32[B, n], weight f32[B] (0 is padding), rows u32[B]: the row's number in
    the global batch, from which hashed randomness is drawn, so that the number of devices changes nothing.
    """

    users: jax.Array
    items: jax.Array
    negatives: jax.Array
    weight: jax.Array
    rows: jax.Array


@dataclasses.dataclass(frozen=True)
class Traits:
    """What a model promises; tests/models/test_contract.py asks each model for it.

    trains: has a loss. personal: different users may get different rankings. needs: parts of the data it cannot do
    without. uses: parts it takes when they are there. additive: the parts of an explanation add up to the score.
    """

    trains: bool = True
    personal: bool = True
    needs: tuple[Need, ...] = ()
    uses: tuple[Need, ...] = ()
    additive: bool = True


@dataclasses.dataclass(frozen=True)
class Ragged:
    """Rows of different length: row r is ids[offsets[r]:offsets[r+1]] with its weight and contribution.

    offsets i64[P + 1], ids i32[T], weight f32[T], contribution f32[T] (share of the score).
    """

    offsets: np.ndarray
    ids: np.ndarray
    weight: np.ndarray
    contribution: np.ndarray


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why P pairs got their scores. parts: name -> f32[P]; elements: name -> Ragged (friends, history, ...).

    Elements called like a part say what that part is made of. exact: their contributions add up to it; False where
    they are first-order estimates.
    """

    users: np.ndarray
    items: np.ndarray
    score: np.ndarray
    parts: dict[str, np.ndarray]
    elements: dict[str, Ragged]
    exact: bool = True


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

        metrics are sums as well; `objective`, the loss without regularisation, is among them. How many negatives a
        batch has is the model's field `negatives`.
        """

    @abc.abstractmethod
    def score(self, state: State, users: jax.Array, items: jax.Array) -> jax.Array:
        """users i32[B], items i32[B, C] -> f32[B, C]."""

    def vectors(self, state: State):
        """(users f32[U, D], items f32[I, D], item_bias f32[I]) of a dot-product model, None of any other."""
        return None

    def explain(self, state: State, side: Side, users, items) -> Explanation:
        """users i32[P], items i32[P] -> why each pair got its score. Small, on the host, not for all pairs."""
        raise NotImplementedError(f"{type(self).__name__} has no explanation")
