"""A package that socialjax knows nothing of, as docs/your_own_package.md shows it: installed, or imported by name."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.pages import blocks

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "your_own_package.md"


def installed(folder: Path, entries: dict[str, dict[str, str]]) -> None:
    """The package of the page in a folder of packages, with the metadata that an installer leaves."""
    for path, code in blocks(PAGE, "python").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(code)
    info = folder / "reading-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: reading\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {where}\n" for name, where in of.items()) for group, of in entries.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


def entry_points() -> dict[str, dict[str, str]]:
    (toml,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    return tomllib.loads(toml)["project"]["entry-points"]


def typed(*words: str, site: Path, folder: Path, ok: bool = True) -> str:
    """What a command prints, in a process of its own that finds the packages of `site`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    environment.pop("SOCIALJAX_IMPORT", None)
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    installed(folder, entry_points())
    return folder


@pytest.fixture(scope="module")
def trained(site, tmp_path_factory):
    """(working folder, what training printed): a run of the outside model, loss and optimiser on the outside data."""
    folder = tmp_path_factory.mktemp("work")
    words = "train scaled_bpr --data.name club --model.objective hinge --model.scale 2.0 --train.optimizer warm"
    words += " --train.epochs 4 --eval.metrics Rare"
    return folder, typed("-m", "socialjax", *words.split(), site=site, folder=folder)


RUN = "runs/scaled_bpr/club"


def test_an_installed_package_trains_and_answers_in_new_processes(site, trained):
    folder, out = trained
    assert "Rare@10" in out and json.loads((folder / RUN / "result.json").read_text())["beyond"]["Rare@10"]["mean"] > 0
    assert "model: scaled_bpr dim=64 objective=hinge" in out and "scale=2.0" in out and "30 items" in out
    settings = json.loads((folder / RUN / "settings.json").read_text())["settings"]
    assert settings["model"]["name"] == "scaled_bpr" and settings["train"]["optimizer"] == "warm"
    here = {"site": site, "folder": folder}
    assert "book" in typed("-m", "socialjax", "recommend", RUN, "--user", "reader 3", **here)
    assert "book 3" in typed("-m", "socialjax", "explain", RUN, "--user", "reader 3", "--item", "book 3", **here)
    assert "finished before" in typed("-m", "socialjax", "train", "--settings", f"{RUN}/settings.json", **here)


def test_a_program_loads_it_by_its_name_alone(site, trained):
    folder, _ = trained
    code = (
        f"import socialjax, json; run = socialjax.load({RUN!r}); "
        "scores = run.score('reader 3', ['book 1', 'book 2']).tolist(); "
        "print(json.dumps([type(run.model).__module__, run.model.scale, scores]))"
    )
    module, scale, scores = json.loads(typed("-c", code, site=site, folder=folder).splitlines()[-1])
    assert (module, scale) == ("reading", 2.0)
    assert np.abs(scores).max() > 0


def test_its_settings_are_searched_and_compared_with_the_librarys(site, trained):
    folder, _ = trained
    here = {"site": site, "folder": folder}
    searched = "tune scaled_bpr --data.name club --trials 2 --rungs 4 --jobs 2 --seeds 0"
    out = typed("-m", "socialjax", *searched.split(), **here)
    best = json.loads((folder / "runs/tune/scaled_bpr/club/best.json").read_text())
    assert best["settings"]["model"]["name"] == "scaled_bpr" and "scale" in out
    typed("-m", "socialjax", *"train bpr --data.name club --train.epochs 4 --eval.metrics Rare".split(), **here)
    typed("-m", "socialjax", "compare", RUN, "runs/bpr/club", "--out", "report", **here)
    page = (folder / "report" / "report.html").read_text()
    assert "scaled_bpr" in page and "bpr" in page and "Rare@10" in page


def test_models_lists_it_with_its_package(site, trained):
    out = typed("-m", "socialjax", "models", site=site, folder=trained[0])
    assert re.search(r"^scaled_bpr .*BPR whose vectors of users are scaled .*\(reading\)$", out, re.M)
    assert "--model.scale" in typed("-m", "socialjax", "models", "scaled_bpr", site=site, folder=trained[0])


def test_without_the_package_the_sentence_says_how_it_gets_here(trained, tmp_path):
    folder, _ = trained
    out = typed("-m", "socialjax", "recommend", RUN, "--user", "reader 3", site=tmp_path, folder=folder, ok=False)
    assert "names model 'scaled_bpr', which is none of bpr, fm" in out and "--import PACKAGE" in out
    assert "Traceback" not in out


def test_a_module_of_the_folder_is_imported_by_name(tmp_path, trained):
    (tmp_path / "reading").mkdir()
    (tmp_path / "reading" / "__init__.py").write_text(blocks(PAGE, "python")["reading/__init__.py"])
    registers = re.search(r"^# my_ideas.py\n(.*?)^```", PAGE.read_text(), re.M | re.S)[1]
    (tmp_path / "my_ideas.py").write_text(registers + "from reading import club\nsocialjax.DATASETS['club'] = club\n")
    here = {"site": tmp_path / "nothing", "folder": tmp_path}
    words = "train scaled --import my_ideas --data.name club --model.objective my_hinge --train.epochs 2 --workdir run"
    typed("-m", "socialjax", *words.split(), **here)
    assert "book" in typed("-m", "socialjax", "recommend", "run", "--user", "reader 3", "--import=my_ideas", **here)
    refused = typed("-m", "socialjax", "recommend", "run", "--user", "reader 3", **here, ok=False)
    assert "names model 'scaled'" in refused
    refused = typed("-m", "socialjax", "models", "--import", "nowhere", **here, ok=False)
    assert "--import nowhere: ModuleNotFoundError" in refused and "Traceback" not in refused


def test_a_broken_package_hurts_nobody_else(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    installed(
        site, {"socialjax.models": {"gone": "reading.gone:Model"}, "socialjax.datasets": {"half": "reading:half"}}
    )
    out = typed("-m", "socialjax", "models", site=site, folder=tmp_path)
    assert "model 'gone' is the entry point reading.gone:Model of the package reading" in out and "diffnet" in out
    refused = typed("-m", "socialjax", "train", "gone", site=site, folder=tmp_path, ok=False)
    assert "cannot be loaded" in refused and "Traceback" not in refused
    refused = typed("-m", "socialjax", *"train bpr --data.name half".split(), site=site, folder=tmp_path, ok=False)
    assert "data set 'half'" in refused and "cannot be loaded" in refused and "Traceback" not in refused
