"""What people type: `python -m socialjax NAME`, or `socialjax NAME`; each command is a module with a `main`."""

import ast
import re
from pathlib import Path

NAMES = ("train", "tune", "models", "data", "tables", "compare", "recommend", "explain", "export", "serve")


def listing(folder: Path, names: tuple[str, ...], command: str) -> str:
    """One entry per module of `folder`: what is typed, the first line of its docstring, and the sentence that starts
    with `Expect`. command: what is typed before a name.

    Modules are read and not imported: a listing takes no time.
    """
    entries = []
    for name in names:
        text = ast.get_docstring(ast.parse((folder / f"{name}.py").read_text())) or ""
        entries.append("\n    ".join([_typed(command + name, text), *_summary(text)]))
    return "\n".join([*entries, "", "Each says more with --help."])


def _typed(command: str, text: str) -> str:
    """The first command of a docstring, without its remark; a command that needs no words stands alone."""
    match = re.search(rf"^ *({re.escape(command)}\b.*?)(?: {{2,}}.*)?$", text, re.M)
    return match[1] if match else command


def _summary(text: str) -> list[str]:
    """The first line, and the lines of the sentence that starts with `Expect`."""
    expected = re.search(r"^Expect\b.*?\.(?=\s|\Z)", text, re.M | re.S)
    return [text.partition("\n")[0], *(expected[0].splitlines() if expected else ())]
