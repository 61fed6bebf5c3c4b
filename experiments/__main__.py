"""`python -m experiments` lists what can be run, what it shows and how long it takes."""

import ast
import pkgutil
import re
from pathlib import Path

import experiments


def listing() -> str:
    """One entry per module: what is typed, the first line of its docstring, and the sentence that starts with `Expect`.

    Modules are read and not imported: a listing takes no time.
    """
    entries = []
    for module in sorted(pkgutil.iter_modules(experiments.__path__), key=lambda module: module.name):
        if not module.name.startswith("_"):
            path = Path(experiments.__path__[0]) / f"{module.name}.py"
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            entries.append("\n    ".join([typed(module.name, text), *said(text)]))
    return "\n".join([*entries, "", "Each says more with --help."])


def typed(name: str, text: str) -> str:
    """The first command of a docstring, without its remark; a command that needs no words stands alone."""
    command = f"python -m experiments.{name}"
    found = re.search(rf"^ *({re.escape(command)}\b.*?)(?: {{2,}}.*)?$", text, re.M)
    return found[1] if found else command


def said(text: str) -> list[str]:
    """The first line, and the lines of the sentence that starts with `Expect`."""
    expected = re.search(r"^Expect\b.*?\.(?=\s|\Z)", text, re.M | re.S)
    return [text.partition("\n")[0], *(expected[0].splitlines() if expected else ())]


if __name__ == "__main__":
    print(listing())
