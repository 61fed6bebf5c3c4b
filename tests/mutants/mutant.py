"""What a mutant is, and how its one change is made in a copy of the tree."""

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path


class Rotten(ValueError):
    """A mutant that does not fit the tree any more: its old text, or one of its tests, is not there."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One wrong change.

    Attributes:
        name: Short, unique; what `--only` takes.
        file: Path from the root.
        old: Text that occurs in the file exactly once.
        new: What stands there instead.
        tests: Arguments of pytest, `tests/a/test_b.py` or `tests/a/test_b.py::test_c`, that should fail.
        why: What goes wrong, in a line.
        must: Whether its survival fails a run whatever number is allowed to survive.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    why: str
    must: bool = False

    def mutated(self, text: str) -> str:
        """The file's text with the change. Raises Rotten unless `old` occurs exactly once, and for no change."""
        if (times := text.count(self.old)) != 1:
            raise Rotten(
                f"{self.name}: the text {self.old!r} occurs {times} times in {self.file}, wanted once; "
                "write the mutant anew for the code of today, or take it out"
            )
        if self.old == self.new:
            raise Rotten(f"{self.name} changes nothing")
        return text.replace(self.old, self.new)

    def test_files(self) -> list[str]:
        """The files of its tests, each once."""
        return list(dict.fromkeys(test.partition("::")[0] for test in self.tests))

    def check(self, root: Path) -> None:
        """Raises Rotten when the change or a test does not fit the tree at `root`."""
        path = root / self.file
        if not path.is_file():
            raise Rotten(f"{self.name}: {self.file} does not exist")
        self.mutated(path.read_text(encoding="utf-8"))
        if not self.tests:
            raise Rotten(f"{self.name} names no test that should notice it")
        for test in self.tests:
            file, _, node = test.partition("::")
            if not (root / file).is_file():
                raise Rotten(f"{self.name}: {file} does not exist")
            function = node.partition("[")[0]
            if function and f"def {function}(" not in (root / file).read_text(encoding="utf-8"):
                raise Rotten(f"{self.name}: {file} has no {function}")

    def digest(self, root: Path) -> str:
        """Of what its verdict hangs on: the change, the file, its tests and the helpers beside them."""
        found = hashlib.sha256(repr(dataclasses.astuple(self)).encode())
        for path in (root / self.file, *_read_by(root, self.test_files())):
            found.update(f"\0{path.name}\0".encode() + path.read_bytes())
        return found.hexdigest()[:16]


def _read_by(root: Path, files: list[str]) -> Iterator[Path]:
    """Test files, the modules beside them that are no tests, and every conftest.py above."""
    for file in files:
        yield root / file
        folder = (root / file).parent
        yield from sorted(path for path in folder.glob("*.py") if not path.name.startswith("test_"))
        yield from (above / "conftest.py" for above in folder.parents if (above / "conftest.py").is_file())
