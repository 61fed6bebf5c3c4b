"""Layers that the backbones share: convolutions and norms as published weights need them, and pooling.

Depthwise convolution, with a kernel for each channel, has two forms that give the same numbers. XLA on a CPU executes a
convolution with as many groups as channels one group at a time; the sum of images shifted to the kernel's k x k
positions is elementwise, so it becomes one loop over the image. On accelerators the grouped convolution has dedicated
kernels. The form is chosen when a program is compiled for its platform.
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


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
