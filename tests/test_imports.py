"""Imports point one way, costly libraries stay in one place, and importing a module does no work."""

import ast
import functools
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What each part may import of ours, besides itself. A name stands for the module and all below it; the longest name
# that fits a module is its rule. `models` has a rule for each family; the modules beside the families are listed.
# These know nothing of recommenders.
GROUND = (
    *("atomic_write", "stop", "names", "json_files", "npz_files", "memory"),
    *("drawing", "pages", "formats", "registry", "object_store"),
)
CONTRACT = ("ops", "graph", "contract", "models.parts", "models.history", "models.neighbourhoods")
ALLOWED = {
    "socialjax": (  # the Python interface: imported when called, and named for type checkers
        *("recommender", "fitting", "report", "data.schema", "data.sources", "models", "ops.losses"),
        *("train.step", "train.writers", "eval.beyond"),
    ),
    "new_items": ("contract", "data.schema", "models", "ops"),
    "recommender": (
        *GROUND,
        "new_items",
        "export",
        "data",
        "contract",
        "models",
        "train.step",
        "train.log",
        "eval",
        "explain",
        "run",
    ),
    "fitting": (*GROUND, "export", "data", "contract", "models", "train", "eval", "run", "recommender"),
    "export": ("atomic_write", "names", "formats", "data", "train.log", "contract"),
    "serve": (*GROUND, "contract", "data", "eval", "explain", "recommender"),
    "graph": (),
    "registry": (),
    "object_store": ("names", "atomic_write", "stop"),
    "atomic_write": (),
    "stop": (),
    "memory": (),
    "names": (),
    "drawing": ("names", "atomic_write"),
    "pages": ("names", "atomic_write"),
    "json_files": ("names",),
    "npz_files": ("names",),
    "ops": ("graph", "registry"),
    "formats": ("names",),
    "data": (*GROUND, "graph"),
    "worlds": (*GROUND, "data", "graph", "vision"),
    "worlds.bars": (
        *("data", "ops", "contract", "models", "vision", "train", "eval"),
        *("explain", "worlds", "recommender", "run", "memory"),
    ),
    "models": ("ops", "graph", "contract", "models", "registry"),  # __init__ lists the models
    "contract": (),
    "models.parts": ("ops", "graph", "contract"),
    "models.history": ("ops", "graph", "contract", "models.parts"),
    "models.neighbourhoods": ("ops", "contract", "models.history"),
    "models.<family>": CONTRACT,
    "vision": (*GROUND, "data", "ops", "train", "eval"),
    "eval": ("ops", "names", "registry", "graph", "contract", "data.schema"),
    "eval.mapped": ("ops", "graph", "contract", "models.parts", "eval"),
    "train": (*GROUND, "eval", "ops", "contract", "data.schema"),
    "explain": (*GROUND, "data", "eval", "graph", "contract"),
    "robust": ("eval", "graph", "contract", "data.schema"),
    "run": (
        *(*GROUND, "export", "graph", "ops", "contract", "data", "models"),
        *("vision", "eval", "train", "explain", "robust"),
    ),
    "commands": (
        *(*GROUND, "contract", "data", "models", "vision", "eval"),
        *("explain", "recommender", "fitting", "run", "report", "serve"),
    ),
    "__main__": ("commands", "stop", "memory", "names", "registry"),
    "report": (
        *(*GROUND, "recommender", "fitting", "data", "models", "vision"),
        *("train", "eval", "explain", "run", "worlds"),
    ),
}
# Libraries of which a change of mind must cost one place.
ONLY_IN = {
    "orbax": ("train.checkpoint",),
    "tensorflow_datasets": ("data.builder",),
    "array_record": ("data.builder", "data.large.pair_shards"),
    "grain": ("data.large.pair_stream",),
    "av": ("vision.key_frames.video",),
    "jinja2": ("pages",),
    "faiss": ("export.faiss_index", "export.files"),
    "onnx": ("export.onnx_graph",),
    "onnxruntime": (),
    "wandb": ("train.writers",),
    "mlflow": ("train.writers",),
    "tensorboardX": ("train.writers",),
    "fastapi": ("serve.app",),
    "starlette": ("serve.app",),
    "pydantic": ("serve.schemas",),
    "uvicorn": ("serve.server",),
    "obstore": ("object_store",),
    "prometheus_client": ("serve.metrics",),
    "tensorflow": (),
    "torch": (),
    "experiments": (),
    "benchmarks": (),
    "launch": (),
    "tests": (),
}
HAS_SERVE = importlib.util.find_spec("fastapi") is not None  # modules of an extra; the command imports them when called
MAY_PRINT = ("commands", "__main__", "run", "train.log")


def is_within(name, part):
    return name == part or name.startswith(part + ".")


@functools.cache
def modules():
    """Dotted name below socialjax -> path; "" is socialjax itself."""
    paths = sorted((ROOT / "socialjax").rglob("*.py"))
    relative = [path.relative_to(ROOT / "socialjax").with_suffix("").parts for path in paths]
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for parts, path in zip(relative, paths)}


