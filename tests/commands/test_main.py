"""`python -m socialjax` and what it says of a word that is no command."""

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from socialjax import __main__ as command_line
from socialjax import commands

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("words, code", [([], 2), (["--help"], 0), (["-h"], 0)])
def test_without_a_command_they_are_listed(words, code, capsys):
    assert command_line.run(words) == code
    out = capsys.readouterr().out
    assert [line.split()[3] for line in out.splitlines() if line.startswith("python -m socialjax")] == [*commands.NAMES]


def test_a_word_that_is_no_command_is_one_line_with_those_there_are():
    done = subprocess.run(
        [sys.executable, "-m", "socialjax", "tarin\x1b", "bpr"], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    wanted = (
        "error: no command is called 'tarin\\x1b'; there are train, tune, models, data, tables, compare, recommend, "
        "explain, export, serve\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", wanted)


def test_every_module_is_a_command_and_the_console_script_runs_them():
    there = {path.stem for path in Path(commands.__path__[0]).glob("[a-z]*.py")}
    assert there == set(commands.NAMES)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert EntryPoint("socialjax", scripts["socialjax"], "console_scripts").load() is command_line.main
