"""VGG16: thirteen 3 x 3 convolutions and three dense layers.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (ICLR 2015), table 1,
configuration D; as in torchvision, without batch norm.
"""

from typing import ClassVar

import flax.linen as nn

from socialjax.vision.backbones.layers import average_to, max_pool
from socialjax.vision.backbones.weights import TORCHVISION, Preparation

STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # (convolutions, channels) before each pooling
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
        for stage, (convolutions, channels) in enumerate(STAGES, start=1):
            for step in range(1, convolutions + 1):
                channels_here = max(1, round(channels * self.width))
                images = nn.relu(nn.Conv(channels_here, (3, 3), padding=1, name=f"conv{stage}_{step}")(images))
            taps[f"stage{stage}"] = images
            images = max_pool(images, 2, 2) if stage < len(STAGES) else images
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
