"""Starts a training from the parameters of a finished run: those of the same names and shapes are taken over."""

import logging
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from socialjax.models.protocol import Params
from socialjax.run.saved import find_seed
from socialjax.train.checkpoint import CheckpointError, read_best

log = logging.getLogger(__name__)


def from_run(folder: Path, seed: int) -> Callable[[Params], Params]:
    """fresh parameters -> those with the best ones of that seed of the finished run in their place.

    Raises ValueError when the run or the seed is not there, CheckpointError when its parameters cannot be read.
    """
    folder, seed = find_seed(folder, seed)
    place = folder / f"seed_{seed}" / "checkpoints"
    if not place.is_dir():
        raise CheckpointError(f"{place} is missing, so there are no parameters to start from; run {folder} again")
    best, _ = read_best(place)
    return lambda fresh: taken_over(fresh, best, str(folder))


def taken_over(fresh: Params, finished: Params, source: str) -> Params:
    """`fresh` with each array of `finished` in place of the one of its name and shape.

    A name is a path; one that is longer at its front fits too, as `tables/users` does `users`. Raises ValueError when
    nothing fits and when two arrays fit one.
    """
    given = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(finished)}
    wanted = {_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(fresh)}
    place: dict[str, str] = {}  # name in fresh -> name in finished
    for name, leaf in given.items():
        fits = [at for at, shape in wanted.items() if f"/{at}".endswith(f"/{name}") and shape == leaf.shape]
        if len(fits) > 1:
            raise ValueError(f"{name} of {source} fits {', '.join(fits)}; a start must fit one array only")
        place |= {fits[0]: name} if fits else {}
    if not place:
        shapes = lambda of: ", ".join(f"{n} {s}" for n, s in of.items())  # noqa: E731
        raise ValueError(
            f"nothing of {source} fits this model: it has {shapes({n: v.shape for n, v in given.items()})}, and wanted "
            f"are {shapes(wanted)}; start from a run of the same data and width"
        )
    log.info("from %s: %s; drawn anew: %s", source, ", ".join(place), ", ".join(set(wanted) - set(place)) or "nothing")
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.asarray(given[place[_name(path)]]) if _name(path) in place else leaf, fresh
    )


def _name(path) -> str:
    return "/".join(str(getattr(part, "key", getattr(part, "name", part))) for part in path)
