"""The Semantic Extraction Network: which class of each attribute a picture shows, and a vector of the region for each.

Hou et al., "Explainable Fashion Recommendation: A Semantic Attribute Region Guided Approach" (IJCAI 2019). The paper
says that there is one sub-network for each attribute over a shared convolutional network, and that an ROI pooling
layer gives a vector for each attribute from where it was located. Sizes and forms are reconstruction, each one a field.
Where an attribute is located: `grad_aam`.
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from socialjax.vision.backbones.pictures import centred
from socialjax.vision.roi import roi_align, roi_max

NO_CLASS = -1e9  # the logit of classes that an attribute does not have, where others have more


class SEN(nn.Module):
    """Branches of one shape, stacked: K attributes cost one product of matrices each layer.

    backbone: gives (logits, taps) of prepared images; None where feature maps are given. classes: how many each
    attribute has. tap: of the backbone, the feature map. pooling: "mean" over the map; "mean_max" puts the maximum
    beside it, without which small parts are hard to learn. hidden: 0 makes a branch one Dense layer. branch_channels:
    channels of a 3 x 3 convolution of each branch before it pools, 0 for none. region_dim: of an attribute's vector.
    bins, roi: of the pooling inside boxes. threshold: part of a map's maximum that its box must hold. centred: of the
    logits of an attribute's classes their mean is taken off. Probabilities and loss stay as they are; the maps then
    show what speaks for a class more than for the others, where a plain logit also has what all classes share.
    """

    classes: tuple[int, ...]
    backbone: nn.Module | None = None
    tap: str = "features"
    hidden: int = 512
    dropout: float = 0.5
    pooling: Literal["mean", "mean_max"] = "mean_max"
    branch_channels: int = 0
    region_dim: int = 128
    bins: int = 2
    roi: Literal["max", "align"] = "max"
    threshold: float = 0.5
    centred: bool = False

    def __post_init__(self):
        super().__post_init__()
        if not self.classes or min(self.classes) < 2:
            raise ValueError(f"wanted attributes of at least 2 classes, got {self.classes}; leave the others out")
        if not 0 < self.threshold <= 1 or self.bins < 1 or self.region_dim < 1:
            raise ValueError(
                "wanted a threshold above 0 and at most 1, at least 1 bin and 1 number a region, got "
                f"threshold {self.threshold}, bins {self.bins}, region_dim {self.region_dim}"
            )

    def setup(self):
        attributes, widest = len(self.classes), max(self.classes)
        if self.branch_channels:
            self.branch_conv = nn.Conv(attributes * self.branch_channels, (3, 3))
        if self.hidden:
            self.branch_hidden = Stacked(attributes, self.hidden)
        self.branch_classes = Stacked(attributes, widest)
        self.branch_dropout = nn.Dropout(self.dropout)
        self.region_vector = Stacked(attributes, self.region_dim)
        self.region_dropout = nn.Dropout(self.dropout)
        self.region_classes = Stacked(attributes, widest)

    def __call__(self, pictures):
        """Touches every layer, for `init`; pictures as in `see`."""
        maps = self.see(pictures)
        whole = jnp.asarray(np.int32([0, 0, maps.shape[2], maps.shape[1]]).reshape(1, 1, 4))
        boxes = jnp.broadcast_to(whole, (len(maps), len(self.classes), 4))
        return self.classify(self.branches(maps)), self.region_logits(self.regions(maps, boxes))

    def see(self, pictures):
        """u8[B, H, W, 3], pictures of the size the backbone shall see, or feature maps already, float[B, h, w, D] ->
        feature maps f32[B, h, w, D]."""
        if not jnp.issubdtype(pictures.dtype, jnp.integer):
            return pictures.astype(jnp.float32)
        if self.backbone is None:
            raise ValueError("wanted feature maps, got pictures, and this network has no backbone; give it one")
        taps = self.backbone(centred(pictures, self.backbone.preparation))[1]
        if self.tap not in taps:
            raise ValueError(f"the backbone has no activations {self.tap!r}; choose one of {', '.join(taps)}")
        return taps[self.tap]

    def branches(self, maps):
        """f32[B, h, w, D] -> f32[B, K or 1, h, w, E]: what each branch looks at; 1 where all look at the same."""
        if not self.branch_channels:
            return maps[:, None]
        found = nn.relu(self.branch_conv(maps))
        return jnp.moveaxis(found.reshape(*found.shape[:3], len(self.classes), -1), 3, 1)

    def classify(self, branches, train: bool = False):
        """f32[B, K or 1, h, w, E] -> logits f32[B, K, C], C = max(classes); NO_CLASS beyond an attribute's classes."""
        pooled = branches.mean(axis=(2, 3))
        if self.pooling == "mean_max":
            pooled = jnp.concatenate([pooled, branches.max(axis=(2, 3))], axis=-1)
        pooled = jnp.broadcast_to(pooled, (len(pooled), len(self.classes), pooled.shape[-1]))
        if self.hidden:
            pooled = self.branch_dropout(nn.relu(self.branch_hidden(pooled)), deterministic=not train)
        return self._only_its_classes(self.branch_classes(pooled))

    def regions(self, maps, boxes):
        """Vectors of attributes, f32[B, K, region_dim]: maps f32[B, h, w, D], boxes i32[B, K, 4] in cells."""
        found = (roi_max if self.roi == "max" else roi_align)(maps, boxes, self.bins)
        return nn.relu(self.region_vector(found.reshape(*found.shape[:2], -1)))

    def region_logits(self, vectors, train: bool = False):
        """f32[B, K, region_dim] -> f32[B, K, C], as `classify` does."""
        return self._only_its_classes(self.region_classes(self.region_dropout(vectors, deterministic=not train)))

    def _only_its_classes(self, logits):
        has = np.arange(max(self.classes)) < np.array(self.classes)[:, None]
        if self.centred:
            share = np.float32(has / has.sum(axis=1, keepdims=True))
            logits = logits - (logits * jnp.asarray(share)[None]).sum(axis=-1, keepdims=True)
        return jnp.where(jnp.asarray(has)[None], logits, NO_CLASS)


class Stacked(nn.Module):
    """A Dense layer for each attribute."""

    attributes: int
    features: int

    @nn.compact
    def __call__(self, values):
        """f32[B, K, D] -> f32[B, K, features]."""
        shape = (self.attributes, values.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(batch_axis=0), shape)
        bias = self.param("bias", nn.initializers.zeros, shape[::2])
        return jnp.einsum("bkd,kdf->bkf", values, kernel) + bias[None]


def masked_loss(logits, labels):
    """(sum, weight) of -log softmax(z)[y] over the labels that are there (section 3.2 of the description).

    logits f32[B, K, C], labels i[B, K], -1 where nobody looked: such a pair adds nothing, to the weight neither.
    """
    known = labels >= 0
    chances = jax.nn.log_softmax(logits)
    own = jnp.take_along_axis(chances, jnp.maximum(labels, 0)[..., None].astype(jnp.int32), axis=-1)[..., 0]
    return -jnp.where(known, own, 0).sum(), known.sum().astype(jnp.float32)
