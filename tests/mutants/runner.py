"""Runs mutants one at a time in copies of the tree, keeps the verdicts, and goes on where it was stopped."""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.mutants.mutant import Mutant

LEFT_OUT = (".git", ".venv", "runs", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis", "*.egg-info")
KILLED, SURVIVED, TIMED_OUT = "killed", "SURVIVED", "TIMED OUT"
UNCHANGED = "passed"  # of the tests without a mutant
# Exit codes of pytest: a failed test, and an error while collecting, which a change of a module's top level makes.
FAILED, PASSED, INTERRUPTED = 1, 0, 2


class Broken(RuntimeError):
    """The tests cannot tell anything: they fail without any mutant, or pytest cannot run them."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """status: KILLED, SURVIVED or TIMED_OUT. by: the first test that failed. digest: of what it hangs on."""

    name: str
    status: str
    seconds: float
    by: str
    digest: str

    def __str__(self) -> str:
        return f"{self.status:9} {self.seconds:6.1f} s  {self.name}" + (f"  by {self.by}" if self.by else "")


class Tree:
    """A copy of the tree, in which one mutant stands at a time."""

    def __init__(self, root: Path, folder: Path, compiled: Path):
        self.folder, self.compiled, self._changes = folder / "tree", compiled, 0
        self._process: subprocess.Popen | None = None
        others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", str(root))]
        self._path = os.pathsep.join([str(self.folder), *others])  # this copy, and nothing of the tree itself
        shutil.copytree(root, self.folder, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)

    def pytest(self, tests: Sequence[str], timeout: float, *options: str) -> tuple[int | None, str]:
        """(exit code, output) of the tests; None after `timeout` seconds.

        Whatever pytest has started ends with it.
        """
        words = [sys.executable, "-m", "pytest", *options, "-n", "0", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": self._path, "SOCIALJAX_TEST_COMPILED": str(self.compiled)}
        with tempfile.TemporaryFile("w+") as output:
            self._process = subprocess.Popen(
                words, cwd=self.folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code = self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                self.stop()
            output.seek(0)
            return code, output.read()

    def stop(self) -> None:
        """Ends the tests that are running, if any."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def judge(self, mutant: Mutant, timeout: float) -> Verdict:
        """Puts the mutant in, runs its tests, and takes it out again. Raises Broken when pytest cannot run them."""
        path, began = self.folder / mutant.file, time.monotonic()
        text, digest = path.read_text(encoding="utf-8"), mutant.digest(self.folder)
        self._write(path, mutant.mutated(text))
        try:
            code, output = self.pytest(mutant.tests, timeout, "-x")
        finally:
            self._write(path, text)
        if code not in (PASSED, FAILED, INTERRUPTED, None):
            raise Broken(f"{mutant.name}: pytest ended with exit code {code}\n{output[-2000:]}")
        status = {PASSED: SURVIVED, None: TIMED_OUT}.get(code, KILLED)
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.M)
        return Verdict(mutant.name, status, round(time.monotonic() - began, 1), failed[1] if failed else "", digest)

    def _write(self, path: Path, text: str) -> None:
        """With a time of change of its own: Python knows compiled modules by it, to the second, and by their size."""
        path.write_text(text, encoding="utf-8")
        self._changes += 1
        os.utime(path, (self._changes, self._changes))


class Kept:
    """Verdicts in a JSON file, written after each one. A run that timed out is not kept."""

    def __init__(self, path: Path):
        self.path = path
        self._all: dict[str, dict] = json.loads(path.read_text()) if path.exists() else {}

    def read(self, name: str, digest: str) -> Verdict | None:
        """The verdict of that name, if it is there and hangs on the same files."""
        found = self._all.get(name)
        return Verdict(**found) if found is not None and found["digest"] == digest else None

    def write(self, verdict: Verdict) -> None:
        if verdict.status == TIMED_OUT:
            return
        self._all[verdict.name] = dataclasses.asdict(verdict)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(self._all, indent=1) + "\n")
        os.replace(temporary, self.path)


