"""Pages for newcomers: their code runs, and what they say of models and figures is so."""

import contextlib
import io
import re

import pytest

from socialjax import models
from tests.pages import ROOT

DOCS = ROOT / "docs"
WORDS = {
    "links": "links",
    "owners": "owners",
    "frames": "frames",
    "attributes": "attributes",
    "features of users": "user_features",
    "features of items": "item_features",
    "of users": "user_features",
    "of items": "item_features",
    "of users in the network": "social_features",
    "groups of items": "item_groups",
}


def run_blocks(page):
    """Runs all Python of a page in one namespace, which is returned with what was printed."""
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for block in re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S):
            exec(block, names)
    return names, printed.getvalue()


def test_the_code_for_users_of_recbole_runs_on_atomic_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    pairs = [(user, item) for user in range(40) for item in range(30) if (user * 7 + item * 3) % 4]
    files = {
        "mine.inter": ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
        + [f"u{user}\ti{item}\t{3 + (user + item) % 3}\t{978300000 + item}" for user, item in pairs],
        "mine.net": ["source_id:token\ttarget_id:token"] + [f"u{user}\tu{(user + 4) % 40}" for user in range(40)],
        "mine.item": ["item_id:token\ttitle:token_seq\tclass:token_seq"]
        + [f"i{n}\tFilm {n}\tDrama" for n in range(30)],
    }
    for name, lines in files.items():
        (tmp_path / "mine" / name).write_text("\n".join(lines) + "\n")
    names, printed = run_blocks("from_recbole.md")
    data = names["data"]
    assert (data.num_users, data.num_items, len(data.links)) == (40, 30, 40)
    assert data.describe_item(data.items.numbers("i3")[0]) == "Film 3"
    low = sum((user + item) % 3 == 0 for user, item in pairs)
    assert f"{low} pairs with a value below 4 dropped" in printed and "follower = source_id:token" in printed
    assert len(names["run"].seeds) == 2
    assert len((tmp_path / "best.csv").read_text().splitlines()) == 1 + 40 * 10


def test_the_code_for_users_of_cornac_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, printed = run_blocks("from_cornac.md")
    data, ratings = names["data"], names["ratings"]
    assert sum(map(len, (data.train, data.validation, data.test))) == sum(value >= 4 for _, _, value in ratings)
    assert len(data.links) == 40 and "Ranked(" in printed
    assert (tmp_path / "report" / "report.html").is_file()


def test_the_table_of_models_is_what_the_classes_declare():
    text = (DOCS / "choose_a_model.md").read_text()
    table = text[text.index("| model | needs |") : text.index("The score of every one is a sum")]
    rows = re.findall(r"^\| `(\w+)` \|(.*?)\|(.*?)\|(.*?)\|(.*?)\|$", table, re.M)
    assert [name for name, *_ in rows] == list(models.MODELS)
    for name, *cells in rows:
        needs, uses, new_users, key_frames = (cell.strip() for cell in cells)
        traits = models.named(name).traits
        for said, declared in ((needs, traits.needs), (uses, traits.uses)):
            assert {WORDS[word] for word in said.split(", ") if word} == set(declared), name
        assert (new_users == "yes", key_frames == "yes") == (traits.new_users, traits.ranks_frames), name
        assert traits.additive, name


def test_figures_in_the_choice_of_a_model_stand_in_the_results():
    """After tables were made anew, those of the page are to be taken from there."""
    results = (DOCS / "results.md").read_text()
    figures = re.findall(r"\b0\.\d{4}\b", (DOCS / "choose_a_model.md").read_text())
    assert len(figures) > 15 and [figure for figure in figures if figure not in results] == []


@pytest.mark.parametrize("page", ["from_recbole.md", "from_cornac.md"])
def test_defaults_that_are_named_here_are_those_of_the_code(page):
    from socialjax.train.step import TrainSettings

    text, train = (DOCS / page).read_text(), TrainSettings()
    lightgcn = models.named("lightgcn")
    wanted = {
        "from_recbole.md": {
            "`--model.dim`": f"{lightgcn.dim}",
            "`--model.depth`": f"{lightgcn.depth}",
            "`--model.l2`": f"{lightgcn.l2};",
            "`--train.batch-size`": f"{train.batch_size}",
            "`--model.negatives`": f"{lightgcn.negatives}",
            "`--train.patience`": f"{train.patience} epochs",
            "`--train.epochs`, `--train.evaluate-every`": f"{train.epochs}, {train.evaluate_every}",
            "`--train.optimizer`, `--train.learning-rate`": f"{train.optimizer}, {train.learning_rate}",
        },
        "from_cornac.md": {
            "`BPR(dim=...)`": f"{models.named('bpr').dim}",
            "`fit(epochs=...)`": f"{train.epochs},",
            "`TrainSettings(learning_rate=...)`": f"{train.learning_rate}, Adam",
            "`BPR(l2=...)`": f"{models.named('bpr').l2},",
        },
    }[page]
    for option, default in wanted.items():
        assert f"| {option} | {default}" in text, option
