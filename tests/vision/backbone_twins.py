"""The three backbones in float64 NumPy, straight from the published weights by their PyTorch names, channels first."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def conv(images, kernel, stride=1, padding=0, groups=1):
    """images [B, C, H, W], kernel [out, C / groups, k, k]; padding: a number for all sides, or "SAME"."""
    images, kernel = images.astype(np.float64), kernel.astype(np.float64)
    size = kernel.shape[-1]
    sides = []
    for length in images.shape[2:]:
        total = 2 * padding if padding != "SAME" else max((-(-length // stride) - 1) * stride + size - length, 0)
        sides.append((total // 2, total - total // 2))
    images = np.pad(images, ((0, 0), (0, 0), *sides))
    windows = sliding_window_view(images, (size, size), (2, 3))[:, :, ::stride, ::stride]
    if groups == 1:
        return np.moveaxis(np.tensordot(windows, kernel, ((1, 4, 5), (1, 2, 3))), -1, 1)
    assert groups == kernel.shape[0] == images.shape[1]
    return np.einsum("bchwij,cij->bchw", windows, kernel[:, 0])


def norm(images, weights, name, epsilon):
    def of(part):
        return weights[f"{name}.{part}"].astype(np.float64)[:, None, None]

    return (images - of("running_mean")) / np.sqrt(of("running_var") + epsilon) * of("weight") + of("bias")


def relu(values, most=np.inf):
    return np.clip(values, 0, most)


def max_pool(images, size, stride, padding=0):
    sides = (padding, padding)
    images = np.pad(images, ((0, 0), (0, 0), sides, sides), constant_values=-np.inf)
    return sliding_window_view(images, (size, size), (2, 3))[:, :, ::stride, ::stride].max((-2, -1))


def adaptive(images, size):
    """Each of size x size places is the mean of its window, the window as PyTorch defines it."""
    height, width = images.shape[2:]
    found = np.zeros((*images.shape[:2], size, size))
    for i in range(size):
        for j in range(size):
            rows = slice(int(np.floor(i * height / size)), int(np.ceil((i + 1) * height / size)))
            columns = slice(int(np.floor(j * width / size)), int(np.ceil((j + 1) * width / size)))
            found[:, :, i, j] = images[:, :, rows, columns].mean((2, 3))
    return found


def dense(values, weights, name):
    return values @ weights[f"{name}.weight"].T.astype(np.float64) + weights[f"{name}.bias"]


def vgg16(weights, images):
    """(logits, features) of images [B, H, W, 3]."""
    images, place = np.moveaxis(images, -1, 1), 0
    for stage in "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M".split(" M"):
        for _ in stage.split():
            bias = weights[f"features.{place}.bias"][:, None, None]
            images = relu(conv(images, weights[f"features.{place}.weight"], 1, 1) + bias)
            place += 2
        if stage:
            features, images = images, max_pool(images, 2, 2)
            place += 1
    hidden = adaptive(images, 7).reshape(len(images), -1)
    hidden = relu(dense(hidden, weights, "classifier.0"))
    return dense(relu(dense(hidden, weights, "classifier.3")), weights, "classifier.6"), features


def resnet50(weights, images):
    def step(images, number, *args):
        prefix, _, digit = number.rpartition("conv")
        return norm(conv(images, weights[f"{number}.weight"], *args), weights, f"{prefix}bn{digit}", 1e-5)

    images = max_pool(relu(step(np.moveaxis(images, -1, 1), "conv1", 2, 3)), 3, 2, 1)
    for layer, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            name, stride = f"layer{layer}.{block}.", 2 if layer > 1 and block == 0 else 1
            seen = relu(step(images, name + "conv1"))
            seen = relu(step(seen, name + "conv2", stride, 1))
            seen = step(seen, name + "conv3")
            if f"{name}downsample.0.weight" in weights:
                images = conv(images, weights[f"{name}downsample.0.weight"], stride)
                images = norm(images, weights, f"{name}downsample.1", 1e-5)
            images = relu(seen + images)
    return dense(images.mean((2, 3)), weights, "fc"), images


def efficientnet_lite0(weights, images):
    def step(images, name, normed, stride=1, groups=1):
        return norm(conv(images, weights[f"{name}.weight"], stride, "SAME", groups), weights, normed, 1e-3)

    images = relu(step(np.moveaxis(images, -1, 1), "_conv_stem", "_bn0", 2), 6)
    strides = {1: 2, 3: 2, 5: 2, 11: 2}  # 1 1 | 2 2 | 2 2 | 3 | 3 | 4 | 1 blocks
    for block in range(16):
        name, seen = f"_blocks.{block}.", images
        if f"{name}_expand_conv.weight" in weights:
            seen = relu(step(seen, f"{name}_expand_conv", f"{name}_bn0"), 6)
        seen = step(seen, f"{name}_depthwise_conv", f"{name}_bn1", strides.get(block, 1), seen.shape[1])
        seen = step(relu(seen, 6), f"{name}_project_conv", f"{name}_bn2")
        images = seen + images if seen.shape == images.shape and block not in strides else seen
    images = relu(step(images, "_conv_head", "_bn1"), 6)
    return dense(images.mean((2, 3)), weights, "_fc"), images
