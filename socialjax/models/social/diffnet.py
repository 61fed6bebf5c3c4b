"""DiffNet: users' vectors diffuse over the social graph (Wu, Sun, Fu, Hong, Wang, Wang, SIGIR 2019, arXiv 1904.10322).

Two forms. `paper`: fusion layers over [feature, free embedding] and a layer with weights in each step of diffusion
(Eq. 1-6). `released`: what the authors' code does: features are added after a shared layer and diffusion is a plain
mean. The code sums the layers that the paper drops, so `layers` is a field of its own.
"""

import dataclasses
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.models.history import History, history, pool, without_target
from socialjax.models.parts import FactorModel, Factors
from socialjax.models.protocol import Batch, Traits
from socialjax.models.social import diffnet_explain
from socialjax.models.social.features import FEATURE_LAYERS, check_scale_and_penalties, features_for, released_parts
from socialjax.models.social.links import friends
from socialjax.models.weight_penalty import weight_penalty
from socialjax.ops.activations import ACTIVATIONS
from socialjax.ops.propagate import Diffusion, propagate
from socialjax.ops.segment import segment_max
from socialjax.ranges import Choice


@struct.dataclass
class DiffNetSide:
    """social: edges friend -> user, mean-weighted; past: edges item -> user; features f32[U, F], f32[I, F] or None.

    cold: bool[I], the items without training pairs where `cold_bias` takes effect, else None.
    """

    social: Diffusion
    past: History
    user_features: jax.Array | None
    item_features: jax.Array | None
    cold: jax.Array | None = None


@struct.dataclass
class DiffNetState(Factors):
    """Factors with what they are made of: layers f32[K + 1, U, D] (H0..HK) and pooled f32[U, D], the history's mean.

    steps: (kernel f32[2D, D], bias f32[D]) of each step of diffusion of the `paper` form, Eq. 4; none in `released`.
    """

    layers: jax.Array
    pooled: jax.Array
    steps: tuple = ()


@dataclasses.dataclass(frozen=True)
class DiffNet(FactorModel):
    """u_a = sum of the chosen layers of h_a + mean of v_i over R_a; s = <u_a, v_i> (+ b_i).

    depth: K, steps of diffusion; 0 leaves a form of SVD++. variant: `paper` or `released`, see above. layers: which
    H0..HK enter u_a: `last` (the paper), `all_but_0` (the released code) or `all`; depth 0 keeps H0. pooling: of the
    friends, `mean` or `max`. activation: g, sigma and s of Eq. 1, 2 and 4, in `paper` only. symmetric: links count in
    both directions, as in the authors' loader. use_features: take features where the data has them.
    feature_scale: deviation to which all numbers of a feature table are brought, and in `released` those that are added
    to the free embeddings too, which therefore neither grow nor shrink; the authors' 0.2 drowns free embeddings that L2
    keeps small. feature_l2: lambda on the squared norm of the weights of the feature layers: the shared one in
    `released`, the fusion layers in `paper`. layer_l2: the same of the W^k of Eq. 4, `paper` only. exclude_target:
    leave the training item out of the history that scores it (the authors keep it in). cold_bias: not in either form:
    where there are item features, items without training pairs are evaluated by these alone, with q_i = 0 and
    b_i = cold_bias; None keeps their q_i and b_i, which training knows as negatives only, so that it hides them from
    everybody. To be chosen on validation.

    Training and evaluation differ with exclude_target, since evaluation always pools the whole history, and with
    cold_bias, which training does not know.
    """

    traits: ClassVar[Traits] = Traits(needs=("links",), uses=("user_features", "item_features"))
    search_space: ClassVar = {
        "depth": Choice((1, 2, 3)),
        "layers": Choice(("all", "all_but_0")),
        "exclude_target": Choice((True, False)),
    }

    depth: int = 2
    variant: Literal["paper", "released"] = "released"
    layers: Literal["last", "all_but_0", "all"] = "all_but_0"
    pooling: Literal["mean", "max"] = "mean"
    activation: Literal["identity", "relu", "sigmoid", "tanh"] = "relu"
    symmetric: bool = True
    use_features: bool = True
    feature_scale: float = 0.05
    feature_l2: float = 0.0
    layer_l2: float = 0.0
    exclude_target: bool = False
    cold_bias: float | None = None

    def __post_init__(self):
        super().__post_init__()
        check_scale_and_penalties(self)
        if self.cold_bias is not None and not self.item_bias:
            raise ValueError("cold_bias stands in for an item bias, got item_bias False; leave one of the two alone")

    def prepare(self, columns) -> DiffNetSide:
        self.check(columns)
        links = friends(columns, self.symmetric)
        features = features_for(self, columns)
        cold = None
        if self.cold_bias is not None and features[1] is not None:
            cold = np.bincount(columns.train.item, minlength=columns.num_items) == 0
        return DiffNetSide(links, history(columns), *features, cold)

    def _layers(self, side: DiffNetSide) -> "DiffNetLayers":
        return DiffNetLayers(self, side.social.num_receivers, side.past.edges.num_senders)

    def init(self, rng, side):
        return self._layers(side).init(rng, side)["params"]

    def encode(self, params, side) -> DiffNetState:
        if side.cold is not None:
            tables = params["tables"]
            items = jnp.where(side.cold[:, None], 0.0, tables["items"])
            bias = jnp.where(side.cold, self.cold_bias, tables["item_bias"])
            params = {**params, "tables": {**tables, "items": items, "item_bias": bias}}
        return self.training_state(params, side, None)

    def training_state(self, params, side, rng) -> DiffNetState:
        return self._layers(side).apply({"params": params}, side)

    def squared_norms(self, params):
        """Theta_1 of the paper's Eq. 13, the free embeddings P and Q, and the item bias."""
        return self.table_norms(params["tables"])

    def penalty(self, params, side, state, batch: Batch, rng):
        """feature_l2 and layer_l2 times the squared norms of their layers' weights: f32[B], or None for none."""
        strengths = dict.fromkeys(FEATURE_LAYERS, self.feature_l2)
        strengths |= {f"diffusion_{k}": self.layer_l2 for k in range(self.depth)}
        return weight_penalty(params, strengths, batch)

    def training_users(self, params, side, state: DiffNetState, batch: Batch):
        users = state.users[batch.users]
        if not self.exclude_target:
            return users
        return users + without_target(side.past, state.pooled, state.items, batch.users, batch.items)

    def explain(self, state: DiffNetState, side: DiffNetSide, users, items):
        return diffnet_explain.explain(self, state, side, users, items)

    def new_user(self, state: DiffNetState, side: DiffNetSide, items, friends):
        return diffnet_explain.new_user(self, state, side, items, friends)


