"""The deletion test on attention that is worked out by hand."""

import numpy as np
import pytest

from socialjax.contract import OF_USERS, Explanation, Kind, Ragged
from socialjax.explain.attributes import deletion_test, drops


def explanation(*pairs) -> Explanation:
    """Each pair as (share, product) of its attributes 0, 1, ..."""
    offsets = np.cumsum([0, *(len(share) for share, _ in pairs)])
    share, product = (np.concatenate([np.float32(p[n]) for p in pairs]) for n in (0, 1))
    ids = np.concatenate([np.arange(len(s), dtype=np.int32) for s, _ in pairs])
    rows = Ragged(offsets, ids, share, share * product, Kind(("attribute",)), {"product": product})
    number = np.arange(len(pairs))
    return Explanation(number, number, np.zeros(len(pairs), np.float32), {}, {"attributes": rows})


def test_what_is_lost_is_the_score_less_that_of_the_others_whose_shares_grow_to_1():
    """Score 0.5 * 4 + 0.3 * 1 + 0.2 * -1 = 2.1. Without the first 0.6 * 1 - 0.4 = 0.2; without the second (0.5 * 4 -
    0.2) / 0.7; without the third (2 + 0.3) / 0.8."""
    lost = drops([0.5, 0.3, 0.2], [4.0, 1.0, -1.0])
    np.testing.assert_allclose(lost, [1.9, 2.1 - 1.8 / 0.7, 2.1 - 2.3 / 0.8], rtol=1e-12)


def test_an_attribute_that_has_everything_leaves_the_others_alike():
    np.testing.assert_allclose(drops([1.0, 0.0, 0.0], [2.0, 1.0, 0.0]), [1.5, 0.0, 0.0], atol=1e-12)


def test_the_top_attribute_wins_against_the_others_it_costs_more_than():
    found = deletion_test(
        explanation(
            ([0.5, 0.3, 0.2], [4.0, 1.0, -1.0]),  # costs more than both
            ([1.0], [9.0]),  # nothing else to take away
            ([0.6, 0.4], [1.0, 3.0]),  # what it says most of speaks for the item least
            ([0.4, 0.6], [2.0, 2.0]),  # costs nothing, nor does the other
        )
    )
    assert found.pair.tolist() == [0, 2, 3] and found.top.tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.wins, [1, 0, 0.5])
    assert found.share == pytest.approx(0.5)
    np.testing.assert_allclose(found.lost, [1.9, 1.8 - 3.0, 0.0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.other[:2], [(4.2 - 1.8 / 0.7 - 2.3 / 0.8) / 2, 0.8], rtol=1e-5)


def test_without_a_pair_to_judge_the_share_is_no_number():
    assert np.isnan(deletion_test(explanation(([1.0], [2.0]))).share)


def test_an_explanation_without_attention_over_attributes_is_refused_by_what_it_has():
    nothing = np.zeros(0, np.float32)
    plain = Ragged(np.zeros(2, np.int64), nothing.astype(np.int32), nothing, nothing, OF_USERS)
    why = Explanation(np.zeros(1), np.zeros(1), np.zeros(1), {}, {"friends": plain})
    with pytest.raises(ValueError, match="wants elements 'attributes' with a product each, got elements friends"):
        deletion_test(why)
