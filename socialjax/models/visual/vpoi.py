"""VPOI: embeddings that also predict who posted an image and what it shows (Wang, Wang, Tang, Shu, Ranganath, Liu: What
Your Images Reveal, WWW 2017).

Ranking form: the objective of `DotProductModel` in place of the squared error of ratings, and given image features in
place of a network that is trained along.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from socialjax.contract import Batch, Traits
from socialjax.models.parts import DotProductModel, Factors, require_at_least
from socialjax.models.visual.item_features import scaled
from socialjax.ops import losses, sample
from socialjax.ops.lookup import candidate_scores

POSTED, SHOWN = 11, 12  # counters that keep the draws of the two terms apart


@struct.dataclass
class VPOISide:
    """Images, their items and their posters.

    Attributes:
      images: f32[T, F] of mean length 1, one row for each item, or the frames of all items.
      image_rows: i32[S], the rows that are not all 0, ascending.
      image_items: i32[S], the item of each of these.
      posted_rows: i32[P], those of them that a known user posted.
      posters: i32[P], who posted each of these.
      num_users: U.
      num_items: I.
    """

    images: jax.Array
    image_rows: jax.Array
    image_items: jax.Array
    posted_rows: jax.Array
    posters: jax.Array
    num_users: int = struct.field(pytree_node=False)
    num_items: int = struct.field(pytree_node=False)


@dataclasses.dataclass(frozen=True)
class VPOI(DotProductModel):
    """s = <u_a, v_i> + b_i, and in the loss, over images k with features f_k,

        - user_weight * log p(k | a) for images that a posted,  p(k | a) ~ exp <u_a, G_u^T f_k>
        - item_weight * log p(k | i) for the images of i,       p(k | i) ~ exp <v_i, G_v^T f_k>

    each normalised over all images (Wang et al., WWW 2017). The images of an item are its frames where the data has
    frames, else its one row of features. Who posted an image is the item's owner; images whose owner is unknown have no
    first term, and without owners there is none. A row of features that is all 0 is no image. Each row of a batch draws
    one of all images for either term: the mean over rows is the mean over images where the paper has the sum.

    Attributes:
      user_weight: eta_u, weight of the images that users posted, at least 0; with item_weight 0 as well it is BPR.
      item_weight: eta_v, weight of the images of items, at least 0.
      random_images: Images drawn against each, in place of all others in the softmax; at least 1.
      feature_l2: Lambda on the squared norms of G_u and G_v, at least 0, counted once in the mean of a batch.
    """

    traits: ClassVar[Traits] = Traits(needs=("item_features",), uses=("owners", "frames"), new_users=True)

    user_weight: float = 0.1
    item_weight: float = 0.1
    random_images: int = 5
    feature_l2: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        require_at_least(self, user_weight=0, item_weight=0, feature_l2=0, random_images=1)

    def check(self, columns) -> None:
        """Frames are images too."""
        if columns.frames is None:
            super().check(columns)

    def prepare(self, columns) -> VPOISide:
        self.check(columns)
        if columns.frames is None:
            images, item = scaled(columns.item_features), np.arange(columns.num_items, dtype=np.int32)
        else:
            images, item = scaled(columns.frames.features), columns.frames.item
        image_rows = np.flatnonzero(images.any(axis=1)).astype(np.int32)
        owners = np.full(columns.num_items, -1) if columns.owners is None else np.asarray(columns.owners)
        posted_rows = image_rows[owners[item[image_rows]] >= 0]
        posters = owners[item[posted_rows]].astype(np.int32)
        return VPOISide(
            images, image_rows, item[image_rows], posted_rows, posters, columns.num_users, columns.num_items
        )

    def init(self, rng, side: VPOISide):
        """u, v and b as in BPR; G_u, where there are posters, and G_v from `start`."""
        width = side.images.shape[1]
        params = dict(self.tables(side.num_users, side.num_items).init(rng)["params"])
        for number, (name, rows) in enumerate(
            (("user_projection", side.posted_rows), ("item_projection", side.image_rows))
        ):
            if len(rows):
                params[name] = self.initializer(jax.random.fold_in(rng, number), (width, self.dim))
        return params

    def encode(self, params, side: VPOISide) -> Factors:
        free = {name: params[name] for name in ("users", "items", "item_bias") if name in params}
        return Factors(*self.tables(side.num_users, side.num_items).apply({"params": free}))

    def squared_norms(self, params):
        return self.table_norms(params)

    def penalty(self, params, side: VPOISide, state, batch: Batch, rng):
        """Both terms, for images that each row draws, and feature_l2: f32[B]."""
        total = jnp.zeros(batch.users.shape[0])
        for name, vectors, owners, rows, weight, counter in (
            ("user_projection", params["users"], side.posters, side.posted_rows, self.user_weight, POSTED),
            ("item_projection", params["items"], side.image_items, side.image_rows, self.item_weight, SHOWN),
        ):
            if name in params and weight:
                positions, candidates = sample_images(rows, side.image_rows, self.random_images, batch, rng, counter)
                scores = projected_scores(
                    vectors[jnp.asarray(owners)[positions]], side.images, params[name], candidates
                )
                total = total + weight * losses.softmax(scores[:, 0], scores[:, 1:])
            if name in params and self.feature_l2:
                total = total + self.feature_l2 * jnp.sum(params[name] ** 2)
        return total


def projected_scores(vectors, images, projection, candidates) -> jax.Array:
    """<vector, G^T f_k> of each row's candidates; all images or the drawn ones are projected, whichever are fewer.

    Args:
      vectors: f32[B, D].
      images: f32[T, F].
      projection: f32[F, D], G.
      candidates: i32[B, C], rows of the images.

    Returns:
      f32[B, C].
    """
    if candidates.size >= images.shape[0]:
        return candidate_scores(vectors, images @ projection, candidates)
    return jnp.einsum("bcd,bd->bc", jnp.asarray(images)[candidates] @ projection, vectors)


def sample_images(positives, image_rows, count: int, batch: Batch, rng, counter: int) -> tuple[jax.Array, jax.Array]:
    """A random image for each row, and other images to contrast it with.

    Args:
      positives: i32[P], the images to draw from, all with one probability.
      image_rows: i32[S], all images, ascending.
      count: How many others; they may repeat and be of the same item. A single image is drawn against itself.
      batch: B rows.
      rng: u32, the key of the step.
      counter: Keeps the draws of the two terms apart.

    Returns:
      Positions in `positives`, i32[B], and images, i32[B, 1 + count], the drawn one first.
    """
    positives, image_rows = jnp.asarray(positives), jnp.asarray(image_rows)
    key = sample.fold(sample.fold(sample.fold(rng, sample.OTHERS), counter), batch.rows)
    positions = sample.below(sample.fold(key, 0), positives.shape[0])
    image = positives[positions]
    bits = sample.fold(key[:, None], 1 + jnp.arange(count)[None, :])
    rank = sample.below(bits, max(image_rows.shape[0] - 1, 1))
    own = jnp.searchsorted(image_rows, image)[:, None]  # its position among all: ranks from there on are one higher
    others = image_rows[jnp.minimum(rank + (rank >= own), image_rows.shape[0] - 1)]
    return positions, jnp.concatenate([image[:, None], others], axis=1)
