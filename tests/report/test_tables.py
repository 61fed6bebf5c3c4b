"""Keeping finished runs and making tables of them; the committed tables are those of the committed results."""

import csv
import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from records import record_of

from experiments import diffnet_flickr, diffnet_pp_yelp, diffnet_yelp
from socialjax import npz_files
from socialjax.commands import tables
from socialjax.data import sources
from socialjax.data.sources import DataSettings
from socialjax.eval.beyond import METRICS
from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.svdpp import SVDpp
from socialjax.report.gather import gather, read
from socialjax.report.keep import default_name, keep, place
from socialjax.report.page import part, parts, texts, update, where_pictures_are
from socialjax.report.papers import DIFFNET, PAPERS
from socialjax.run.execute import run
from socialjax.run.settings import Definition, EvalSettings, Experiment
from socialjax.train.step import TrainSettings

pytestmark = pytest.mark.usefixtures("places")
ROOT = Path(__file__).resolve().parents[2]
PAPER = dataclasses.replace(DIFFNET, datasets=("cafes",), swept={"dim": ()})


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture(scope="module")
def runs(run_home, finished_runs):
    """Finished runs on one data set, measured by nine samples and over all items: name -> folder."""
    chosen = {"bpr": (BPR(dim=4), (0, 1)), "svdpp": (SVDpp(dim=4), (0, 1))}
    data = DataSettings(name="cafes", dir=run_home / "cafes")
    folders = {}
    for name, (model, seeds) in chosen.items():
        experiment = Experiment(
            model=model,
            data=data,
            train=TrainSettings(epochs=2, batch_size=64, evaluate_every=1, patience=0, quiet=True),
            eval=EvalSettings(
                protocol="sampled9-strict", also=("full",), validation_protocol="sampled9-strict", ks=(5, 10)
            ),
            seeds=seeds,
            workdir=run_home / "tables" / name,
        )
        run(Definition(name, "for tests", experiment), experiment, sources.load(data))
        folders[name] = run_home / "tables" / name
    # One value of a sweep, as if its seed 0 had been run at another width.
    folders["dim=2"] = shutil.copytree(folders["bpr"], run_home / "tables" / "dim=2")
    record = json.loads((folders["dim=2"] / "result.json").read_text())
    settings = record["settings"] | {"model": record["settings"]["model"] | {"dim": 2}}

    def first(found):
        values = {metric: of["values"][0] for metric, of in found.items()}
        return {metric: {"mean": value, "ci95": None, "values": [value]} for metric, value in values.items()}

    also = {protocol: first(found) for protocol, found in record["also"].items()}
    alone = {"metrics": first(record["metrics"]), "also": also, "groups": record["groups"][:1]}
    alone["beyond"] = first(record["beyond"])
    edit(folders["dim=2"] / "result.json", settings=settings, seeds=[0], **alone)
    return folders


@pytest.fixture
def kept(runs, tmp_path, capsys):
    """All of them kept, in a folder of the test's own."""
    assert tables.main(["keep", *map(str, runs.values()), "--kept", str(tmp_path / "kept"), "--dirty-ok"]) == 0
    capsys.readouterr()
    return tmp_path / "kept"


def test_a_kept_run_is_the_run_without_the_machine_it_ran_on(runs, kept, run_home):
    assert sorted(path.name for path in (kept / "cafes").iterdir()) == ["bpr", "bpr-dim=2", "svdpp"]
    for name, folder in (("bpr", runs["bpr"]), ("bpr-dim=2", runs["dim=2"])):
        text = (kept / "cafes" / name / "result.json").read_text()
        assert str(run_home) not in text and str(ROOT) not in text
        before, after = json.loads((folder / "result.json").read_text()), json.loads(text)
        assert {key for key in before if before[key] != after[key]} == {"settings", "provenance"}
        assert set(after) - set(before) == {"per_user_sha256"}
        assert set(before["settings"]) - set(after["settings"]) == {"workdir", "start_from", "mirror"}
        assert set(before["settings"]["data"]) - set(after["settings"]["data"]) == {"dir", "features"}
        one = read(kept / "cafes" / name)
        for metric in ("HR@5", "HR@10", "NDCG@5", "NDCG@10"):
            seeds = [npz_files.read(folder / f"seed_{seed}" / "per_user.npz") for seed in before["seeds"]]
            want = np.mean([seed[metric].astype(np.float64) for seed in seeds], axis=0)
            np.testing.assert_array_equal(one.user_means(metric), want)
            np.testing.assert_array_equal(one.users, seeds[0]["users"])
            values = before["metrics"][metric]["values"]
            assert want.mean() == pytest.approx(np.mean(values), abs=5e-4)


