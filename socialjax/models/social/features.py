"""The features that DiffNet and DiffNet++ are given, and the layer through which the released code adds them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from socialjax.models.parts import require_at_least

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
