"""Run folders with one file damaged: the same answers, or one clear line; never a traceback.

A folder that is read all the same must answer as before, unless what was changed is a choice of settings.json that its
parameters do not depend on.
"""

import contextlib
import shutil
import time

import numpy as np
import pytest
from damage import damage

import socialjax
from socialjax.data.validate import DataError
from socialjax.names import visible
from socialjax.report import keep
from socialjax.train.checkpoint import CheckpointError

pytestmark = pytest.mark.usefixtures("places")
CLEAR = (ValueError, DataError, CheckpointError)


@contextlib.contextmanager
def one_clear_error(folder, case):
    """Whatever is raised is one of ours, and says which file or folder it is about."""
    begin = time.monotonic()
    try:
        yield
    except CLEAR as error:
        message = visible(str(error))
        assert len(message) < 3_000, (case, message[:300])
        assert any(part in message for part in (folder.name, "settings.", "--data.", ".json")), (case, message)
    except BaseException as error:
        raise AssertionError(f"{case}: {type(error).__name__}: {error}") from error
    assert time.monotonic() - begin < 60, case


def answers(folder, data_dir, users):
    run = socialjax.load(folder, data_dir=data_dir)
    return run.recommend(users, k=5)


@pytest.mark.parametrize("cases", [60, pytest.param(2_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name, data, users", [("diffnet", "cafes", ["guest1", "guest5"]), ("bpr", "plain", ["1", "5"])]
)
def test_a_damaged_run_answers_as_before_or_in_one_line(finished_runs, run_home, tmp_path, name, data, users, cases):
    rng, outcomes = np.random.default_rng(cases), {"same": 0, "other": 0, "refused": 0}
    expected = answers(finished_runs[name], run_home / data, users)
    for number in range(cases):
        folder = shutil.copytree(finished_runs[name], tmp_path / "theirs", symlinks=True)
        file, outcome = damage(rng, folder), "refused"
        with one_clear_error(folder, (number, file)):
            outcome = "same" if answers(folder, run_home / data, users) == expected else "other"
        assert outcome != "other" or file == "settings.json", (number, file)
        outcomes[outcome] += 1
        shutil.rmtree(folder)
    assert min(outcomes["same"], outcomes["refused"]) > cases / 20, outcomes


@pytest.mark.parametrize("cases", [40, pytest.param(2_000, marks=pytest.mark.slow)])
def test_a_damaged_result_is_kept_as_it_was_or_refused_in_one_line(finished_runs, tmp_path, cases):
    rng, outcomes = np.random.default_rng(cases), {"kept": 0, "refused": 0}
    for number in range(cases):
        folder = shutil.copytree(finished_runs["diffnet"], tmp_path / "theirs", symlinks=True)
        file, outcome = damage(rng, folder), "refused"
        before = sorted(path.name for path in tmp_path.iterdir())
        with one_clear_error(folder, (number, file)):
            for each in keep.places([folder], tmp_path / "kept", dirty_ok=True):
                keep.keep(each)
            outcome = "kept"
        outcomes[outcome] += 1
        assert sorted(path.name for path in tmp_path.iterdir() if path.name != "kept") == before, (number, file)
        shutil.rmtree(folder)
        shutil.rmtree(tmp_path / "kept", ignore_errors=True)
    assert min(outcomes.values()) > cases / 20, outcomes
