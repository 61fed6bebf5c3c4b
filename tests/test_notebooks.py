"""Notebooks run, and what is kept of their outputs is small and says nothing of the machine that made it."""

import json
import os
import re

import pytest

from tests.notebooks import NOTEBOOKS, ROOT, executed

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
LARGEST = 300_000  # bytes of a file


@each
def test_outputs_that_are_kept_are_small_and_for_readers(path):
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert len(text) < LARGEST
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in code for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs), "python -m tests.notebooks --write"
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "run in order, once"
    assert not any(output.get("name") == "stderr" or output["output_type"] == "error" for output in outputs)
    shown = re.sub(r'"image/png": "[^"]*"', "", text)
    assert re.findall(r"/(?:tmp|home|root|work|Users)/", shown) == []


@each
def test_links_lead_somewhere(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not (path.parent / link).exists()] == []


@pytest.mark.slow
@each
def test_every_cell_runs(path, tmp_path, monkeypatch):
    pytest.importorskip("nbclient", reason="the extra `notebooks` is not installed")
    pytest.importorskip("ipykernel", reason="the extra `notebooks` is not installed")
    for name in ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS"):  # of the tests
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    notebook = executed(path, tmp_path)
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    kept = [output for cell in json.loads(path.read_text())["cells"] for output in cell.get("outputs", [])]
    kinds = [sorted(output.get("data", {})) for output in kept if output["output_type"] != "stream"]
    assert [
        sorted(output.data)
        for output in shown
        if output.output_type != "stream" and "application/vnd.jupyter.widget-view+json" not in output.get("data", {})
    ] == kinds, "the same tables and pictures as are kept"
