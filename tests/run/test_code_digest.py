"""The digest of a model's code follows what the model is made of, and nothing else."""

import shutil

import pytest

from socialjax import models
from socialjax.run import code_digest

PARTS = "socialjax.models.parts"


@pytest.fixture
def copied(tmp_path):
    """A copy of the package, to be edited: (root, digest of a module in it)."""
    for part in ("models", "ops", "graph.py"):
        found = code_digest.ROOT / part
        place = tmp_path / "socialjax" / part
        shutil.copytree(found, place) if found.is_dir() else shutil.copy(found, place)
    root = tmp_path / "socialjax"

    def digest(module):
        path = root.joinpath(*module.split(".")[1:]).with_suffix(".py")
        return code_digest.digest.__wrapped__(module, path, root)

    return root, digest


def append(path, text):
    path.write_text(path.read_text() + text)


BPR, DIFFNET = "socialjax.models.cf.bpr", "socialjax.models.social.diffnet"


def test_each_model_has_its_own_digest():
    found = {name: code_digest.code_digest(kind) for name, kind in models.MODELS.items()}
    assert len(set(found.values())) == len(found) and all(len(digest) == 16 for digest in found.values())
    assert code_digest.code_digest(models.MODELS["bpr"]()) == found["bpr"]


def test_a_copy_elsewhere_has_the_same_digest(copied):
    assert copied[1](BPR) == code_digest.code_digest(models.MODELS["bpr"])


def test_comments_docstrings_and_layout_do_not_count(copied):
    root, digest = copied
    before = digest(BPR)
    path = root / "models" / "cf" / "bpr.py"
    text = path.read_text()
    assert text.startswith('"""') and "    def encode(" in text
    text = text.replace('"""', '"""Other words. ', 1).replace("    def encode(", "    # why\n\n    def encode(", 1)
    path.write_text(text)
    assert digest(BPR) == before
    append(path, "\n# the end\n")
    assert digest(BPR) == before


@pytest.mark.parametrize(
    "edited", ["models/cf/bpr.py", "models/parts.py", "ops/losses.py", "ops/sample.py", "graph.py"]
)
def test_code_that_the_model_uses_counts(copied, edited):
    root, digest = copied
    before = digest(DIFFNET if edited == "graph.py" else BPR)
    append(root / edited, "\nANOTHER = 1\n")
    assert digest(DIFFNET if edited == "graph.py" else BPR) != before


@pytest.mark.parametrize("edited", ["models/social/diffnet.py", "models/__init__.py", "ops/propagate.py"])
def test_code_that_the_model_does_not_use_does_not_count(copied, edited):
    root, digest = copied
    bpr, diffnet = digest(BPR), digest(DIFFNET)
    append(root / edited, "\nANOTHER = 1\n")
    assert digest(BPR) == bpr
    assert (digest(DIFFNET) != diffnet) == (edited != "models/__init__.py")


def test_imports_within_functions_and_relative_ones_are_followed(tmp_path):
    root = tmp_path / "socialjax"
    (root / "models" / "cf").mkdir(parents=True)
    (root / "ops").mkdir()
    (root / "ops" / "late.py").write_text("A = 1\n")
    (root / "models" / "beside.py").write_text("def f():\n    import socialjax.ops.late\n")
    (root / "models" / "cf" / "new.py").write_text("from ..beside import f\nimport numpy\n")
    digest = lambda: code_digest.digest.__wrapped__("socialjax.models.cf.new", root / "models" / "cf" / "new.py", root)  # noqa: E731
    before = digest()
    (root / "ops" / "late.py").write_text("A = 2\n")
    assert digest() != before
