"""Registries: the library's names cannot be replaced, those of others are found, and broken ones hide nothing."""

import importlib.metadata
import subprocess
import sys

import pytest

from socialjax.registry import IMPORTED, Registry, import_modules


@pytest.fixture
def registry(monkeypatch):
    """A registry with one entry of the library, one good entry point, one that is broken, one with a bad name."""
    points = [
        importlib.metadata.EntryPoint("good", "math:sqrt", "group.things"),
        importlib.metadata.EntryPoint("broken", "nowhere_at_all:thing", "group.things"),
        importlib.metadata.EntryPoint("../evil", "math:sqrt", "group.things"),
        importlib.metadata.EntryPoint("ours", "math:cos", "group.things"),
    ]
    find = lambda group: [point for point in points if point.group == group]  # noqa: E731
    monkeypatch.setattr(importlib.metadata, "entry_points", find)
    return Registry("thing", "group.things", {"ours": abs})


def test_entries_of_the_library_come_first_and_stay(registry):
    assert list(registry) == ["ours", "good", "broken"] and len(registry) == 3
    assert registry["ours"] is abs
    with pytest.raises(ValueError, match=r"'ours' is a thing of the library"):
        registry["ours"] = max
    assert registry.is_own("ours") and not registry.is_own("good")


def test_entry_points_are_imported_when_they_are_used(registry):
    import math

    assert "good" in registry and registry.known() == {"ours": abs}
    assert registry["good"] is math.sqrt
    assert registry.known() == {"ours": abs, "good": math.sqrt}


def test_a_broken_entry_point_says_whose_it_is_when_it_is_used_and_not_before(registry):
    assert "broken" in list(registry)
    with pytest.raises(ValueError, match=r"thing 'broken' is the entry point nowhere_at_all:thing.*No module named"):
        registry["broken"]
    assert registry["good"]


def test_unknown_names(registry):
    with pytest.raises(KeyError):
        registry["nobody"]
    assert "nobody" not in registry and registry.get("nobody") is None
    assert "no thing is called 'nobody'; there are ours, good, broken; one of another package" in registry.unknown(
        "nobody"
    )
    assert "was given to socialjax.fit" in registry.unknown("hinge_0123abcd")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "with space", "1st", "x" * 65, "é", 7, None])
def test_names_stand_in_folders_and_tables(registry, name):
    with pytest.raises(ValueError, match="cannot be the name of a thing"):
        registry[name] = max


def test_entries_can_be_set_again_and_taken_back(registry):
    registry["mine"] = min
    registry["mine"] = max
    assert registry["mine"] is max
    del registry["mine"]
    assert "mine" not in registry


def test_modules_of_the_current_folder_are_imported_and_left_to_children(tmp_path, monkeypatch):
    (tmp_path / "registers_it.py").write_text("import socialjax\nsocialjax.LOSSES['theirs'] = lambda p, n: p\n")
    (tmp_path / "fails.py").write_text("raise RuntimeError('not today')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.delenv(IMPORTED, raising=False)
    import_modules([])
    assert IMPORTED not in __import__("os").environ
    code = (
        "import os, sys; sys.path.pop(0); from socialjax.registry import import_modules, IMPORTED; import socialjax\n"
        "import_modules(['registers_it']); print('theirs' in socialjax.LOSSES, os.environ[IMPORTED])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["True", "registers_it"], done.stderr
    with pytest.raises(ValueError, match=r"--import fails: RuntimeError: not today"):
        import_modules(["fails"])
    with pytest.raises(ValueError, match=r"--import no_such: ModuleNotFoundError"):
        import_modules(["no_such"])
