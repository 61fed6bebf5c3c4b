"""SVD++ against its equation, and the identities that tie it to its relatives."""

import dataclasses

import numpy as np
import pytest
import twins
import worlds

from socialjax.models.cf.bpr import BPR
from socialjax.models.cf.svdpp import SVDpp

CASES = {
    "as published": SVDpp(),
    "target kept": SVDpp(exclude_target=False),
    "mean": SVDpp(exponent=1.0),
    "tied": SVDpp(tied=True, exponent=1.0, item_bias=False, exclude_target=False),
    "tied, target left out, softmax, dropout": SVDpp(tied=True, objective="softmax", dropout=0.3),
}


@pytest.mark.parametrize("name", CASES)
def test_scores_and_loss_equal_the_equations(name):
    """The data has users with no item, with one (who is left with none when it is the target) and with more."""
    model = dataclasses.replace(CASES[name], dim=4, negatives=3, l2=0.2)
    worlds.assert_equals_twin(model, worlds.small(), twins.svdpp)


def test_without_implicit_vectors_it_is_biased_matrix_factorisation():
    data, batch = worlds.small(), worlds.random_batch(worlds.small())
    svdpp, bpr = SVDpp(dim=4, negatives=3), BPR(dim=4, negatives=3)
    side = svdpp.prepare(data)
    params = worlds.random_params(svdpp, side)
    params["implicit"] = np.zeros_like(params["implicit"])
    ours = worlds.scores_and_loss(svdpp, params, side, batch)
    theirs = worlds.scores_and_loss(bpr, params["tables"], bpr.prepare(data), batch)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1][0], theirs[1][0], rtol=1e-6)


def test_an_exponent_that_is_neither_published_form_is_refused():
    with pytest.raises(ValueError, match=r"0\.5 or 1, got 0\.7"):
        SVDpp(exponent=0.7).prepare(worlds.small())
