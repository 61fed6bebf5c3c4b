"""Eight virtual CPU devices, silent broadcasting is an error, warnings are errors (pyproject.toml)."""

import os

os.environ["JAX_PLATFORMS"] = os.environ.get("JAX_PLATFORMS", "cpu")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "float32")


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data sets, or a skip that says how to give one."""
    folder = os.environ.get("SOCIALJAX_DATA")
    if not folder:
        pytest.skip("set SOCIALJAX_DATA to the folder that holds yelp/, flickr/, ... to run this test")
    from pathlib import Path

    return Path(folder)