def imports_of(tree, module, is_package=False, known=()):
    """Dotted names that a module's source imports, anywhere in it, from the outside in: `socialjax.data.schema`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                inside = f"socialjax.{module}".rstrip(".").split(".")
                inside = inside[: len(inside) - node.level + is_package]
                base = ".".join([*inside, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                # `from package import name`: a module if there is one of that name, else something of the package.
                yield full if full.removeprefix("socialjax.") in known else base


def rule_for(module):
    if module == "":
        return "socialjax"
    parts = module.split(".")
    if parts[0] == "models" and (len(parts) > 2 or (ROOT / "socialjax" / "models" / parts[-1]).is_dir()):
        return "models.<family>"
    fits = [name for name in ALLOWED if is_within(module, name)]
    return max(fits, key=len, default=None)


def complaints(module, source, is_package=False):
    """What is wrong with the imports and prints of one module, in words."""
    tree, rule = ast.parse(source), rule_for(module)
    if rule is None:
        return [f"socialjax.{module} has no line in ALLOWED: say what it may import"]
    own = ".".join(module.split(".")[:2]) if rule == "models.<family>" else rule
    found = []
    for name in imports_of(tree, module, is_package, known=modules()):
        if is_within(name, "socialjax"):
            target = name.removeprefix("socialjax").removeprefix(".")
            if target and not any(is_within(target, part) for part in (own, *ALLOWED[rule])):
                found.append(f"socialjax.{module} may not import {name}")
        elif name.split(".")[0] in ONLY_IN:
            places = ONLY_IN[name.split(".")[0]]
            if not any(is_within(module, place) for place in places):
                found.append(f"socialjax.{module} may not import {name}: it belongs in {places or 'no module'}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            if not any(is_within(module, place) for place in MAY_PRINT):
                found.append(f"socialjax.{module}, line {node.lineno}: print belongs in {MAY_PRINT}")
    return found


def test_a_module_holds_one_idea_neither_a_crumb_nor_a_book():
    lines = {name: len(path.read_text().splitlines()) for name, path in modules().items() if path.stem != "__init__"}
    assert {name: number for name, number in lines.items() if not 15 <= number <= 400} == {}
    assert len(lines) <= 244


@pytest.mark.parametrize("module", list(modules()))
def test_imports_point_one_way_and_nothing_prints(module):
    path = modules()[module]
    assert complaints(module, path.read_text(), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    "module, source",
    [
        ("graph", "from socialjax.ops import propagate"),
        ("data.schema", "import socialjax.contract"),
        ("data.schema", "from ..train import loop"),
        ("models.cf.bpr", "from socialjax.models.social.diffnet import DiffNet"),
        ("models.cf.bpr", "from socialjax.data.schema import Dataset"),
        ("models.parts", "from socialjax.models.cf import bpr"),
        ("eval.ranking", "from socialjax.data import split"),
        ("train.loop", "def f():\n    from socialjax.models.cf.bpr import BPR"),
        ("train.loop", "import orbax.checkpoint"),
        ("data.cache", "import tensorflow_datasets as tfds"),
        ("data.frames.cuts", "import av"),
        ("run", "from experiments import diffnet_yelp"),
        ("eval.ranking", "print('hello')"),
        ("nowhere.new", "import numpy"),
    ],
)
def test_the_rules_catch_what_they_forbid(module, source):
    assert complaints(module, source)


def test_the_rules_allow_what_they_should():
    assert not complaints("models.cf.bpr", "from socialjax.models.parts import Factors\nfrom socialjax import graph")
    assert not complaints("models.social", "from . import diffnet\nfrom ..parts import Factors", is_package=True)
    assert not complaints("train.checkpoint", "import orbax.checkpoint as ocp\nfrom socialjax import __version__")
    assert not complaints("data.builder", "import tensorflow_datasets as tfds")
    assert not complaints("run", "print('table')")


def test_foreign_pictures_are_opened_in_one_place():
    opening = {name for name, path in modules().items() if "Image.open(" in path.read_text()}
    assert opening == {"formats.picture_files"}


IMPORT_ALL = """
import importlib, os, sys, threading
from jax._src import xla_bridge
before = set(os.listdir()), set(threading.enumerate())
def imported(names):
    for name in names:
        importlib.import_module(name)
    assert not xla_bridge.backends_are_initialized(), "a device was asked for"
    assert "tensorflow" not in sys.modules, "TensorFlow was imported"
    assert (set(os.listdir()), set(threading.enumerate())) == before, "files or threads were made"
imported(name for name in sys.argv[1:] if ".builder" not in name)
assert "tensorflow_datasets" not in sys.modules, "TFDS was imported"
imported(name for name in sys.argv[1:] if ".builder" in name)
"""


def test_importing_every_module_prints_nothing_and_does_no_work(tmp_path):
    names = [f"socialjax.{name}".rstrip(".") for name in modules() if not is_within(name, "serve") or HAS_SERVE]
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:socialjax", "-c", IMPORT_ALL, *names],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
