"""docs/own_data_walkthrough.md shows what its commands print."""

import itertools
import os
import re
import subprocess
import sys

import pytest

from tests.pages import ROOT, blocks

PAGE = ROOT / "docs" / "own_data_walkthrough.md"
PLAIN = {"PYTHONPATH": str(ROOT), "XLA_FLAGS": "", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "LC_ALL": "C.UTF-8"}
TYPED = "bash launch/local.sh -m socialjax "


def transcript():
    """Each command of the page, with the lines that it printed."""
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.M | re.S):
        for entry in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *lines = entry.splitlines()
            yield command, lines


def missing(lines, printed):
    """The lines of the page that were not printed, or not in this order; `...` stands for any lines."""
    there = iter(printed.replace("\ufeff", "").splitlines())
    return [line for line in lines if line != "..." and line not in there]


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """A folder with the shop's three files in `shop`, made by the script of the page."""
    folder = tmp_path_factory.mktemp("walkthrough")
    (folder / "shop").mkdir()
    (folder / "socialjax").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "shop")
        exec(blocks(PAGE, "python")["make_shop.py"], {})
    return folder


def shell(command, cwd):
    typed = ["bash", "-c", command]
    done = subprocess.run(typed, cwd=cwd, env=os.environ | PLAIN, capture_output=True, text=True, timeout=280)
    return done.stderr + done.stdout


def test_files_are_read_as_the_page_says(export):
    seen = 0
    for command, lines in itertools.takewhile(lambda entry: " train " not in entry[0], transcript()):
        if command.startswith(("head", "wc")):
            printed = shell(command, export)
        elif command.startswith(("mv ", TYPED + "data ")):
            printed = shell(command.replace("bash launch/local.sh", sys.executable), export / "socialjax")
        else:
            continue
        assert missing(lines, printed) == [], command
        seen += len(lines)
    assert seen > 50


def figures(printed):
    """Means by row of the tables that are printed with two blanks between columns, of each name the first row; further
    ones are of metrics beyond accuracy, which the page leaves out."""
    rows = re.findall(r"^(\S.*?)  +(\d\.\d{4}.*)$", printed, re.M)[::-1]
    return {name.partition(" (seeds")[0]: [float(n) for n in re.findall(r"(\d\.\d{4})", row)] for name, row in rows}


@pytest.mark.slow
def test_figures_are_those_of_the_page(export):
    """On another processor sums are rounded otherwise, and an epoch more or less may be chosen."""
    names = {"orders.csv": "shop.csv", "friends.csv": "shop.links", "products.csv": "shop.items"}
    for old, new in names.items():
        if (export / "shop" / old).exists():
            (export / "shop" / old).rename(export / "shop" / new)
    compared = 0
    for command, lines in transcript():
        if not re.match(TYPED + "(train|compare|recommend|explain) ", command):
            continue
        typed = command.replace("bash launch/local.sh", sys.executable)
        printed = shell(typed, export / "socialjax")
        there, here = figures("\n".join(lines)), figures(printed)
        assert set(there) <= set(here), printed
        for name, values in there.items():
            assert here[name] == pytest.approx(values, abs=0.02), (command, name)
            compared += len(values)
    assert compared > 60
    best = (export / "socialjax" / "runs" / "best.csv").read_text().splitlines()
    assert best[0] == "user,rank,item,score,title" and len(best) == 1 + 5 * 1500
