"""What surrounds the library agrees with it: image, workflow, hooks, templates."""

import itertools
import re
import shutil
import subprocess
import tomllib

import pytest

from tests.pages import ROOT

yaml = pytest.importorskip("yaml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
DOCKERFILE = (ROOT / "Dockerfile").read_text()
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())


def lines_of(name):
    """Without comments and blank lines."""
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]


def test_versions_are_exact_and_in_order():
    lines = lines_of("constraints.txt")
    assert lines == sorted(lines, key=str.lower) and len(lines) == len(PINNED)


def test_every_dependency_is_pinned_and_has_its_reason():
    def bare(name):
        return re.sub(r"[-_.]+", "-", name).lower()

    pinned, build = {bare(name) for name in PINNED}, bare((ROOT / "BUILD.md").read_text())
    for wanted in itertools.chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        name = bare(re.match(r"[\w.-]+", wanted)[0])
        assert name in pinned and name in build, name


def test_hooks_have_the_linter_of_the_tests():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["rev"] == f"v{PINNED['ruff']}"
    assert [hook["id"] for hook in repository["hooks"]] == ["ruff-check", "ruff-format"]
    ci = (ROOT / ".ci" / "run").read_text()
    assert "ruff check ." in ci and "ruff format --check ." in ci


def test_the_workflow_runs_what_is_run_here_with_actions_of_one_version():
    steps = WORKFLOW["jobs"]["tests"]["steps"]
    assert sum(".ci/run" in step.get("run", "") for step in steps) == 1 and (ROOT / ".ci" / "run").is_file()
    uses = [step["uses"] for step in steps if "uses" in step]
    assert uses and all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", action) for action in uses)
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_one_python_is_tested_and_others_are_among_those_that_are_promised():
    promised = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r"Python :: 3\.", line)}
    tested = (ROOT / "constraints.txt").read_text().partition("Python ")[2][:4]
    pythons = WORKFLOW["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert tested in pythons and set(pythons) <= promised
    assert f"matrix.python != '{tested}'" in WORKFLOW["jobs"]["tests"]["continue-on-error"]
    assert re.search(r"^FROM python:(\S+?)-", DOCKERFILE, re.M)[1] == tested


def test_the_images_files_and_extras_exist():
    for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M):
        assert all((ROOT / path).exists() for path in line.split())
    assert re.search(r'ENTRYPOINT \["bash", "(.+)"\]', DOCKERFILE)[1] == "launch/local.sh"
    named = re.findall(r"EXTRAS=([\w,]+)", (ROOT / "launch" / "README.md").read_text())
    named += re.findall(r"such as ([\w,]+)\.", DOCKERFILE)
    assert len(named) == 2 and set(",".join(named).split(",")) <= set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("accelerator, extras, wanted", [
    ("cpu", "", "-e . end"),
    ("cuda13", "", "-e . jax[cuda13] end"),
    ("cpu", "vision,video", "-e .[vision,video] end"),
])  # fmt: skip
def test_the_image_installs_what_its_arguments_say(accelerator, extras, wanted):
    command = re.search(r"^RUN (case .*?[^\\])\n(?! )", DOCKERFILE, re.M | re.S)[1].replace("\\\n", " ")
    command = command.replace("pip install", "echo").strip() + " end"
    done = subprocess.run(
        ["sh", "-c", command], env={"JAX": accelerator, "EXTRAS": extras}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("-c constraints.txt " + wanted)


def test_nothing_that_git_ignores_gets_into_an_image():
    ignored = set(lines_of(".dockerignore"))
    for line in lines_of(".gitignore"):
        name = line.rstrip("/")
        # Git's patterns hold at any depth unless they begin with a slash, Docker's from the root only.
        assert (name[1:] if name.startswith("/") else f"**/{name}") in ignored, line
    assert ".git" in ignored
    if not shutil.which("git") or not (ROOT / ".git").exists():
        return
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    folders = {name.removeprefix("**/") for name in ignored} - {".github", "Dockerfile"}
    assert [path for path in kept if folders & set(path.split("/"))] == [], "the image would lack them"


@pytest.mark.parametrize("name", ["bug", "feature", "question"])
def test_templates_ask_for_something(name):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    assert {"name", "description", "labels", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert any(field.get("validations", {}).get("required") for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)
    for path in re.findall(r"`(docs/\w+\.md)`", str(form)):
        assert (ROOT / path).is_file()
