"""What social models share: the graph of links, the similarity of linked users, and the layer of users' features.

Edges go from a friend to the user who aggregates their messages. Similarity is the cosine of two users' training items,
the weight of social regularisation and of friends' influence.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from socialjax.graph import Edges, Normalisation, edges, normalise, symmetrise
from socialjax.models.parts import require_at_least
from socialjax.ops.mapped import MappedGraph
from socialjax.ops.propagate import Diffusion, diffusion

_AT_ONCE = 1 << 18  # links whose users' items are compared at once


def cosine(taken: sparse.csr_array, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """|R_a and R_b| / sqrt(|R_a| |R_b|) of pairs of users (NumPy).

    Pearson's correlation of observed ratings, which rating models take, is undefined here: all observed ratings are
    equal.

    Args:
      taken: f32[U, I], as `taken_items` gives it.
      left: i32[E], the first user of each pair.
      right: i32[E], the second.

    Returns:
      f32[E] in [0, 1], 0 where one of the two took nothing.
    """
    common = [
        np.asarray(taken[left[start : start + _AT_ONCE]].multiply(taken[right[start : start + _AT_ONCE]]).sum(axis=1))
        for start in range(0, len(left), _AT_ONCE)
    ]
    count = np.diff(taken.indptr).astype(np.float64)
    both = np.sqrt(count[left] * count[right])
    return (np.concatenate([np.zeros(0), *common]) / np.maximum(both, 1.0)).astype(np.float32)


def link_edges(columns, symmetric: bool = True) -> Edges:
    """Edges friend -> user of weight 1 in a data set with links; symmetric as in `friends`."""
    n = columns.num_users
    links = edges(columns.links.followee, columns.links.follower, n, n)
    return symmetrise(links) if symmetric else links


def friends(columns, symmetric: bool = True, how: Normalisation = "mean") -> Diffusion:
    """The social graph, sorted for `propagate`.

    Args:
      columns: A data set with links, or a mapped graph with links.
      symmetric: Whether a link counts in both directions, once, without self links (DiffNet's loader); False keeps the
        file's direction: a user aggregates those whom they follow.
      how: Weights of the edges.

    Returns:
      Edges friend -> user.
    """
    if isinstance(columns, MappedGraph):
        return columns.friends(symmetric, how)
    return diffusion(normalise(link_edges(columns, symmetric), how))


FEATURE_LAYERS = ("shared", "fuse_users", "fuse_items")  # of `released`; of `paper`


def features_for(model, columns) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(f32[U, F], f32[I, F]) of a data set, standardised to `feature_scale`; None for what is absent or not used.

    The released code standardises in each step; these moments never change. Whether the paper does so is not known; raw
    numbers could be of any size (docs/diffnet.md).

    Args:
      model: Has `use_features`, `variant` and `feature_scale`.
      columns: A data set.

    Raises:
      ValueError: for two widths in the variant `released`, whose layer serves users and items.
    """
    features = (columns.user_features, columns.item_features) if model.use_features else (None, None)
    if model.variant == "released" and all(f is not None for f in features):
        widths = [f.shape[1] for f in features]
        if widths[0] != widths[1]:
            raise ValueError(
                "variant 'released' shares one layer between user and item features, so both must have one width, "
                f"got {widths[0]} and {widths[1]}; use --model.variant paper, or features of one width"
            )
    return tuple(None if f is None else np.asarray(standardise(jnp.asarray(f), model.feature_scale)) for f in features)


def check_scale_and_penalties(model) -> None:
    """Raises ValueError for a `feature_scale` that is not above 0 and a `feature_l2` or `layer_l2` below 0."""
    if not model.feature_scale > 0:
        raise ValueError(f"feature_scale must be above 0, got {model.feature_scale}")
    require_at_least(model, feature_l2=0, layer_l2=0)


def released_parts(model, side) -> tuple[jax.Array | None, jax.Array | None]:
    """What the released code adds to the free embeddings: standardised(sigmoid(dense(feature))), one dense for both.

    To be called inside a compact module, which then owns the layer as `shared`. The deviation of all numbers of a part
    is `feature_scale`, whatever the layer learns: its length is sqrt(D) times that.

    Args:
      model: Has `dim` and `feature_scale`.
      side: Has user_features f32[U, F] and item_features f32[I, F], or None.

    Returns:
      f32[U, D] and f32[I, D], None where there are no features.
    """
    shared = nn.Dense(model.dim, kernel_init=glorot(), name="shared")
    return tuple(
        None if f is None else standardise(nn.sigmoid(shared(f)), model.feature_scale)
        for f in (side.user_features, side.item_features)
    )


def glorot(share: float = 1.0) -> nn.initializers.Initializer:
    """Initial kernel of a dense layer in the released code: uniform within sqrt(6 / (inputs + outputs)).

    Glorot and Bengio, AISTATS 2010, TensorFlow's default.

    Args:
      share: (inputs + outputs) of this kernel by those of the layer, below 1 for a layer held in several kernels.
    """
    return nn.initializers.variance_scaling(share, "fan_avg", "uniform")


def standardise(values: jax.Array, scale: float) -> jax.Array:
    """scale * (z - mean) / std with moments over ALL entries, as in the released code; a constant matrix gives 0."""
    centred = values - jnp.mean(values)
    centred = centred - jnp.mean(centred)  # what rounding left of the mean, which a constant matrix would blow up
    return scale * centred * jax.lax.rsqrt(jnp.maximum(jnp.mean(centred**2), 1e-12))
