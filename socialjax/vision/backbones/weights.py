"""Published weights of backbones, and how pictures are prepared for them."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

# PyTorch's names of a layer's variables; its kernels have the output channels first.
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_COUNTER = "num_batches_tracked"  # of training steps; inference has no use for it


def variables_of(backbone: nn.Module, published: Mapping[str, np.ndarray]) -> dict:
    """The backbone's variables ("params" and, where it has norms, "batch_stats") from tensors by PyTorch's names.

    Kernels [out, in, h, w] or [out, in] are transposed to [h, w, in, out] or [in, out].

    Args:
        backbone: without a classifier, the published one's weights are ignored.
        published: tensors by name.

    Returns:
        The variables.

    Raises:
        ValueError: names the tensors that are missing, of another shape, not finite, or superfluous.
    """
    wanted = published_names(backbone)
    missing = sorted(set(wanted.values()) - set(published))
    if missing:
        raise ValueError(_mismatch(backbone, "these tensors", f"a file without {_listed(missing)}"))
    spare = sorted(name for name in set(published) - set(wanted.values()) if not name.endswith(_COUNTER))
    if spare and not backbone.classes:
        spare = sorted(set(spare) - set(published_names(backbone.clone(classes=1)).values()))
    if spare:
        raise ValueError(_mismatch(backbone, "its own tensors alone", f"also {_listed(spare)}"))
    variables: dict = {}
    for (path, shape), name in wanted.items():
        values = np.asarray(published[name], np.float32)
        if path[-1] == "kernel":
            values = values.transpose((2, 3, 1, 0)) if values.ndim == 4 else values.T
        if values.shape != shape:
            raise ValueError(_mismatch(backbone, f"{name} of shape {shape} ({'.'.join(path)})", f"{values.shape}"))
        if not np.isfinite(values).all():
            raise ValueError(_mismatch(backbone, f"finite numbers in {name}", "NaN or infinity"))
        place = variables
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = jnp.asarray(values)
    return variables


def published_names(backbone: nn.Module) -> dict:
    """(path from "params" or "batch_stats" on, shape) -> published name of each of the backbone's variables."""
    shapes = jax.eval_shape(backbone.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32))
    found = {}
    for keys, leaf in jax.tree_util.tree_flatten_with_path(shapes)[0]:
        path = tuple(key.key for key in keys)
        found[path, leaf.shape] = f"{backbone.published_name(path[1:-1])}.{_LEAVES[path[-1]]}"
    return found


def _listed(names: list[str]) -> str:
    return ", ".join(name[:60] for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _mismatch(backbone: nn.Module, wanted: str, came: str) -> str:
    return f"{type(backbone).__name__} wanted {wanted}, got {came}; give the weights of this network, of equal width"


Filter = Literal["linear", "cubic"]
RESAMPLING = {"linear": Image.Resampling.BILINEAR, "cubic": Image.Resampling.BICUBIC}


@dataclasses.dataclass(frozen=True)
class Preparation:
    """The preprocessing that a backbone's weights were trained with. Colours are in 0..1 before mean and deviation."""

    size: int
    part: float  # of the shorter side, that the square crop keeps
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    filter: Filter


TORCHVISION = Preparation(224, 224 / 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "linear")


def prepared(picture: np.ndarray, preparation: Preparation) -> np.ndarray:
    """u8[H, W, 3], or grey u8[H, W] -> f32[size, size, 3]. Raises ValueError for other shapes and types."""
    picture = np.asarray(picture)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"wanted a picture u8[H, W, 3], got {picture.dtype} {picture.shape}; convert it to RGB bytes")
    square = _middle(picture, preparation.part)
    size = (preparation.size, preparation.size)
    # Pillow's filters, rounding to bytes included, as for the pictures that the weights were trained on.
    small = np.asarray(Image.fromarray(square).resize(size, RESAMPLING[preparation.filter]))
    return centred(small, preparation)


def centred(pictures, preparation: Preparation):
    """Centres and scales colours of pictures of the right size: u8[..., 3] -> f32[..., 3]; also inside jit."""
    mean, deviation = (
        np.float32(values).reshape((1,) * (pictures.ndim - 1) + (3,))
        for values in (preparation.mean, preparation.deviation)
    )
    return (pictures.astype(np.float32) / 255 - mean) / deviation


def _middle(picture: np.ndarray, part: float) -> np.ndarray:
    side = max(1, round(min(picture.shape[:2]) * part))
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]
