"""The Semantic Extraction Network: the class and the region of each attribute in a picture; a small CNN to train whole.

Hou et al., "Explainable Fashion Recommendation: A Semantic Attribute Region Guided Approach" (IJCAI 2019). The paper
has one sub-network for each attribute over a shared convolutional network, and an ROI pooling layer that gives a vector
for each attribute from its region. Sizes and forms are a reconstruction, each one a field (docs/saers.md). Attributes
are located by `grad_aam`.
"""

from typing import ClassVar, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from socialjax.vision.backbones.weights import Preparation, centred
from socialjax.vision.roi import boxes_of, roi_align, roi_max


class SmallCNN(nn.Module):
    """Convolutions with ReLU; `strides[i]` of the i-th, which has `channels[i]` channels.

    Kernels are 2 pixels wider than their stride: 3 x 3, and 4 x 4 where the stride is 2. Padding is then the same on
    both sides, and the receptive field of a cell is centred on it; with 3 x 3 everywhere maps would be shifted.
    """

    channels: tuple[int, ...] = (16, 32, 48, 64)
    strides: tuple[int, ...] = (1, 2, 2, 1)
    classes: int = 0  # of a classifier on the mean; 0: without

    preparation: ClassVar[Preparation] = Preparation(64, 1.0, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "linear")

    @nn.compact
    def __call__(self, images):
        """images f32[B, H, W, 3], prepared -> (logits f32[B, classes] or None, taps).

        taps: `conv1`, `conv2`, ..., `features` (the last of them) f32[B, h, w, C] and `pooled` f32[B, C].
        """
        if len(self.channels) != len(self.strides) or not self.channels:
            raise ValueError(f"wanted a stride for each layer, got channels {self.channels} and strides {self.strides}")
        taps = {}
        for number, (channels, stride) in enumerate(zip(self.channels, self.strides), start=1):
            wide = (stride + 2, stride + 2)
            layer = nn.Conv(channels, wide, stride, kernel_init=nn.initializers.he_normal(), name=f"conv{number}")
            images = nn.relu(layer(images))
            taps[f"conv{number}"] = images
        taps["features"], taps["pooled"] = images, images.mean((1, 2))
        logits = nn.Dense(self.classes, name="classifier")(taps["pooled"]) if self.classes else None
        return logits, taps


NO_CLASS = -1e9  # the logit of classes that an attribute does not have, where others have more