def test_metrics_on_cold_items_are_kept_where_every_seed_has_them(runs, tmp_path):
    copy = shutil.copytree(runs["bpr"], tmp_path / "copy")
    for seed in (0, 1):
        shutil.copy(copy / f"seed_{seed}" / "per_user.npz", copy / f"seed_{seed}" / "cold_per_user.npz")
    there = place(copy, tmp_path / "kept", dirty_ok=True)
    assert not keep(there)
    one = read(there.folder)
    assert (one.cold.metrics, one.cold.name) == (("HR@10", "NDCG@10"), "bpr")
    np.testing.assert_array_equal(one.cold.user_means("HR@10"), one.user_means("HR@10"))
    (copy / "seed_1" / "cold_per_user.npz").unlink()
    assert keep(there) and read(there.folder).cold is None


@pytest.mark.parametrize(
    "record, folder, name",
    [
        ({"features": "none", "settings": {"preset": None}}, "yelp", "diffnet"),
        ({"features": "given", "settings": {"preset": "authors"}}, "yelp", "diffnet-authors-features"),
        ({"features": "none", "settings": {}}, "dim=16", "diffnet-dim=16"),
        ({"features": "none", "settings": {}}, "diffnet-longer-search", "diffnet-longer-search"),
        ({"features": "none", "settings": {}}, "variant=paper,layers=all", "diffnet-variant=paper,layers=all"),
        ({"features": "given", "settings": {}}, "diffnet,use_features=True", "diffnet-features"),
    ],
)
def test_a_run_is_named_by_what_is_special_about_it(record, folder, name):
    assert default_name(Path(folder), record_of(**record, model="diffnet")) == name


