"""Eight virtual CPU devices, silent broadcasting is an error, warnings are errors (pyproject.toml), quick compiling."""

import gc
import logging
import os
import signal
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ["JAX_PLATFORMS"] = os.environ.get("JAX_PLATFORMS", "cpu")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
# Compiling takes most of the time, and each program runs briefly. In processes that tests start as well: their bits are
# compared with ours. Tests in train and system compile as users do; with 0 in this variable, all do.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Half the time of compiling. XLA ends a process that gives it a flag it does not know, so these go to the version they
# were tried with alone.
if version("jaxlib") == "0.10.2" and "fusion_emitters" not in os.environ["XLA_FLAGS"]:
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"

# Commands in processes that tests start keep nothing in the cache of whoever runs the tests.
os.environ.setdefault("SOCIALJAX_COMPILED", "off")

import jax
import pytest
from tiny import ITEMS, ODD_TITLE, TINY, write_folder

gc.set_threshold(20_000, 10, 10)  # tracing makes millions of small objects: a tenth of the time of tests of models
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, in the processes that tests start as well
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "float32")


def pytest_configure(config):
    """Programs that are compiled again, by another test or in another worker, come from one folder.

    It is set before anything is compiled: the first folder holds for the whole process. Whoever finds a file that
    another worker has half written compiles for itself (the warning of that is ignored in pyproject.toml).
    SOCIALJAX_TEST_COMPILED names a folder that outlives the tests.
    """
    shared = getattr(config, "workerinput", {}).get("compiled") or os.environ.get("SOCIALJAX_TEST_COMPILED")
    if shared is None:
        config.compiled = tempfile.TemporaryDirectory(prefix="socialjax-compiled-", ignore_cleanup_errors=True)
        config.add_cleanup(config.compiled.cleanup)
        shared = config.compiled.name
    jax.config.update("jax_compilation_cache_dir", shared)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """xdist tells its workers where the folder is."""
    node.workerinput["compiled"] = jax.config.jax_compilation_cache_dir


@pytest.fixture(scope="module")
def compiled_as_for_users():
    """For tests of bits, and of programs that run longer than they compile."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module", autouse=True)
def programs_are_let_go():
    """Compiled programs keep memory maps, of which Linux gives a process 65,530; without any left, XLA crashes.

    The whole suite in one process needs more than that, a worker of several does not.
    """
    yield
    from socialjax.memory import release_programs

    release_programs(20_000)


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data sets, or a skip that says how to give one."""
    folder = os.environ.get("SOCIALJAX_DATA")
    if not folder:
        pytest.skip("set SOCIALJAX_DATA to the folder that holds yelp/, flickr/, ... to run this test")
    return Path(folder)


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
