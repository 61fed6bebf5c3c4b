"""What regularised models add to the loss, once more, one user and one link at a time."""

import numpy as np
import twins
import worlds

from socialjax.ops import sample


def users_of_rows(model, batch, key, num_users):
    """Whose term each row holds. Which users are drawn is no part of the equations: ask for them."""
    if model.per == "pair":
        return batch.users
    return np.asarray(sample.below(sample.fold(sample.fold(key, sample.OTHERS), batch.rows), num_users))


def assert_equals_bpr_and_term(model, data, term, key=7):
    """Scores are matrix factorisation's; the loss has 0.5 * social_weight * term(p f64[U, D], user) in every row."""
    side, batch = model.prepare(data), worlds.random_batch(data, model.negatives)
    params = worlds.random_params(model, side)
    scores, ((total, weight), metrics) = worlds.scores_and_loss(model, params, side, batch, key)
    twin, user_norms, item_norms = twins.bpr(model, data, params)
    expected = [[twin.score(a, i) for i in range(data.num_items)] for a in range(data.num_users)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
    slow, slow_weight, objective = twin.loss(batch, user_norms, item_norms)
    p = params["users"].astype(np.float64)
    for user, row_weight in zip(users_of_rows(model, batch, key, data.num_users), batch.weight):
        slow += row_weight * 0.5 * model.social_weight * term(p, user)
    np.testing.assert_allclose([total, weight, metrics["objective"]], [slow, slow_weight, objective], rtol=1e-5)


def square(vector):
    return float(np.sum(vector**2))
