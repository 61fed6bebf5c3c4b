"""JRL with the view of images alone (Zhang, Ai, Chen, Croft: Joint Representation Learning for Top-N Recommendation
with Heterogeneous Information Sources, CIKM 2017). The paper's other views, reviews and ratings, do not exist here."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Traits
from socialjax.models.parts import DotProductModel, Factors, pair_dot, require_at_least
from socialjax.models.visual.item_features import scaled


@struct.dataclass
class JRLSide:
    """Images of items.

    Attributes:
      images: f32[I, F] of mean length 1.
      known: f32[I], 0 for items whose q_i and b_i are 0, else 1.
      num_users: U.
    """

    images: jax.Array
    known: jax.Array
    num_users: int = struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class JRL(DotProductModel):
    """s = <p_a, x_i> with x_i = [q_i ; ELU(E^T g_i)], and in the loss rebuild * |g_i - R^T x_i|^2 of the row's item.

    The view of images alone of Zhang et al., CIKM 2017; the form of both terms is a reading of the paper
    (docs/saers.md).

    Attributes:
      dim: Width of q_i, the free half of an item's vector; at least 1.
      visual_dim: Width of the image's half, at least 1; p_a has both.
      rebuild: Weight of the reconstruction of the image, at least 0.
      cold: q_i and b_i of items without training pairs: learned, like all others, or features, 0.
      l2: Lambda on the squared norms of p, q and b in a batch's rows.
      feature_l2: Lambda on the squared norms of E and R, at least 0, counted once in the mean of a batch.
      item_bias: Whether the score has a bias b_i for each item; the published model has none.
    """

    traits: ClassVar[Traits] = Traits(needs=("item_features",), new_users=True)

    visual_dim: int = 64
    rebuild: float = 0.1
    cold: Literal["learned", "features"] = "learned"
    feature_l2: float = 0.02
    item_bias: bool = False

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, visual_dim=1, rebuild=0, feature_l2=0)

    def prepare(self, columns) -> JRLSide:
        self.check(columns)
        known = np.bincount(columns.train.item, minlength=columns.num_items) > 0
        known = known if self.cold == "features" else np.ones_like(known)
        return JRLSide(scaled(columns.item_features), known.astype(np.float32), columns.num_users)

    def init(self, rng, side: JRLSide):
        """p and q from `start`, b from 0, E and R from Glorot's distribution."""
        (num_items, width), both = side.images.shape, self.dim + self.visual_dim
        params = dict(self.tables(side.num_users, num_items).init(rng)["params"])
        keys = (jax.random.fold_in(rng, number) for number in range(3))
        params["visual_users"] = self.initializer(next(keys), (side.num_users, self.visual_dim))
        linear = jax.nn.initializers.xavier_uniform()
        params["projection"] = linear(next(keys), (width, self.visual_dim))
        if self.rebuild:
            params["rebuild"] = linear(next(keys), (both, width))
        return params

    def encode(self, params, side: JRLSide) -> Factors:
        free = {name: params[name] for name in ("users", "items", "item_bias") if name in params}
        users, items, bias = self.tables(side.num_users, side.known.shape[0]).apply({"params": free})
        known, seen = jnp.asarray(side.known), jax.nn.elu(side.images @ params["projection"])
        return Factors(
            users=jnp.concatenate([users, params["visual_users"]], axis=1),
            items=jnp.concatenate([items * known[:, None], seen], axis=1),
            item_bias=bias * known,
        )

    def squared_norms(self, params):
        users, items = self.table_norms(params)
        return users + jnp.sum(params["visual_users"] ** 2, axis=1), items

    def penalty(self, params, side: JRLSide, state: Factors, batch: Batch, rng):
        """The reconstruction error of the image of the row's item, and feature_l2: f32[B]."""
        weights = (params[name] for name in ("projection", "rebuild") if name in params)
        total = jnp.full(batch.users.shape, self.feature_l2 * sum(jnp.sum(part**2) for part in weights))
        if not self.rebuild:
            return total
        missed = jnp.asarray(side.images)[batch.items] - state.items[batch.items] @ params["rebuild"]
        return total + self.rebuild * jnp.sum(missed**2, axis=1)

    def explain(self, state: Factors, side: JRLSide, users, items):
        """Parts: `taste`, of q_i, `visual`, of ELU(E^T g_i), and `item_bias`."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        user_vectors, item_vectors = np.asarray(state.users)[users], np.asarray(state.items)[items]
        halves = {"taste": slice(None, self.dim), "visual": slice(self.dim, None)}
        parts = {name: pair_dot(user_vectors[:, half], item_vectors[:, half]) for name, half in halves.items()}
        return self.explained(state, users, items, parts, {})
