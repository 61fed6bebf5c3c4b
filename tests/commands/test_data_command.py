"""`python -m socialjax data`: what it prints and how it ends."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from socialjax.commands import data as command
from socialjax.data.sources import DataSettings, load


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    real = os.environ.get("SOCIALJAX_DATA")
    monkeypatch.delenv("SOCIALJAX_DATA", raising=False)
    return real


@pytest.fixture
def real(places, monkeypatch):
    if not places:
        pytest.skip("set SOCIALJAX_DATA to the folder that holds yelp/, flickr/, ... to run this test")
    monkeypatch.setenv("SOCIALJAX_DATA", places)


def own_folder(tmp_path):
    rows = [f"{user}\t{item}\t1\n" for user in range(20) for item in range(user % 5, 12)]
    (tmp_path / "mine.rating").write_text("".join(rows))
    (tmp_path / "mine.links").write_text("0\t1\n1\t0\n2\t3\n")
    return ["--data.dir", str(tmp_path)]


def test_list_shows_every_set_its_size_and_that_it_is_not_there(capsys):
    assert command.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["set", "users", "items", "pairs", "links", "files", "licence"]
    assert lines[1].startswith("yelp       17,237  38,342  207,945  143,765  not found (fetch yelp)")
    assert {line.split()[0] for line in lines[1:5]} == {"yelp", "flickr", "lastfm", "filmtrust"}


def test_list_says_where_the_files_are(real, capsys):
    assert command.main(["list"]) == 0
    assert f"$SOCIALJAX_DATA: {os.environ['SOCIALJAX_DATA']}/flickr" in capsys.readouterr().out


def test_check_passes_on_the_real_files(real, capsys):
    assert command.main(["check", "yelp", "filmtrust"]) == 0
    out = capsys.readouterr().out
    assert "yelp (real data; ids only, no features)" in out and "0 differ" in out and "differs" not in out
    assert ["reciprocated", "links", "28,516", "28,516", "ok"] in [line.split() for line in out.splitlines()]


def test_check_exits_1_and_shows_what_differs(real, monkeypatch, capsys):
    facts = {"users": 1642, "reciprocated links": 7, "social degree": (1, 2, 3)}
    entry = dataclasses.replace(command.PUBLISHED["filmtrust"], facts=facts)
    monkeypatch.setitem(command.PUBLISHED, "filmtrust", entry)
    assert command.main(["check", "filmtrust"]) == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["users", "1,642", "1,642", "ok"] in lines
    assert ["reciprocated", "links", "7", "1,088", "differs"] in lines
    assert "filmtrust: 3 figures known, 2 differ" in " ".join(" ".join(line) for line in lines)


def test_check_needs_real_data_and_goes_on_with_the_others(tmp_path, monkeypatch, capsys):
    (tmp_path / "yelp").mkdir()
    monkeypatch.setenv("SOCIALJAX_DATA", str(tmp_path))
    assert command.main(["check", "yelp", "nosuch"]) == 1
    out = capsys.readouterr().out
    assert "lacks yelp.train.rating" in out and "'nosuch' is none of the published sets" in out


def test_check_prints_the_figures_of_ones_own_folder(tmp_path, capsys):
    assert command.main(["check", "mine", *own_folder(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert ["reciprocated", "links", "2"] in [line.split() for line in out.splitlines()]
    assert "note: one file split by leave-one-out" in out
    assert (
        command.main(["check", "mine", *own_folder(tmp_path), "--data.split", "ratio", "--data.ratios", "0.1", "0.2"])
        == 0
    )
    assert "note: one file split by ratio (0.1, 0.2)" in capsys.readouterr().out


def test_describe_shows_what_training_with_the_same_options_sees(tmp_path, capsys):
    lines = [f"u{u},i{i},{1 + (u + i) % 5},2024-0{1 + i % 9}-01\n" for u in range(8) for i in range(9)]
    (tmp_path / "mine.csv").write_text("member,sku,grade,day\n" + "".join(lines))
    options = ["--data.dir", str(tmp_path), "--data.columns", "value=grade", "time=day"]
    options += ["--data.min-value", "2", "--data.split", "time", "--data.ratios", "0.1", "0.2"]
    assert command.main(["describe", "mine", *options, "--out", str(tmp_path / "page.png")]) == 0
    out = capsys.readouterr().out
    data = load(
        DataSettings(
            name="mine", dir=tmp_path, columns=("value=grade", "time=day"), min_value=2, split="time", ratios=(0.1, 0.2)
        )
    )
    rows = [line.split() for line in out.splitlines()]
    assert ["train", str(len(data.train))] in rows and ["test", str(len(data.test))] in rows
    assert ["test", "2024-08-01", "to", "2024-09-01"] in rows
    assert all(f"repair   {line}" in out for line in data.provenance.repairs)
    with Image.open(tmp_path / "page.png") as picture:
        assert picture.width > 2 * picture.height  # degrees, and pairs over time beside them
    assert command.main(["describe", "mine", "--data.name", "other", *options]) == 1
    assert "wanted one name for each set, got mine and --data.name other" in capsys.readouterr().err


def test_describe_shows_counts_degrees_and_origin(tmp_path, capsys):
    assert command.main(["describe", "mine", *own_folder(tmp_path)]) == 0
    out = capsys.readouterr().out
    for part in (
        "mine (real data",
        "density",
        "train items per user: median",
        "####",
        f"source   {tmp_path}",
        "sha256",
    ):
        assert part in out
    assert out.count("followees per user") == 1


def test_describe_calls_the_stand_in_by_its_name_and_plots(tmp_path, capsys):
    plot = tmp_path / "plots" / "degrees.png"
    assert command.main(["describe", "filmtrust", "--offline", "--out", str(plot)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("filmtrust (stand-in: generated, not real data") and "generated (version 1, seed 0)" in out
    assert plot.read_bytes().startswith(b"\x89PNG") and [p.name for p in plot.parent.iterdir()] == ["degrees.png"]


def test_the_histogram_counts_everybody_once():
    count = np.array([0, 0, 1, 2, 3, 3, 4, 9])
    rows = [line.split() for line in command._histogram(count).splitlines()]
    assert [(row[0], row[1]) for row in rows] == [("0", "2"), ("1", "1"), ("2-3", "3"), ("4-7", "1"), ("8-15", "1")]


def test_trouble_is_one_line_without_traceback(tmp_path):
    environment = {**os.environ, "SOCIALJAX_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "socialjax", "data", "fetch", "nosuch"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 1 and done.stdout == ""
    assert (
        done.stderr
        == "error: 'nosuch' is none of the published sets: yelp, flickr, lastfm, filmtrust, yelp_hin, hasc_fs, tiktok\n"
    )
