"""The wheel: one package that is typed, has all its modules and its command, and runs away from the repository."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.pages import comparable, python_of, shows

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow  # builds in an environment of its own, which needs the package index


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # A copy: a build leaves a folder in the source tree.
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder / "source")], check=True)
    words = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(folder / "source")]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True)
    return next(folder.glob("socialjax-*.whl"))


def test_the_wheel_holds_the_package_alone_with_all_its_modules(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"socialjax"}
    wanted = {str(path.relative_to(ROOT)) for path in (ROOT / "socialjax").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == wanted and "socialjax/py.typed" in names
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "socialjax" / "templates").iterdir()}
    assert templates and templates <= set(names)
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "socialjax" / "serve" / "page").iterdir()}
    assert len(page) == 4 and page <= set(names)
    metadata = next(name for name in names if name.endswith("METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        assert b"Classifier: Typing :: Typed" in archive.read(metadata)


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """Where the wheel is installed: a folder of its own, which comes before the libraries of this environment."""
    folder = tmp_path_factory.mktemp("site")
    words = ["install", "--quiet", "--no-deps", "--target", str(folder), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True)
    return folder


@pytest.fixture
def away(site, tmp_path, monkeypatch):
    """A folder that is not the repository, and the variables of somebody who has the wheel alone."""
    for name in ("SOCIALJAX_DATA", "XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS"):  # the latter of the tests
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    return work


def readme() -> tuple[list[str], str]:
    """The Python of README.md, block by block, and what it shows as printed."""
    text = (ROOT / "README.md").read_text()
    return python_of(ROOT / "README.md"), re.search(r"^```text\n(.*?)^```", text, re.M | re.S)[1]


def figures_of(folder: Path) -> dict:
    """What a run keeps of its accuracy, by seed too."""
    record = json.loads((folder / "result.json").read_text())
    return {name: record[name] for name in ("metrics", "beyond", "references", "epoch", "seeds")}


def test_the_six_lines_print_what_readme_shows_and_are_the_command_to_the_last_digit(away, site):
    blocks, example = readme()
    script = away / "six_lines.py"
    export = "import pathlib\nfor name, rows in (('films.csv', pairs), ('films.links', links)):\n"
    export += "    pathlib.Path(name).write_text('\\n'.join(','.join(row) for row in rows) + '\\n')\n"
    script.write_text("\n".join([*blocks, export]))
    done = subprocess.run([sys.executable, "-W", "error", script.name], cwd=away, capture_output=True, text=True)
    assert done.returncode == 0 and "Warning" not in done.stderr, done.stderr
    assert shows(comparable(example), comparable(done.stdout)), done.stdout
    for said in ("data: films, real, ids only: 300 users", "model: social_lightgcn dim=64", "seed 0 epoch"):
        assert said in done.stderr
    assert (away / "report" / "report.html").is_file()

    words = ["train", "social_lightgcn", "--data.name", "films", "--data.dir", ".", "--train.epochs", "40"]
    words += ["--seeds", "0", "1", "2", "--workdir", "by_command"]
    command = subprocess.run([str(site / "bin" / "socialjax"), *words], cwd=away, capture_output=True, text=True)
    assert command.returncode == 0, command.stderr
    assert figures_of(away / "by_command") == figures_of(away / "runs" / "films")


def test_in_a_notebook_every_seed_has_one_bar_and_tables_are_tables(away):
    nbformat = pytest.importorskip("nbformat", reason="the extra `notebooks` is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra `notebooks` is not installed")
    pytest.importorskip("ipykernel", reason="the extra `notebooks` is not installed")
    (columns, lines), _ = readme()
    imports, _, rest = lines.partition("\n\n")
    cells = [f"{columns}\n{imports}", *rest.splitlines()]
    cells[-3:] = ["run.evaluate()", 'run.explain("anna", "The Thin Man")[0]', cells[-1]]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    resources = {"metadata": {"path": str(away)}}
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=600, resources=resources).execute()
    outputs = {cell.source.partition("(")[0]: cell.outputs for cell in notebook.cells}
    bars = [output for output in outputs["run = socialjax.fit"] if output.output_type == "display_data"]
    labels = [re.match(r"seed \d+", output.data["text/plain"])[0] for output in bars]
    assert labels == ["seed 0", "seed 1", "seed 2"]
    shown = [output.text for cell in notebook.cells for output in cell.outputs if output.output_type == "stream"]
    assert "data: films" in "".join(shown) and "Warning" not in "".join(shown)
    (table,) = outputs["run.evaluate"]
    assert "<table>" in table.data["text/html"] and "social_lightgcn" in table.data["text/plain"]
    report = outputs["socialjax.compare"][-1]
    assert report.data["text/html"].startswith("<h3>All models</h3>")


def test_an_installed_wheel_trains_and_recommends_away_from_the_repository(site, away):
    work = away
    pairs = "".join(f"u{user} i{(user * 3 + step) % 20}\n" for user in range(12) for step in range(8))
    (work / "mine.rating").write_text(pairs)

    def run(*words):
        done = subprocess.run([str(site / "bin" / "socialjax"), *words], cwd=work, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = [sys.executable, "-c", "import socialjax; print(socialjax.__file__)"]
    assert subprocess.run(where, cwd=work, capture_output=True, text=True).stdout.startswith(str(site))
    run("train", "bpr", "--data.name", "mine", "--data.dir", ".", "--train.epochs", "1", "--seeds", "0")
    assert "i" in run("recommend", "runs/bpr/mine", "--user", "u3", "--k", "2")
