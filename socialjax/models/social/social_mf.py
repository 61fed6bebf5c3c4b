"""SocialMF: a user's embedding stays close to the mean of their trustees' (Jamali and Ester, RecSys 2010).

Ranking form: the objective of `DotProductModel` in place of the squared error of ratings.
"""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Traits
from socialjax.models.parts import DotProductModel, Factors, require_at_least
from socialjax.models.social.similarity import friends
from socialjax.ops import sample
from socialjax.ops.propagate import Diffusion, propagate
from socialjax.ranges import LogUniform


@struct.dataclass
class SocialMFSide:
    """The social graph.

    Attributes:
      social: Edges friend -> user with the weights of the social term.
      total: f32[U], the sum of these weights, 0 for a user without links.
      num_items: I.
    """

    social: Diffusion
    total: jax.Array
    num_items: int = struct.field(pytree_node=False)


def social_side(social: Diffusion, num_items: int) -> SocialMFSide:
    total = np.bincount(social.receivers, social.weight, social.num_receivers)
    return SocialMFSide(social, total.astype(np.float32), num_items)


@dataclasses.dataclass(frozen=True)
class SocialMF(DotProductModel):
    """s = <p_a, q_i> + b_i, and in the loss 0.5 * social_weight * |p_a - sum over friends b of T_ab p_b|^2.

    Jamali and Ester, RecSys 2010, with a ranking loss in place of the squared error of ratings
    (docs/tables.md). T is the row-normalised graph; users without links have no such term. Its gradient reaches the
    friends too, which the sequential updates of published code leave out.

    Attributes:
      social_weight: lambda_T, weight of the social term, at least 0.
      symmetric: Whether links count in both directions; False keeps the file's: a trusts whom a follows.
      per: Whose social terms a batch holds. user draws one user for each row, uniformly, so that, as in the paper's sum
        over users, one who took many items counts once and one who took none is still pulled to their friends; the mean
        over rows is the mean over users. pair takes the row's own user, who then counts once for each training pair.
    """

    traits: ClassVar[Traits] = Traits(needs=("links",), new_users=True)
    search_space: ClassVar = {"social_weight": LogUniform(0.1, 10.0)}

    social_weight: float = 1.0
    symmetric: bool = True
    per: Literal["user", "pair"] = "user"

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, social_weight=0)

    def prepare(self, columns) -> SocialMFSide:
        self.check(columns)
        return social_side(friends(columns, self.symmetric), columns.num_items)

    def _tables(self, side: SocialMFSide):
        return self.tables(side.social.num_receivers, side.num_items)

    def init(self, rng, side):
        return self._tables(side).init(rng)["params"]

    def encode(self, params, side) -> Factors:
        return Factors(*self._tables(side).apply({"params": params}))

    def squared_norms(self, params):
        return self.table_norms(params)

    def distance(self, users: jax.Array, side: SocialMFSide) -> jax.Array:
        """The social term of each user, f32[U], from embeddings f32[U, D]; 0 without links."""
        difference = users - propagate(side.social, users)
        return jnp.where(side.total > 0, jnp.sum(difference**2, axis=1), 0.0)

    def penalty(self, params, side: SocialMFSide, state: Factors, batch: Batch, rng):
        """0.5 * social_weight * distance of each row's user, f32[B]; friends are read from the whole table."""
        if self.social_weight == 0:
            return None
        users = batch.users
        if self.per == "user":
            bits = sample.fold(sample.fold(rng, sample.OTHERS), batch.rows)
            users = sample.below(bits, side.social.num_receivers)
        return 0.5 * self.social_weight * self.distance(state.users, side)[users]

    def new_user(self, state: Factors, side, items, friends):
        """The mean of the embedding from items alone, see `DotProductModel`, and the friends' mean embedding."""
        own = super().new_user(state, side, items, friends)
        if not len(friends):
            return own
        friends_mean = np.asarray(state.users)[friends].mean(axis=0)
        return (own + friends_mean) / 2 if len(items) else friends_mean
