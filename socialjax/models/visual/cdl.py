"""CDL: item embeddings tied to the code of an autoencoder of the items' images (Wang, Wang, Yeung: Collaborative
Deep Learning, KDD 2015).

An autoencoder of two layers each way, whose code and reconstruction may be any numbers.
"""

import dataclasses
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Traits
from socialjax.models.parts import DotProductModel, Factors, pair_dot, require_at_least, require_share
from socialjax.models.visual.item_features import FrameImages, frame_images, item_images, needed
from socialjax.ops import sample
from socialjax.ops.activations import ACTIVATIONS
from socialjax.ops.lookup import row_sums


class Autoencoder(nn.Module):
    """Layers [width, hidden, dim, hidden, width]; code and reconstruction are linear.

    Attributes:
      width: Width F of images.
      hidden: Width H of both hidden layers.
      dim: Width D of the code.
      activation: Of both hidden layers.
    """

    width: int
    hidden: int
    dim: int
    activation: str

    def setup(self):
        dense = lambda size: nn.Dense(size, kernel_init=nn.initializers.xavier_uniform())  # noqa: E731
        self.into_hidden, self.into_code = dense(self.hidden), dense(self.dim)
        self.out_hidden, self.out_image = dense(self.hidden), dense(self.width)

    def encode(self, images: jax.Array) -> jax.Array:
        """The code f32[..., dim] of images f32[..., width]."""
        return self.into_code(ACTIVATIONS[self.activation](self.into_hidden(images)))

    def __call__(self, images: jax.Array) -> jax.Array:
        """Encoded and decoded again: f32[..., width]."""
        return self.out_image(ACTIVATIONS[self.activation](self.out_hidden(self.encode(images))))


ITEMS, MASKED = 21, 22  # counters that keep the draws of items and of masked numbers apart
PUBLISHED_WIDTH = 8000  # words of the vocabulary for which published values of lambda_n were searched


@struct.dataclass
class CDLSide:
    """Images of items and frames, and counts.

    Attributes:
      images: f32[I, F], each column scaled to 0..1 over the items that have an image.
      has_image: f32[I], 1 for these items, 0 for others.
      known: f32[I], 1 for items with training pairs, 0 for others.
      count: f32[U], training pairs of each user.
      frames: Scaled as images, or None.
      num_pairs: Training pairs.
    """

    images: jax.Array
    has_image: jax.Array
    known: jax.Array
    count: jax.Array
    frames: FrameImages | None
    num_pairs: int = struct.field(pytree_node=False)


@struct.dataclass
class CDLState(Factors):
    """Factors and the autoencoder.

    Attributes:
      autoencoder: Its parameters, which frames and images of items are encoded with.
    """

    autoencoder: dict


