"""A digest of the code that a model is made of, by which results that are older than their code are known.

It is taken over syntax trees: comments, docstrings and layout do not count, nor does the version of Python, nor names
imported for annotations, nor the ranges that a search draws settings from: what was drawn stands in the result. It
covers the model's module and whatever that imports, directly or not, of the models, the ops and the graphs.
"""

import ast
import functools
import hashlib
import inspect
from pathlib import Path
from typing import Any

from socialjax.models.protocol import Model

ROOT = Path(__file__).resolve().parents[1]
COVERED = ("socialjax.models", "socialjax.ops", "socialjax.graph")


def code_digest(model: Model | type[Model]) -> str:
    """sha256, 16 hexadecimal digits, of the code of the model. The first answer of a process stands for all its life:
    the code that runs is the code that was there when it started."""
    kind = model if isinstance(model, type) else type(model)
    return digest(kind.__module__, Path(inspect.getfile(kind)))


@functools.cache
def digest(module: str, path: Path, root: Path = ROOT) -> str:
    """Of the module in the file `path` and all that it imports of COVERED below `root`, the folder socialjax."""
    found: dict[str, str] = {}
    waiting = {module: path}
    while waiting:
        name, file = waiting.popitem()
        tree = ast.parse(file.read_text(), str(file))
        found[name] = repr(_plain(tree))
        for needed, there in imported(tree, name, file.name == "__init__.py", root).items():
            if needed not in found:
                waiting[needed] = there
    found["model"] = found.pop(module)  # under whatever name it was started
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:16]


def imported(tree: ast.AST, module: str, is_package: bool, root: Path = ROOT) -> dict[str, Path]:
    """Modules of COVERED that a tree imports anywhere in it: name -> file.

    Of `from package import name` this is the module of that name, or the package itself when there is none. The
    packages that a module lies in do not count: the list of models would make every model depend on all others.
    """
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(alias.name,) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                inside = module.split(".")
                inside = inside[: len(inside) - node.level + is_package]
                base = ".".join([*inside, *([node.module] if node.module else [])])
            names += [(f"{base}.{alias.name}", base) for alias in node.names]
    found = {}
    for candidates in names:
        for name in candidates:
            if any(name == part or name.startswith(part + ".") for part in COVERED):
                if (file := _file_of(name, root)) is not None:
                    found[name] = file
                    break
    return found


def _file_of(module: str, root: Path) -> Path | None:
    place = root.joinpath(*module.split(".")[1:])
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def _plain(node: Any) -> Any:
    """A syntax tree as nested tuples, without docstrings and without empty fields, which differ between Pythons."""
    if isinstance(node, list):
        return tuple(map(_plain, node))
    if not isinstance(node, ast.AST):
        return node
    fields = dict(ast.iter_fields(node))
    if isinstance(fields.get("body"), list):
        fields["body"] = [each for each in node.body if not _decides_nothing(each)]
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            fields["body"] = fields["body"][1:]
    kept = {name: value for name, value in fields.items() if value is not None and value != []}
    return (type(node).__name__, *((name, _plain(value)) for name, value in sorted(kept.items())))


def _decides_nothing(statement: ast.stmt) -> bool:
    """Imports of names for annotations, and `search_space: ... = ...` of a model with the import of its ranges."""
    if isinstance(statement, ast.ImportFrom):
        return statement.module in ("socialjax.ranges", "typing", "collections.abc")
    target = statement.target if isinstance(statement, ast.AnnAssign) else None
    return isinstance(target, ast.Name) and target.id == "search_space"
