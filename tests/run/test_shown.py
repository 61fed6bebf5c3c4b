"""What the screen says of the data of a run is what its record says."""

import dataclasses

import numpy as np
import pytest

from socialjax.data import planted
from socialjax.models import BPR
from socialjax.models.social.diffnet import DiffNet
from socialjax.run import shown

DATA = planted.checkerboard(num_users=12, num_items=8, links=3)
WITH = dataclasses.replace(DATA, item_features=np.ones((8, 2), np.float32))


@pytest.mark.parametrize(
    "data, model, said",
    [
        (DATA, None, "ids only"),
        (WITH, None, "with features"),
        (DATA, DiffNet(), "ids only"),
        (WITH, DiffNet(), "with features"),
        (WITH, DiffNet(use_features=False), "ids only, features not used"),
        (WITH, BPR(), "ids only, features not used"),
    ],
)
def test_the_line_of_the_data_says_whether_features_are_used(data, model, said):
    assert shown.describe(data, model).startswith(f"checkerboard, planted, {said}: 12 users")
    if model is not None:
        assert shown.takes_features(model, data) == (said == "with features")