def refused(capsys, *arguments) -> str:
    assert tables.main([*map(str, arguments)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


def test_what_is_no_finished_real_committed_run_is_refused(runs, finished_runs, tmp_path, capsys):
    out = ("--kept", tmp_path / "kept")
    assert "holds no finished run" in refused(capsys, "keep", tmp_path, *out)
    assert "is no folder" in refused(capsys, "keep", tmp_path / "nowhere", *out)
    assert "not a seed's" in refused(capsys, "keep", runs["bpr"] / "seed_0", *out)
    assert "--stand-in keeps it" in refused(capsys, "keep", finished_runs["stand-in"], *out)
    assert "exactly one run, got 3: " in refused(capsys, "keep", *runs.values(), "--name", "x", *out)
    copy = shutil.copytree(runs["bpr"], tmp_path / "copy")
    for commit in ("unknown", "0123abc-dirty"):
        edit(copy / "result.json", commit=commit)
        assert "--dirty-ok" in refused(capsys, "keep", copy, *out)
    edit(copy / "result.json", commit="0123abc")
    assert "wanted the name of a kept run" in refused(capsys, "keep", copy, "--name", "../x", *out)
    (copy / "seed_1" / "per_user.npz").unlink()
    assert "run seed 1 again" in refused(capsys, "keep", copy, *out)
    assert not (tmp_path / "kept").exists()


def test_the_folder_of_a_table_gives_its_runs_but_none_that_was_put_aside_or_has_not_ended(runs, tmp_path, capsys):
    table, kept = tmp_path / "table", tmp_path / "kept"
    for name, where in (("bpr", "bpr"), ("dim=2", "sweeps/bpr/dim=2"), ("svdpp", "svdpp.old-0123abcd")):
        shutil.copytree(runs[name], table / where)
    (table / "diffnet" / "seed_0").mkdir(parents=True)
    (table / "result.json").write_text('{"rows": {}}')  # a report of several runs, as it was called once
    assert tables.main(["keep", str(table), str(table / "bpr"), "--dirty-ok", "--kept", str(kept)]) == 0
    assert sorted(path.name for path in (kept / "cafes").iterdir()) == ["bpr", "bpr-dim=2"]
    said = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[0] for line in said[2:4]] == [
        f"left out: {table / 'diffnet'}",
        f"left out: {table / 'svdpp.old-0123abcd'}",
    ]
    assert said[4].startswith("kept: 2; now make the tables")
    aside = refused(capsys, "keep", table / "svdpp.old-0123abcd", "--dirty-ok", "--kept", kept)
    assert "there is no finished run among them" in aside and "put aside as out of date" in aside


def test_two_runs_of_one_name_are_refused_before_anything_is_copied(runs, tmp_path, capsys):
    other = shutil.copytree(runs["svdpp"], tmp_path / "other")
    said = refused(capsys, "keep", *runs.values(), other, "--dirty-ok", "--kept", tmp_path / "kept")
    assert f"{runs['svdpp']} and {other} would both be kept as {tmp_path / 'kept' / 'cafes' / 'svdpp'}" in said
    assert not (tmp_path / "kept").exists()


def test_a_stand_in_is_kept_apart_and_marked(finished_runs, tmp_path, capsys):
    words = ["keep", str(finished_runs["stand-in"]), "--stand-in", "--dirty-ok", "--kept", str(tmp_path)]
    assert tables.main(words) == 0
    assert tables.main(words) == 0, "keeping again replaces"
    assert "in place of the former" in capsys.readouterr().out
    dataset = "filmtrust-stand-in"
    assert [path.name for path in tmp_path.iterdir()] == [dataset]
    text = part(PAPER, gather(tmp_path, dataset, PAPER), dataset, "overall")
    assert "STAND-IN (stand-in: generated, not real data)" in text


def test_tables_hold_the_figures_of_the_runs(runs, kept, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--paper", "diffnet", "--datasets", "cafes", "--kept", str(kept), "--out", str(out)]
    assert tables.main(words) == 0
    assert capsys.readouterr().out.split() == [
        str(out / name)
        for name in (
            "diffnet-cafes.md",
            "diffnet.csv",
            *(f"diffnet-cafes-{figure}.png" for figure in ("bars", "beyond", "orders", "groups")),
        )
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in out.glob("*.png"))
    record = json.loads((runs["svdpp"] / "result.json").read_text())
    hit, references = record["metrics"]["Hit@10"], record["references"]
    page = (out / "diffnet-cafes.md").read_text()
    assert re.search(rf"\| SVD\+\+ \|.*{hit['mean']:.4f} ±{hit['ci95']:.4f}", page)
    assert "|  | Hit@5 | Hit@10 | Recall@5 | Recall@10 | NDCG@5 | NDCG@10 | MRR@5 | MRR@10 |" in page
    assert f"| popularity | {references['popularity']['Hit@5']:.4f} |" in page
    users = (
        f"{len(np.load(kept / 'cafes' / 'svdpp' / 'per_user.npz')['users'])} of 24 users are evaluated, none of them"
    )
    assert f"cafes, real data, ids only; sampled9-strict, test; {users}" in page
    assert "Recall@K: hits among the first K / number of test items." in page
    assert "SVD++ - BPR" in page and "Kendall's tau between the orders by `sampled9-strict`" in page
    for image in re.findall(r"\]\(([^)]+\.png)\)", page):
        assert (out / image).exists()
    with (out / "diffnet.csv").open() as file:
        lines = [row for row in csv.DictReader(file) if (row["model"], row["protocol"]) == ("svdpp", "full")]
    accuracy = {(m, k) for m in ("HR", "Hit", "Recall", "NDCG", "MRR") for k in "5 10".split()}
    beyond = {(name, "10") for name in METRICS if name != "FeatureILD"}
    assert {(row["metric"], row["k"]) for row in lines} == accuracy | beyond
    assert {row["seeds"] for row in lines} == {"0 1"}
    for row in lines:
        want = (record["also"]["full"] | record["beyond"])[f"{row['metric']}@{row['k']}"]
        np.testing.assert_allclose([float(row["mean"]), float(row["ci95"])], [want["mean"], want["ci95"]], atol=1e-6)


def test_groups_add_up_to_the_whole(kept):
    for one in gather(kept, "cafes", PAPER):
        for seed, groups in enumerate(one.record.groups):
            for kind in ("interactions", "social degree"):
                found = groups[kind]
                total = sum(group["users"] * group.get("HR@10", 0) for group in found.values())
                assert total / len(one.users) == pytest.approx(one.record.metrics["HR@10"]["values"][seed], abs=1e-6)


def test_sweeps_have_a_table_of_their_own_and_no_other(kept):
    found = gather(kept, "cafes", PAPER)
    text = part(PAPER, found, "cafes", "dim")
    assert re.search(r"\| HR@10 \| dim 2 \| dim 4 \|\n.*\n\| BPR \| .* \(seeds 0\) \| .* \(seeds 0 1\) \|\n\n", text)
    assert "Nothing but dim differs within a row." in text
    assert "dim" not in part(PAPER, found, "cafes", "overall")


def test_tables_that_stand_below_one_another_have_headings(kept):
    found = gather(kept, "cafes", PAPER)
    groups = part(PAPER, found, "cafes", "groups")
    assert groups.startswith("**HR@10 by training items of a user**\n\n|  | [")
    assert groups.count("\n\n|  |") == groups.count("**") / 2
    paired = part(PAPER, found, "cafes", "paired")
    assert paired.startswith("**Every model less BPR**\n\n|") and "**The best model by NDCG@10 less" in paired
    assert paired.count("seeds 0 1; commit") == groups.count("seeds 0 1; commit") == 1, "said once, below them all"


def test_a_run_older_than_its_models_code_is_stale(kept, capsys):
    assert tables.main(["check", "--kept", str(kept)]) == 0
    assert capsys.readouterr().out.endswith("kept runs: 3, stale: 0\n")
    edit(kept / "cafes" / "svdpp" / "result.json", code="0" * 16)
    assert tables.main(["check", "--kept", str(kept)]) == 1
    out = capsys.readouterr().out
    assert "STALE" in out and str(kept / "cafes" / "svdpp") in out and out.endswith("kept runs: 3, stale: 1\n")
    text = part(PAPER, gather(kept, "cafes", PAPER), "cafes", "overall")
    assert "| SVD++ |" in text and "STALE, the model's code has changed since: SVD++; run again" in text


def test_runs_that_were_measured_otherwise_are_not_compared(kept):
    path = kept / "cafes" / "svdpp" / "result.json"
    settings = json.loads(path.read_text())["settings"]
    edit(path, settings=settings | {"eval": settings["eval"] | {"seed": 1}})
    with pytest.raises(ValueError, match=r"not measured alike \(eval.seed differ"):
        gather(kept, "cafes", PAPER)


def test_files_that_do_not_belong_together_are_refused(kept):
    shutil.copy(kept / "cafes" / "bpr" / "per_user.npz", kept / "cafes" / "svdpp" / "per_user.npz")
    with pytest.raises(ValueError, match=r"not the one that belongs to result\.json; keep the run again"):
        gather(kept, "cafes", PAPER)


def test_a_page_is_made_anew_between_its_marks_and_nowhere_else(kept):
    other = "<!-- begin: another cafes overall -->\nold\n<!-- end -->\n"
    text = f"# By hand\n\n<!-- begin: diffnet cafes overall -->\nold\n<!-- end -->\nby hand\n{other}"
    once = update(text, PAPER, kept, "results/")
    assert "| SVD++ |" in once and once.startswith("# By hand\n\n<!-- begin") and once.endswith(f"by hand\n{other}")
    assert update(once, PAPER, kept, "results/") == once
    assert "(results/diffnet-cafes-bars.png)" in update(text.replace("overall", "figures"), PAPER, kept, "results/")
    assert "No finished runs on cafes are kept yet." in update(text, PAPER, kept / "nothing", "")
    for wrong, said in (
        (text.replace("cafes overall", "cafes nonsense"), "there are overall, beyond, figures, .*, dim"),
        (text.replace("diffnet cafes", "diffnet bars"), "no data set 'bars'; it has cafes"),
        (text.replace("<!-- end -->\nby", "by"), "needs its <!-- end -->"),
    ):
        with pytest.raises(ValueError, match=said):
            update(wrong, PAPER, kept, "")


def test_the_short_table_has_the_best_models_the_baseline_and_the_papers_own(kept, monkeypatch):
    from socialjax.report import overall

    def rows():
        text = part(PAPER, gather(kept, "cafes", PAPER), "cafes", "leaders")
        return [line.split(" | ")[0].strip("| ") for line in text.splitlines()[2:] if line.startswith("|")], text

    means = {run.name: run.record.metrics["NDCG@10"]["mean"] for run in gather(kept, "cafes", PAPER) if not run.swept}
    order = [{"bpr": "BPR", "svdpp": "SVD++"}[name] for name in sorted(means, key=means.get, reverse=True)]
    models, text = rows()
    assert models == [*order, "friends + popularity", "popularity"], "best first; no sweep, no random"
    assert f"| **{max(means.values()):.4f}" in text and "2 of 2 trained models" in text and "cafes, " in text
    monkeypatch.setattr(overall, "LEADERS", 1)
    assert "BPR" in rows()[0], "the baseline stands there, however it ranks"
    monkeypatch.setattr(overall, "LEADERS", 0)
    assert rows()[0] == ["BPR", "friends + popularity", "popularity"]
    monkeypatch.undo()
    edit(kept / "cafes" / "svdpp" / "result.json", code="0" * 16)
    assert "STALE, the model's code has changed since: SVD++" in rows()[1] and "**" not in rows()[1]


def test_without_kept_runs_the_command_says_how_to_keep_some(tmp_path, capsys):
    said = refused(capsys, "check", "--kept", tmp_path)
    assert f"{tmp_path} holds no kept runs;" in said and "socialjax tables keep RUN" in said
    said = refused(capsys, "--paper", "diffnet", "--kept", tmp_path, "--out", tmp_path)
    assert "holds no runs on yelp, flickr, yelp_hin; keep some with" in said


@pytest.mark.parametrize(
    "experiment", [diffnet_yelp, diffnet_pp_yelp, diffnet_flickr], ids=lambda module: module.__name__
)
def test_what_an_experiment_reports_its_table_reports_too(experiment):
    dataset = experiment.DEFINITION.default.data.name
    listed = [row.metrics for row in DIFFNET.reported if row.dataset == dataset]
    for row in experiment.DEFINITION.reported:
        assert any(row["metrics"].items() <= metrics.items() for metrics in listed), row


def test_the_committed_tables_are_made_of_the_committed_results():
    """After a run was kept, or a model's code changed: python -m socialjax tables --paper diffnet --update PAGE."""
    results, page = ROOT / "docs" / "results", ROOT / "docs" / "results.md"
    for paper in PAPERS.values():
        text = page.read_text()
        measured = [run for dataset in paper.datasets for run in gather(results, dataset, paper) if run.record.beyond]
        wanted = [name for name in parts(paper) if name != "beyond" or measured]  # runs of before have none
        assert text.count(f"<!-- begin: {paper.name} ") >= len(wanted)
        assert update(text, paper, results, where_pictures_are(results, page)) == text
        for name, content in texts(paper, results).items():
            assert (results / name).read_text() == content, name
        readme = ROOT / "README.md"
        assert update(readme.read_text(), paper, results, where_pictures_are(results, readme)) == readme.read_text()


def test_kept_results_name_no_folder_and_are_real():
    for path in (ROOT / "docs" / "results").glob("*/*/result.json"):
        record = json.loads(path.read_text())
        assert not re.search(r'"(/|~|[A-Z]:\\\\)', path.read_text()), path
        assert record["data"] == "real", path
