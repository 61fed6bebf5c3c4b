"""Factorisation machine over users, items and their features (Rendle, ICDM 2010), under a ranking loss."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Touched, Traits, batch_items, numbered
from socialjax.models.parts import DotProductModel, Factors, named_rows, pair_dot, require_at_least


@struct.dataclass
class FMSide:
    """Features, standardised column by column.

    Attributes:
      user_features: f32[U, F] or None.
      item_features: f32[I, G] or None.
      num_users: U.
      num_items: I.
    """

    user_features: jax.Array | None
    item_features: jax.Array | None
    num_users: int = struct.field(pytree_node=False)
    num_items: int = struct.field(pytree_node=False)


@struct.dataclass
class FMState(Factors):
    """Factors that include the terms of features, and these terms.

    Attributes:
      user_part: f32[U, D], x V_x; 0 without user features.
      item_part: f32[I, D], y V_y; 0 without item features.
      item_alone: f32[I], the terms of item features that do not depend on the user.
    """

    user_part: jax.Array
    item_part: jax.Array
    item_alone: jax.Array


@dataclasses.dataclass(frozen=True)
class FM(DotProductModel):
    """s = <p_a + x_a V_x, q_i + y_i V_y> + b_i + <w, y_i> + <q_i, y_i V_y> + pairs of features within y_i.

    The second-order machine (Rendle, ICDM 2010, Eq. 1) over the fields user, item, x_a and y_i. Terms that depend on
    the user alone cancel in a ranking and are left out, so the score is a dot product; terms of the item alone go into
    the item's bias. Without features it is BPR with an item bias (docs/tables.md).

    Attributes:
      item_bias: Whether the score has the linear weights b_i of items and w of item features.
      use_features: Whether user and item features are used where the data has them.
      feature_scale: Standard deviation to which every column of features is brought, above 0. Large ones would dominate
        by their square, and many at 1 move faster than the ids.
      feature_l2: Lambda on the squared norm of V_x, V_y and w, counted once in the mean of a batch, whatever its size.
    """

    traits: ClassVar[Traits] = Traits(uses=("user_features", "item_features"), new_users=True)

    use_features: bool = True
    feature_scale: float = 0.2
    feature_l2: float = 0.002

    def __post_init__(self):
        super().__post_init__()
        if not self.feature_scale > 0:
            raise ValueError(f"feature_scale must be above 0, got {self.feature_scale}")
        require_at_least(self, feature_l2=0)

    def prepare(self, columns) -> FMSide:
        features = (columns.user_features, columns.item_features) if self.use_features else (None, None)
        features = (standardised(part, self.feature_scale) for part in features)
        return FMSide(*features, columns.num_users, columns.num_items)

    def init(self, rng, side: FMSide):
        """p, q and b as in BPR, V_x and V_y from `start`, w from 0."""
        params = dict(self.tables(side.num_users, side.num_items).init(rng)["params"])
        for number, node in enumerate(("user", "item")):
            features = getattr(side, f"{node}_features")
            if features is not None:
                shape = features.shape[1], self.dim
                params[f"{node}_weights"] = self.initializer(jax.random.fold_in(rng, number), shape)
        if side.item_features is not None and self.item_bias:
            params["item_linear"] = jnp.zeros(side.item_features.shape[1])
        return params

    def touched(self, side: FMSide, batch: Batch, rng) -> Touched:
        users, items = batch.users, batch_items(batch)
        features = (
            None if table is None else table[rows]
            for table, rows in ((side.user_features, users), (side.item_features, items))
        )
        drawn = FMSide(*features, len(users), len(items))
        return Touched(named_rows(users, items, self.item_bias), drawn, numbered(batch))

    def encode(self, params, side: FMSide) -> FMState:
        free = {name: params[name] for name in ("users", "items", "item_bias") if name in params}
        users, items, bias = self.tables(side.num_users, side.num_items).apply({"params": free})
        user_part, item_part, alone = jnp.zeros_like(users), jnp.zeros_like(items), jnp.zeros_like(bias)
        if side.user_features is not None:
            user_part = side.user_features @ params["user_weights"]
        if side.item_features is not None:
            item_part = side.item_features @ params["item_weights"]
            alone = jnp.sum(items * item_part, axis=1) + within(side.item_features, params["item_weights"])
            if self.item_bias:
                alone = alone + side.item_features @ params["item_linear"]
        return FMState(users + user_part, items + item_part, bias + alone, user_part, item_part, alone)

    def squared_norms(self, params):
        return self.table_norms(params)

    def penalty(self, params, side, state, batch: Batch, rng):
        """feature_l2 times the squared norm of all weights of features, the same in each row: f32[B]."""
        weights = [params[name] for name in ("user_weights", "item_weights", "item_linear") if name in params]
        if not weights:
            return None
        return jnp.broadcast_to(self.feature_l2 * sum(jnp.sum(part**2) for part in weights), batch.users.shape)

    def explain(self, state: FMState, side: FMSide, users, items):
        """Parts: `taste` <p_a, q_i>; with features `user_features` <x_a V_x, q_i>, `item_features` <p_a, y_i V_y>,
        `both_features` <x_a V_x, y_i V_y> and `item_alone`, what no user changes; `item_bias`, b_i."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        x, y = np.asarray(state.user_part)[users], np.asarray(state.item_part)[items]
        p, q = np.asarray(state.users)[users] - x, np.asarray(state.items)[items] - y
        parts = {"taste": pair_dot(p, q)}
        if side.user_features is not None:
            parts["user_features"] = pair_dot(x, q)
        if side.item_features is not None:
            parts |= {"item_features": pair_dot(p, y), "item_alone": np.asarray(state.item_alone)[items]}
        if side.user_features is not None and side.item_features is not None:
            parts["both_features"] = pair_dot(x, y)
        free = state.replace(item_bias=np.asarray(state.item_bias) - np.asarray(state.item_alone))
        return self.explained(free, users, items, parts, {})


def within(features: jax.Array, weights: jax.Array) -> jax.Array:
    """Sum over f < g of <v_f, v_g> y_f y_g, as 0.5 * (|y V|^2 - sum of y_f^2 |v_f|^2).

    features f32[N, F], weights f32[F, D] -> f32[N].
    """
    return 0.5 * (jnp.sum((features @ weights) ** 2, axis=1) - features**2 @ jnp.sum(weights**2, axis=1))


def standardised(features: np.ndarray | None, scale: float) -> np.ndarray | None:
    """f32[N, F] with mean 0 and deviation `scale` in each column (NumPy); a constant column is 0 after it."""
    if features is None:
        return None
    values = np.asarray(features, np.float64)
    spread = np.where(values.max(axis=0) > values.min(axis=0), values.std(axis=0), np.inf)
    return (scale * (values - values.mean(axis=0)) / spread).astype(np.float32)
