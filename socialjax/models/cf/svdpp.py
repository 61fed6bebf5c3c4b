"""SVD++: users are free embeddings plus those of their training items (Koren, KDD 2008), under a ranking loss."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Choice, Touched, Traits
from socialjax.models.history import History, elements, history, pool, without_target
from socialjax.models.neighbourhoods import Growth, drawn_history
from socialjax.models.parts import DotProductModel, Factors, named_rows, pair_dot
from socialjax.ops.forest import Neighbours


@struct.dataclass
class SVDppState(Factors):
    """Factors, and what the users' are computed from.

    Attributes:
      pooled: f32[U, D], the pooled history of each user.
      implicit: f32[I, D], the table y that was pooled.
    """

    pooled: jax.Array
    implicit: jax.Array


@dataclasses.dataclass(frozen=True)
class SVDpp(DotProductModel):
    """s = b_i + <q_i, p_a + |R_a|^-exponent * sum of y_j over R_a> (Koren, KDD 2008, Eq. 15; docs/tables.md).

    User bias and global mean cancel in a ranking; the loss is a ranking loss in place of the squared error of ratings.

    Attributes:
      exponent: Power of the history's length that divides the sum over it: 0.5 as published, 1 for a mean.
      tied: Whether y is q, the items' own table; with exponent 1 and no bias that is DiffNet of depth 0.
      exclude_target: Whether the training item is left out of the history that scores it. Evaluation pools the whole
        history.
    """

    traits: ClassVar[Traits] = Traits(new_users=True)
    search_space: ClassVar = {"exponent": Choice((0.5, 1.0)), "exclude_target": Choice((True, False))}

    exponent: float = 0.5
    tied: bool = False
    exclude_target: bool = True

    def prepare(self, columns) -> History:
        return history(columns, self.exponent)

    def _layers(self, side: History) -> "SVDppLayers":
        return SVDppLayers(self, side.edges.num_receivers, side.edges.num_senders)

    def init(self, rng, side):
        return self._layers(side).init(rng, side)["params"]

    def touched(self, side: History, batch: Batch, rng) -> Touched | None:
        if not isinstance(side.edges, Neighbours):
            return None
        growth = Growth(batch, rng)
        drawn = drawn_history(growth, side, self.exclude_target)()
        users, items = growth.rows
        rows = named_rows(users, items, self.item_bias, ("tables",))
        return Touched(rows if self.tied else rows | {("implicit",): items}, drawn, growth.numbered)

    def encode(self, params, side) -> SVDppState:
        return self._layers(side).apply({"params": params}, side)

    def squared_norms(self, params):
        """p_a of the user; q_i, b_i and y_i of the item."""
        users, items = self.table_norms(params["tables"])
        return users, items + jnp.sum(params["implicit"] ** 2, axis=1) if "implicit" in params else items

    def training_users(self, params, side: History, state: SVDppState, batch: Batch):
        users = batch.of_users(state.users)
        if not self.exclude_target:
            return users
        return users + without_target(side, state.pooled, state.implicit, batch.users, batch.items)

    def explain(self, state: SVDppState, side: History, users, items):
        """Parts `own_vector`, <p_a, q_i>, `history` with what each item in it adds, and `item_bias`."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        towards, pooled = np.asarray(state.items)[items], np.asarray(state.pooled)[users]
        parts = {
            "own_vector": pair_dot(np.asarray(state.users)[users] - pooled, towards),
            "history": pair_dot(pooled, towards),
        }
        taken = {"history": elements(side.edges, np.asarray(state.implicit), users, towards)}
        return self.explained(state, users, items, parts, taken)

    def new_user(self, state: SVDppState, side: History, items, friends):
        """|R|^-exponent * sum of y_j over the items: the embedding of a user whose p_a is 0."""
        total = np.asarray(state.implicit)[items].sum(axis=0)
        return (total * max(len(items), 1) ** -self.exponent).astype(np.float32)


class SVDppLayers(nn.Module):
    """Koren's Eq. 15 without the terms that depend on the user alone."""

    settings: SVDpp
    num_users: int
    num_items: int

    @nn.compact
    def __call__(self, side: History) -> SVDppState:
        settings = self.settings
        users, items, bias = settings.tables(self.num_users, self.num_items, name="tables")()
        implicit = items
        if not settings.tied:
            implicit = self.param("implicit", settings.initializer, (self.num_items, settings.dim))
        pooled = pool(side, implicit)
        return SVDppState(users + pooled, items, bias, pooled, implicit)
