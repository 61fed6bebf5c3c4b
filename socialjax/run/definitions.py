"""Definitions of a package as plain values: what a class or function says, wherever it lies and whatever it is called.

Files are parsed, never imported. A name is followed to the definition it stands for, through imports of any form and
through packages that pass it on, so that neither the file nor the name of a definition is part of its value: moving,
renaming, merging and reordering change nothing. Nor do comments, docstrings, annotations, names of local variables and
the words of errors.
"""

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TO_NAMES = ("socialjax.registry",)  # modules that only find things by name: their code is no model's
WITHOUT = ("annotation", "returns", "type_comment", "type_params", "ctx", "kind")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Outside:
    """Something of another package, or a module of this one as a whole, by its dotted name."""

    name: str


@dataclass(frozen=True)
class Definition:
    """A name that a module of the package defines."""

    module: str
    name: str


@dataclass
class Source:
    """A module: statements by the names that they define or, at its top level, touch; and imports by local name."""

    statements: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)  # (module, name in it or None)


class Package:
    """The modules of the package in the folder `root`, read when they are first asked for."""

    def __init__(self, root: Path):
        self.root, self.name = root, root.name
        self._sources: dict[str, Source] = {}

    def file(self, module: str) -> Path | None:
        """Of a module of this package, None when there is none of that name."""
        first, *rest = module.split(".")
        path = self.root.joinpath(*rest)
        if first != self.name or module in TO_NAMES:
            return None
        return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)

    def add(self, module: str, file: Path) -> None:
        """A module by another name or from elsewhere: one that was started with `-m`, or a user's own."""
        self._sources[module] = _source(ast.parse(file.read_text(), str(file)), module, file.name == "__init__.py")

    def source(self, module: str) -> Source | None:
        if module not in self._sources:
            if (file := self.file(module)) is None:
                return None
            self.add(module, file)
        return self._sources[module]

    def resolve(self, module: str, name: str | None) -> Definition | Outside:
        """What `name` stands for in a module; without a name, the module."""
        for _ in range(100):
            source = self.source(module)
            if source is None or name is None:
                return Outside(module if name is None else f"{module}.{name}")
            if name in source.statements:
                return Definition(module, name)
            if name in source.imports:
                module, name = source.imports[name]
            else:
                module, name = f"{module}.{name}", None
        raise ValueError(f"the imports of {module} run in a circle")

    def values(self, start: Definition, leave_out: frozenset[str] = frozenset()) -> list[Any]:
        """The definition `start` and all that it leads to, as nested tuples in the order in which they are met.

        leave_out: members of classes that do not count.
        """
        numbers, waiting, definitions = {start: 0}, [start], []

        def number(definition: Definition) -> int:
            if definition not in numbers:
                numbers[definition] = len(numbers)
                waiting.append(definition)
            return numbers[definition]

        while waiting:
            definition = waiting.pop(0)
            source = self.source(definition.module)
            definitions.append(
                tuple(
                    _Reader(self, definition, number, leave_out).read(statement)
                    for statement in source.statements[definition.name]
                )
            )
        return definitions


def _source(tree: ast.Module, module: str, is_package: bool) -> Source:
    source = Source()
    defined = {name for statement in tree.body for name in _bound([statement])}
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            source.imports.update(_imported(statement, module, is_package))
            continue
        names = _bound([statement])
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not _gives_names(
            statement
        ):
            # such as f.defvjp(forward, backward), TABLE["name"] = f, or a loop that fills TABLE
            names |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)} & defined
        for name in names:
            source.statements.setdefault(name, []).append(statement)
        for node in ast.walk(statement) if isinstance(statement, ast.If | ast.Try | ast.With) else ():
            if isinstance(node, ast.Import | ast.ImportFrom):
                source.imports.update(_imported(node, module, is_package))
    return source


def _imported(statement, module: str, is_package: bool) -> dict[str, tuple[str, str | None]]:
    if isinstance(statement, ast.Import):
        return {
            alias.asname or alias.name.split(".")[0]: (alias.name if alias.asname else alias.name.split(".")[0], None)
            for alias in statement.names
        }
    base = statement.module or ""
    if statement.level:
        inside = module.split(".")
        inside = inside[: len(inside) - statement.level + is_package]
        base = ".".join([*inside, *([base] if base else [])])
    return {alias.asname or alias.name: (base, alias.name) for alias in statement.names}


