"""The code that a page of the docs shows, as modules at the places it names."""

import contextlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILE_BLOCK = re.compile(r"^`([\w/]+\.py)`:\n\n```(python|diff)\n(.*?)^```", re.M | re.S)


def blocks(page: Path, language: str) -> dict[str, str]:
    """The code of a page that names the file it belongs into: path -> code."""
    return {path: code for path, kind, code in FILE_BLOCK.findall(page.read_text()) if kind == language}


@contextlib.contextmanager
def written(page: Path, folder: Path) -> Iterator[dict[str, ModuleType]]:
    """The files of a page, written into `folder` and imported under the names they would have: path -> module."""
    with pytest.MonkeyPatch.context() as patch:
        modules = {}
        for path, code in blocks(page, "python").items():
            name = path.removesuffix(".py").replace("/", ".")
            assert not (ROOT / path).exists(), f"{path} is the name of the example and must stay free"
            modules[path] = loaded(patch, name, folder / path, code)
        yield modules


def loaded(patch: pytest.MonkeyPatch, name: str, file: Path, code: str) -> ModuleType:
    """A module of the given code that is imported by `name` while the patch lasts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code)
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, name, module)
    parent, _, last = name.rpartition(".")
    if parent in sys.modules:
        patch.setattr(sys.modules[parent], last, module, raising=False)
    spec.loader.exec_module(module)
    return module


def patched(diff: str, text: str) -> str:
    """`text` after the change that a diff without line numbers shows; each hunk, between blank lines, occurs once."""
    for hunk in re.split(r"^ \.\.\.\n", diff, flags=re.M):
        lines = hunk.splitlines()
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
        assert text.count(before) == 1, f"the page shows lines that are not there, or not once:\n{before}"
        text = text.replace(before, after)
    return text


def run_tests(module: ModuleType, folder: Path) -> int:
    """Calls the test functions of a module, each with a `tmp_path` of its own where it asks for one; how many."""
    tests = [(name, test) for name, test in vars(module).items() if name.startswith("test_")]
    for name, test in tests:
        here = folder / name
        here.mkdir()
        asks = test.__code__.co_varnames[: test.__code__.co_argcount]
        assert set(asks) <= {"tmp_path"}, f"{name} asks for {asks}"
        test(**{"tmp_path": here} if asks else {})
    return len(tests)


def python_of(page: Path) -> list[str]:
    """All Python of a page, block by block."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)


def comparable(text: str) -> list[str]:
    """Lines without what differs between processors: figures of what was trained, epochs, times and the items that are
    recommended. Untrained baselines keep theirs."""
    lines = []
    for line in text.splitlines():
        if not re.match(r"(random|popularity|friends \+ popularity) ", line):
            line = re.sub(r"[-+]?\d+\.\d+(e-\d+)?", "#", line)
        line = re.sub(r"epoch [\d, ]+ chosen", "epochs chosen", line)
        line = re.sub(r"(item|title)='[^']*'", r"\1", line)
        lines.append(re.sub(r" +", " ", line).strip("- ") or "-")
    return lines


def shows(page: list[str], printed: list[str]) -> bool:
    """Whether a page's lines are the printed ones, where `...` stands for any number of lines."""
    pattern = "".join(r"(?:.*\n)*" if line == "..." else re.escape(line) + "\n" for line in page)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None
