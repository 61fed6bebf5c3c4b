"""`python -m experiments` lists what can be run, what it shows and how long it takes."""

import ast
import pkgutil
from pathlib import Path

import experiments


def listing() -> str:
    """One entry per module: the command, the first line of its docstring, and the line that starts with `Expect`."""
    lines = []
    for module in sorted(pkgutil.iter_modules(experiments.__path__), key=lambda module: module.name):
        if module.name.startswith("_"):
            continue
        tree = ast.parse((Path(experiments.__path__[0]) / f"{module.name}.py").read_text())
        text = (ast.get_docstring(tree) or "").splitlines()
        lines.append(f"python -m experiments.{module.name}")
        lines += [f"    {line}" for line in text[:1]]
        lines += [f"    {line.strip()}" for line in text if line.strip().startswith("Expect")]
    return "\n".join(lines)


if __name__ == "__main__":
    print(listing())