def _bound(body: list) -> set[str]:
    """Names that statements bind in their own scope."""
    names: set[str] = set()
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            waiting += node.decorator_list
        elif isinstance(node, ast.Lambda | ast.Import | ast.ImportFrom):
            continue
        elif isinstance(node, COMPREHENSIONS):
            waiting += [each for each in ast.walk(node) if isinstance(each, ast.NamedExpr)]
        elif isinstance(node, ast.Name):
            names |= {node.id} if isinstance(node.ctx, ast.Store | ast.Del) else set()
        else:
            if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                names.add(node.name)
            waiting += ast.iter_child_nodes(node)
    return names


def _gives_names(statement: ast.stmt) -> bool:
    """Whether it is an assignment to names alone."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    is_plain = isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign)
    return is_plain and all(isinstance(target, ast.Name) for target in targets)


def _is_docstring(statement: ast.stmt) -> bool:
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


class _Reader:
    """One definition as nested tuples. Scopes, innermost last, map local names to what stands for them."""

    def __init__(self, package: Package, definition: Definition, number, leave_out: frozenset[str]):
        self.package, self.definition, self.number, self.leave_out = package, definition, number, leave_out
        self.scopes: list[dict[str, Any]] = []
        self.locals = 0
        self.is_package = (file := package.file(definition.module)) is not None and file.name == "__init__.py"

    def read(self, node: Any) -> Any:
        if isinstance(node, list):
            return tuple(self.read(each) for each in node if not self._is_silent(each))
        if not isinstance(node, ast.AST):
            return node
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, FUNCTIONS):
            return self._function(node)
        if isinstance(node, ast.ClassDef):
            return self._class(node)
        if isinstance(node, COMPREHENSIONS):
            return self._comprehension(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Raise):
            return "raise"
        if isinstance(node, ast.AnnAssign):
            return ("=", self.read(node.target), self.read(node.value))
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            return ("=", self.read(node.targets[0]), self.read(node.value))
        return self._plain(node)

    def _plain(self, node: ast.AST) -> tuple:
        values = ((name, value) for name, value in ast.iter_fields(node) if name not in WITHOUT)
        kept = ((name, self.read(value)) for name, value in values if value is not None and value != [])
        return (type(node).__name__, *kept)

    def _is_silent(self, node: Any) -> bool:
        """Docstrings, imports and assertions."""
        if isinstance(node, ast.Import | ast.ImportFrom) or (isinstance(node, ast.stmt) and _is_docstring(node)):
            return True
        return isinstance(node, ast.Assert)

    def _name(self, name: str) -> Any:
        if (target := self._target(name)) is not None:
            return self._met(target)
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), ("name", name))

    def _met(self, target: Definition | Outside) -> Any:
        if isinstance(target, Definition):
            return ("definition", self.number(target))
        source = self.package.source(target.name)
        if source is None:
            return ("outside", target.name)
        every = sorted(source.statements)  # a module as a value: all that is in it
        return ("module", *(self.number(Definition(target.name, name)) for name in every))

    def _attribute(self, node: ast.Attribute) -> Any:
        target, base, chain = self._followed(node)
        value = self.read(base) if target is None else self._met(target)
        for name in chain:
            value = ("attribute", value, name)
        return value

    def _followed(self, node: ast.expr) -> tuple[Definition | Outside | None, ast.expr, list[str]]:
        """Of a chain such as losses.bpr or jax.numpy.sum: what it stands for as far as modules go, where it starts, and
        the names that are left."""
        chain: list[str] = []
        while isinstance(node, ast.Attribute):
            chain.insert(0, node.attr)
            node = node.value
        target = self._target(node.id) if isinstance(node, ast.Name) else None
        while isinstance(target, Outside) and chain:
            target = self.package.resolve(target.name, chain.pop(0))
        return target, node, chain

    def _target(self, name: str) -> Definition | Outside | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name] if isinstance(scope[name], Definition | Outside) else None
        source = self.package.source(self.definition.module)
        if name in source.statements or name in source.imports:
            return self.package.resolve(self.definition.module, name)
        return None

    def _call(self, node: ast.Call) -> tuple:
        """Arguments that a function of the package takes by name count by their position in its definition."""
        called = self._followed(node.func)[0]
        positions: dict[str, int] = {}
        if isinstance(called, Definition):
            for statement in self.package.source(called.module).statements[called.name]:
                if isinstance(statement, ast.FunctionDef):
                    every = (*statement.args.posonlyargs, *statement.args.args, *statement.args.kwonlyargs)
                    positions = {argument.arg: position for position, argument in enumerate(every)}
        plain, named = list(node.args), {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if positions and not any(isinstance(value, ast.Starred) for value in plain):
            named = {**{str(position): value for position, value in enumerate(plain)}, **named}
            plain = []
        by_position = sorted(
            ((str(positions.get(name, name)), named[name]) for name in named), key=lambda pair: pair[0]
        )
        spread = [keyword.value for keyword in node.keywords if not keyword.arg]
        given = tuple((position, self.read(value)) for position, value in by_position)
        return ("call", self.read(node.func), self.read(plain), given, self.read(spread))

    def _function(self, node) -> tuple:
        arguments = node.args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        outside = [self.read(getattr(node, "decorator_list", [])), self.read([*arguments.defaults])]
        outside.append(tuple(self.read(value) for value in arguments.kw_defaults))
        body = node.body if isinstance(node.body, list) else [node.body]
        names = {each.arg: ("argument", self.locals + n) for n, each in enumerate(filter(None, given))}
        self.locals += len(names)
        self.scopes.append({**names, **self._local(body, set(names))})
        inner = self.read(body)
        self.scopes.pop()
        shape = tuple(map(len, (arguments.posonlyargs, arguments.args, arguments.kwonlyargs)))
        ends = (arguments.vararg is not None, arguments.kwarg is not None)
        return ("function", isinstance(node, ast.Lambda), shape, ends, *outside, inner)

    def _local(self, body: list, known: set[str]) -> dict[str, Any]:
        elsewhere = {
            name for node in body for inner in ast.walk(node) if isinstance(inner, ast.Global) for name in inner.names
        }
        scope: dict[str, Any] = {}
        for name in sorted(_bound(body) - known - elsewhere, key=lambda name: _place(body, name)):
            scope[name] = ("local", self.locals)
            self.locals += 1
        for node in (inner for statement in body for inner in ast.walk(statement)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name, (module, attribute) in _imported(node, self.definition.module, self.is_package).items():
                    scope[name] = self.package.resolve(module, attribute)
        return scope

    def _class(self, node: ast.ClassDef) -> tuple:
        outside = [self.read(node.decorator_list), self.read(node.bases), self.read(node.keywords)]
        members = []
        for statement in node.body:
            names = _bound([statement])
            if self._is_silent(statement) or names & self.leave_out or isinstance(statement, ast.Pass):
                continue
            members.append((tuple(sorted(names)), self._member(statement)))
        return ("class", *outside, *members)

    def _member(self, statement: ast.stmt) -> Any:
        """Fields keep their order and all members their names: both are asked for from outside."""
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            return None if statement.value is None else self.read(statement.value)
        if isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets):
            return self.read(statement.value)
        return self.read(statement)

    def _comprehension(self, node) -> tuple:
        targets = [generator.target for generator in node.generators]
        first = self.read(node.generators[0].iter)
        self.scopes.append(self._local(targets, set()))
        inner = self._plain(node)
        self.scopes.pop()
        return (first, inner)


def _place(body: list, name: str) -> tuple[int, int]:
    """Where a name is first bound: its line and column."""
    places = []
    for statement in body:
        for node in ast.walk(statement):
            bound = getattr(node, "id", None) if isinstance(getattr(node, "ctx", None), ast.Store) else None
            if name in (bound, getattr(node, "name", None)) and hasattr(node, "lineno"):
                places.append((node.lineno, node.col_offset))
    return min(places, default=(0, 0))
