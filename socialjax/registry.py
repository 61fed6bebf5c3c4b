"""What can be named, such as models, losses and data sets: the library's own and those of other packages.

Others register theirs in one of two ways. A package that is installed has an entry point in its `pyproject.toml`,

    [project.entry-points."socialjax.models"]
    social_bpr = "my_package.models:SocialBPR"

which every process finds. A module that is imported, by `import` or by `--import my_package` on the command line, sets
an entry: `socialjax.MODELS["social_bpr"] = SocialBPR`.
"""

import importlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from typing import TypeVar

T = TypeVar("T")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")  # names stand in folders, tables and command lines
GIVEN = re.compile(r"\w+_[0-9a-f]{8}")  # the name of a function that was given to `socialjax.fit`, with its digest
HOW = (
    "one of another package is found when it is installed with an entry point, or by --import PACKAGE (in Python: "
    "import PACKAGE)"
)
IMPORTED = "SOCIALJAX_IMPORT"  # modules that this process imported by `--import`, for the processes that it starts


class Registry(MutableMapping[str, T]):
    """Names and what they stand for. Entry points are listed without being imported, which happens on first use.

    Args:
        kind: what the entries are called in messages, such as "model".
        group: of the entry points, such as "socialjax.models".
        own: the library's entries, which nobody can replace.
    """

    def __init__(self, kind: str, group: str, own: dict[str, T]):
        self.kind, self.group, self._own = kind, group, own
        self._set: dict[str, T] = {}
        self._points: dict[str, importlib.metadata.EntryPoint] | None = None

    def __getitem__(self, name: str) -> T:
        """Raises KeyError for a name that nobody registered, ValueError for an entry point that cannot be loaded."""
        for known in (self._own, self._set):
            if name in known:
                return known[name]
        point = self._found()[name]
        try:
            self._set[name] = point.load()
        except Exception as error:
            package = f" of the package {point.dist.name}" if point.dist else ""
            raise ValueError(
                f"{self.kind} '{name}' is the entry point {point.value}{package}, which cannot be loaded "
                f"({type(error).__name__}: {error}); mend or uninstall the package"
            ) from error
        return self._set[name]

    def __setitem__(self, name: str, value: T) -> None:
        """Raises ValueError for a name of the library, and for what is no name."""
        if name in self._own:
            raise ValueError(f"'{name}' is a {self.kind} of the library; register yours under another name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be the name of a {self.kind}: wanted a letter and up to 63 letters, digits, '_', '.' "
                "or '-'"
            )
        self._set[name] = value

    def __delitem__(self, name: str) -> None:
        del self._set[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._own, *self._set, *self._found())))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return any(name in known for known in (self._own, self._set, self._found()))

    def is_own(self, name: str) -> bool:
        """Whether it is one of the library's."""
        return name in self._own

    def known(self) -> dict[str, T]:
        """The entries that are there without importing anybody's package."""
        return {**self._own, **self._set}

    def unknown(self, name: str) -> str:
        """The sentence for a name that is not there: which there are, and how others get here."""
        if GIVEN.fullmatch(name):
            return (
                f"the {self.kind} '{name}' is a function that was given to socialjax.fit: training goes on with the "
                "same call, in a program that has the same function"
            )
        return f"no {self.kind} is called '{name}'; there are {', '.join(self)}; {HOW}"

    def _found(self) -> dict[str, importlib.metadata.EntryPoint]:
        if self._points is None:
            self._points = {
                point.name: point
                for point in importlib.metadata.entry_points(group=self.group)
                if NAME.fullmatch(point.name) and point.name not in self._own
            }
        return self._points


def import_modules(names: Iterable[str]) -> None:
    """Imports what registers entries, from the current folder too, and leaves the names to the processes that this one
    starts. Raises ValueError for a module that is not there or does not import."""
    names = list(names)
    if names and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # `python -m` has it there, an installed script has not
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            if os.environ.get("SOCIALJAX_TRACEBACK"):
                raise
            raise ValueError(
                f"--import {name}: {type(error).__name__}: {error}; wanted the name of a module or package that is "
                f"installed or lies in {os.getcwd()}"
            ) from error
    if names:
        before = filter(None, os.environ.get(IMPORTED, "").split(","))
        os.environ[IMPORTED] = ",".join(dict.fromkeys((*before, *names)))


def import_inherited() -> None:
    """Imports what the process that started this one imported."""
    import_modules(filter(None, os.environ.get(IMPORTED, "").split(",")))
