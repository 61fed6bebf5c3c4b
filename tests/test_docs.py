"""The documents hold: code runs, links lead somewhere, commands can be typed, the layout is as it is drawn."""

import ast
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import io
import itertools
import re
import shlex
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import tyro

from experiments import __main__ as listed
from socialjax import __main__ as commands_of_the_library
from socialjax import models
from socialjax.commands import train, tune
from socialjax.contract import Model
from socialjax.eval.beyond import METRICS
from socialjax.ops.losses import LOSSES
from socialjax.run import execute
from socialjax.run.command import read_arguments
from socialjax.run.settings import EvalSettings
from socialjax.run.study.settings import read_arguments as read_study
from socialjax.train.step import OPTIMIZERS, TrainSettings
from socialjax.worlds import planted
from tests import layout
from tests import pages as pages_of
from tests.pages import ROOT, blocks, comparable, python_of, shows

PAGES = ("README.md", "BUILD.md", "CONTRIBUTING.md", "SECURITY.md", "launch/README.md")
PAGES = [*(ROOT / page for page in PAGES), *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in PAGES if page.exists()]
COMMAND = re.compile(r"-m (socialjax \w+|(?:experiments|benchmarks)(?:\.\w+)?)((?: [^\s`|#)]+)*)")
SOURCE = re.compile(r"`((?:socialjax|tests|experiments|benchmarks|launch|docs)/[\w/.]+\.(?:py|sh|md))`")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def commands(page: Path) -> set[tuple[str, str]]:
    """(module, arguments) of each command of a page but those with a placeholder for the module."""
    found = set()
    for line in page.read_text().splitlines():
        # What follows two blanks is a remark; a shell's redirections and options before -m do not matter.
        for module, arguments in COMMAND.findall(re.sub(r"(?<=\S) {2,}.*", "", line)):
            module = module.replace("socialjax ", "socialjax.commands.")
            if not module.split(".")[-1].isupper():
                found.add((module, arguments.strip().rstrip(".,;:")))
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The files of add_a_model.md as modules where it puts them, and its line in the list of models."""
    page = ROOT / "docs" / "add_a_model.md"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tests" / "models"))  # worlds
        with pages_of.written(page, tmp_path_factory.mktemp("written")) as modules:
            lines = blocks(page, "diff")["socialjax/models/__init__.py"].splitlines()
            added = [line[1:] for line in lines if line[:1] == "+"]
            names: dict = {}
            exec(added[0], names)
            for name, kind in eval("{" + added[1] + "}", names).items():
                patch.setitem(models.MODELS, name, kind)
            yield modules


def test_the_page_shows_the_list_of_models_as_it_is():
    diff = blocks(ROOT / "docs" / "add_a_model.md", "diff")["socialjax/models/__init__.py"].splitlines()
    there = (ROOT / "socialjax" / "models" / "__init__.py").read_text().splitlines()
    assert [line for line in diff if line[:1] == " " and line.strip() and line[1:] not in there] == []
    assert sum(line.startswith("+") for line in diff) == 2


def test_the_pages_model_learns_on_the_real_path(written, tmp_path):
    definition = written["experiments/social_bpr_yelp.py"].DEFINITION
    data = planted.checkerboard(links=4)
    experiment = dataclasses.replace(
        definition.default,
        model=dataclasses.replace(definition.default.model, dim=8),
        train=TrainSettings(epochs=12, batch_size=256, learning_rate=0.05, evaluate_every=6, patience=0, quiet=True),
        eval=EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10)),
        workdir=tmp_path / "run",
    )
    result = execute.run(definition, experiment, data)
    assert result.model == "social_bpr"
    # `full` leaves two validation and two test items of the user's parity, and all twenty of the other.
    assert result.metrics["HR@5"]["mean"] > 0.99 > 0.3 > result.references["popularity"]["HR@5"]
    again = execute.run(definition, experiment, data)
    assert again.metrics == result.metrics, "a finished run is read back"


def test_the_pages_tests_pass(written):
    module = vars(written["tests/models/test_social_bpr.py"])
    tests = {name: test for name, test in module.items() if name.startswith("test_")}
    assert len(tests) == 3
    for test in tests.values():
        test()


def test_the_pages_twin_notices_a_deaf_model(written, monkeypatch):
    module = written["tests/models/test_social_bpr.py"]
    monkeypatch.setattr(module, "friends_of", lambda data, user: [])
    with pytest.raises(AssertionError):
        module.test_scores_equal_the_equation()


def test_the_pages_model_hears_friends_of_new_users(written):
    model, data = models.MODELS["social_bpr"](dim=4), planted.checkerboard(links=4)
    side = model.prepare(data)
    rng = np.random.default_rng(0)
    tables = {"users": rng.normal(size=(data.num_users, 4)), "items": rng.normal(size=(data.num_items, 4))}
    tables["item_bias"] = np.zeros(data.num_items)
    params = {name: table.astype(np.float32) for name, table in tables.items()}
    state = model.encode(params, side)
    alone, none = (model.new_user(state, side, np.array(items, int), np.array([], int)) for items in ([0, 2], []))
    assert alone.any() and not none.any()
    heard = model.new_user(state, side, np.array([], int), np.array([4, 6]))
    np.testing.assert_allclose(heard, params["users"][[4, 6]].mean(axis=0), rtol=1e-5, atol=1e-6)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_links_and_images_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        if not found.exists() or (anchor and found.suffix == ".md" and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


@pages
def test_files_that_are_named_exist(page):
    own = {*blocks(page, "python"), *blocks(page, "diff")}
    assert [path for path in SOURCE.findall(page.read_text()) if not (ROOT / path).exists() and path not in own] == []


@pages
def test_commands_that_are_named_can_be_typed(page, written, capsys, monkeypatch):
    wrong = []
    if page.name == "your_own_package.md":  # tests/system/test_outside_package.py runs its commands with its package
        for name in ("scaled_bpr", "scaled"):
            monkeypatch.setitem(models.MODELS, name, models.BPR)
        for registry, names in ((LOSSES, ("hinge", "my_hinge")), (OPTIMIZERS, ("warm",)), (METRICS, ("Rare",))):
            for name in names:
                monkeypatch.setitem(registry, name, print)
    for module, arguments in sorted(commands(page)):
        if module not in sys.modules and importlib.util.find_spec(module) is None:
            wrong.append(f"{module} does not exist")
            continue
        words = shlex.split(re.sub(r"--import my_ideas", "", arguments))
        if any(re.fullmatch(r"\[.*|\.\.\.|.*\b[A-Z]{2,}\b.*", word) for word in words):
            continue  # a placeholder
        try:
            parse(importlib.import_module(module), words)
        except (SystemExit, ValueError) as error:
            wrong.append(f"{module} {arguments}: {error} {capsys.readouterr().err[-500:]}")
    assert wrong == []


def parse(module, words: list[str]) -> None:
    """Reads a command line as `module` does, without acting on it."""
    if module is train:
        read_arguments(train.definition(words[0]), words[1:])
    elif hasattr(module, "DEFINITION"):
        read_arguments(module.DEFINITION, words)
    elif hasattr(module, "STUDY"):
        read_study(module.STUDY, words)
    elif hasattr(module, "COMMANDS"):
        still = {name: functools.wraps(act)(lambda *_, **__: 0) for name, act in module.COMMANDS.items()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "COMMANDS", still)
            assert module.main(words) == 0
    elif module is tune and words:
        model = models.MODELS[words[0]]
        tyro.cli(tune.Search[model], default=tune.Search(model()), args=words[1:])
    elif hasattr(module, "Arguments"):
        tyro.cli(module.Arguments, args=[word for word in words if word != "social_bpr"])  # of add_a_model.md


def commands_listed() -> str:
    """What `python -m socialjax` prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert commands_of_the_library.run(["--help"]) == 0
    return printed.getvalue()