class SEN(nn.Module):
    """Branches of one shape, stacked: K attributes cost one matrix product in each layer.

    Attributes:
        classes: number of classes of each attribute.
        backbone: gives (logits, taps) of prepared images; None where inputs are feature maps.
        tap: the backbone's feature map.
        hidden: units of a branch's hidden layer; 0 makes a branch one Dense layer.
        dropout: rate.
        pooling: "mean" over the map; "mean_max" also takes the maximum, without which small parts are hard to learn.
        branch_channels: channels of a 3 x 3 convolution of each branch before it pools, 0 for none.
        region_dim: numbers of an attribute's features.
        bins: of the pooling inside boxes, along each side.
        roi: kind of that pooling.
        threshold: fraction of a map's maximum above which cells belong to its box.
        centred: subtracts the mean of the logits of an attribute's classes. Probabilities and loss are unchanged; maps
            then show evidence for a class relative to the others, while a plain logit also has what all classes share.
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
        """Feature maps f32[B, h, w, D] of pictures u8[B, H, W, 3]; feature maps float[B, h, w, D] pass through."""
        if not jnp.issubdtype(pictures.dtype, jnp.integer):
            return pictures.astype(jnp.float32)
        if self.backbone is None:
            raise ValueError("wanted feature maps, got pictures, and this network has no backbone; give it one")
        taps = self.backbone(centred(pictures, self.backbone.preparation))[1]
        if self.tap not in taps:
            raise ValueError(f"the backbone has no activations {self.tap!r}; choose one of {', '.join(taps)}")
        return taps[self.tap]

    def branches(self, maps):
        """f32[B, h, w, D] -> f32[B, K or 1, h, w, E]: the input of each branch; 1 where it is the same for all."""
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
    """Cross-entropy over the labels that are given (docs/saers.md).

    Args:
        logits: f32[B, K, C].
        labels: i[B, K]; -1, unlabelled, adds neither to the sum nor to the weight.

    Returns:
        The sum of -log softmax(z)[y] over labels, and their number.
    """
    known = labels >= 0
    chances = jax.nn.log_softmax(logits)
    own = jnp.take_along_axis(chances, jnp.maximum(labels, 0)[..., None].astype(jnp.int32), axis=-1)[..., 0]
    return -jnp.where(known, own, 0).sum(), known.sum().astype(jnp.float32)


class Activation(NamedTuple):
    """Maps of a batch.

    Attributes:
        maps: f32[B, K, h, w], in 0..1 with maximum 1, or 0 everywhere.
        empty: bool[B, K], no evidence for the class: the map is 0.
        label: i32[B, K], the class of each map.
        logits: f32[B, K, C].
    """

    maps: jax.Array
    empty: jax.Array
    label: jax.Array
    logits: jax.Array


class Located(NamedTuple):
    """The output of SEN for a batch of pictures.

    Attributes:
        activation: maps, classes and logits.
        boxes: i32[B, K, 4], in cells of the map.
        fallback: bool[B, K], the map was empty and the box is all of it.
        vectors: f32[B, K, F], features of the regions.
        feature_maps: f32[B, h, w, D].
    """

    activation: Activation
    boxes: jax.Array
    fallback: jax.Array
    vectors: jax.Array
    feature_maps: jax.Array


def grad_aam(classify, branches, num_attributes: int, label=None) -> Activation:
    """Maps of all attributes from one forward and one backward pass.

    The sum of all chosen logits of a batch is differentiated. It must be logits: with probabilities the gradients
    vanish, and the maps with them, as soon as the classifier is confident.

    Args:
        classify: branches f32[B, K, h, w, E] -> logits f32[B, K, C], where logits k depend on branch k alone and no
            picture depends on another.
        branches: f32[B, K or 1, h, w, E].
        num_attributes: K.
        label: i[B, K], the classes whose maps are wanted; the predicted ones by default.

    Returns:
        The maps.
    """
    own = jnp.broadcast_to(branches, (len(branches), num_attributes, *branches.shape[2:]))
    logits, back = jax.vjp(classify, own)
    label = jnp.argmax(logits, axis=-1) if label is None else label
    chosen = jax.nn.one_hot(label, logits.shape[-1], dtype=logits.dtype)
    (gradient,) = back(chosen)
    weight = gradient.mean(axis=(2, 3))  # alpha: of each channel, f32[B, K, E]
    maps = jax.nn.relu(jnp.einsum("bke,bkhwe->bkhw", weight, own))
    peak = maps.max(axis=(2, 3), keepdims=True)
    empty = ~(peak[..., 0, 0] > 0)
    maps = jnp.where(empty[..., None, None], 0, maps / jnp.where(peak > 0, peak, 1))
    return Activation(maps, empty, label.astype(jnp.int32), logits)


def locate(network: SEN, variables, pictures, label=None) -> Located:
    """Classes, maps, boxes and features of all attributes of pictures; boxes have no gradient.

    Args:
        network: the attribute network.
        variables: of the network.
        pictures: as in `SEN.see`.
        label: i[B, K], classes to locate, such as the known ones in training; the predicted class where it is -1, and
            everywhere by default.

    Returns:
        The output of the network.
    """
    maps = network.apply(variables, pictures, method="see")
    branches = network.apply(variables, maps, method="branches")

    def classify(branches):
        return network.apply(variables, branches, method="classify")

    if label is not None:
        likeliest = jnp.argmax(classify(branches), axis=-1)
        label = jnp.where(label >= 0, label, likeliest)
    found = jax.lax.stop_gradient(grad_aam(classify, branches, len(network.classes), label))
    boxes = boxes_of(found.maps, network.threshold)
    vectors = network.apply(variables, maps, boxes.cells, method="regions")
    return Located(found, boxes.cells, boxes.fallback, vectors, maps)
