"""Programs that answer without this library: StableHLO for JAX, ONNX for ONNX Runtime."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from socialjax.contract import Model, State
from socialjax.export.answers import Catalogue
from socialjax.export.onnx_graph import write_graph
from socialjax.export.stablehlo import PLATFORMS, write_stablehlo

PROGRAMS = (".stablehlo", ".onnx")


def write_program(
    path: Path, model: Model, state: State, catalogue: Catalogue, platforms: tuple[str, ...] = PLATFORMS
) -> None:
    """Writes a program that maps user i32[b] to item i32[b, k] and score f32[b, k].

    Args:
        path: its ending is one of `PROGRAMS`.
        model: The model.
        state: As `model.encode` gives it.
        catalogue: Users, items and what is left out.
        platforms: of a `.stablehlo`.

    Raises:
        NotImplementedError: an ONNX model of a score that is no dot product.
        ValueError: for another platform, and for a program of 2 GiB or more.
        ImportError: without the extra `onnx`.
    """
    if path.suffix == ".stablehlo":
        write_stablehlo(path, model, state, catalogue, platforms)
        return
    vectors = model.vectors(state)
    if vectors is None:
        raise NotImplementedError(
            f"{type(model).__name__}'s score is no dot product, which an ONNX model needs; export "
            f"{path.stem}.stablehlo, which holds any model"
        )
    users, items, bias = map(np.asarray, vectors)
    write_graph(path, users, items, np.asarray(jnp.broadcast_to(bias, len(items))), catalogue)
