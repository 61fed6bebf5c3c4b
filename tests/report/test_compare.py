"""One's own runs on one page: the figures of the runs, tests of their differences, nothing written elsewhere."""

import csv
import dataclasses
import json
import os
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

import socialjax
from socialjax.commands import compare as command
from socialjax.data.schema import Dataset
from socialjax.eval.significance import over_trainings, paired
from socialjax.models import BPR
from socialjax.report import comparisons
from socialjax.report.compare import compare
from socialjax.report.papers import PAPERS
from socialjax.train.step import TrainSettings

TRAIN = TrainSettings(epochs=4, batch_size=64, evaluate_every=2, patience=0)


def data_of(num_items=12):
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((40, num_items)) < 0.6)
    links = ([f"u{user}" for user in range(40)], [f"u{(user * 7 + 3) % 40}" for user in range(40)])
    return Dataset.from_pairs([f"u{user}" for user in users], [f"i{item}" for item in items], links=links, name="shop")


@pytest.fixture(scope="module")
def runs():
    data = data_of()
    fit = lambda model, **more: socialjax.fit(model, data, TRAIN, seeds=2, progress=False, **more)  # noqa: E731
    return [fit("bpr"), fit("lightgcn"), fit(BPR(dim=4, item_bias=False))]


def tables(html):
    """The cells of every table of a page."""
    found, cells = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert tag not in ("script", "link", "iframe") and not any(name.startswith("on") for name, _ in attributes)
            if tag == "table":
                found.append([])
            elif tag == "tr":
                found[-1].append([])
            elif tag in ("td", "th"):
                cells.append("")

        def handle_endtag(self, tag):
            if tag in ("td", "th"):
                found[-1][-1].append(cells.pop())

        def handle_data(self, text):
            if cells:
                cells[-1] += text

    Reader().feed(html)
    return found


def test_in_a_notebook_a_report_is_html_with_all_of_its_tables(runs):
    report = compare(runs[:2])
    html = report._repr_html_()
    shown = tables(html)
    assert shown[0][0][:2] == ["", "Hit@5"] and [row[0] for row in shown[0][-2:]] == ["bpr", "lightgcn"]
    assert len(shown) == sum(
        text.count("|---|") > 0 and len(re.findall(r"^\|[-|]+$", text, re.M)) for text in report.parts.values()
    )
    for heading in report.parts:
        assert f"<h3>{heading}</h3>" in html
    assert "**" not in html and "ci95" not in html
    hostile = dataclasses.replace(report, parts={"<b>": "| <script> | **x** |\n|---|---|\n| & | \x1b |\n\n<img>"})
    assert set(re.findall(r"</?(\w+)", hostile._repr_html_())) == {
        "h3",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "p",
    }
    assert "\x1b" not in hostile._repr_html_()


def test_the_report_has_the_figures_of_the_runs_and_their_tests(runs, tmp_path):
    report = socialjax.compare(runs[:2], out=tmp_path / "report")
    bpr, lightgcn = (run.evaluate().record for run in runs[:2])
    assert re.search(rf"\| lightgcn \| .*{lightgcn.metrics['NDCG@5']['mean']:.4f}", report.parts["All models"])
    values = [
        np.stack([np.load(run.folder / f"seed_{seed}" / "per_user.npz")["NDCG@10"] for seed in run.seeds], axis=1)
        for run in runs[:2]
    ]
    values = [each.astype(np.float64) for each in values]
    users = paired(values[1].mean(axis=1), values[0].mean(axis=1))
    trainings = over_trainings(values[1].mean(axis=0), values[0].mean(axis=0))
    differences = report.parts["Differences: other users, other trainings"]
    row = next(line for line in differences.splitlines() if line.startswith("| lightgcn - bpr |"))
    for figure in (users.difference, users.low, users.high, trainings.low, trainings.high):
        assert f"{figure:+.4f}" in row
    assert bpr.metrics["NDCG@10"]["mean"] == pytest.approx(values[0].mean(), abs=1e-3)
    frame = report.to_pandas()
    assert frame.loc["bpr", "Hit@5"] == bpr.metrics["Hit@5"]["mean"] and "popularity" in frame.index
    assert repr(report).count("## ") == len(report.parts) >= 4


