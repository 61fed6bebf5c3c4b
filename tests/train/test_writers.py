"""Writers get what metrics.jsonl gets: TensorBoard, Weights & Biases, MLflow, and those of others."""

import json
import sqlite3
import struct
import subprocess
import sys

import pytest

import socialjax
from socialjax.train import writers
from socialjax.train.step import TrainSettings
from socialjax.train.writers import WRITERS, Place
from socialjax.worlds import planted


def trained(folder, *names, epochs=4, **more):
    settings = TrainSettings(epochs=epochs, evaluate_every=2, writers=names)
    run = socialjax.fit("bpr", planted.checkerboard(), settings, folder=folder, progress=False, **more)
    lines = [json.loads(line) for line in (folder / "seed_0" / "metrics.jsonl").read_text().splitlines()]
    return run, lines


class Noted:
    """A writer of ours: what it gets, in a list."""

    made = ()

    def __init__(self, place: Place):
        self.place, self.numbers, self.is_closed = place, [], False
        Noted.made = (*Noted.made, self)

    def write(self, step, numbers):
        self.numbers.append((step, dict(numbers)))

    def close(self):
        self.is_closed = True


@pytest.fixture
def noted(monkeypatch):
    monkeypatch.setattr(Noted, "made", ())
    monkeypatch.setitem(WRITERS, "noted", Noted)
    return Noted


def test_a_writer_of_yours_gets_every_validation_and_the_settings(tmp_path, noted):
    _, lines = trained(tmp_path / "run", "noted")
    (made,) = noted.made
    assert made.is_closed and [step for step, _ in made.numbers] == [line["step"] for line in lines]
    for (_, numbers), line in zip(made.numbers, lines):
        assert numbers == {"loss": line["loss"]} | line["validation"]
    assert made.place.folder == tmp_path / "run" / "seed_0" and made.place.step == 0
    assert made.place.settings["model.dim"] == 64 and made.place.settings["seed"] == 0
    assert made.place.name.endswith("/run seed_0")


def test_writers_are_no_other_settings(tmp_path, noted):
    first, _ = trained(tmp_path / "run", "noted")
    again, _ = trained(tmp_path / "run")
    assert again.result == first.result


def test_one_that_fails_is_left_out_with_a_warning_and_training_goes_on(tmp_path, noted, monkeypatch, caplog):
    class Failing(Noted):
        def write(self, step, numbers):
            raise ConnectionError("no route to host")

    monkeypatch.setitem(WRITERS, "failing", Failing)
    run, lines = trained(tmp_path / "run", "failing", "noted")
    assert len(lines) == 2 and run.recommend(0)
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == "the writer failing failed and gets nothing more: ConnectionError: no route to host"
    failing, good = noted.made
    assert not failing.is_closed and len(good.numbers) == 2


def test_one_that_cannot_begin_is_refused_before_the_first_step(tmp_path, noted, monkeypatch):
    def unreachable(place):
        raise ConnectionError("no route to host")

    monkeypatch.setitem(WRITERS, "unreachable", unreachable)
    with pytest.raises(ValueError, match=r"the writer unreachable cannot begin \(ConnectionError: no route to host\)"):
        trained(tmp_path / "run", "noted", "unreachable")
    (made,) = noted.made
    assert made.is_closed and not made.numbers
    _, lines = trained(tmp_path / "run", "noted")
    assert len(lines) == 2


def test_unknown_and_uninstalled_ones_are_refused_before_training(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no writer is called 'nobody'; there are tensorboard, wandb, mlflow"):
        trained(tmp_path / "run", "nobody")
    monkeypatch.setitem(writers.EXTRAS, "wandb", "no_such_package_here")
    with pytest.raises(ValueError, match=r"--train.writers wandb needs .* pip install 'socialjax\[wandb\]'"):
        trained(tmp_path / "run", "wandb")
    assert not (tmp_path / "run" / "seed_0").exists()


def test_tensorboard_gets_every_number(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    _, lines = trained(tmp_path / "run", "tensorboard")
    (file,) = (tmp_path / "run" / "seed_0" / "tensorboard").iterdir()
    content, place, found = file.read_bytes(), 0, {}
    while place < len(content):  # length u64, checksum u32, an event, checksum u32
        (size,) = struct.unpack_from("<Q", content, place)
        event = Event.FromString(content[place + 12 : place + 12 + size])
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        place += size + 16
    assert {(tag, step): value for (tag, step), value in found.items()} == pytest.approx(
        {
            (name.replace("@", "_"), line["step"]): value
            for line in lines
            for name, value in ({"loss": line["loss"]} | line["validation"]).items()
        },
        rel=1e-6,
    )


@pytest.mark.filterwarnings("ignore")  # theirs
def test_mlflow_has_one_run_for_a_training_that_was_stopped(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("alembic")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    def stop(line):
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        trained(tmp_path / "run", "mlflow", callbacks=[stop])
    _, lines = trained(tmp_path / "run", "mlflow")
    database = sqlite3.connect(tmp_path / "mlflow.db")
    runs = database.execute("select name, status from runs").fetchall()
    assert [status for _, status in runs] == ["FINISHED"] and runs[0][0].endswith("/run seed_0")
    rows = database.execute("select key, step, value from metrics").fetchall()
    wanted = {("loss", line["step"]): line["loss"] for line in lines}
    for line in lines:
        wanted |= {(name.replace("@", "_at_"), line["step"]): value for name, value in line["validation"].items()}
    assert {(key, step): value for key, step, value in rows} == pytest.approx(wanted)
    assert ("model.dim", "64") in database.execute("select key, value from params").fetchall()


@pytest.mark.filterwarnings("ignore")
def test_wandb_gets_every_number_without_a_network(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    _, lines = trained(tmp_path / "run", "wandb")
    (file,) = (tmp_path / "run" / "seed_0" / "wandb").glob("offline-run-*/run-*.wandb")
    content = file.read_bytes()
    for line in lines:
        for value in (line["step"], line["loss"], *line["validation"].values()):
            assert json.dumps(value).encode() in content, value
    wandb.teardown()


def test_what_is_not_asked_for_is_not_imported(tmp_path):
    code = (
        "import socialjax, sys; from socialjax.worlds import planted\n"
        "socialjax.fit('bpr', planted.checkerboard(), epochs=1, progress=False)\n"
        "print([name for name in ('wandb', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr
