"""The mutants fit the tree of today, and their runner tells killed from survived on a small tree of its own.

Running them all is no part of the suite: `python -m tests.mutants`.
"""

import ast
import collections
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import __main__ as command
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant, Rotten
from tests.mutants.runner import KILLED, SURVIVED, TIMED_OUT, Broken, Kept, Tree, Verdict, run, summary

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_fits_the_tree_and_names_tests_that_are_there(mutant):
    """Its old text occurs exactly once; one that does not is to be written anew for the code of today."""
    mutant.check(ROOT)
    compile(mutant.mutated((ROOT / mutant.file).read_text()), mutant.file, "exec")  # wrong, but no error of syntax
    assert mutant.why


def may_be_slow(test: str) -> bool:
    """Whether a mark about slowness stands at the test, at one of its cases or at its whole file."""
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    marks = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and name.split("[")[0] in ("", node.name):
            marks += map(ast.unparse, node.decorator_list)
    return any(re.search(r"mark.*\bslow\b", mark) for mark in marks)


def test_every_mutant_rests_on_tests_that_ci_runs():
    """A test that is marked slow kills nothing there. pytest is asked about those that have such a mark nearby."""
    named = sorted(filter(may_be_slow, {test for mutant in MUTANTS for test in mutant.tests}))
    words = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=", "-m", "not slow", *named]
    quick = subprocess.run(words, cwd=ROOT, text=True, capture_output=True).stdout.splitlines() if named else []
    left_out = [
        test for test in named if not any(line == test or line.startswith((f"{test}[", f"{test}::")) for line in quick)
    ]
    assert left_out == []


@pytest.mark.parametrize(
    "code, slow",
    [
        ("def test_a(): pass", False),
        ("import pytest\n@pytest.mark.slow\ndef test_a(): pass", True),
        ("import pytest\n@pytest.mark.slow\ndef test_b(): pass\ndef test_a(): pass", False),
        ("import pytest\npytestmark = pytest.mark.slow\ndef test_a(): pass", True),
    ],
)
def test_marks_of_slowness_are_seen(tmp_path, code, slow):
    (tmp_path / "test_some.py").write_text(code)
    assert may_be_slow(f"{tmp_path}/test_some.py::test_a") == slow


def test_there_are_enough_of_them_each_of_one_name_and_every_part_has_some():
    assert len(MUTANTS) >= 60
    assert [name for name, times in collections.Counter(mutant.name for mutant in MUTANTS).items() if times > 1] == []
    changes = collections.Counter((mutant.file, mutant.old, mutant.new) for mutant in MUTANTS)
    assert max(changes.values()) == 1
    parts = {mutant.file.split("/")[1] for mutant in MUTANTS if mutant.file.startswith("socialjax/")}
    assert {"data", "eval", "explain", "models", "ops", "run", "train"} <= parts
    assert sum(mutant.must for mutant in MUTANTS) >= 10


PRICE = "def price(net, rate):\n    return net + net * rate\n"
TESTS = """
from prices import price


def test_rate():
    assert price(100, 0.5) == 150


def test_nothing():
    assert price(0, 0.5) == 0
"""


def mutant(name, old, new, *tests, must=False):
    return Mutant(name, "prices.py", old, new, tests or ("test_prices.py",), "wrong", must)


MINUS = mutant("minus", "net + net", "net - net")
SAME = mutant("same", "net * rate", "rate * net")
BROKEN = mutant("broken", "return net", "return (net")
UNNOTICED = mutant("unnoticed", "net + net", "net - net", "test_prices.py::test_nothing")


def write_tree(root):
    """A library of one function with its tests; a folder that is no part of a copy."""
    (root / ".git").mkdir(parents=True)
    (root / "prices.py").write_text(PRICE)
    (root / "test_prices.py").write_text(TESTS)
    return root


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "tree")


def test_wrong_changes_are_killed_others_survive_and_what_was_tried_is_read_again(tmp_path_factory):
    home = tmp_path_factory.mktemp("mutants")
    root, kept = write_tree(home / "tree"), home / "verdicts.json"
    mutants = [MINUS, SAME, BROKEN, UNNOTICED]
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    first = list(run(mutants, root, Kept(kept), home / "compiled"))
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    found = {verdict.name: (verdict.status, verdict.by) for verdict in first}
    assert found == {
        "minus": (KILLED, "test_prices.py::test_rate"),
        "same": (SURVIVED, ""),
        "broken": (KILLED, "test_prices.py"),
        "unnoticed": (SURVIVED, ""),  # the test that would notice is not among its own
    }
    assert summary(mutants, first, allowed=0) == ("4 mutants, 2 killed, survivors: same, unnoticed", 1)
    again = list(run(mutants, root, Kept(kept), home / "compiled"))
    assert again == first, "read, not run: the seconds are the same"


