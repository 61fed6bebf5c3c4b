"""SocialMF and SoReg: embeddings of users stay close to those of their friends.

SocialMF (Jamali and Ester, RecSys 2010) pulls a user towards the mean of their trustees; SoReg (Ma, Zhou, Liu, Lyu and
King, WSDM 2011) towards each friend, weighted by similarity of taste. Ranking forms: the objective of `DotProductModel`
in place of the squared error of ratings.
"""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, LogUniform, Traits
from socialjax.graph import edges
from socialjax.models.history import taken_items
from socialjax.models.parts import DotProductModel, Factors, require_at_least
from socialjax.models.social.shared import cosine, friends, link_edges
from socialjax.ops import sample
from socialjax.ops.propagate import Diffusion, diffusion, propagate


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


@dataclasses.dataclass(frozen=True)
class SoReg(SocialMF):
    """s = <p_a, q_i> + b_i, and in the loss, with weight 0.5 * social_weight, by `variant`

        individual: sum over friends b of sim(a, b) |p_a - p_b|^2      (Eq. 11; usually the stronger)
        average:    |p_a - sum of sim(a, b) p_b / sum of sim(a, b)|^2  (Eq. 9)

    Ma et al., WSDM 2011, with a ranking loss in place of the squared error of ratings (docs/tables.md).

    Attributes:
      variant: individual or average social regularisation, as above.
      similarity: sim(a, b): cosine of the training items, made (cosine + constant) / (1 + constant), which stays in [0,
        1]; or one for every link, which averaged is SocialMF.
      constant: Added to the cosine, at least 0. 1 is (similarity + link) / 2 of published code, 0 drops links between
        users with no item in common.
      social_weight: Weight of the social regularisation, at least 0.
      symmetric: Whether links count in both directions; the individual term summed over all users then counts every
        link twice. False keeps the file's: a's friends are whom a follows.
    """

    search_space: ClassVar = {"social_weight": LogUniform(0.01, 1.0)}

    variant: Literal["individual", "average"] = "individual"
    similarity: Literal["cosine", "one"] = "cosine"
    constant: float = 1.0
    social_weight: float = 0.3

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, constant=0)

    def prepare(self, columns) -> SocialMFSide:
        self.check(columns)
        n, graph = columns.num_users, link_edges(columns, self.symmetric)
        if self.similarity == "cosine":
            similarity = cosine(taken_items(columns), graph.receivers, graph.senders)
            graph = dataclasses.replace(graph, weight=np.float32((similarity + self.constant) / (1 + self.constant)))
        kept = graph.weight > 0
        graph = edges(graph.senders[kept], graph.receivers[kept], n, n, graph.weight[kept])
        if self.variant == "average":
            total = np.bincount(graph.receivers, graph.weight, n)
            graph = dataclasses.replace(graph, weight=np.float32(graph.weight / total[graph.receivers]))
        return social_side(diffusion(graph), columns.num_items)

    def distance(self, users, side: SocialMFSide):
        """The individual sum, written out: |p_a|^2 sum_b sim - 2 <p_a, sum_b sim p_b> + sum_b sim |p_b|^2."""
        if self.variant == "average":
            return super().distance(users, side)
        norms = jnp.sum(users**2, axis=1, keepdims=True)
        aggregated = propagate(side.social, jnp.concatenate([users, norms], axis=1))
        return side.total * norms[:, 0] - 2 * jnp.sum(users * aggregated[:, :-1], axis=1) + aggregated[:, -1]
