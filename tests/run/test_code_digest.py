"""The digest of a model's code follows what the code does, not where it lies or what things are called."""

import ast
import json
import shutil
from pathlib import Path

import pytest

from socialjax import models
from socialjax.run import model_code
from socialjax.run.model_code import ROOT, code_digest, digest, is_same_code

MODEL = '''"""A model."""
import dataclasses
import jax.numpy as jnp
from package.parts import Base, helper
from package import losses

SCALE = 2.0
UNUSED = 1


@dataclasses.dataclass(frozen=True)
class Model(Base):
    """Words."""

    depth: int = 2
    search_space: dict = dataclasses.field(default_factory=dict)

    def loss(self, values, rng=None):
        """Words."""
        total = helper(values, scale=SCALE)
        if total is None:
            raise ValueError("no total")
        return losses.squared(jnp.sum(total)) + sum(each for each in values)

    def explain(self, values):
        return values

    def explained(self, values):
        return [values]
'''
PARTS = """class Base:
    def score(self, values):
        from .late import weight
        return weight * values


def helper(values, scale):
    return values * scale
"""
LOSSES = """import jax


@jax.custom_vjp
def squared(x):
    return x * x


def _forward(x):
    return x * x, x


def _backward(x, gradient):
    return (2 * x * gradient,)


squared.defvjp(_forward, _backward)


def another(x):
    return -x
"""
FILES = {"model.py": MODEL, "parts.py": PARTS, "losses.py": LOSSES, "late.py": "weight = 3\n", "__init__.py": ""}


def of(folder: Path, files: dict[str, str], module: str = "model", name: str = "Model") -> str:
    """The digest of package.MODULE.NAME where `files` are the package."""
    root = folder / "package"
    shutil.rmtree(root, ignore_errors=True)
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    return digest.__wrapped__(f"package.{module}", name, root.joinpath(*module.split(".")).with_suffix(".py"), root)


def edited(*changes: tuple[str, str, str]) -> dict[str, str]:
    files = dict(FILES)
    for file, old, new in changes:
        assert old in files[file]
        files[file] = files[file].replace(old, new)
    return files


SAME = {
    "comments, docstrings, layout": [("model.py", '"""Words."""', '"""Other words."""\n\n    # why')],
    "annotations": [("model.py", "self, values, rng=None)", "self, values: list, rng: int | None = None) -> float")],
    "local names": [("model.py", "total", "summed"), ("model.py", "each for each in", "value for value in")],
    "arguments by another name": [("parts.py", "scale", "factor"), ("model.py", "scale=SCALE", "factor=SCALE")],
    "an argument by its name": [("model.py", "helper(values, scale=SCALE)", "helper(scale=SCALE, values=values)")],
    "the words of an error": [("model.py", "no total", "nothing came")],
    "another function": [("losses.py", "return -x", "return +x")],
    "a constant that nobody reads": [("model.py", "UNUSED = 1", "UNUSED = 2")],
    "ranges of a search": [("model.py", "default_factory=dict", "default_factory=list")],
    "explanations": [("model.py", "return values\n", "return -values\n")],
    "what explanations share": [("model.py", "return [values]\n", "return [values, values]\n")],
    "a function by another name": [("parts.py", "helper", "scaled"), ("model.py", "helper", "scaled")],
    "an import by another name": [("model.py", "jnp.", "np."), ("model.py", "numpy as jnp", "numpy as np")],
    "a name instead of a module": [
        ("model.py", "from package import losses", "from .losses import squared as square"),
        ("model.py", "losses.squared(", "square("),
    ],
    "the order of imports": [
        (
            "model.py",
            "from package.parts import Base, helper\nfrom package import losses",
            "import package.losses as losses\nfrom package.parts import helper, Base",
        )
    ],
}
OTHER = {
    "a constant": [("model.py", "SCALE = 2.0", "SCALE = 2.5")],
    "a default": [("model.py", "depth: int = 2", "depth: int = 3")],
    "a new field": [("model.py", "depth: int = 2", "depth: int = 2\n    width: int = 1")],
    "a field by another name": [("model.py", "depth: int", "layers: int")],
    "a formula": [("parts.py", "values * scale", "values + scale")],
    "arguments exchanged": [("parts.py", "(values, scale)", "(scale, values)")],
    "a gradient that is given below": [("losses.py", "2 * x * gradient", "x * gradient")],
    "who gives the gradient": [("losses.py", "defvjp(_forward, _backward)", "defvjp(_forward, another)")],
    "a decorator": [("losses.py", "@jax.custom_vjp", "@jax.custom_jvp")],
    "a base": [("model.py", "class Model(Base)", "class Model")],
    "what a base does": [("parts.py", "return weight * values", "return weight - values")],
    "an import within a function": [("late.py", "weight = 3", "weight = 4")],
    "a function of a library": [("model.py", "jnp.sum", "jnp.mean")],
    "a condition": [("model.py", "if total is None", "if total is not None")],
    "the variable that is meant": [("model.py", "for each in values", "for each in total")],
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME)
def test_what_changes_no_figure_does_not_count(tmp_path, changes):
    assert of(tmp_path, edited(*changes)) == of(tmp_path, FILES)


@pytest.mark.parametrize("changes", OTHER.values(), ids=OTHER)
def test_what_may_change_a_figure_counts(tmp_path, changes):
    assert of(tmp_path, edited(*changes)) != of(tmp_path, FILES)