def run(
    mutants: Sequence[Mutant],
    root: Path,
    kept: Kept,
    compiled: Path,
    jobs: int = 1,
    timeout: float = 600.0,
    passing: bool = False,
) -> Iterator[Verdict]:
    """The verdicts, those that are kept first. The tests must pass without a mutant before one is believed.

    Args:
        mutants: What to try; each is checked against `root` before anything runs.
        root: The tree, which is copied and never written to.
        kept: Verdicts of earlier runs.
        compiled: Folder of compiled programs, shared by all runs.
        jobs: Mutants at a time, each in a copy of its own.
        timeout: Seconds for the tests of one mutant.
        passing: The tests are known to pass without a mutant, as after a run of the suite: they are not run first.

    Raises:
        Rotten: A mutant does not fit the tree.
        Broken: The tests fail without any mutant.
    """
    for mutant in mutants:
        mutant.check(root)
    known = {mutant.name: kept.read(mutant.name, mutant.digest(root)) for mutant in mutants}
    yield from (verdict for verdict in known.values() if verdict is not None)
    waiting = [mutant for mutant in mutants if known[mutant.name] is None]
    if not waiting:
        return
    compiled.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="socialjax-mutants-", ignore_cleanup_errors=True) as home:
        trees = [Tree(root, Path(home) / str(job), compiled) for job in range(min(jobs, len(waiting)))]
        if not passing:
            _must_pass(waiting, trees[0], kept, timeout)
        free: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for tree in trees:
            free.put(tree)

        def judge(mutant: Mutant) -> Verdict:
            tree = free.get()
            try:
                return tree.judge(mutant, timeout)
            finally:
                free.put(tree)

        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(judge, mutant) for mutant in waiting]
            try:
                for future in concurrent.futures.as_completed(futures):
                    kept.write(future.result())
                    yield future.result()
            finally:  # when it is stopped, too
                for future in futures:
                    future.cancel()
                for tree in trees:
                    tree.stop()


def _must_pass(mutants: Sequence[Mutant], tree: Tree, kept: Kept, timeout: float) -> None:
    """Runs the tests of all mutants once, without one. Raises Broken when they do not pass; a pass is kept too."""
    tests = _without_parts(sorted({test for mutant in mutants for test in mutant.tests}))
    digest = _digest(tree.folder, tests)
    if kept.read("none", digest) is None:
        began = time.monotonic()
        code, output = tree.pytest(tests, timeout * max(1, len(tests)))
        if code != PASSED:
            raise Broken(f"without any mutant, pytest ended with exit code {code}:\n{output[-4000:]}")
        kept.write(Verdict("none", UNCHANGED, round(time.monotonic() - began, 1), "", digest))


def _without_parts(tests: list[str]) -> list[str]:
    """Without tests of files that are there as a whole: pytest would run them once anyway, but in another order."""
    whole = {test for test in tests if "::" not in test}
    return [test for test in tests if "::" not in test or test.partition("::")[0] not in whole]


def _digest(folder: Path, tests: list[str]) -> str:
    """Of the tests' names and every Python file of the tree."""
    found = hashlib.sha256(repr(tests).encode())
    for path in sorted(folder.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def summary(mutants: Sequence[Mutant], verdicts: Sequence[Verdict], allowed: int) -> tuple[str, int]:
    """(the last line of a run, its exit code).

    The code is 1 for more survivors than allowed, for one that must not be, and for a mutant without a verdict.
    """
    must = {mutant.name for mutant in mutants if mutant.must}
    by = {status: [v.name for v in verdicts if v.status == status] for status in (KILLED, SURVIVED, TIMED_OUT)}
    survivors = [f"{name} (must be killed)" if name in must else name for name in by[SURVIVED]]
    line = f"{len(mutants)} mutants, {len(by[KILLED])} killed, survivors: {', '.join(survivors) or 'none'}"
    line += f"; timed out: {', '.join(by[TIMED_OUT])}" if by[TIMED_OUT] else ""
    failed = (
        len(by[SURVIVED]) > allowed or bool(must & set(by[SURVIVED])) or len(by[KILLED]) + len(survivors) < len(mutants)
    )
    return line, int(failed)
