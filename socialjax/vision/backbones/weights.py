"""Published weights as variables of the backbones."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

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
