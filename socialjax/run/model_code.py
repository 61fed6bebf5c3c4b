"""A digest of what a model's code does, by which results that are older than their code are known.

It is taken over the definitions that the model's class leads to, wherever they lie: moving, renaming, reordering and
commenting change nothing, a changed constant or formula does. The ranges that a search draws settings from and the
explanations do not count: no figure of a run depends on them.
"""

import functools
import hashlib
import inspect
import json
from pathlib import Path

from socialjax.contract import Model
from socialjax.run.definitions import Definition, Package
from socialjax.run.held_code import digest_of, is_unwritten

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = frozenset({"search_space", "explain", "explained"})  # members of classes
SAME = ROOT / "run" / "same_code.json"


def code_digest(model: Model | type[Model]) -> str:
    """sha256, 16 hexadecimal digits, of the code of the model. The first answer of a process stands for all its life:
    the code that runs is the code that was there when it started. A class of a notebook, which has no file, is read as
    it is in memory."""
    kind = model if isinstance(model, type) else type(model)
    if is_unwritten(kind):
        written = next(base for base in kind.__mro__ if not is_unwritten(base))
        return hashlib.sha256(f"{code_digest(written)} {digest_of(kind)}".encode()).hexdigest()[:16]
    return digest(kind.__module__, kind.__qualname__.split(".")[0], Path(inspect.getfile(kind)))


@functools.cache
def digest(module: str, name: str, file: Path, root: Path = ROOT) -> str:
    """Of what is called `name` in a module of this file, with all that it leads to in the package `root`."""
    package = Package(root)
    package.add(module, file)
    values = package.values(Definition(module, name), LEFT_OUT)
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def is_same_code(then: str, now: str) -> bool:
    """Whether code of these digests gives the same figures: it is the same, or was shown to be equal bit for bit.

    `same_code.json` lists such changes, digest by digest, each with what was compared: `tests.golden` at both commits.
    """
    steps = _same_code()
    for _ in range(len(steps) + 1):
        if then == now:
            return True
        then = steps.get(then, then)
    return False


@functools.cache
def _same_code() -> dict[str, str]:
    changes = json.loads(SAME.read_text())["changes"]
    return {before: after for change in changes for before, after in change["digests"].items()}
