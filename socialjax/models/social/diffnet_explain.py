"""DiffNet on the host, for a few pairs: why they got their scores, and the vector of a user who was not trained.

The released form is a sum: layer k is A_S^k H0, so a friend's share is an entry of A_S^k times <h0_b, v_i>, and with
max pooling each number of a layer comes from one friend; both are exact. The paper's form has weights and activations
between the layers; there a user's share is gradient times input, which is a first-order estimate.
"""

import numpy as np
from scipy import sparse

from socialjax.models.history import elements
from socialjax.models.parts import pair_dot
from socialjax.models.protocol import Explanation, Ragged

# Name -> (the function, its slope from its value).
ACTIVATIONS = {
    "identity": (lambda x: x, lambda y: np.ones_like(y)),
    "relu": (lambda x: np.maximum(x, 0), lambda y: (y > 0).astype(y.dtype)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda y: y * (1 - y)),
    "tanh": (np.tanh, lambda y: 1 - y**2),
}


def explain(model, state, side, users, items) -> Explanation:
    """Parts: `own_vector` (H0, where it is summed), one for each chosen layer, `history`, `item_bias`.

    The layers of the released form are `friends_1`, `friends_2`, ...: users reached in so many steps, the user too,
    whom friends hear. Those of the paper's form are `diffusion_1`, ...: they mix the user's own vector with friends'.
    Elements: the users behind each layer and the items behind `history`, with the weight in the mean, the entry of
    A_S^k, the share of numbers that won the maximum, or (paper) the share of the gradient's length.
    """
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    layers, towards = np.asarray(state.layers), np.asarray(state.items)[items]
    social = _matrix(side.social)
    parts, found = {}, {}
    for k in _chosen(model):
        name = "own_vector" if k == 0 else f"{'friends' if model.variant == 'released' else 'diffusion'}_{k}"
        parts[name] = pair_dot(layers[k][users], towards)
        if k:
            found[name] = _heard(model, state, layers, social, users, towards, k)
    parts["history"] = pair_dot(np.asarray(state.pooled)[users], towards)
    found["history"] = elements(side.past.edges, np.asarray(state.items), users, towards)
    exact = model.variant == "released" or model.depth == 0
    return model.explained(state, users, items, parts, found, exact)


def new_user(model, state, side, items, friends) -> np.ndarray:
    """Vector f32[D] of a user who was not trained: layers from the friends' layers, history from the items.

    h0 is 0: regularisation pulls the vector of a user nobody knows there, and the mean of all vectors would only
    repeat what everybody likes, which the item bias says already. In the paper's form with user features 0 is no
    user's vector, so h0 is the mean of H0.
    """
    layers = np.asarray(state.layers)
    mine = [np.zeros(layers.shape[2], np.float32)]
    if model.variant == "paper" and side.user_features is not None:
        mine = [layers[0].mean(axis=0)]
    for k in range(model.depth):
        near = layers[k][friends]
        heard = np.zeros_like(mine[0])
        if len(friends):
            heard = near.mean(axis=0) if model.pooling == "mean" else near.max(axis=0)
        if model.variant == "paper":
            kernel, bias = (np.asarray(array) for array in state.steps[k])
            heard = ACTIVATIONS[model.activation][0](np.concatenate([heard, mine[-1]]) @ kernel + bias)
        mine.append(heard)
    taken = np.asarray(state.items)[items]
    pooled = taken.mean(axis=0) if len(items) else np.zeros_like(mine[0])
    return (sum(mine[k] for k in _chosen(model)) + pooled).astype(np.float32)


def _chosen(model) -> list[int]:
    """The layers that are summed into the user's vector."""
    every = list(range(model.depth + 1))
    return {"last": every[-1:], "all_but_0": every[1:] or every, "all": every}[model.layers]


def _matrix(social) -> sparse.csr_array:
    """A_S f32[U, U]: row a weighs the friends of a."""
    size, receivers = social.num_receivers, np.asarray(social.receivers)
    offsets = np.searchsorted(receivers, np.arange(size + 1))
    senders, weight = (np.asarray(array)[: offsets[-1]] for array in (social.senders, social.weight))
    return sparse.csr_array((weight, senders, offsets), shape=(size, size))


def _heard(model, state, layers, social, users, towards, k) -> Ragged:
    """Who stands behind layer k of each pair's user, and what each adds to <h_k, v_i>."""
    if model.variant == "released" and model.pooling == "mean":
        rows = social[users]
        for _ in range(k - 1):
            rows = rows @ social
        rows.sort_indices()
        ids, weight = rows.indices.astype(np.int32), rows.data.astype(np.float32)
        pair = np.repeat(np.arange(len(users)), np.diff(rows.indptr))
        return Ragged(rows.indptr.astype(np.int64), ids, weight, weight * pair_dot(layers[0][ids], towards[pair]))
    rows = [_one(model, state, layers, social, user, v, k) for user, v in zip(users, towards)]
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids, _, _ in rows])]).astype(np.int64)
    columns = [np.concatenate([column, *found]) for column, found in zip(([], [], []), zip(*rows))]
    return Ragged(offsets, columns[0].astype(np.int32), columns[1].astype(np.float32), columns[2].astype(np.float32))


def _one(model, state, layers, social, user, towards, k):
    """(ids, weight, contribution) of the users behind layer k of one user, by the gradient of that layer."""
    if model.variant == "released":  # the gradient is the same for every v, number by number
        ids, gradient = _gradient(model, state, layers, social, user, np.ones(len(towards)), k)
        weight, gradient = gradient.mean(axis=1), gradient * towards
    else:
        ids, gradient = _gradient(model, state, layers, social, user, towards.astype(np.float64), k)
        weight = np.linalg.norm(gradient, axis=1)
        weight = weight / max(weight.sum(), 1e-30)
    heard = np.abs(gradient).max(axis=1) > 0  # with max pooling most friends win nothing
    return ids[heard], weight[heard], pair_dot(layers[0][ids], gradient)[heard]


def _gradient(model, state, layers, social, user, start, k):
    """d <h_k of the user, start> / d H0: the users i64[N] it reaches and the gradient f64[N, D] of each."""
    ids, gradient = np.array([user]), start[None, :]
    for step in range(k, 0, -1):
        own = np.zeros_like(gradient)
        if model.variant == "paper":
            gradient = gradient * ACTIVATIONS[model.activation][1](layers[step][ids])
            gradient, own = np.split(gradient @ np.asarray(state.steps[step - 1][0]).T, 2, axis=1)
        rows = social[ids]
        row = np.repeat(np.arange(len(ids)), np.diff(rows.indptr))
        share = rows.data[:, None]
        if model.pooling == "max":
            share = _won(layers[step - 1][rows.indices], row, len(ids))
        everyone = np.concatenate([rows.indices, ids])
        ids, place = np.unique(everyone, return_inverse=True)
        back = np.zeros((len(ids), gradient.shape[1]))
        np.add.at(back, place, np.concatenate([share * gradient[row], own]))
        gradient = back
    return ids, gradient


def _won(values: np.ndarray, row: np.ndarray, num_rows: int) -> np.ndarray:
    """values f32[E, D] of friends, row i64[E] -> the share of each in its row's maximum; ties share."""
    top = np.full((num_rows, values.shape[1]), -np.inf, np.float32)
    np.maximum.at(top, row, values)
    won = (values == top[row]).astype(np.float64)
    ties = np.zeros(top.shape)
    np.add.at(ties, row, won)
    return won / ties[row]
