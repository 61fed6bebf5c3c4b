"""DeepStyle: an item's image features less those of its category (Liu, Wu, Wang: DeepStyle: Learning User Preferences
for Visual Recommendation, SIGIR 2017)."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Touched, Traits, batch_items, numbered
from socialjax.models.parts import DotProductModel, Factors, named_rows, pair_dot, require_at_least
from socialjax.models.visual.item_features import scaled


@struct.dataclass
class DeepStyleSide:
    """Images and categories of items.

    Attributes:
      images: f32[I, F] of mean length 1.
      category: i32[I], -1 where it is unknown.
      known: f32[I], 0 for items whose v_i and b_i are 0, else 1.
      num_users: U.
      num_categories: Distinct categories.
    """

    images: jax.Array
    category: jax.Array
    known: jax.Array
    num_users: int = struct.field(pytree_node=False)
    num_categories: int = struct.field(pytree_node=False)


@struct.dataclass
class DeepStyleState(Factors):
    """Factors u, E^T f_i - c_cat(i) + v_i and b_i, and the first two summands.

    Attributes:
      looks: f32[I, D], E^T f_i.
      categories: f32[I, D], c_cat(i), 0 where it is unknown.
    """

    looks: jax.Array
    categories: jax.Array


@dataclasses.dataclass(frozen=True)
class DeepStyle(DotProductModel):
    """s = <u_a, E^T f_i - c_cat(i) + v_i> (Liu, Wu and Wang, SIGIR 2017; docs/saers.md).

    Images f_i are of mean length 1, categories the product groups of the items; where the group is unknown nothing is
    subtracted. Published code has a category vector for each item, so that only its difference to v_i is determined;
    here it is one for each group.

    Attributes:
      cold: v_i and b_i of items without training pairs: learned, like all others, or features, 0.
      l2: Lambda on the squared norms of u, v and b in a batch's rows.
      feature_l2: Lambda on the squared norms of E and c, at least 0, counted once in the mean of a batch.
      item_bias: Whether the score has a bias b_i for each item; the published model has none.
    """

    traits: ClassVar[Traits] = Traits(needs=("item_features", "item_groups"), new_users=True)

    cold: Literal["learned", "features"] = "learned"
    feature_l2: float = 0.02
    item_bias: bool = False

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, feature_l2=0)

    def prepare(self, columns) -> DeepStyleSide:
        self.check(columns)
        names = np.unique(columns.item_groups[columns.item_groups != ""])
        category = np.where(columns.item_groups == "", -1, np.searchsorted(names, columns.item_groups))
        known = np.bincount(columns.train.item, minlength=columns.num_items) > 0
        known = known if self.cold == "features" else np.ones_like(known)
        tables = scaled(columns.item_features), category.astype(np.int32), known.astype(np.float32)
        return DeepStyleSide(*tables, columns.num_users, len(names))

    def init(self, rng, side: DeepStyleSide):
        """u, v and b as in BPR; E and, where there are categories, c from `start`."""
        params = dict(self.tables(side.num_users, len(side.known)).init(rng)["params"])
        params["projection"] = self.initializer(jax.random.fold_in(rng, 0), (side.images.shape[1], self.dim))
        if side.num_categories:
            params["categories"] = self.initializer(jax.random.fold_in(rng, 1), (side.num_categories, self.dim))
        return params

    def touched(self, side: DeepStyleSide, batch: Batch, rng) -> Touched:
        users, items = batch.users, batch_items(batch)
        of_items = (table[items] for table in (side.images, side.category, side.known))
        drawn = DeepStyleSide(*of_items, len(users), side.num_categories)
        return Touched(named_rows(users, items, self.item_bias), drawn, numbered(batch))

    def encode(self, params, side: DeepStyleSide) -> DeepStyleState:
        free = {name: params[name] for name in ("users", "items", "item_bias") if name in params}
        users, items, bias = self.tables(side.num_users, side.known.shape[0]).apply({"params": free})
        known, category = jnp.asarray(side.known), jnp.asarray(side.category)
        looks, categories = side.images @ params["projection"], jnp.zeros_like(items)
        if "categories" in params:
            categories = jnp.asarray(params["categories"])[category] * (category >= 0)[:, None]
        return DeepStyleState(users, looks - categories + items * known[:, None], bias * known, looks, categories)

    def squared_norms(self, params):
        return self.table_norms(params)

    def penalty(self, params, side, state, batch: Batch, rng):
        """feature_l2, which is the same in each row."""
        weights = (params[name] for name in ("projection", "categories") if name in params)
        return jnp.full(batch.users.shape, self.feature_l2 * sum(jnp.sum(part**2) for part in weights))

    def explain(self, state: DeepStyleState, side: DeepStyleSide, users, items):
        """Parts: `look` <u_a, E^T f_i>, `category` -<u_a, c_cat(i)>, `taste` <u_a, v_i>, and `item_bias`."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        looks, categories, whole = (np.asarray(t)[items] for t in (state.looks, state.categories, state.items))
        vectors = {"look": looks, "category": -categories, "taste": whole - looks + categories}
        user_vectors = np.asarray(state.users)[users]
        return self.explained(state, users, items, {name: pair_dot(user_vectors, v) for name, v in vectors.items()}, {})
