"""Finished runs on small data, made once, and the surroundings of commands that run in this process."""

import logging
import sys

import jax
import pytest
from tiny import ITEMS, ODD_TITLE, TINY, write_folder


@pytest.fixture(scope="session")
def run_home(tmp_path_factory):
    return tmp_path_factory.mktemp("finished")


@pytest.fixture
def places(run_home, monkeypatch):
    """Data is found in a cache of the tests' own only."""
    monkeypatch.setenv("SOCIALJAX_CACHE", str(run_home / "cache"))
    monkeypatch.delenv("SOCIALJAX_DATA", raising=False)


@pytest.fixture
def logging_as_before():
    """Commands set up the logging and the hooks of a whole process."""
    root, hook = logging.getLogger(), sys.unraisablehook
    before = root.level, list(root.handlers)
    root.handlers = []  # setting up closes those that are there
    yield
    root.handlers, sys.unraisablehook = before[1], hook
    root.setLevel(before[0])


@pytest.fixture
def compiled_for_children(monkeypatch):
    """Processes that a test starts take programs from the folder of all tests too."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.jax_compilation_cache_dir)
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@pytest.fixture
def call(capsys, logging_as_before):
    """call(main, what, *arguments) -> (exit code, standard output, standard error) of a command, never a traceback."""

    def call(main, what, *arguments):
        code = main(what, [str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return call


@pytest.fixture(scope="session")
def finished_runs(run_home):
    """{"diffnet": ids that are words, with titles and seeds 1 and 4; "bpr": ids that are numbers; "stand-in"}."""
    from socialjax.data import sources
    from socialjax.models.cf.bpr import BPR
    from socialjax.models.social.diffnet import DiffNet
    from socialjax.run.execute import run
    from socialjax.run.settings import DataSettings, Definition, EvalSettings, Experiment, TrainSettings

    write_folder(run_home / "cafes", "cafes", user=lambda u: f"guest{u}", item=lambda i: f"cafe-{i}")
    write_folder(run_home / "plain", "plain", user=str, item=str, links=False)
    with (run_home / "plain" / "plain.items").open("a", encoding="utf-8") as titles:
        titles.write(f"{ITEMS - 1}\t{ODD_TITLE}\n")
    own = lambda name: DataSettings(name=name, dir=run_home / name)  # noqa: E731
    chosen = {
        "diffnet": (DiffNet(dim=4, layers="all", init_std=0.5), own("cafes"), (1, 4)),
        "bpr": (BPR(dim=4, init_std=0.5), own("plain"), (0,)),
        "stand-in": (BPR(dim=4), DataSettings(name="filmtrust", offline=True), (0,)),
    }
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCIALJAX_CACHE", str(run_home / "cache"))
        patch.delenv("SOCIALJAX_DATA", raising=False)
        for name, (model, data, seeds) in chosen.items():
            experiment = Experiment(
                model=model,
                data=data,
                train=TrainSettings(**TINY),
                eval=EvalSettings(protocol="full", also=(), validation_protocol="full", ks=(5, 10)),
                seeds=seeds,
                workdir=run_home / f"run-{name}",
            )
            run(Definition(name, "for tests", experiment), experiment, sources.load(data))
            folders[name] = run_home / f"run-{name}"
    return folders
