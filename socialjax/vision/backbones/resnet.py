"""ResNet-50: bottlenecks with residual connections.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition" (CVPR 2016), table 1. As in torchvision, whose
weights are the published ones, a stage's stride is in the 3 x 3 convolution, not in the first 1 x 1.
"""

from typing import ClassVar

import flax.linen as nn

from socialjax.vision.backbones.layers import ConvNorm, classified, max_pool
from socialjax.vision.backbones.weights import TORCHVISION, Preparation

STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))  # (bottlenecks, their inner channels)
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
        for stage, (blocks, channels) in enumerate(STAGES):
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
