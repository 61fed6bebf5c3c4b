"""Eight virtual CPU devices, silent broadcasting is an error, warnings are errors (pyproject.toml), quick compiling."""

import os
import signal
import tempfile
from importlib.metadata import version

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

import jax
import pytest

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


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data sets, or a skip that says how to give one."""
    folder = os.environ.get("SOCIALJAX_DATA")
    if not folder:
        pytest.skip("set SOCIALJAX_DATA to the folder that holds yelp/, flickr/, ... to run this test")
    from pathlib import Path

    return Path(folder)