def test_a_verdict_is_kept_until_the_change_the_file_the_tests_or_their_helpers_are_others(tree, tmp_path):
    kept, digest = Kept(tmp_path / "verdicts.json"), MINUS.digest(tree)
    kept.write(Verdict("minus", KILLED, 1.0, "somewhere", digest))
    kept.write(Verdict("same", TIMED_OUT, 1.0, "", digest))  # is tried again
    assert set(json.loads(kept.path.read_text())) == {"minus"}
    assert Kept(kept.path).read("minus", digest) == Verdict("minus", KILLED, 1.0, "somewhere", digest)
    seen = {digest, dataclasses.replace(MINUS, new="net").digest(tree)}
    for file, text in (("prices.py", PRICE + "\n"), ("test_prices.py", TESTS + "\n"), ("helper.py", "")):
        (tree / file).write_text(text)
        seen.add(MINUS.digest(tree))
    assert len(seen) == 5 and all(Kept(kept.path).read("minus", other) is None for other in seen - {digest})


def test_tests_that_fail_by_themselves_tell_nothing(tree, tmp_path):
    (tree / "test_prices.py").write_text(TESTS.replace("== 150", "== 151"))
    with pytest.raises(Broken, match="without any mutant, pytest ended with exit code 1"):
        list(run([MINUS], tree, Kept(tmp_path / "verdicts.json"), tmp_path / "compiled"))
    assert not (tmp_path / "verdicts.json").exists()


def test_tests_that_do_not_end_in_time_are_stopped_and_the_copy_is_whole_again(tree, tmp_path):
    copy = Tree(tree, tmp_path / "copy", tmp_path / "compiled")
    assert not (copy.folder / ".git").exists()
    verdict = copy.judge(MINUS, timeout=0.0)
    assert verdict.status == TIMED_OUT and (copy.folder / "prices.py").read_text() == PRICE
    line, code = summary([MINUS], [verdict], allowed=5)
    assert (line, code) == ("1 mutants, 0 killed, survivors: none; timed out: minus", 1)


@pytest.mark.parametrize(
    "rotten, said",
    [
        (mutant("gone", "net / rate", "net"), r"gone: the text 'net / rate' occurs 0 times in prices.py, wanted once"),
        (mutant("twice", "rate", "net"), "occurs 2 times"),
        (mutant("idle", "net * rate", "net * rate"), "changes nothing"),
        (mutant("untested", "net * rate", "net", "test_wages.py"), "test_wages.py does not exist"),
        (mutant("unnamed", "net * rate", "net", "test_prices.py::test_tax"), "test_prices.py has no test_tax"),
        (dataclasses.replace(MINUS, tests=()), "names no test"),
        (dataclasses.replace(MINUS, file="wages.py"), "wages.py does not exist"),
    ],
    ids=lambda value: value.name if isinstance(value, Mutant) else "",
)
def test_a_mutant_that_does_not_fit_is_an_error_before_anything_runs(tree, tmp_path, rotten, said):
    with pytest.raises(Rotten, match=said):
        list(run([MINUS, rotten], tree, Kept(tmp_path / "verdicts.json"), tmp_path / "compiled"))
    assert not (tmp_path / "verdicts.json").exists()


def test_survivors_are_named_and_counted_and_some_must_not_be():
    must = dataclasses.replace(SAME, name="must", must=True)
    verdicts = [Verdict(name, status, 1.0, "", "0") for name, status in (("minus", KILLED), ("same", SURVIVED))]
    assert summary([MINUS, SAME], verdicts, allowed=1) == ("2 mutants, 1 killed, survivors: same", 0)
    assert summary([MINUS, SAME], verdicts, allowed=0)[1] == 1
    assert summary([MINUS, SAME, BROKEN], verdicts, allowed=1)[1] == 1, "one has no verdict"
    line, code = summary([must], [Verdict("must", SURVIVED, 1.0, "", "0")], allowed=1)
    assert (line, code) == ("1 mutants, 0 killed, survivors: must (must be killed)", 1)


def test_the_command_lists_them_and_refuses_names_that_are_not_there(capsys):
    assert command.main(["--list", "--only", "epoch-on-test"]) == 0
    assert capsys.readouterr().out.startswith("epoch-on-test (must be killed)\n    socialjax/run/workbench.py: ")
    assert command.main(["--only", "nothing"]) == 2
    assert "got nothing" in capsys.readouterr().err
