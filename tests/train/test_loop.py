"""Training stops when it should, returns the best epoch, and comes back from any stop as if there had been none."""

import dataclasses
import json
import math
import os
import pty
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from socialjax.contract import Traits
from socialjax.eval import protocol, ranking
from socialjax.models import BPR
from socialjax.stop import Interrupted
from socialjax.train import log, loop
from socialjax.train.checkpoint import CheckpointError, Checkpoints, read_best
from socialjax.train.loop import Diverged, train
from socialjax.train.step import METRIC, TrainSettings

pytestmark = pytest.mark.usefixtures("compiled_as_for_users")  # what is promised here is bits
MODEL = BPR(dim=4, dropout=0.2, init_std=0.1)
BATCH = 128
SETTINGS = TrainSettings(epochs=6, batch_size=BATCH, evaluate_every=2, patience=0, save_seconds=0, quiet=True)


@pytest.fixture(scope="module")
def per_epoch(pairs):
    steps = -(-len(pairs.users) // BATCH)
    assert steps >= 4, "the tests stop in the middle of an epoch"
    return steps


@pytest.fixture(scope="module")
def begin(world, pairs):
    """begin(folder, settings, **more) -> Trained."""
    side = MODEL.prepare(world)
    lists = protocol.candidates(world, protocol.parse("full", ks=(10,)), "validation")

    def validate(params):
        return ranking.evaluate(MODEL, params, side, lists).mean()

    def start(folder, settings=SETTINGS, model=MODEL, **more):
        folder.mkdir(exist_ok=True)
        more = {"validate": validate, "devices": jax.devices()[:1], **more}
        return train(model, side, pairs, settings, 7, folder, more.pop("fingerprint", "print"), **more)

    return start


@pytest.fixture(scope="module")
def unbroken(begin, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return begin(folder), folder


def metrics_of(folder):
    """metrics.jsonl but for the times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def latest(folder):
    """(step, digests of all arrays of the state and the best, what is remembered of the best) of what is on disk."""
    _, notes = read_best(folder / "checkpoints")
    step = max(int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit())
    return step, notes["arrays"], notes["best"], notes["best_step"]


def assert_same(one, other):
    """(Trained, folder) twice: everything is equal bit for bit, but for the times."""
    (trained, folder), (again, there) = one, other
    jax.tree.map(np.testing.assert_array_equal, trained.params, again.params)
    assert (trained.epoch, trained.validation) == (again.epoch, again.validation)
    assert metrics_of(folder) == metrics_of(there)
    assert latest(folder) == latest(there)


def stop_at(monkeypatch, step, number=signal.SIGTERM):
    """Sends the signal when training has reached that step; one step a call on the device."""
    monkeypatch.setattr(loop, "CALL_SECONDS", 1e-9)
    shown = log.TrainingLog.progress

    def progress(self, now, loss):
        shown(self, now, loss)
        if now == step:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(log.TrainingLog, "progress", progress)


def scripted(values):
    """validate() that returns these values of the metric, one a call, and keeps the parameters it was asked about."""
    asked = []

    def validate(params):
        asked.append(jax.tree.map(np.array, params))
        return {METRIC: values[len(asked) - 1]}

    return validate, asked


@pytest.mark.parametrize("step", [1, 3, 8, 12, 17])  # some within an epoch, some at its end
def test_a_stopped_run_goes_on_to_the_same_end(begin, unbroken, tmp_path, monkeypatch, step):
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Interrupted) as stop:
            begin(tmp_path)
    assert stop.value.signal == signal.SIGTERM
    assert latest(tmp_path)[0] == step
    assert_same(unbroken, (begin(tmp_path), tmp_path))


def test_stopping_again_and_again_changes_nothing(begin, unbroken, tmp_path, monkeypatch):
    for step in (2, 5, 11, 20):
        with monkeypatch.context() as patch, pytest.raises(Interrupted, match=r"SIGINT.*same command"):
            stop_at(patch, step, signal.SIGINT)
            begin(tmp_path)
    assert_same(unbroken, (begin(tmp_path), tmp_path))


@pytest.mark.parametrize("call_seconds", [1e-9, 1e9])
def test_the_length_of_calls_changes_nothing(begin, unbroken, tmp_path, monkeypatch, call_seconds):
    monkeypatch.setattr(loop, "CALL_SECONDS", call_seconds)
    assert_same(unbroken, (begin(tmp_path), tmp_path))


def test_how_often_is_saved_changes_nothing(begin, unbroken, tmp_path):
    assert_same(unbroken, (begin(tmp_path, dataclasses.replace(SETTINGS, save_seconds=1e6)), tmp_path))


def test_long_epochs_are_saved_in_between(begin, tmp_path, monkeypatch, per_epoch):
    steps, save = [], Checkpoints.save
    monkeypatch.setattr(loop, "CALL_SECONDS", 1e-9)
    monkeypatch.setattr(Checkpoints, "save", lambda self, step, *rest: (steps.append(step), save(self, step, *rest)))
    begin(tmp_path, dataclasses.replace(SETTINGS, epochs=1, save_seconds=1e-6))
    assert steps[:per_epoch] == list(range(1, per_epoch + 1))


def test_lines_beyond_the_checkpoint_are_cut_back_and_written_again(begin, unbroken, tmp_path, per_epoch, monkeypatch):
    """What a kill leaves between a line and its checkpoint: lines ahead of it, the last one cut off."""
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at(patch, 2 * per_epoch + 1)
        begin(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"epoch": 4, "step": 4 * per_epoch, "loss": 99.0}) + '\n{"epoch": 6, "st')
    assert_same(unbroken, (begin(tmp_path), tmp_path))


def test_a_damaged_newest_checkpoint_costs_time_but_changes_nothing(begin, unbroken, tmp_path, per_epoch, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at(patch, 2 * per_epoch + 1)
        begin(tmp_path)
    for path in (tmp_path / "checkpoints" / str(2 * per_epoch + 1)).rglob("d/*"):
        path.write_bytes(path.read_bytes()[:-7])
    assert_same(unbroken, (begin(tmp_path), tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_a_checkpoint_is_read_is_no_damage(begin, unbroken, tmp_path, monkeypatch, number):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at(patch, 7)
        begin(tmp_path)
    steps = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    read = Checkpoints._read

    def at_work(self, *of):
        os.kill(os.getpid(), number)
        return read(self, *of)

    with monkeypatch.context() as patch, pytest.raises(Interrupted) as stopped:
        patch.setattr(Checkpoints, "_read", at_work)
        begin(tmp_path)
    assert stopped.value.signal == number
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == steps
    assert_same(unbroken, (begin(tmp_path), tmp_path))


def test_a_finished_training_is_read_back(begin, unbroken):
    """And leaves everything as it was: the fixture is shared."""
    trained, folder = unbroken
    assert_same(unbroken, (begin(folder), folder))
    assert begin(folder).pairs_per_second == trained.pairs_per_second > 0


def test_other_settings_do_not_go_on_from_a_checkpoint(begin, unbroken):
    with pytest.raises(CheckpointError, match="belongs to a run with other settings"):
        begin(unbroken[1], fingerprint="other")


def test_saving_while_training_goes_on_writes_the_state_of_that_step(begin, tmp_path, monkeypatch, per_epoch):
    """The arrays of the step are donated to the next one while the checkpoint is still being written."""
    copies, save = {}, Checkpoints.save

    def note(self, step, state, best, memory):
        copies[step] = jax.tree.map(np.array, (state, best))
        save(self, step, state, best, memory)

    monkeypatch.setattr(Checkpoints, "save", note)
    monkeypatch.setattr(loop, "CALL_SECONDS", 1e-9)
    begin(tmp_path)
    kept = Checkpoints(tmp_path / "checkpoints", "print")
    steps = sorted(kept._manager.all_steps())
    assert steps == [4 * per_epoch, 6 * per_epoch]
    for step in steps:
        state, best, _ = kept._read(step, *copies[6 * per_epoch])
        jax.tree.map(np.testing.assert_array_equal, (state, best), copies[step])
    kept.close()


def test_the_best_epoch_is_returned(begin, tmp_path):
    validate, asked = scripted([0.2, 0.5, 0.4, 0.5, 0.1, 0.3])
    trained = begin(tmp_path, dataclasses.replace(SETTINGS, evaluate_every=1), validate=validate)
    assert (trained.epoch, trained.validation) == (2, {METRIC: 0.5})  # of equals the first
    jax.tree.map(np.testing.assert_array_equal, trained.params, asked[1])
    jax.tree.map(np.testing.assert_array_equal, read_best(tmp_path / "checkpoints")[0], asked[1])
    assert [line["epoch"] for line in metrics_of(tmp_path)] == [1, 2, 3, 4, 5, 6]


RULES = [  # values of the metric, floor, patience, plateau -> epochs trained
    ([0.5, 0.4, 0.4, 0.4, 0.4, 0.4], 0.0, 2, 0, 3),
    ([0.5, 0.4, 0.6, 0.4, 0.4, 0.4], 0.0, 2, 0, 5),
    ([0.5, 0.4, 0.4, 0.4, 0.4, 0.4], 0.0, 0, 0, 6),
    ([0.5, 0.4, 0.4, 0.4, 0.4, 0.4], 0.5, 2, 0, 3),  # no plateau is waited for
    ([0.5, 0.4, 0.4, 0.4, 0.4, 0.4], 0.5, 2, 3, 5),  # patience starts after epoch 3
    ([0.5, 0.4, 0.4, 0.4, 0.4, 0.4], 0.5, 2, 60, 6),
    ([0.5, 0.4, 0.6, 0.4, 0.4, 0.4], 0.5, 2, 60, 5),  # 0.6 is above 1.05 * 0.5
    ([0.5, 0.4, 0.52, 0.4, 0.4, 0.4], 0.5, 2, 60, 6),  # 0.52 is not
]


@pytest.mark.parametrize("values, floor, patience, plateau, epochs", RULES)
def test_patience_waits_for_the_end_of_the_plateau(begin, tmp_path, values, floor, patience, plateau, epochs):
    rule = dataclasses.replace(SETTINGS, evaluate_every=1, patience=patience, plateau=plateau, save_seconds=1e6)
    begin(tmp_path, rule, validate=scripted(values)[0], floor=floor)
    assert len(metrics_of(tmp_path)) == epochs


def test_without_validation_all_epochs_are_trained_and_the_last_returned(begin, tmp_path, per_epoch):
    rule = dataclasses.replace(SETTINGS, epochs=3, patience=1)
    trained = begin(tmp_path, rule, validate=None)
    assert (trained.epoch, trained.validation) == (3, {})
    assert [(line["epoch"], "validation" in line) for line in metrics_of(tmp_path)] == [(2, False), (3, False)]
    assert latest(tmp_path)[0] == 3 * per_epoch
    longer = begin(tmp_path / "two", dataclasses.replace(rule, epochs=2), validate=None)
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(trained.params), jax.tree.leaves(longer.params)))


def test_a_loss_that_is_not_finite_stops_with_step_and_settings(begin, tmp_path):
    wild = dataclasses.replace(SETTINGS, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(Diverged, match=r"between steps \d+ and \d+.*--train.learning-rate \(1e\+30\).*--model.l2"):
        begin(tmp_path, wild, validate=scripted([0.1] * 6)[0])


def test_a_learning_rate_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"--train.learning-rate must be above 0, got nan"):
        TrainSettings(learning_rate=math.nan)
    with pytest.raises(ValueError, match=r"--train.patience must not be below 0, got -1"):
        TrainSettings(patience=-1)
    with pytest.raises(ValueError, match=r"--train.batch-size must be at least 1, got 0"):
        TrainSettings(batch_size=0)
    with pytest.raises(ValueError, match=r"--train.table-shards needs --train.backend jit"):
        TrainSettings(table_shards=2, backend="pmap")


@pytest.mark.parametrize("backend", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_resuming_on_other_devices_ends_at_the_same_parameters(begin, unbroken, tmp_path, monkeypatch, backend):
    rule = dataclasses.replace(SETTINGS, backend=backend)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at(patch, 7)
        begin(tmp_path, rule, devices=jax.devices()[:2])
    trained = begin(tmp_path, rule, devices=jax.devices()[:1])
    assert latest(tmp_path)[0] == latest(unbroken[1])[0]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), trained.params, unbroken[0].params
    )


def test_signals_are_handled_as_before_afterwards(begin, tmp_path, monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at(patch, 1)
        begin(tmp_path)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize("epoch, shown", [(1 / 3, "0.3"), (1.0, "1"), (97.96, "98"), (12.5, "12.5")])
def test_a_line_without_a_terminal_has_at_most_one_decimal_of_an_epoch(caplog, monkeypatch, epoch, shown):
    monkeypatch.setattr(log, "is_screen", lambda: False)
    bar = log.Progress(200, 0, "seed 0", every_seconds=0.0)
    bar._last_line = 0.0  # the first line would come after three seconds
    with caplog.at_level("INFO"):
        bar.update(epoch, loss=0.5)
    bar.close()
    assert f"seed 0 epoch {shown}/200  loss 0.5000" in caplog.messages


def test_a_terminal_gets_a_bar_and_one_without_size_gets_lines():
    program = (
        "import logging, sys\n"
        "logging.basicConfig(level=logging.INFO, format='%(message)s', stream=sys.stderr)\n"
        "from socialjax.train.log import Progress\n"
        "bar = Progress(4, 0, 'seed 0', every_seconds=0.0)\n"
        "bar._last_line = 0.0\n"  # the first line would come after three seconds
        "bar.update(1.0, loss=0.5)\n"
        "bar.close()\n"
    )
    for size, wanted in ((b"rows 30 cols 90", "0.0/4 epochs ["), (b"rows 0 cols 0", "seed 0 epoch 1/4  loss 0.5000")):
        ours, theirs = pty.openpty()
        subprocess.run(["stty", *size.decode().split()], stdin=theirs, check=True)
        subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True)
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 4096):
                said += part
        except OSError:  # how Linux tells that the other side has closed
            pass
        os.close(ours)
        assert wanted in said.decode(), said


@dataclasses.dataclass(frozen=True)
class Watched(BPR):
    """BPR that says of each batch how heavy it is, twice."""

    traits = Traits(watched=("twice",))

    def loss(self, params, side, batch, rng):
        (total, weight), metrics = super().loss(params, side, batch, rng)
        return (total, weight), metrics | {"twice": 2 * weight}


def test_what_a_model_watches_is_logged_as_its_mean(begin, tmp_path):
    begin(tmp_path, model=Watched(dim=4, dropout=0.2, init_std=0.1), validate=None)
    assert [line["twice"] for line in metrics_of(tmp_path)] == pytest.approx([2.0, 2.0, 2.0])
    assert all(np.isfinite(line["loss"]) for line in metrics_of(tmp_path))
