"""What dot-product models share: settings that are refused, and the l2 of a batch's rows."""

import numpy as np
import pytest
import worlds

from socialjax.models import MODELS
from socialjax.models.cf.bpr import BPR


@pytest.mark.parametrize("kind", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize(
    "field, value",
    [
        ("dim", 0),
        ("negatives", 0),
        ("l2", -0.1),
        ("l2", float("nan")),
        ("temperature", 0.0),
        ("init_std", -1.0),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("objective", "hinge"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(kind, field, value):
    with pytest.raises(ValueError, match=f"{field} must be .*{value}"):
        kind(**{field: value})


def test_l2_is_lambda_times_the_squared_norms_of_the_rows_with_negatives_as_their_mean():
    """User (1, 2): 5. Positive (3, 0) and bias 1: 10. Negatives 4 and 2, mean 3. So 18, for a row of weight 2."""
    params = {
        "users": np.array([[1.0, 2.0]], np.float32),
        "items": np.array([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0], [9.0, 9.0]], np.float32),
        "item_bias": np.array([1.0, 0.0, 0.0, 5.0], np.float32),
    }
    batch = worlds.Batch(
        np.zeros(2, np.int32), np.zeros(2, np.int32), np.array([[1, 2], [3, 3]]), np.array([2.0, 0.0]), np.arange(2)
    )
    data = worlds.dataset(1, 4, [(0, 0)])
    totals = []
    for l2 in (0.0, 0.1):
        model = BPR(dim=2, negatives=2, l2=l2)
        _, ((total, weight), metrics) = worlds.scores_and_loss(model, params, model.prepare(data), batch)
        totals.append(float(total))
        assert weight == 2.0 and metrics["objective"] == pytest.approx(totals[0])
    assert totals[1] - totals[0] == pytest.approx(0.1 * 2 * 18, rel=1e-5)
