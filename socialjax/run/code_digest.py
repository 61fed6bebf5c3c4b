"""A digest of what a model's code does, by which results that are older than their code are known.

It is taken over the definitions that the model's class leads to, wherever they lie: moving, renaming, reordering and
commenting change nothing, a changed constant or formula does. The ranges that a search draws settings from and the
explanations do not count: no figure of a run depends on them.
"""

import functools
import hashlib
import inspect
from pathlib import Path

from socialjax.models.protocol import Model
from socialjax.run.definitions import Definition, Package

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = frozenset({"search_space", "explain"})  # members of classes


def code_digest(model: Model | type[Model]) -> str:
    """sha256, 16 hexadecimal digits, of the code of the model. The first answer of a process stands for all its life:
    the code that runs is the code that was there when it started."""
    kind = model if isinstance(model, type) else type(model)
    return digest(kind.__module__, kind.__qualname__.split(".")[0], Path(inspect.getfile(kind)))


@functools.cache
def digest(module: str, name: str, file: Path, root: Path = ROOT) -> str:
    """Of what is called `name` in a module of this file, with all that it leads to in the package `root`."""
    package = Package(root)
    package.add(module, file)
    values = package.values(Definition(module, name), LEFT_OUT)
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]
