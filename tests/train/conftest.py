"""A tiny world, and programs that are compiled once for all tests here."""

import jax
import pytest

from socialjax.data import planted
from socialjax.data.batches import resident


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Each training compiles its own program; the same one comes from a cache."""
    options = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in options}
    for name, value in options.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="session")
def world():
    """48 users, 32 items, links."""
    return planted.checkerboard(num_users=48, num_items=32, links=3)


@pytest.fixture(scope="session")
def pairs(world):
    return resident(world)
