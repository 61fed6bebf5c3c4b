"""`python -m experiments` lists what can be run, what it shows and how long it takes."""

import pkgutil
from pathlib import Path

import experiments
from socialjax import commands


def listing() -> str:
    """One entry for each experiment."""
    found = (module.name for module in pkgutil.iter_modules(experiments.__path__))
    names = tuple(sorted(name for name in found if not name.startswith("_")))
    return commands.listing(Path(experiments.__path__[0]), names, "python -m experiments.")


if __name__ == "__main__":
    print(listing())
