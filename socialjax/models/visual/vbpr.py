"""VBPR: matrix factorisation with image features of items (He and McAuley, AAAI 2016)."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Touched, Traits, batch_items, numbered
from socialjax.graph import distinct
from socialjax.models.parts import DotProductModel, Factors, named_rows, pair_dot, require_at_least
from socialjax.models.visual.item_features import FrameImages, frame_images, item_images, mean_length, needed, scaled


@struct.dataclass
class VBPRSide:
    """Images of items and frames, and weights.

    Attributes:
      images: f32[I, F] of mean length 1, or None.
      known: f32[I], 0 for items whose gamma_i and beta_i are 0, else 1.
      row_weight: f32[U], the weight of a user's training rows.
      frames: Divided by the same number as images, or None.
      num_users: U.
    """

    images: jax.Array | None
    known: jax.Array
    row_weight: jax.Array
    frames: FrameImages | None
    num_users: int = struct.field(pytree_node=False)


@struct.dataclass
class VBPRState(Factors):
    """Factors over both halves, users [gamma_a, theta_a] and items [gamma_i, E^T f_i], and what frames are scored with.

    Attributes:
      visual_bias: f32[I], <beta', f_i>.
      projection: f32[F, Dv], E, or None without features.
      feature_bias: f32[F], beta', or None without it.
    """

    visual_bias: jax.Array
    projection: jax.Array | None = None
    feature_bias: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class VBPR(DotProductModel):
    """s = <gamma_a, gamma_i> + <theta_a, E^T f_i> + beta_i + <beta', f_i> (He and McAuley, AAAI 2016, Eq. 4).

    f_i are the item's features, or without them the mean of its frames, divided by one number, so that their mean
    length is 1. Frame k is ranked by <theta_a, E^T f_k> + <beta', f_k>. Without features it is BPR. It is a baseline of
    SAERS (docs/saers.md).

    Attributes:
      dim: Width of gamma, at least 1.
      visual_dim: Width of theta, at least 1.
      columns: How many of a row's numbers are used, from the first, where images are followed by something else; 0
        takes all.
      visual_bias: Whether the score has <beta', f_i>.
      cold: Items without training pairs: learned, like all others, from being drawn as negatives, which reveals only
        that they are new; or features, gamma_i = beta_i = 0, the image alone.
      l2: Lambda on the squared norms of gamma and theta in a batch's rows; half of published code's lambda_w.
      bias_l2: Lambda on beta_i and, a tenth as much, on beta_j of negatives, at least 0; half of published code's
        lambda_b.
      feature_l2: Lambda on E and beta', at least 0, counted once in the mean of a batch, whatever its size; half of
        published code's lambda_e.
      user_balance: Training rows weigh |R_a|^-user_balance. 0: every pair counts alike. 1: every user does, as in BPR's
        and VBPR's first code, which draws a user and then an item; where a few users made most of the pairs, the others
        would hardly count.
    """

    traits: ClassVar[Traits] = Traits(uses=("item_features", "frames"), new_users=True, ranks_frames=True)

    columns: int = 0
    visual_dim: int = 64
    visual_bias: bool = True
    cold: Literal["learned", "features"] = "learned"
    bias_l2: float = 0.005
    feature_l2: float = 0.02
    user_balance: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, visual_dim=1, columns=0, bias_l2=0, feature_l2=0, user_balance=0)

    def prepare(self, columns) -> VBPRSide:
        known = np.bincount(columns.train.item, minlength=columns.num_items) > 0
        images = item_images(columns)
        if self.cold == "learned" or images is None:
            known = np.ones_like(known)
        users, _ = distinct(columns.train.user, columns.train.item, columns.num_items)
        count = np.bincount(users, minlength=columns.num_users)
        weight = np.maximum(count, 1.0) ** -self.user_balance
        frames = None
        if images is not None:
            width = images.shape[1]
            if self.columns > width:
                raise ValueError(
                    f"columns must be at most {width}, what '{columns.name}' has a row of features, got "
                    f"{self.columns}; 0 takes all"
                )
            images = images[:, : self.columns or width]
            same = np.ones(images.shape[1])
            frames = frame_images(columns, width, 0 * same, mean_length(images) * same)
        known, weight = known.astype(np.float32), weight.astype(np.float32)
        return VBPRSide(scaled(images), known, weight, frames, columns.num_users)

    def init(self, rng, side: VBPRSide):
        """gamma and beta_i as in BPR, theta and E from `start`, beta' from 0."""
        params = dict(self.tables(side.num_users, len(side.known)).init(rng)["params"])
        if side.images is not None:
            keys = (jax.random.fold_in(rng, number) for number in (0, 1))
            shapes = (side.num_users, self.visual_dim), (side.images.shape[1], self.visual_dim)
            for name, key, shape in zip(("visual_users", "projection"), keys, shapes):
                params[name] = self.initializer(key, shape)
            if self.visual_bias:
                params["visual_bias"] = jnp.zeros(side.images.shape[1])
        return params

    def touched(self, side: VBPRSide, batch: Batch, rng) -> Touched:
        users, items = batch.users, batch_items(batch)
        rows = named_rows(users, items, self.item_bias)
        images = None
        if side.images is not None:
            rows, images = rows | {("visual_users",): users}, side.images[items]
        drawn = VBPRSide(images, side.known[items], side.row_weight[users], None, len(users))
        return Touched(rows, drawn, numbered(batch))

    def encode(self, params, side: VBPRSide) -> VBPRState:
        free = {name: params[name] for name in ("users", "items", "item_bias") if name in params}
        users, items, bias = self.tables(side.num_users, len(side.known)).apply({"params": free})
        if side.images is None:
            return VBPRState(users, items, bias, jnp.zeros_like(bias))
        items, bias = items * side.known[:, None], bias * side.known
        seen = side.images @ params["visual_bias"] if self.visual_bias else jnp.zeros_like(bias)
        return VBPRState(
            users=jnp.concatenate([users, params["visual_users"]], axis=1),
            items=jnp.concatenate([items, side.images @ params["projection"]], axis=1),
            item_bias=bias + seen,
            visual_bias=seen,
            projection=jnp.asarray(params["projection"]),
            feature_bias=jnp.asarray(params["visual_bias"]) if self.visual_bias else None,
        )

    def frame_scores(self, state: VBPRState, side: VBPRSide, users, frames):
        """<theta_a, E^T f_k> + <beta', f_k>: frames are projected, then held against the user."""
        looks = needed(side.frames, "VBPR").at(frames)
        scores = jnp.einsum("pkd,pd->pk", looks @ state.projection, state.users[users, self.dim :])
        return scores if state.feature_bias is None else scores + looks @ state.feature_bias

    def loss(self, params, side: VBPRSide, batch: Batch, rng):
        return super().loss(params, side, batch.replace(weight=batch.weight * side.row_weight[batch.users]), rng)

    def squared_norms(self, params):
        """gamma_a and theta_a of the user; gamma_i of the item."""
        users, items = (jnp.sum(params[name] ** 2, axis=1) for name in ("users", "items"))
        if "visual_users" in params:
            users = users + jnp.sum(params["visual_users"] ** 2, axis=1)
        return users, items

    def penalty(self, params, side, state, batch: Batch, rng):
        """bias_l2 of the row's items and feature_l2, which is the same in each row: f32[B]."""
        total = jnp.zeros(batch.users.shape[0])
        if self.item_bias:
            squares = params["item_bias"] ** 2
            total = self.bias_l2 * (squares[batch.items] + 0.1 * jnp.mean(squares[batch.negatives], axis=1))
        weights = (params[name] for name in ("projection", "visual_bias") if name in params)
        return total + self.feature_l2 * sum(jnp.sum(part**2) for part in weights)

    def explain(self, state: VBPRState, side: VBPRSide, users, items):
        """Parts: `taste` <gamma_a, gamma_i>; with features `visual` <theta_a, E^T f_i> and, where there is one,
        `visual_bias` <beta', f_i>; `item_bias` beta_i."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        user_vectors, item_vectors = np.asarray(state.users)[users], np.asarray(state.items)[items]
        parts = {"taste": pair_dot(user_vectors[:, : self.dim], item_vectors[:, : self.dim])}
        if side.images is not None:
            parts["visual"] = pair_dot(user_vectors[:, self.dim :], item_vectors[:, self.dim :])
            if self.visual_bias:
                parts["visual_bias"] = np.asarray(state.visual_bias)[items]
        free = state.replace(item_bias=np.asarray(state.item_bias) - np.asarray(state.visual_bias))
        return self.explained(free, users, items, parts, {})
