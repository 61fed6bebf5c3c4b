"""Labelled pictures come back from their TFDS form as they were: made ones with boxes, and those of files."""

import dataclasses

import numpy as np
import pytest

from socialjax.data.builders.labelled import LabelledBuilder, read
from socialjax.data.labelled import LabelledPictures
from socialjax.data.schema import Provenance
from socialjax.worlds.garments import garments

FILES = LabelledPictures(
    name="mine",
    names=("hem", "toe"),
    classes=(("long", "short"), ("pointed, very",)),
    labels=np.array([[0, -1], [1, 0], [-1, -1]], np.int16),
    part=np.array([0, 1, 2], np.uint8),
    ids=np.array(["a", "Übergröße", ""]),
    provenance=Provenance("real", "somewhere", "none", {"pictures.csv": "0f"}, ("one row left out",)),
    folder="/some/folder",
    files=np.array(["a.jpg", "deep/b.jpg", "c.jpg"]),
)


@pytest.mark.parametrize("pictures", [garments(0, 12, 16), FILES], ids=["made", "files"])
def test_what_was_written_is_read(pictures, tmp_path):
    found = read(LabelledBuilder(pictures=pictures, data_dir=tmp_path).prepare())
    for field in dataclasses.fields(LabelledPictures):
        wanted, got = getattr(pictures, field.name), getattr(found, field.name)
        if isinstance(wanted, np.ndarray):
            assert got.dtype.kind == wanted.dtype.kind and got.shape == wanted.shape
            np.testing.assert_array_equal(got, wanted)
        else:
            assert got == wanted