def test_the_readmes_python_runs(tmp_path, monkeypatch):
    """And prints what stands there, to the digits that do not depend on the processor."""
    page = (ROOT / "README.md").read_text()
    (example,) = re.findall(r"^```text\n(.*?)^```", page, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for block in python_of(ROOT / "README.md"):
            exec(block, names)
    lines = comparable(printed.getvalue())
    assert shows(comparable(example), lines), printed.getvalue()
    assert not shows(comparable(example.replace("popularity", "popular")), lines)
    assert not shows(comparable(example.replace("0.2506", "0.2507")), lines), "baselines are compared to the last digit"
    assert (tmp_path / "report" / "report.html").is_file() and names["run"].seeds == [0, 1, 2]
    why = names["run"].explain("anna", "The Thin Man")[0]
    assert sum(why.parts.values()) == pytest.approx(why.score, abs=1e-5)


def test_the_python_of_the_commands_runs(tmp_path, monkeypatch):
    """On a folder with the files that it names."""
    blocks = python_of(ROOT / "docs" / "commands.md")
    people, things = [*"abcdefgh", "anna", "ben"], [*map(str, range(30)), "film"]
    (tmp_path / "mine").mkdir()
    rows = [f"{name}\t{thing}" for n, name in enumerate(people) for m, thing in enumerate(things) if (n + m) % 3]
    (tmp_path / "mine" / "mine.rating").write_text("\n".join(rows) + "\n")
    (tmp_path / "mine" / "mine.links").write_text("\n".join(f"{a}\t{b}" for a, b in itertools.pairwise(people)) + "\n")
    (tmp_path / "mine" / "mine.items").write_text("film\tThe Thin Man\n")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert blocks and [len(best) for best in names["run"].recommend(["anna", "ben"], k=3)] == [3, 3]
    assert (tmp_path / "runs" / "mine" / "result.json").is_file()


def test_the_list_of_commands_names_every_one_as_it_can_be_typed():
    text = listed.listing().replace("-m experiments.", "-m experiments ") + "\n" + commands_listed()
    entries = [
        (f"{of}.{name}".replace("socialjax.", "socialjax.commands."), words, said)
        for of, name, words, said in re.findall(r"^python -m (experiments|socialjax) (\w+)(.*)\n    (.+)$", text, re.M)
    ]
    there = {
        f"{of}.{path.stem}"
        for of in ("experiments", "socialjax.commands")
        for path in (ROOT / of.replace(".", "/")).glob("[a-z]*.py")
    }
    assert {module for module, _, _ in entries} == there
    for module, words, said in entries:
        parse(importlib.import_module(module), shlex.split(words))
        assert said.endswith("."), module
    wrong = importlib.import_module("socialjax.commands.tables")
    with pytest.raises(SystemExit):
        parse(wrong, ["keep", "--nowhere"])


def test_the_layout_is_that_of_the_docstrings():
    """After a module was added, moved or renamed: python -m tests.layout --write."""
    text = layout.PAGE.read_text()
    assert layout.updated(text) == text
    for part in layout.PARTS:
        for path in (ROOT / part).rglob("*.py"):
            assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_the_contract_on_the_page_names_every_function():
    text = (ROOT / "docs" / "architecture.md").read_text()
    contract = text[text.index("## The contract of a model") : text.index("## Training")]
    functions = {name for name in vars(Model) if not name.startswith("_")} - {"traits", "check"}
    assert {name for name in functions if f"| `{name}` |" not in contract} == set()


def test_the_picture_is_drawn_from_words_alone():
    root = ElementTree.parse(ROOT / "docs" / "architecture.svg").getroot()
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"script", "image", "foreignObject", "use"}, "GitHub shows none of these"
    words = {(element.text or "").strip() for element in root.iter()}
    assert {"files", "data", "side", "batches", "models", "train", "checkpoint", "eval", "tables", "explain"} <= words
