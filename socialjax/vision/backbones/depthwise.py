"""Depthwise convolution: each channel by a kernel of its own, in two forms that give the same numbers.

XLA on a CPU carries out a convolution with as many groups as channels one group at a time. The sum over the kernel's
k x k places of the image shifted there is elementwise, so it becomes one loop over the image. On accelerators the
grouped convolution has kernels of its own. The form is chosen when a program is compiled for its platform.
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

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
    """As a sum over the kernel's places. images f32[B, H, W, C], kernel f32[k, k, 1, C]."""
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
