"""The tree of docs/architecture.md, made of the first lines of docstrings.

python -m tests.layout             # on the screen
python -m tests.layout --write     # into docs/architecture.md, after a module was added, moved or renamed
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PARTS = ("socialjax", "experiments", "benchmarks")
TREE = re.compile(r"(?<=## Layout\n\n```text\n).*?(?=```)", re.S)
COLUMN = 28  # where descriptions begin


def tree() -> str:
    """Every module and folder, a line each: its name and the first line of its docstring, up to a colon."""
    return "".join(f"{line}\n" for part in PARTS for line in _folder(ROOT / part, 0))


def updated(text: str) -> str:
    """The page with the tree of today."""
    return TREE.sub(lambda _: tree(), text, count=1)


def _folder(folder: Path, depth: int) -> Iterator[str]:
    yield _line(depth, f"{folder.name}/", folder / "__init__.py")
    for path in sorted(folder.glob("*.py")):
        if path.stem not in ("__init__", "__main__"):
            yield _line(depth + 1, path.name, path)
    for inside in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield from _folder(inside, depth + 1)


def _line(depth: int, name: str, path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    summary = docstring.partition("\n")[0].partition(": ")[0].rstrip(".:")
    return f"{'  ' * depth + name:<{COLUMN}} {summary}".rstrip()


def main(arguments: list[str]) -> int:
    """Exit code."""
    if arguments not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    if arguments:
        PAGE.write_text(updated(PAGE.read_text()))
    else:
        print(tree(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
