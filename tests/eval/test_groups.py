"""Groups of users by hand."""

import numpy as np
import pytest

from socialjax.data.schema import Dataset, Links, Provenance, interactions, no_interactions
from socialjax.eval import groups
from socialjax.eval.metrics import Result


def result():
    return Result("full", "test", np.array([1, 2, 4]), {"HR@5": np.array([0.2, 0.4, 1.0], np.float32)})


def test_groups_average_their_evaluated_users():
    # Users 1 and 2 are in [0, 8), user 4 exactly at 8 is in [8, 16); users 0 and 3 are not evaluated.
    found = groups.by_group(result(), np.array([100, 0, 7, 100, 8]))
    assert list(found) == ["[0, 8)", "[8, 16)", "[16, 32)", "[32, 64)", "[64, inf)"]
    assert found["[0, 8)"] == {"users": 2, "HR@5": pytest.approx(0.3)}
    assert found["[8, 16)"] == {"users": 1, "HR@5": 1.0}
    assert found["[64, inf)"] == {"users": 0}


def test_counts_are_distinct_items_and_friends_in_either_direction():
    train = interactions([0, 0, 0, 2], [1, 1, 3, 0])
    data = Dataset("small", 4, 5, train, no_interactions(), no_interactions(), Provenance("planted", "test"))
    assert groups.interaction_counts(data).tolist() == [2, 0, 1, 0]
    links = Links(np.array([0, 1, 2, 2]), np.array([1, 0, 0, 2]))  # 0 and 1 follow each other; 2 follows itself too
    assert groups.social_degrees(links, 4).tolist() == [2, 1, 1, 0]


def test_wrong_bounds_and_counts_are_refused():
    with pytest.raises(ValueError, match="must cover user 4, got 3"):
        groups.by_group(result(), np.zeros(3))
    with pytest.raises(ValueError, match="bounds must ascend"):
        groups.by_group(result(), np.zeros(5), (0, 8, 8))
    with pytest.raises(ValueError, match="below the first bound 4"):
        groups.by_group(result(), np.full(5, 3), (4, 8))