def test_moves_and_merges_do_not_count(tmp_path):
    before = of(tmp_path, FILES)
    moved = edited(
        ("model.py", "package.parts", "package.deep.pieces"), ("model.py", "package import", "package.deep import")
    )
    moved["deep/pieces.py"] = moved.pop("parts.py").replace("from .late", "from ..late")
    moved["deep/losses.py"], moved["deep/__init__.py"] = moved.pop("losses.py"), ""
    moved["deep/model.py"] = moved.pop("model.py")
    assert of(tmp_path, moved, "deep.model") == before
    merged = edited(("model.py", "from package.parts import Base, helper", "from package.losses import Base, helper"))
    merged["losses.py"] += merged.pop("parts.py")
    assert of(tmp_path, merged) == before
    passed_on = edited(
        ("model.py", "from package.parts import Base, helper", "from package import Base, helper as helper")
    )
    passed_on["__init__.py"] = "from package.parts import Base, helper\n"
    assert of(tmp_path, passed_on) == before
    renamed = edited(("model.py", "class Model", "class Renamed"))
    assert of(tmp_path, renamed, name="Renamed") == before


def test_definitions_that_lead_to_each_other_end(tmp_path):
    circle = {"__init__.py": "", "model.py": "from package.b import g\ndef Model(n):\n    return g(n)\n"}
    circle["b.py"] = "from package import model\ndef g(n):\n    return model.Model(n - 1) if n else g(n)\n"
    before = of(tmp_path, circle)
    circle["b.py"] = circle["b.py"].replace("n - 1", "n - 2")
    assert of(tmp_path, circle) != before
    with pytest.raises(ValueError, match="run in a circle"):
        of(
            tmp_path,
            {
                "__init__.py": "",
                "model.py": "from package.b import f\ndef Model():\n    f()\n",
                "b.py": "from package.model import f\n",
            },
        )


@pytest.mark.parametrize(
    "filled",
    ["TABLE['k'] = {}", "for k in ('k',):\n    TABLE[k] = {}", "TABLE.update(k={})", "if True:\n    TABLE['k'] = {}"],
)
def test_a_table_that_is_filled_after_it_was_made_counts(tmp_path, filled):
    def digest_of(value):
        text = FILES["late.py"] + "TABLE = {}\n" + filled.replace("{}", str(value)) + "\n"
        parts = FILES["parts.py"].replace("from .late import weight", "from .late import TABLE, weight")
        return of(
            tmp_path,
            FILES | {"late.py": text, "parts.py": parts.replace("return weight", "return TABLE['k'] * weight")},
        )

    assert digest_of(3) != digest_of(4)


def test_a_module_that_is_handed_on_counts_whole(tmp_path):
    files = edited(("model.py", "losses.squared(jnp.sum(total))", "getattr(losses, self.name)(total)"))
    before = of(tmp_path, files)
    files["losses.py"] = files["losses.py"].replace("return -x", "return +x")
    assert of(tmp_path, files) != before


def test_each_model_has_its_own_digest():
    every = {name: code_digest(kind) for name, kind in models.MODELS.items()}
    assert len(set(every.values())) == len(every) and all(len(value) == 16 for value in every.values())
    assert code_digest(models.MODELS["bpr"]()) == every["bpr"]


def test_every_constant_of_the_losses_is_seen(tmp_path):
    """In a copy of the package each number of these files is changed in turn: the model that uses it notices."""
    root = tmp_path / ROOT.name
    for part in ("models", "ops", "contract.py", "graph.py"):
        shutil.copytree(ROOT / part, root / part) if (ROOT / part).is_dir() else shutil.copy(ROOT / part, root / part)
    kinds = [models.MODELS[name] for name in ("bpr",)]

    def every():
        files = [root / Path(*kind.__module__.split(".")[1:]).with_suffix(".py") for kind in kinds]
        return [digest.__wrapped__(kind.__module__, kind.__name__, file, root) for kind, file in zip(kinds, files)]

    before = every()
    assert before == [code_digest(kind) for kind in kinds], "a copy elsewhere is the same"
    seen = 0
    for name, used_from in (("losses.py", ""), ("lookup.py", "BLOCK = ")):  # what stands above is of other models
        text = (root / "ops" / name).read_text()
        begin = text[: text.index(used_from)].count("\n")
        numbers = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and node.lineno > begin]
        for node in (node for node in numbers if type(node.value) in (int, float)):
            lines = text.splitlines(keepends=True)
            line = lines[node.lineno - 1].encode()
            changed = line[: node.col_offset] + b"77" + line[node.end_col_offset :]
            lines[node.lineno - 1] = changed.decode()
            (root / "ops" / name).write_text("".join(lines))
            assert every() != before, f"{name}, line {node.lineno}: {changed.decode()}"
            seen += 1
        (root / "ops" / name).write_text(text)
    assert seen > 8 and every() == before


def test_code_is_the_same_where_it_was_shown_to_be_and_nowhere_else(tmp_path, monkeypatch):
    changes = [{"digests": {"a": "b", "x": "y"}}, {"digests": {"b": "c", "y": "x"}}]
    (tmp_path / "same.json").write_text(json.dumps({"changes": changes}))
    monkeypatch.setattr(model_code, "SAME", tmp_path / "same.json")
    model_code._same_code.cache_clear()
    try:
        assert is_same_code("a", "a") and is_same_code("a", "b") and is_same_code("a", "c")
        assert not is_same_code("c", "a") and not is_same_code("a", "d") and not is_same_code("b", "a")
        assert is_same_code("x", "y") and not is_same_code("x", "z")  # a circle ends
    finally:
        model_code._same_code.cache_clear()


def test_what_is_entered_says_what_was_compared_and_is_of_one_model_each():
    for change in json.loads(model_code.SAME.read_text())["changes"]:
        assert {"what", "before", "compared", "digests"} <= set(change)
        digests = change["digests"]
        assert len(set(digests.values())) == len(digests) and not set(digests) & set(digests.values())
