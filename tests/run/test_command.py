"""The command line: fields, presets, sweeps, and how each end of a program is told."""

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from socialjax import memory, stop
from socialjax.data.sources import DataSettings
from socialjax.formats.file_bytes import DataError
from socialjax.models import BPR
from socialjax.run.command import exit_code, read_arguments, set_up_logging, variants
from socialjax.run.settings import Definition, Experiment
from socialjax.stop import Interrupted
from socialjax.train.checkpoint import CheckpointError
from socialjax.train.loop import Diverged
from socialjax.train.parallel import program_start
from socialjax.train.step import TrainSettings

DATA = DataSettings(name="tiny")
DEFINITION = Definition(
    name="tiny",
    summary="A small run.",
    default=Experiment(model=BPR(dim=8), data=DATA, train=TrainSettings(epochs=3)),
    presets={"small": Experiment(model=BPR(dim=2, l2=0.5), data=DATA)},
    sweeps={"dim": [{"dim": 2}, {"dim": 4}], "both": [{"dim": 2, "l2": 0.0}]},
)


@pytest.fixture(autouse=True)
def logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def read(*arguments):
    return read_arguments(DEFINITION, arguments)


def test_without_arguments_the_default_is_run():
    assert read() == DEFINITION.default


def test_single_fields_are_replaced():
    found = read("--model.dim", "64", "--train.batch-size=16", "--seeds", "0", "1", "2", "--data.name", "own")
    wanted = DEFINITION.default
    wanted = dataclasses.replace(
        wanted,
        model=dataclasses.replace(wanted.model, dim=64),
        train=dataclasses.replace(wanted.train, batch_size=16),
        data=DataSettings(name="own"),
        seeds=(0, 1, 2),
    )
    assert found == wanted


@pytest.mark.parametrize("arguments", [("--preset", "small"), ("--preset=small",)])
def test_fields_are_replaced_over_those_of_the_preset(arguments):
    found = read(*arguments, "--model.dim", "3")
    assert found.model == BPR(dim=3, l2=0.5)
    assert found.preset == "small"


def test_a_sweep_gives_one_labelled_experiment_for_each_value():
    found = variants(DEFINITION, read("--sweep", "dim", "--model.l2", "0.3"))
    assert [(label, one.model) for label, one in found] == [
        ("dim=2", BPR(dim=2, l2=0.3)),
        ("dim=4", BPR(dim=4, l2=0.3)),
    ]
    assert [label for label, _ in variants(DEFINITION, read("--sweep", "both"))] == ["dim=2,l2=0.0"]
    assert variants(DEFINITION, read()) == [("", DEFINITION.default)]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--preset", "big"), "--preset must be one of small, got 'big'"),
        (("--sweep", "width"), "--sweep must be one of dim, both, got 'width'"),
    ],
)
def test_an_unknown_preset_or_sweep_is_answered_with_those_that_exist(arguments, message):
    with pytest.raises(ValueError) as error:
        read(*arguments)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "arguments, answer",
    [
        (("--train.epoch", "3"), "--train.epochs"),
        (("--model.dims", "3"), "--model.dim"),
        (("--modle.dim", "3"), "--model.dim"),
        (("--train.epochs", "many"), "--train.epochs"),
        (("--train.backend", "tpu"), "pmap"),
        (("--seeds", "-1"), "different numbers of 0 to 2^32 - 1"),
        (("--seeds", "1", "1"), "different numbers of 0 to 2^32 - 1"),
        (("--model.dim", "0"), "dim must be at least 1, got 0"),
        (("--train.learning-rate", "0"), "--train.learning-rate must be above 0"),
        (("--eval.ks", "0", "5"), "cut-offs must be positive numbers"),
        (("--eval.protocol", "sampled"), "a protocol is 'full'"),
    ],
)
def test_a_wrong_field_ends_with_2_and_names_what_exists(capsys, arguments, answer):
    with pytest.raises(SystemExit) as end:
        read(*arguments)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert answer in " ".join(said.replace("│", " ").split()), said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "error",
    [ValueError, DataError, CheckpointError, Diverged, OSError, NotImplementedError, ImportError],
)
def test_expected_errors_are_one_line_and_exit_code_1(capsys, error):
    def fail():
        raise error("one thing\n  and another")

    set_up_logging()
    assert exit_code(fail) == 1
    assert capsys.readouterr().err == "error: one thing and another\n"


def test_a_module_that_the_library_itself_lacks_is_a_bug_and_keeps_its_traceback():
    def act():
        import socialjax.no_such_module  # noqa: F401

    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        exit_code(act)


@pytest.mark.parametrize("saves", [True, False])
def test_what_has_no_room_for_jax_is_not_begun(capsys, monkeypatch, saves):
    """Also what saves nothing, such as recommending from a finished run."""
    monkeypatch.setattr(memory, "left", lambda: (900 << 20, 1500 << 20))
    assert exit_code(lambda: pytest.fail("begun"), saves=saves) == 1
    assert "JAX wants 1300 MB of address space and more, and 900 are left of the 1500 MB" in capsys.readouterr().err


def test_anything_else_is_a_bug_and_stays_visible():
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 / 0)


def test_done_is_0():
    assert exit_code(lambda: None) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_outside_training_ends_with_its_number(capsys, number):
    def wait():
        try:
            os.kill(os.getpid(), number)
            sum(range(1000))
        except BaseException:
            raise AssertionError("an exception in the middle of something") from None
        stop.check()
        raise AssertionError("not asked")

    set_up_logging()
    before = signal.getsignal(number)
    assert exit_code(wait) == 128 + number
    assert capsys.readouterr().err == f"stopped by {number.name}; start the same command again to go on\n"
    assert signal.getsignal(number) == before


def test_training_that_was_interrupted_ends_with_128_and_the_signal():
    def stop():
        raise Interrupted(15)

    assert exit_code(stop) == 143


def test_the_start_of_the_process_is_told_in_the_clock_of_the_program():
    code = (
        "import time; time.sleep(0.3); from socialjax.train.parallel import program_start; "
        "print(time.monotonic() - program_start())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.3 <= float(done.stdout) < 60
    assert program_start() < time.monotonic()