def test_the_folder_holds_all_of_it_and_the_page_needs_nothing_else(runs, tmp_path):
    report = compare(runs, out=tmp_path / "report", names=("plain", "graph", "no bias"))
    names = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert names == ["bars.png", "beyond.png", "figures.csv", "groups.png", "report.html", "report.md"]
    html = (tmp_path / "report" / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 3 and "http" not in html.replace("http-equiv", "")
    everything = [cell for table in tables(html) for row in table for cell in row]
    markdown = (tmp_path / "report" / "report.md").read_text()
    for run in report.runs:
        ours = f"{run.record.metrics['Hit@10']['mean']:.4f}"
        assert any(cell.startswith(ours) for cell in everything) and ours in markdown
    assert [run.name for run in report.runs] == ["plain", "graph", "no_bias"]
    assert "Every model less plain" in html and "**" not in html
    lines = list(csv.DictReader((tmp_path / "report" / "figures.csv").read_text().splitlines()))
    assert {line["model"] for line in lines} >= {"plain", "graph", "no_bias", "popularity"}


def test_metrics_beyond_accuracy_stand_in_tables_groups_frame_and_csv(runs, tmp_path):
    report = compare(runs[:2], out=tmp_path / "report")
    record = runs[1].evaluate().record
    lists, popularity, about, *groups = report.parts["Beyond accuracy"].split("\n\n")
    row = lambda table, name: next(line for line in table.splitlines() if line.startswith(f"| {name} |"))  # noqa: E731
    shown = lambda name: f"{record.beyond[name]['mean']:.4f} ±{record.beyond[name]['ci95']:.4f}"  # noqa: E731
    assert lists.splitlines()[0] == "|  | Coverage@10 | Gini@10 | Novelty@10 | ILD@10 |"
    assert row(lists, "lightgcn") == "| lightgcn | {} | {} | {} | {} |".format(
        *map(shown, ("Coverage@10", "Gini@10", "Novelty@10", "ILD@10"))
    )
    assert popularity.splitlines()[0] == "|  | Popularity@10 | Lift@10 | Head@10 | Mid@10 | Tail@10 |"
    assert f"{record.references_beyond['popularity']['Lift@10']:.4f}" in row(popularity, "popularity")
    assert "Lift@K: by which share" in about and "; full, test;" in about
    assert groups[::2] == [
        f"**{metric}@10 by {kind} of a user**"
        for kind in ("training items", "friends")
        for metric in ("Novelty", "Lift")
    ]
    values = [of.result.groups["interactions"]["[0, 8)"]["Novelty@10"] for of in (runs[1], runs[1].of_seed(1))]
    assert f"{np.mean(values):.4f}" in row(groups[1], "lightgcn")
    frame = report.to_pandas()
    assert frame.loc["lightgcn", "Gini@10"] == record.beyond["Gini@10"]["mean"]
    assert frame.loc["random", "Gini@10"] == record.references_beyond["random"]["Gini@10"]
    lines = csv.DictReader((tmp_path / "report" / "figures.csv").read_text().splitlines())
    found = {(line["model"], line["protocol"]): line for line in lines if (line["metric"], line["k"]) == ("Tail", "10")}
    assert found["lightgcn", "full"]["mean"] == f"{record.beyond['Tail@10']['mean']:.6f}"
    assert found["lightgcn", "full"]["ci95"] == f"{record.beyond['Tail@10']['ci95']:.6f}"
    assert found["random", "full"]["mean"] == f"{record.references_beyond['random']['Tail@10']:.6f}"


def test_runs_of_before_are_compared_beside_others_and_alone(runs, tmp_path):
    old = tmp_path / "bpr"
    shutil.copytree(runs[0].folder, old)
    kept = json.loads((old / "result.json").read_text())
    (old / "result.json").write_text(json.dumps({name: of for name, of in kept.items() if "beyond" not in name}))
    report = compare([old, runs[1]], out=tmp_path / "report")
    assert "| bpr | not available | not available |" in report.parts["Beyond accuracy"]
    assert (tmp_path / "report" / "beyond.png").is_file()
    assert "Beyond accuracy" not in compare([old], out=tmp_path / "alone").parts
    assert not (tmp_path / "alone" / "beyond.png").exists()


def test_runs_of_one_model_are_called_by_their_folders_and_the_baseline_is_chosen(runs, tmp_path):
    report = compare([runs[0].folder, runs[2].folder])
    assert all(run.name.startswith("bpr-socialjax-") for run in report.runs) and report.folder is None
    chosen = compare(runs, names=("a", "b", "c"), baseline="b")
    assert "**Every model less b**" in chosen.parts["Differences: other users, other trainings"]
    alone = compare(runs[:1])
    assert "Differences: other users, other trainings" not in alone.parts


def test_what_cannot_be_compared_is_refused_and_nothing_is_written(runs, tmp_path):
    other = socialjax.fit("bpr", data_of(11), TRAIN, progress=False)
    with pytest.raises(ValueError, match=r"shop: bpr-.* were not measured alike \(.*data files"):
        compare([runs[0], other], out=tmp_path / "report")
    with pytest.raises(ValueError, match="no run is called 'svd'; there are bpr, lightgcn"):
        compare(runs[:2], baseline="svd", out=tmp_path / "report")
    with pytest.raises(ValueError, match="wanted 2 different names, one for each run, got a, a"):
        compare(runs[:2], names=("a", "a"))
    with pytest.raises(ValueError, match="no folder"):
        compare([tmp_path / "nowhere"])
    assert not (tmp_path / "report").exists()


def test_a_catalogue_too_small_for_10_is_compared_at_its_own_cut_offs(tmp_path):
    data = data_of(8)
    report = compare([socialjax.fit(model, data, TRAIN, progress=False) for model in ("bpr", "lightgcn")])
    assert "Hit@5" in report.parts["All models"] and "NDCG@10" not in repr(report)


def test_the_command_prints_and_writes_the_same(runs, tmp_path, capsys, monkeypatch, logging_as_before):
    monkeypatch.chdir(tmp_path)
    assert command.main([str(runs[0].folder), str(runs[1].folder), "--out", "mine", "--full"]) == 0
    printed = capsys.readouterr().out
    assert repr(compare(runs[:2])) in printed and "written: mine/bars.png" in printed
    assert sorted(os.listdir(tmp_path)) == ["mine"]
    assert command.main([]) == 1


def cells_of(markdown, name):
    """The cells of the row of that name in each table."""
    rows = [line.split(" | ") for line in markdown.splitlines() if line.startswith(f"| {name} |")]
    return [[cell.strip("| ") for cell in row] for row in rows]


def test_a_pair_of_runs_has_one_p_wherever_it_stands_on_the_page(runs):
    """Holm's by hand: both tables are one family of three pairs and two metrics, for each question apart."""
    report = compare(runs, names=("bpr", "graph", "plain"))
    text = report.parts["Differences: other users, other trainings"]
    assert text.count("over all 6 tests of this section, each pair once") == 2
    best = max(report.runs, key=lambda run: run.record.metrics["NDCG@10"]["mean"])
    kept = {run.name: run for run in report.runs}
    pairs = [(kept["graph"], kept["bpr"]), (kept["plain"], kept["bpr"])]
    pairs += [(best, run) for run in report.runs if {best.name, run.name} not in [{a.name, b.name} for a, b in pairs]]
    pairs = [(a, b) for a, b in pairs if a.name != b.name]
    assert len(pairs) in (2, 3)
    raw = {
        (a.name, b.name, metric): paired(a.user_means(metric), b.user_means(metric)).p_t
        for a, b in pairs
        for metric in ("Hit@10", "NDCG@10")
    }
    adjusted, highest = {}, 0.0
    for place, key in enumerate(sorted(raw, key=raw.get)):
        highest = max(highest, min(1.0, raw[key] * (len(raw) - place)))
        adjusted[key] = highest
    for a, b in pairs:
        for name in (f"{a.name} - {b.name}", f"{b.name} - {a.name}"):
            for row in cells_of(text, name):
                assert row[3] == comparisons.probability(adjusted[a.name, b.name, "Hit@10"])
                assert row[8] == comparisons.probability(adjusted[a.name, b.name, "NDCG@10"])


def test_pages_of_papers_correct_each_table_by_itself():
    assert not any(paper.one_family for paper in PAPERS.values())


def test_groups_of_few_users_have_no_interval(runs):
    for heading, table in re.findall(r"\*\*(.*?)\*\*\n\n((?:\|.*\n?)+)", compare(runs[:2]).parts["Groups of users"]):
        head, _, *rows = table.splitlines()
        sizes = [int(size) for size in re.findall(r", (\d+) users", head)]
        assert sizes, heading
        for row in rows:
            for size, cell in zip(sizes, row.split("|")[2:-1], strict=True):
                assert ("too few users" in cell) == (size < 10) and ("±" in cell) == (size >= 10), (size, cell)


def test_the_screen_gets_the_figures_and_where_the_report_is_and_all_of_it_on_request(runs, tmp_path, capsys):
    folders = [str(run.folder) for run in runs[:2]]
    assert command.main([*folders, "--out", str(tmp_path / "r")]) == 0
    short = capsys.readouterr().out
    assert f"the whole report is {tmp_path / 'r' / 'report.html'}" in short and "## " not in short
    assert len(short.splitlines()) < 30
    record = runs[1].evaluate().record
    (row,) = [line for line in short.splitlines() if line.startswith("lightgcn ")][:1]
    assert f"{record.metrics['NDCG@10']['mean']:.4f} ±" in row
    report = compare(runs[:2])
    (ours,) = cells_of(report.parts["Differences: other users, other trainings"], "lightgcn - bpr")[:1]
    (line,) = [line for line in short.splitlines() if line.startswith("lightgcn - bpr ")]
    assert line.split() == ["lightgcn", "-", "bpr", *(ours[place] for place in (1, 3, 5, 6, 8, 10))]
    assert command.main([*folders, "--out", str(tmp_path / "r"), "--full"]) == 0
    assert capsys.readouterr().out.count("## ") == len(report.parts)
