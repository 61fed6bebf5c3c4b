"""The notebooks, run from the first cell to the last in a folder of their own, and their outputs for readers.

python -m tests.notebooks --write     # runs all, and keeps tables and pictures
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 600  # of a cell


def executed(path: Path, folder: Path) -> Any:
    """The notebook after all of its cells were run in `folder`, with all outputs.

    Raises:
        CellExecutionError: a cell raised an error.
    """
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def without_noise(notebook: Any) -> Any:
    """The notebook with outputs that a reader wants: no progress, no log, no times."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_progress(output)]
    return notebook


def _is_progress(output: Any) -> bool:
    return output.get("name") == "stderr" or "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def main(arguments: list[str]) -> int:
    """Exit code."""
    import nbformat

    if arguments != ["--write"]:
        print(__doc__, file=sys.stderr)
        return 2
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(without_noise(executed(path, Path(folder))), path)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
