"""A small convolutional network for small pictures, trained from scratch: synthetic worlds and tests.

As wide and deep as needed for pictures of 64 pixels; larger ones want a backbone with published weights. No layer mixes
pictures, so gradients of a sum over a batch are those of each picture.
"""

from typing import ClassVar

import flax.linen as nn

from socialjax.vision.backbones.pictures import Preparation


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
