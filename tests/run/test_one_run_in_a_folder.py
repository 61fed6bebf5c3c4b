"""The second command in a work folder ends at once with one line, before it has read or made anything there."""

import subprocess
import sys

import pytest
from tiny import write_folder

from experiments import jifr_douban, jifr_video, planted_all, saers_amazon_fashion, sen_fashion
from socialjax.commands import tables
from socialjax.data.sources import DataSettings
from socialjax.models.cf.bpr import BPR
from socialjax.run.settings import EvalSettings
from socialjax.run.study import baselines
from socialjax.run.study.settings import Setting, Study
from socialjax.run.tuning import halving
from socialjax.run.tuning.search import Search
from socialjax.train.step import TrainSettings

pytestmark = pytest.mark.usefixtures("places")
HOLD = """
import sys
from pathlib import Path
from socialjax.run.processes import only_one, only_writer
with {what}(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held():
    """held(path, what) -> another process holds it until the end of the test."""
    others = []

    def hold(path, what="only_one"):
        others.append(
            subprocess.Popen(
                [sys.executable, "-c", HOLD.format(what=what), str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        assert others[-1].stdout.readline() == b"held\n"

    yield hold
    for other in others:
        other.communicate()


COMMANDS = {
    "jifr_video": (jifr_video.main, "--workdir"),
    "saers_amazon_fashion": (saers_amazon_fashion.main, "--workdir"),
    "sen_fashion": (sen_fashion.main, "--workdir"),
    "jifr_douban": (jifr_douban.main, "--workdir"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_experiment_is_refused_in_a_folder_that_another_has(held, name, tmp_path, capsys, logging_as_before):
    main, option = COMMANDS[name]
    held(tmp_path / "run")
    assert main([option, str(tmp_path / "run")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: another run is at work in {tmp_path / 'run'}; wait until it has ended")
    assert not list((tmp_path / "run").iterdir())


def test_a_file_that_another_writes_is_refused(held, tmp_path, capsys, logging_as_before):
    held(tmp_path / "bars.json", "only_writer")
    assert planted_all.main(["--only", "bpr", "--out", str(tmp_path / "bars.json")]) == 1
    assert capsys.readouterr().err.startswith(f"error: another run is at work on {tmp_path / 'bars.json'}; wait")
    assert not list(tmp_path.iterdir())


def test_tables_are_not_made_where_another_makes_some(held, tmp_path, capsys):
    held(tmp_path / "out")
    assert tables.main(["--paper", "diffnet", "--kept", str(tmp_path / "kept"), "--out", str(tmp_path / "out")]) == 1
    assert "another run is at work in" in capsys.readouterr().err


def test_a_search_and_a_table_are_refused(held, tmp_path, capsys, logging_as_before):
    folder, data = tmp_path / "run", DataSettings(name="plain", dir=tmp_path / "plain")
    write_folder(tmp_path / "plain", "plain", user=str, item=str, links=False)
    held(folder)
    assert halving.main(Search(BPR(), data, workdir=folder)) == 1
    assert f"another run is at work in {folder}" in capsys.readouterr().err.splitlines()[-1]
    plain = EvalSettings(protocol="full", also=(), validation_protocol="full")  # of 16 items none has 1,000 negatives
    study = Study("small", "A small table.", data, {"bpr": Setting({"dim": 4}, TrainSettings(epochs=1))}, eval=plain)
    assert baselines.main(study, ["--workdir", str(folder)]) == 1
    assert f"another run is at work in {folder}" in capsys.readouterr().err.splitlines()[-1]
    assert not list(folder.iterdir())