@dataclasses.dataclass(frozen=True)
class CDL(DotProductModel):
    """s = <u_a, v_i> + b_i, the published form without b_i. Over all pairs and items, divided by the number of pairs,

        pairs + lambda_v / 2 sum_i |v_i - enc(f_i)|^2 + lambda_n / 2 sum_i |dec(enc(f~_i)) - f_i|^2
              + lambda_w / 2 |W|^2

    (Wang, Wang and Yeung, KDD 2015) with W the weights of an autoencoder of layers [F, H, D, H, F] and f~_i the
    corrupted image f_i. f_i are the item's features, or without them the mean of its frames, each number scaled to
    0..1. An item without an image has 0 in place of enc(f_i) and nothing to reconstruct. Each row of a batch draws one
    of all items for its share of both sums. Frame k is ranked by <u_a, enc(f_k)>.

    Attributes:
      dim: Embedding size D, and the width of the autoencoder's code; at least 1.
      fit: The term `pairs`: pointwise, as published, the sum over all users and items of C / 2 (R_ai - s_ai)^2, in
        which every cell is counted and nothing is sampled (Cornac's code writes the square without the half); or pair,
        the objective on sampled negatives, for comparison with models that are trained so.
      objective: Loss of a positive against its sampled negatives, bpr, softmax, bce or squared, with fit pair only.
      negatives: Items sampled for each training pair, at least 1; with fit pointwise they do not matter.
      temperature: Divides the scores in the softmax objective, with fit pair only.
      unseen: b, confidence C of all pairs that are no training pairs, whose C is 1; with fit pointwise only.
      hidden: H, hidden width of the autoencoder, at least 1.
      activation: Of both hidden layers.
      corruption: Share of an image's numbers set to 0 before it is encoded and reconstructed, in [0, 1).
      lambda_v: Weight of |v_i - enc(f_i)|^2, at least 0.
      lambda_n: Weight of the reconstruction, at least 0. It means what it means for the 8,000 words of published grids:
        it is multiplied by 8000 / F.
      lambda_w: Weight of the squared norm of the autoencoder's weights, at least 0.
      cold: Items without training pairs in evaluation: learned, like all others, or features, v_i = enc(f_i) and b_i =
        0.
      l2: Lambda on the squared norms of u_a and b_i in the batch's rows, a mean over them, in place of lambda_u / 2
        |U|^2; on v_i there is lambda_v alone.
    """

    traits: ClassVar[Traits] = Traits(needs=("item_features",), uses=("frames",), new_users=True, ranks_frames=True)

    fit: Literal["pair", "pointwise"] = "pair"
    unseen: float = 0.01
    hidden: int = 200
    activation: Literal["relu", "sigmoid", "tanh"] = "relu"
    corruption: float = 0.3
    lambda_v: float = 10.0
    lambda_n: float = 1000.0
    lambda_w: float = 0.1
    cold: Literal["learned", "features"] = "learned"

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, hidden=1, lambda_v=0, lambda_n=0, lambda_w=0, unseen=0)
        require_share(self, "corruption")

    def check(self, columns) -> None:
        """Frames are images too."""
        if columns.frames is None:
            super().check(columns)

    def prepare(self, columns) -> CDLSide:
        self.check(columns)
        images = np.asarray(item_images(columns), np.float32)
        has_image = images.any(axis=1)
        low, high = (end(images[has_image], axis=0) if has_image.any() else 0 * images[0] for end in (np.min, np.max))
        span = np.where(high > low, high - low, 1.0).astype(np.float32)
        known = np.bincount(columns.train.item, minlength=columns.num_items) > 0
        count = np.bincount(columns.train.user, minlength=columns.num_users)
        return CDLSide(
            images=np.where(has_image[:, None], (images - low) / span, 0.0).astype(np.float32),
            has_image=has_image.astype(np.float32),
            known=known.astype(np.float32),
            count=count.astype(np.float32),
            frames=frame_images(columns, images.shape[1], low, span),
            num_pairs=len(columns.train),
        )

    def _autoencoder(self, side: CDLSide) -> Autoencoder:
        return Autoencoder(side.images.shape[1], self.hidden, self.dim, self.activation)

    def init(self, rng, side: CDLSide):
        """u, v and b as in BPR, the autoencoder from Glorot's distribution."""
        params = dict(self.tables(side.count.shape[0], side.images.shape[0]).init(rng)["params"])
        key = jax.random.fold_in(rng, 0)
        params["autoencoder"] = self._autoencoder(side).init(key, jnp.asarray(side.images)[:1])["params"]
        return params

    def training_state(self, params, side: CDLSide, rng) -> CDLState:
        free = {name: params[name] for name in ("users", "items", "item_bias") if name in params}
        tables = self.tables(side.count.shape[0], side.images.shape[0])
        return CDLState(*tables.apply({"params": free}), params["autoencoder"])

    def encode(self, params, side: CDLSide) -> CDLState:
        state = self.training_state(params, side, None)
        if self.cold == "learned":
            return state
        known = jnp.asarray(side.known)
        looks = self.looks(state, side, side.images, side.has_image)
        items = jnp.where(known[:, None] > 0, state.items, looks)
        return state.replace(items=items, item_bias=state.item_bias * known)

    def looks(self, state: CDLState, side: CDLSide, images, has_image) -> jax.Array:
        """enc(f) f32[..., D] of images f32[..., F], 0 where has_image f32[...] is 0."""
        code = self._autoencoder(side).apply({"params": state.autoencoder}, images, method="encode")
        return code * jnp.expand_dims(jnp.asarray(has_image), -1)

    def frame_scores(self, state: CDLState, side: CDLSide, users, frames):
        """<u_a, enc(f_k)>."""
        images = needed(side.frames, "CDL").at(frames)
        looks = self.looks(state, side, images, jnp.ones(images.shape[:-1]))
        return jnp.einsum("pkd,pd->pk", looks, state.users[users])

    def squared_norms(self, params):
        """u_a of the user; b_i of the item, whose vector lambda_v holds."""
        users = jnp.sum(params["users"] ** 2, axis=1)
        if not self.item_bias:
            return users, jnp.zeros(params["items"].shape[0])
        return users, params["item_bias"] ** 2

    def penalty(self, params, side: CDLSide, state: CDLState, batch: Batch, rng):
        """The terms of both sums for an item that the row draws, and lambda_w: f32[B]."""
        num_items, width = side.images.shape
        key = sample.fold(sample.fold(sample.fold(rng, sample.OTHERS), ITEMS), batch.rows)
        item = sample.below(key, num_items)
        images, has_image = jnp.asarray(side.images)[item], jnp.asarray(side.has_image)[item]
        difference = state.items[item] - self.looks(state, side, images, has_image)
        # `dropout` also makes up for what it takes, which masking noise does not.
        kept = sample.dropout(sample.fold(rng, MASKED), images, batch.rows, self.corruption) * (1 - self.corruption)
        missed = self._autoencoder(side).apply({"params": state.autoencoder}, kept) - images
        of_item = self.lambda_v * row_sums(difference**2)
        of_item = of_item + self.lambda_n * PUBLISHED_WIDTH / width * has_image * row_sums(missed**2)
        weights = sum(jnp.sum(layer["kernel"] ** 2) for layer in params["autoencoder"].values())
        return 0.5 * (num_items * of_item + self.lambda_w * weights) / side.num_pairs

    def loss(self, params, side: CDLSide, batch: Batch, rng):
        return (self._pointwise if self.fit == "pointwise" else super().loss)(params, side, batch, rng)

    def _pointwise(self, params, side: CDLSide, batch: Batch, rng):
        """A row's share of the sum over all cells: its own cell, and 1 / |R_a| of the sum over all cells of user a.

        sum_i s_ai^2 = <u, (V^T V) u> + 2 <u, V^T b> + |b|^2 needs no pass over the items of each row.
        """
        state = self.training_state(params, side, rng)
        users = sample.dropout(rng, state.users[batch.users], batch.rows, self.dropout)
        items, bias = state.items, state.item_bias
        score = row_sums(users * items[batch.items]) + bias[batch.items]
        every = row_sums((users @ (items.T @ items)) * users) + 2 * (users @ (items.T @ bias)) + bias @ bias
        share = every / jnp.maximum(jnp.asarray(side.count)[batch.users], 1.0)
        loss = 0.5 * ((1 - score) ** 2 + self.unseen * (share - score**2))
        user_norms, item_norms = self.squared_norms(params)
        norms = user_norms[batch.users] + item_norms[batch.items]
        penalty = self.penalty(params, side, state, batch, rng)
        total = jnp.sum(batch.weight * (loss + self.l2 * norms + penalty))
        return (total, jnp.sum(batch.weight)), {"objective": jnp.sum(batch.weight * loss)}

    def explain(self, state: CDLState, side: CDLSide, users, items):
        """Parts: `look` <u_a, enc(f_i)>; `taste` <u_a, v_i - enc(f_i)>, what the image lacks; `item_bias`."""
        users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
        images, has_image = (np.asarray(part)[items] for part in (side.images, side.has_image))
        looks = np.asarray(self.looks(state, side, images, has_image))
        user_vectors = np.asarray(state.users)[users]
        parts = {
            "taste": pair_dot(user_vectors, np.asarray(state.items)[items] - looks),
            "look": pair_dot(user_vectors, looks),
        }
        return self.explained(state, users, items, parts, {})
