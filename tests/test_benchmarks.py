"""What `python -m benchmarks.run` computes of what programs report, and the environments of other libraries."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cost, run
from benchmarks.children import last_line
from benchmarks.peers import environments
from socialjax.models import DiffNet
from socialjax.worlds.planted import checkerboard

PEERS = Path(run.__file__).parent / "peers"


def test_ratios_are_those_of_each_turn():
    """The machine was twice as slow in the second turn, for both: the ratio of the medians would say .75."""
    report = lambda *seconds: [  # noqa: E731
        {"seconds": s, "first_step_seconds": 1.0, "peak_memory_bytes": 10, "loss": s} for s in seconds
    ]
    found = run.summary(report(2.0, 4.0, 2.0), report(1.0, 2.0, 1.5))
    assert found["ratio"] == 0.5 and found["seconds"] == 2.0 and found["turns"] == [2.0, 4.0, 2.0]
    assert found["loss"] == 2.0


def test_pairs_and_friends_for_others_are_those_of_our_models(tmp_path):
    data = checkerboard(links=3)
    run.write_pairs(data, tmp_path / "pairs.npz")
    with np.load(tmp_path / "pairs.npz", allow_pickle=False) as file:
        given = dict(file)
    np.testing.assert_array_equal(given["user"], data.train.user)
    social = DiffNet().prepare(data).social
    senders, receivers, weight = (np.asarray(part) for part in (social.senders, social.receivers, social.weight))
    held = receivers < data.num_users
    ours = sorted(zip(receivers[held].tolist(), senders[held].tolist(), weight[held].tolist()))
    degree = np.bincount(given["friend_of"], minlength=data.num_users)
    theirs = [(a, b, 1 / degree[a]) for a, b in zip(given["friend_of"].tolist(), given["friend"].tolist())]
    assert [pair[:2] for pair in ours] == sorted(pair[:2] for pair in theirs)
    assert [pair[2] for pair in ours] == pytest.approx([pair[2] for pair in sorted(theirs)])


def test_every_case_names_a_program_that_is_there():
    jobs = {case.job for case in run.cases("adam")}
    assert jobs | {"startup", "memory"} == set(run.JOBS)
    for case in run.cases("adam"):
        assert (PEERS.parent / f"{case.ours[0].rpartition('.')[2]}.py").is_file()
        for library, script, *_ in case.peers.values():
            assert library in environments.PINNED and (PEERS / script).is_file()
        assert case.peer_units.keys() <= case.peers.keys()


def test_what_is_asked_for_must_exist():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "speed"], capture_output=True, text=True, cwd=PEERS.parents[1]
    )
    assert done.returncode == 2 and "there is no job speed; there are bpr, graph, evaluate" in done.stderr


def test_a_library_that_does_not_install_is_named_with_pips_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setitem(environments.PINNED, "implicit", ("socialjax-has-no-such-peer==1.0",))
    pythons, missing = run.installed({"implicit"}, tmp_path / "peers")
    assert pythons == {} and "socialjax-has-no-such-peer==1.0: ERROR: No matching" in missing["implicit"]
    assert "implicit is left out, it does not install here" in capsys.readouterr().err
    assert not (tmp_path / "peers" / "implicit" / environments.COMPLETE).exists()


def test_an_environment_is_kept_and_what_is_none_is_never_emptied(tmp_path, monkeypatch):
    monkeypatch.setitem(environments.PINNED, "torch", ())
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="--peers-folder"):
        environments.python_of("torch", tmp_path)
    assert (tmp_path / "torch" / "thesis.txt").read_text() == "mine"
    (tmp_path / "torch" / environments.COMPLETE).write_text("")
    assert environments.python_of("torch", tmp_path) == tmp_path / "torch" / "bin" / "python"


def test_a_program_that_fails_says_so(tmp_path):
    with pytest.raises(RuntimeError, match="nothing here"):
        last_line([sys.executable, "-c", "raise SystemExit('nothing here')"], {})
    assert last_line([sys.executable, "-c", "print('words'); print('{\"a\": 1}')"], {}) == {"a": 1}


def test_negatives_of_others_were_not_taken():
    script = f"""
import sys; sys.path.insert(0, {str(PEERS)!r}); sys.argv = ["", ""]
import json, numpy as np
from measure import Pairs
draw = np.random.default_rng(0)
user, item = draw.integers(0, 5, 60), draw.integers(0, 30, 60)
pairs, taken, seen = Pairs(user, item, 30, 16), set(zip(user.tolist(), item.tolist())), []
for _ in range(9):
    users, items, negatives = pairs.next()
    seen.append(set(zip(users.tolist(), items.tolist())) <= taken)
    seen.append(not set(zip(users.tolist(), negatives.tolist())) & taken)
print(json.dumps(dict(right=all(seen), batches=len(seen))))
"""
    assert last_line([sys.executable, "-c", script], {}) == {"right": True, "batches": 18}


def test_prices_are_those_that_made_the_costs_and_none_is_below_zero():
    draw = np.random.default_rng(0)
    rows = [{"pair": pair, "float": 64 * pair, "missed": miss} for pair, miss in draw.integers(1, 100, (6, 2)).tolist()]
    made = {"pair": 0.0, "float": 2e-9, "missed": 3e-7}
    found = cost.price(rows, [cost.cost(row, made) for row in rows])
    assert found["pair"] + 64 * found["float"] == pytest.approx(64 * made["float"])
    assert found["missed"] == pytest.approx(made["missed"]) and min(found.values()) >= 0
    falling = [{"one": 1.0, "size": size} for size in (1.0, 2.0, 3.0)]
    assert cost.price(falling, [3.0, 2.0, 1.0])["size"] == 0


def test_a_step_costs_more_where_tables_miss_the_cache():
    small, large = cost.Case("rows", 10_000, 8, 64), cost.Case("rows", 10**6, 8, 64)
    assert cost.step_terms(small, 1, 1)["missed float"] == 0
    found = cost.step_terms(large, 1, 1)
    assert 0.9 * found["float"] < found["missed float"] < found["float"] == 1024 * 3 * 64
    whole = cost.step_terms(cost.Case("whole", 10_000, 8, 32), pairs=70, links=100)
    assert whole == {"edge float": 270 * 32, "missed edge float": 0, "row float": 20_000 * 32}


def test_a_plan_divides_what_is_held_by_the_devices():
    one, two = (cost.plan(**cost.HUGE, devices=devices) for devices in (1, 2))
    assert one["held"] == 2 * two["held"] and one["sent"] == 0 < two["sent"]
    assert one["tables, Adam"] == 3 * 4 * 64 * 110e6 and one["edges"] == 24 * 11e9