class DiffNetLayers(nn.Module):
    """Equations 1 to 5."""

    settings: DiffNet
    num_users: int
    num_items: int

    @nn.compact
    def __call__(self, side: DiffNetSide) -> DiffNetState:
        of = self.settings
        users, items, bias = of.tables(self.num_users, self.num_items, name="tables")()
        users, items = self.fuse(users, items, side)
        layers, steps = [users], []
        for k in range(of.depth):
            heard = self.hear(layers[-1], side.social)
            if of.variant == "paper":
                both = jnp.concatenate([heard, layers[-1]], axis=1)
                step = nn.Dense(of.dim, name=f"diffusion_{k}")
                heard = ACTIVATIONS[of.activation](step(both))
                steps.append((step.variables["params"]["kernel"], step.variables["params"]["bias"]))
            layers.append(heard)
        pooled = pool(side.past, items)
        chosen = {"last": layers[-1:], "all_but_0": layers[1:] or layers, "all": layers}[of.layers]
        return DiffNetState(sum(chosen) + pooled, items, bias, jnp.stack(layers), pooled, tuple(steps))

    def fuse(self, users, items, side: DiffNetSide):
        """Free embeddings and features; without features the branch is absent: H0 = P, V = Q."""
        of = self.settings
        if of.variant == "paper":
            act = ACTIVATIONS[of.activation]
            if side.user_features is not None:
                users = act(nn.Dense(of.dim, name="fuse_users")(jnp.concatenate([side.user_features, users], axis=1)))
            if side.item_features is not None:
                items = act(nn.Dense(of.dim, name="fuse_items")(jnp.concatenate([items, side.item_features], axis=1)))
            return users, items
        x, y = released_parts(of, side)
        return users if x is None else users + x, items if y is None else items + y

    def hear(self, users, social: Diffusion):
        """Eq. 3: friends pooled; 0 for a user without friends."""
        if self.settings.pooling == "mean":
            return propagate(social, users)
        return segment_max(users[social.senders], social.receivers, social.num_receivers)
