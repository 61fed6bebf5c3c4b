"""Prepared data with one file damaged are read as they were, or made again from the raw files."""

import shutil

import numpy as np
import pytest
from damage import damage
from test_builders import assert_same
from tiny import write_folder

from socialjax.data import sources
from socialjax.data.sources import DataSettings


@pytest.mark.parametrize("cases", [60, pytest.param(2_000, marks=pytest.mark.slow)])
def test_damaged_prepared_data_are_read_as_they_were_or_prepared_anew(tmp_path, monkeypatch, cases):
    rng = np.random.default_rng(cases)
    monkeypatch.setenv("SOCIALJAX_CACHE", str(tmp_path / "cache"))
    write_folder(tmp_path / "cafes", "cafes", user=lambda u: f"guest{u}", item=lambda i: f"cafe-{i}")
    settings = DataSettings(name="cafes", dir=tmp_path / "cafes")
    expected = sources.load(settings)
    whole = tmp_path / "cache" / "prepared"
    shutil.copytree(whole, tmp_path / "whole")
    for number in range(cases):
        shutil.rmtree(whole)
        shutil.copytree(tmp_path / "whole", whole)
        file = damage(rng, whole)
        try:
            data = sources.load(settings)
        except BaseException as error:
            raise AssertionError(f"{number}, {file}: {type(error).__name__}: {error}") from error
        assert_same(data, expected)
