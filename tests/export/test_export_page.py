"""The code of docs/export.md runs as it stands, in processes without this library, and prints what the run answers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import socialjax
from socialjax.commands import export

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "export.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
ALONE = """import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("socialjax", "flax", "optax", "orbax"):
            raise ImportError(name + " is not there")
sys.meta_path.insert(0, Missing())
"""
# On some versions of Python, SWIG's types warn when FAISS is imported: not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:builtin type:DeprecationWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder in which the page's first block ran, run)."""
    pytest.importorskip("faiss"), pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("page")
    people, films = [*"abcdefgh", "anna", "ben"], [*map(str, range(30)), "film"]
    pairs = [(name, film) for n, name in enumerate(people) for m, film in enumerate(films) if (n + m) % 3]
    pairs = [pair for pair in pairs if pair[0] != "anna"] + [("anna", film) for film in ("film", "4", "5")]
    looks = np.random.default_rng(0).normal(size=(len(films), 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        data = socialjax.Dataset.from_pairs(  # the last of each user is tested: anna has film and 4 in training
            *zip(*pairs),
            times=range(len(pairs)),
            item_features=(films, looks),
            split="leave-one-out",
            validation="none",
        )
        run = socialjax.fit("vbpr", data, epochs=2, folder="runs/mine", progress=False)
        exec(BLOCKS[0], {"socialjax": socialjax})
        exec(BLOCKS[-1], {"run": run, "features": looks[:3]})
        run.vectors().write("vectors")
    return folder, run


@pytest.mark.parametrize("block", [1, 2, 3], ids=["jax", "onnxruntime", "faiss"])
def test_a_program_of_the_page_prints_what_the_run_recommends(trained, block):
    folder, run = trained
    done = subprocess.run(
        [sys.executable, "-P", "-c", ALONE + BLOCKS[block]],
        cwd=folder,
        env={"PATH": "", "HOME": str(folder), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    printed = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    (expected,) = run.recommend("anna", k=10)
    assert [item for item, _ in printed] == [str(each.item) for each in expected] and len(printed) == 10
    np.testing.assert_allclose(
        [float(score) for _, score in printed], [each.score for each in expected], rtol=1e-4, atol=1e-6
    )


def test_the_command_writes_what_the_run_writes(trained, capsys, monkeypatch, logging_as_before):
    folder, _ = trained
    monkeypatch.chdir(folder)
    for name in ("typed.stablehlo", "typed.onnx", "typed.faiss", "typed.zip", "typed"):
        assert export.main(["runs/mine", name]) == 0
        out = capsys.readouterr().out
        assert f"{name}" in out and "10 users and 31 items: written in" in out, out
    assert Path("typed.onnx").read_bytes() == Path("model.onnx").read_bytes()
    assert Path("typed.faiss").read_bytes() == Path("items.faiss").read_bytes()
    assert sorted(os.listdir("typed")) == ["items.parquet", "users.parquet"]
    assert socialjax.load("typed.zip").recommend("anna", k=3) == socialjax.load("runs/mine").recommend("anna", k=3)


def test_the_command_says_what_is_wrong_in_a_line(trained, capsys, monkeypatch, logging_as_before):
    folder, _ = trained
    monkeypatch.chdir(folder)
    for words, message in (
        (["runs/mine", "x.pickle"], "must end in .stablehlo, .onnx, .faiss or .zip"),
        (["runs/mine", "x.onnx", "--k", "99"], "k must be in 1..31"),
        (["runs/none", "x.onnx"], "is no folder of a run"),
    ):
        assert export.main(words) == 1
        error = capsys.readouterr().err
        assert message in error and len(error.strip().splitlines()) == 1, error
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert export.main(["runs/mine", "x.faiss"]) == 1
    assert "pip install 'socialjax[ann]'" in capsys.readouterr().err
    assert not [name for name in os.listdir() if name.startswith("x")]
