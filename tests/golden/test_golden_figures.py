"""Every model computes what is written down, bit for bit, on the processor and the versions that wrote it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = json.loads(Path(__file__).with_name("figures.json").read_text())
PARTS = [("models", name) for name in WRITTEN["models"]] + [("real", name) for name in WRITTEN["real"]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made():
    """In a process of its own, with one device and without the short cuts of tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    child = subprocess.run(
        [sys.executable, "-m", "tests.golden"], cwd=ROOT, env=kept, text=True, stdout=subprocess.PIPE, check=True
    )
    made = json.loads(child.stdout)
    if made["made_with"] != WRITTEN["made_with"]:
        pytest.skip(f"figures were written with {WRITTEN['made_with']}, this is {made['made_with']}")
    return made


@pytest.mark.parametrize("part, name", PARTS, ids=[name for _, name in PARTS])
def test_figures_are_those_written_down(made, part, name):
    if part == "real" and name not in made["real"]:
        pytest.skip(f"SOCIALJAX_DATA holds no {name}")
    assert made[part][name] == WRITTEN[part][name]


def test_the_attribute_network_too_and_nothing_is_missing(made):
    assert made["attributes"] == WRITTEN["attributes"]
    assert made["models"].keys() == WRITTEN["models"].keys()
    assert WRITTEN["real"].keys() == {"yelp", "hasc_fs", "tiktok"}
