"""The wheel: one package that is typed, has all its modules and its command, and runs away from the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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


def test_an_installed_wheel_trains_and_recommends_away_from_the_repository(wheel, tmp_path):
    """Beside the libraries of this environment, in a folder of its own that comes first."""
    site, work = tmp_path / "site", tmp_path / "work"
    words = ["install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True)
    work.mkdir()
    pairs = "".join(f"u{user} i{(user * 3 + step) % 20}\n" for user in range(12) for step in range(8))
    (work / "mine.rating").write_text(pairs)
    environment = {**os.environ, "PYTHONPATH": str(site), "SOCIALJAX_CACHE": str(tmp_path / "cache")}
    environment.pop("SOCIALJAX_DATA", None)

    def run(*words):
        done = subprocess.run(
            [str(site / "bin" / "socialjax"), *words], cwd=work, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = [sys.executable, "-c", "import socialjax; print(socialjax.__file__)"]
    assert subprocess.run(where, cwd=work, env=environment, capture_output=True, text=True).stdout.startswith(str(site))
    run("train", "bpr", "--data.name", "mine", "--data.dir", ".", "--train.epochs", "1", "--seeds", "0")
    assert "i" in run("recommend", "runs/bpr/mine", "--user", "u3", "--k", "2")
